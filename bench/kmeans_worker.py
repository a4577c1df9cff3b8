"""What `kmeans.py` runs in processes of their own: the data, one side's fit, and how far sides reached the same."""

import argparse
import importlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from one_side import costs, first_use_seconds, settle, step

GRID = 2.0**20
WARM_UP_ROWS = 20_000
_BLOBS, _CLIP, _SPREAD = 20, 6.0, 0.75
_CHUNK_ROWS = 131_072

Fitted = tuple[np.ndarray, int, Callable[[], np.ndarray]]
"""Centers, updates made, and what gives the label of every row, asked for after the measurement."""

Fit = Callable[[np.ndarray, np.ndarray, int], Fitted]


def gpuseg_fit(rows: np.ndarray, start: np.ndarray, updates: int) -> Fitted:
    from gpuseg import Segmenter

    fitted = Segmenter(engine="cpu", init=start, n_init=1, max_iter=updates, tol=0.0).fit(rows)
    return fitted.cluster_centers_, fitted.n_iter_, lambda: fitted.labels_


def scikit_learn_fit(rows: np.ndarray, start: np.ndarray, updates: int) -> Fitted:
    return _scikit_learn("sklearn.cluster", rows, start, updates)


def intelex_fit(rows: np.ndarray, start: np.ndarray, updates: int) -> Fitted:
    return _scikit_learn("sklearnex.cluster", rows, start, updates)


def faiss_fit(rows: np.ndarray, start: np.ndarray, updates: int) -> Fitted:
    """Its training ends with an update; one more pass gives the labels and distances that all others give."""
    import faiss

    n, (k, d) = len(rows), start.shape
    kmeans = faiss.Kmeans(d, k, niter=updates, nredo=1, min_points_per_centroid=1, max_points_per_centroid=n)
    kmeans.train(rows, init_centroids=start)
    _, labels = kmeans.assign(rows)
    return kmeans.centroids, len(kmeans.obj), lambda: labels


def _scikit_learn(module: str, rows: np.ndarray, start: np.ndarray, updates: int) -> Fitted:
    estimator = importlib.import_module(module).KMeans
    fitted = estimator(len(start), init=start, n_init=1, max_iter=updates, tol=0.0, algorithm="lloyd").fit(rows)
    return fitted.cluster_centers_, fitted.n_iter_, lambda: fitted.labels_


SIDES: dict[str, tuple[str, str, Fit]] = {
    "gpuseg": ("gpuseg", "gpuseg", gpuseg_fit),
    "scikit-learn": ("sklearn", "scikit-learn", scikit_learn_fit),
    "scikit-learn-intelex": ("sklearnex", "scikit-learn-intelex", intelex_fit),
    "faiss": ("faiss", "faiss-cpu", faiss_fit),
}
"""Name to module, distribution and fit."""


def make_data(options: argparse.Namespace) -> None:
    """Write overlapping blobs on gpuseg's grid, float32, as one array."""
    draw = np.random.default_rng([options.seed, options.rows, options.features])
    centers = draw.normal(size=(_BLOBS, options.features)) * _SPREAD
    shape = (options.rows, options.features)
    rows = np.lib.format.open_memmap(options.out, mode="w+", dtype=np.float32, shape=shape)
    for at in range(0, options.rows, _CHUNK_ROWS):
        part = rows[at : at + _CHUNK_ROWS]
        values = centers[draw.integers(0, _BLOBS, len(part))] + draw.normal(size=part.shape)
        part[:] = np.rint(np.clip(values, -_CLIP, _CLIP) * GRID) / GRID
    rows.flush()


def add_data_step(steps: Any) -> None:
    """The subcommand `data`, with its options."""
    data = step(steps, "data", make_data)
    for name in ("--rows", "--features", "--seed"):
        data.add_argument(name, type=int, required=True)


def run_fit(options: argparse.Namespace) -> None:
    """Fit once on a few rows and once more, so that nothing is compiled or loaded later, then measure."""
    settle(options.threads)
    fit = SIDES[options.side][2]
    rows = np.load(options.data)
    start = rows[: options.centers].copy()
    few = rows[: max(WARM_UP_ROWS, options.centers)].copy()
    first_use = first_use_seconds(lambda: fit(few, start, 2))
    (centers, n_iter, labels_of), found = costs(lambda: fit(rows, start, options.updates))
    np.save(options.out.with_suffix(".npy"), centers)
    np.save(options.out.with_suffix(".labels.npy"), labels_of())
    found |= {"first_use_seconds": first_use, "n_iter": int(n_iter)}
    options.out.write_text(json.dumps(found), encoding="utf-8")


def run_objective(options: argparse.Namespace) -> None:
    """Sum of squared distances to the nearest center in float64, for each file of centers."""
    rows = np.load(options.data, mmap_mode="r")
    found = {path.stem: _objective(rows, np.load(path).astype(np.float64)) for path in options.centers_files}
    options.out.write_text(json.dumps(found), encoding="utf-8")


def _objective(rows: np.ndarray, centers: np.ndarray) -> float:
    total, squares = 0.0, (centers**2).sum(axis=1)
    for at in range(0, len(rows), _CHUNK_ROWS):
        part = rows[at : at + _CHUNK_ROWS].astype(np.float64)
        total += float(((part**2).sum(axis=1) + (squares - 2 * part @ centers.T).min(axis=1)).sum())
    return total


def run_labels(options: argparse.Namespace) -> None:
    """Share of rows with the label of the reference, for each file of labels."""
    reference = np.load(options.reference)
    found = {path.name.removesuffix(".labels.npy"): equal_share(reference, np.load(path)) for path in options.files}
    options.out.write_text(json.dumps(found), encoding="utf-8")


def equal_share(one: np.ndarray, other: np.ndarray) -> float:
    """Share of rows with equal labels, once the labels of one side are renamed to agree most (Kuhn 1955)."""
    from scipy.optimize import linear_sum_assignment

    if one.shape != other.shape or min(one.min(), other.min()) < 0:
        return 0.0
    k = int(max(one.max(), other.max())) + 1
    together = np.bincount(one.astype(np.int64) * k + other, minlength=k * k).reshape(k, k)
    return float(together[linear_sum_assignment(together, maximize=True)].sum() / len(one))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="One step of the benchmark of K-means.")
    steps = parser.add_subparsers(required=True)
    add_data_step(steps)
    fit = step(steps, "fit", run_fit)
    fit.add_argument("--side", choices=SIDES, required=True)
    fit.add_argument("--data", type=Path, required=True)
    for name in ("--centers", "--updates", "--threads"):
        fit.add_argument(name, type=int, required=True)
    objective = step(steps, "objective", run_objective)
    objective.add_argument("--data", type=Path, required=True)
    objective.add_argument("centers_files", type=Path, nargs="+")
    labels = step(steps, "labels", run_labels)
    labels.add_argument("--reference", type=Path, required=True)
    labels.add_argument("files", type=Path, nargs="+")
    options = parser.parse_args(arguments)
    options.step(options)


if __name__ == "__main__":
    main()
