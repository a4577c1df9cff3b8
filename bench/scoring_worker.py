"""What `scoring.py` runs in processes of their own: rows, centers, one side's assignment, and whether it is right."""

import argparse
import importlib
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from kmeans_worker import WARM_UP_ROWS, add_data_step
from one_side import costs, first_use_seconds, settle, step

BATCHES = (1, 1_000)
"""Numbers of rows of the calls whose latency is measured."""
_FIT_ROWS, _FIT_UPDATES = 50_000, 5
_WARM_UP_CALLS = 20
_CHUNK_ROWS = 65_536
# Unit roundoff of float32 (IEEE 754).
_UNIT = 2.0**-24

Placing = Callable[[np.ndarray], np.ndarray]


def gpuseg_placing(centers: np.ndarray) -> Placing:
    from gpuseg import Segmenter

    return _fitted(Segmenter(engine="cpu", init=centers, n_init=1, max_iter=1, tol=0.0), centers)


def scikit_learn_placing(centers: np.ndarray) -> Placing:
    return _scikit_learn("sklearn.cluster", centers)


def intelex_placing(centers: np.ndarray) -> Placing:
    return _scikit_learn("sklearnex.cluster", centers)


def faiss_placing(centers: np.ndarray) -> Placing:
    import faiss

    index = faiss.IndexFlatL2(centers.shape[1])
    index.add(centers)
    return lambda rows: index.search(rows, 1)[1][:, 0]


def _scikit_learn(module: str, centers: np.ndarray) -> Placing:
    estimator = importlib.import_module(module).KMeans
    return _fitted(estimator(len(centers), init=centers, n_init=1, max_iter=1, tol=0.0, algorithm="lloyd"), centers)


def _fitted(estimator: Any, centers: np.ndarray) -> Placing:
    """Of an estimator that is given its centers by a fit on them.

    Each twice, as scikit-learn-intelex leaves a fit on as many rows as centers to scikit-learn; their means are the
    centers again. They are then set, since gpuseg sorts them and scikit-learn's are rounded by its shift of the rows.
    """
    fitted = estimator.fit(np.concatenate([centers, centers]))
    fitted.cluster_centers_ = centers
    return fitted.predict


SIDES: dict[str, tuple[str, str, Callable[[np.ndarray], Placing]]] = {
    "gpuseg": ("gpuseg", "gpuseg", gpuseg_placing),
    "scikit-learn": ("sklearn", "scikit-learn", scikit_learn_placing),
    "scikit-learn-intelex": ("sklearnex", "scikit-learn-intelex", intelex_placing),
    "faiss": ("faiss", "faiss-cpu", faiss_placing),
}
"""Name to module, distribution and what assigns rows to given centers."""


def make_centers(options: argparse.Namespace) -> None:
    """Write the centers of a short fit by scikit-learn on some of the rows, float32."""
    from sklearn.cluster import KMeans

    settle(options.threads)
    rows = np.load(options.data, mmap_mode="r")[:_FIT_ROWS].copy()
    fit = KMeans(options.centers, init=rows[: options.centers], n_init=1, max_iter=_FIT_UPDATES, tol=0.0).fit(rows)
    np.save(options.out, fit.cluster_centers_)


def run_score(options: argparse.Namespace) -> None:
    """Prepare, warm up, then measure passes over all rows, and single calls with few rows."""
    settle(options.threads)
    placing_of = SIDES[options.side][2]
    rows, centers = np.load(options.data), np.load(options.centers)
    few = rows[:WARM_UP_ROWS].copy()
    first_use = first_use_seconds(lambda: placing_of(centers)(few))
    place = placing_of(centers)
    place(few)
    labels, found = costs(lambda: _passes(place, rows, options.passes))
    each = {name: value / options.passes if name.endswith("_seconds") else value for name, value in found.items()}
    np.save(options.out.with_suffix(".npy"), labels)
    found = each | {"first_use_seconds": first_use, "rows_per_second": len(rows) / each["wall_seconds"]}
    for size in BATCHES:
        found |= latencies(place, rows, size, options.calls)
    options.out.write_text(json.dumps(found), encoding="utf-8")


def _passes(place: Placing, rows: np.ndarray, n: int) -> np.ndarray:
    for _ in range(n - 1):
        place(rows)
    return place(rows)


def latencies(place: Placing, rows: np.ndarray, size: int, calls: int) -> dict[str, float]:
    """Median and 99th percentile of the wall seconds of many calls, each with other rows as far as there are any."""
    seconds = np.empty(_WARM_UP_CALLS + calls)
    for number in range(len(seconds)):
        at = number % (len(rows) // size) * size
        part = rows[at : at + size]
        begun = time.perf_counter()
        place(part)
        seconds[number] = time.perf_counter() - begun
    seconds, name = seconds[_WARM_UP_CALLS:], f"latency_{size}"
    return {f"{name}_seconds": float(np.median(seconds)), f"{name}_p99_seconds": float(np.quantile(seconds, 0.99))}


def run_compare(options: argparse.Namespace) -> None:
    """Hold the labels of every side against the nearest centers in float64."""
    rows, centers = np.load(options.data, mmap_mode="r"), np.load(options.centers)
    labels = {path.stem: np.load(path) for path in options.labels_files}
    usable = {side for side, found in labels.items() if _usable(found, len(rows), len(centers))}
    wrong = {side: 0 if side in usable else len(rows) for side in labels}
    near_ties, different = 0, dict(wrong)
    for at in range(0, len(rows), _CHUNK_ROWS):
        nearest = Nearest(rows[at : at + _CHUNK_ROWS], centers)
        near_ties += nearest.near_ties
        for side in usable:
            n_different, n_wrong = nearest.differing(labels[side][at : at + _CHUNK_ROWS])
            different[side] += n_different
            wrong[side] += n_wrong
    told = {"near_ties": near_ties, "different": different, "wrong": wrong}
    options.out.write_text(json.dumps(told), encoding="utf-8")


def _usable(labels: np.ndarray, n: int, k: int) -> bool:
    return labels.shape == (n,) and labels.dtype.kind == "i" and labels.min() >= 0 and labels.max() < k


class Nearest:
    """Nearest centers of some rows in float64, and how far rounding in float32 may lead from them.

    With x of a row, c of a center and u the unit roundoff, a distance computed in float32 as |x|^2 - 2 x.c + |c|^2, in
    any order of its sums, is wrong by at most (d + 3) u (|x| + |c|)^2 (Higham, Accuracy and Stability of Numerical
    Algorithms, 3.1), and so a center is no further than twice that beyond the nearest.

    Parameters
    ----------
    rows : float32 array, shape (n, d)
    centers : float32 array, shape (k, d)
    """

    def __init__(self, rows: np.ndarray, centers: np.ndarray) -> None:
        self._rows, self._centers = rows.astype(np.float64), centers.astype(np.float64)
        squares, norms = (self._rows**2).sum(axis=1), (self._centers**2).sum(axis=1)
        distances = norms - 2 * self._rows @ self._centers.T
        self.labels = distances.argmin(axis=1)
        self._allowed = 2 * (rows.shape[1] + 3) * _UNIT * (np.sqrt(squares) + np.sqrt(norms.max())) ** 2
        if len(centers) > 1:
            two = np.partition(distances, 1, axis=1)
            self.near_ties = int((two[:, 1] - two[:, 0] <= self._allowed).sum())
        else:
            self.near_ties = 0

    def differing(self, labels: np.ndarray) -> tuple[int, int]:
        """How many labels are not those of the nearest centers, and for how many of these rounding is no reason."""
        (at,) = (labels != self.labels).nonzero()
        beyond = self._distances(at, labels) - self._distances(at, self.labels)
        return len(at), int((beyond > self._allowed[at]).sum())

    def _distances(self, at: np.ndarray, labels: np.ndarray) -> np.ndarray:
        return ((self._rows[at] - self._centers[labels[at]]) ** 2).sum(axis=1)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="One step of the benchmark of scoring.")
    steps = parser.add_subparsers(required=True)
    add_data_step(steps)
    centers = step(steps, "centers", make_centers)
    score = step(steps, "score", run_score)
    compare = step(steps, "compare", run_compare)
    for one in (centers, score, compare):
        one.add_argument("--data", type=Path, required=True)
    centers.add_argument("--centers", type=int, required=True)
    centers.add_argument("--threads", type=int, required=True)
    score.add_argument("--side", choices=SIDES, required=True)
    score.add_argument("--centers", type=Path, required=True)
    for name in ("--passes", "--calls", "--threads"):
        score.add_argument(name, type=int, required=True)
    compare.add_argument("--centers", type=Path, required=True)
    compare.add_argument("labels_files", type=Path, nargs="+")
    options = parser.parse_args(arguments)
    options.step(options)


if __name__ == "__main__":
    main()
