"""What `cpu_vs_gpu.py` does on arrays: K-means, scoring and HDBSCAN, from the same rows on every device."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt
from measure import BenchmarkError

from gpuseg.clustering.density import Density, fit_density
from gpuseg.clustering.kmeans import lloyd
from gpuseg.engine import open_engine

BLOCK_ROWS = 131_072
WARM_ROWS = 4_096
GRID = 2.0**20
"""Rows of a run's matrix are multiples of 1 / GRID, which makes their sums exact."""

INERTIA_TOLERANCE, LEAST_KMEANS_ARI, LEAST_HDBSCAN_ARI = 1e-4, 0.999, 0.99
LEAST_HDBSCAN_SIZE = 25
_N_BLOBS = 12
_NEVER = 1e-12
"""A tolerance that ends no fit early; cuML may refuse 0."""

Rows = npt.NDArray[np.float32]


class MismatchError(BenchmarkError):
    """The devices differ by more than their contract allows."""


@dataclass(frozen=True)
class Found:
    """What a device gave, and in how many seconds.

    Parameters
    ----------
    value : object
        For the comparison.
    seconds : mapping of str to float
        Medians; the first is the case's own.
    facts : mapping of str to object
        Worth telling besides.
    """

    value: Any
    seconds: Mapping[str, float]
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    """The same work on several devices.

    Parameters
    ----------
    name : str
    parameters : mapping of str to object
    run : callable
        (name of the device, repeats) to `Found`.
    compare : callable
        Two values to facts about their agreement; raises `MismatchError`.
    devices : tuple of str
        Those that the case is meant for.
    """

    name: str
    parameters: Mapping[str, Any]
    run: Callable[[str, int], Found]
    compare: Callable[[Any, Any], dict[str, Any]]
    devices: tuple[str, ...] = ("cpu", "gpu")

    @property
    def told(self) -> str:
        """The parameters in words."""
        return ", ".join(f"{name} {value}" for name, value in self.parameters.items())


@lru_cache(maxsize=2)
def blobs(n_rows: int, n_features: int, seed: int) -> Rows:
    """Float32 rows around some centers, on the grid of a run's matrix."""
    rng = np.random.default_rng(seed)
    centers = rng.normal(scale=3.0, size=(_N_BLOBS, n_features))
    rows = np.empty((n_rows, n_features), np.float32)
    for start in range(0, n_rows, BLOCK_ROWS):
        part = rows[start : start + BLOCK_ROWS]
        drawn = centers[rng.integers(_N_BLOBS, size=len(part))] + rng.normal(size=part.shape)
        part[:] = np.rint(np.clip(drawn, -8, 8) * GRID) / GRID
    return rows


def timed(work: Callable[[], Any], repeats: int) -> tuple[Any, float]:
    """What the last call gave, and the median of the seconds of all."""
    seconds = []
    found = None
    for _ in range(repeats):
        begun = time.perf_counter()
        found = work()
        seconds.append(time.perf_counter() - begun)
    return found, round(median(seconds), 4)


def kmeans_case(n_rows: int, n_features: int, k: int, *, n_iter: int, seed: int) -> Case:
    """Lloyd's iterations of gpuseg, a fixed number of updates from the same start."""

    def run(name: str, repeats: int) -> Found:
        rows, options = blobs(n_rows, n_features, seed), {"max_iter": n_iter, "tol": 0.0}
        start = rows[:k].copy()
        with open_engine(engine=name) as engine:
            begun = time.perf_counter()
            blocks = [engine.device.asarray(rows[at : at + BLOCK_ROWS]) for at in range(0, n_rows, BLOCK_ROWS)]
            moved = round(time.perf_counter() - begun, 4)
            work = {"device": engine.device, "executor": engine.executor}
            lloyd([engine.device.asarray(rows[:WARM_ROWS])], start, **work, max_iter=1, tol=0.0)
            fit, seconds = timed(lambda: lloyd(blocks, start, **work, **options), repeats)
        return Found(fit, {"fit": seconds, "move": moved}, {"inertia": fit.inertia, "n_iter": fit.n_iter})

    parameters = {"rows": n_rows, "features": n_features, "k": k, "updates": n_iter}
    return Case("kmeans", parameters, run, compare_fits)


def compare_fits(left: Any, right: Any) -> dict[str, Any]:
    """Two fits from the same start."""
    difference = abs(left.inertia - right.inertia) / left.inertia
    if difference > INERTIA_TOLERANCE:
        raise MismatchError(f"inertia differs by {difference:.1e} of itself")
    if left.n_iter != right.n_iter:
        raise MismatchError(f"{left.n_iter} and {right.n_iter} updates")
    equal = bool(np.array_equal(left.centers, right.centers) and np.array_equal(left.counts, right.counts))
    return {"inertia_difference": difference, "equal_bits": equal}


def library_kmeans_case(n_rows: int, n_features: int, k: int, *, n_iter: int, seed: int) -> Case:
    """K-means of the device's own library (scikit-learn, cuML), from the same start."""

    def run(name: str, repeats: int) -> Found:
        rows = blobs(n_rows, n_features, seed)
        with open_engine(engine=name) as engine:
            device = engine.device
            options = {"n_segments": k, "seed": seed, "n_init": 1, "max_iter": n_iter, "tol": _NEVER}

            def fit(some: Any) -> Any:
                return device.estimator("kmeans", init=device.asarray(rows[:k]), **options).fit(some)

            fit(device.asarray(rows[: WARM_ROWS + k]))
            there = device.asarray(rows)
            fitted, seconds = timed(lambda: fit(there), repeats)
            labels = device.to_host(fitted.labels_)
        return Found((float(fitted.inertia_), labels), {"fit": seconds}, {"n_iter": int(fitted.n_iter_)})

    parameters = {"rows": n_rows, "features": n_features, "k": k, "updates": n_iter}
    return Case("library kmeans", parameters, run, compare_libraries)


def compare_libraries(left: tuple[float, Any], right: tuple[float, Any]) -> dict[str, Any]:
    """Two fits of libraries, which may part where sums are rounded."""
    difference = abs(left[0] - right[0]) / left[0]
    if difference > INERTIA_TOLERANCE:
        raise MismatchError(f"inertia differs by {difference:.1e} of itself")
    return {"inertia_difference": difference, "ari": least_ari(left[1], right[1], LEAST_KMEANS_ARI)}


def scoring_case(n_rows: int, n_features: int, k: int, *, seed: int) -> Case:
    """Labels of rows that lie in host memory, back in host memory."""

    def run(name: str, repeats: int) -> Found:
        rows = blobs(n_rows, n_features, seed)
        with open_engine(engine=name) as engine:
            device = engine.device
            centers = device.asarray(rows[:k].copy())

            def labels(at: int) -> Any:
                found = device.assign_accumulate(device.asarray(rows[at : at + BLOCK_ROWS]), centers, want_labels=True)
                return device.to_host(found.labels)

            def score() -> Any:
                return np.concatenate(list(engine.executor.map(labels, range(0, n_rows, BLOCK_ROWS))))

            labels(0)
            found, seconds = timed(score, repeats)
        return Found(found, {"score": seconds}, {"rows_per_second": round(n_rows / seconds)})

    def compare(left: Any, right: Any) -> dict[str, Any]:
        n_different = int(np.count_nonzero(left != right))
        if n_different:
            raise MismatchError(f"{n_different} of {len(left)} rows have another label")
        return {"equal_labels": True}

    return Case("scoring", {"rows": n_rows, "features": n_features, "k": k}, run, compare)


def hdbscan_case(n_rows: int, n_features: int, *, seed: int, on_cpu: bool) -> Case:
    """The exact HDBSCAN of gpuseg."""
    density = Density(max(LEAST_HDBSCAN_SIZE, n_rows // 200), 10)

    def run(name: str, repeats: int) -> Found:
        rows = blobs(n_rows, n_features, seed)
        with open_engine(engine=name) as engine:
            fit_density(rows[: min(n_rows, 1_000)], device=engine.device, density=Density(LEAST_HDBSCAN_SIZE, 10))
            # It takes long, and its time hardly varies.
            fit, seconds = timed(lambda: fit_density(rows, device=engine.device, density=density), 1)
        facts = {"n_clusters": len(fit.counts), "n_noise": fit.n_noise}
        return Found(fit.labels, {"fit": seconds}, facts)

    def compare(left: Any, right: Any) -> dict[str, Any]:
        return {"ari": least_ari(left, right, LEAST_HDBSCAN_ARI)}

    parameters = {"rows": n_rows, "features": n_features, "min_cluster_size": density.min_cluster_size}
    return Case("hdbscan", parameters, run, compare, ("cpu", "gpu") if on_cpu else ("gpu",))


def least_ari(left: Any, right: Any, least: float) -> float:
    """Adjusted Rand index of two labellings, refused below a bound."""
    from sklearn.metrics import adjusted_rand_score

    found = float(adjusted_rand_score(left, right))
    if found < least:
        raise MismatchError(f"the adjusted Rand index is {found:.4f}, below {least}")
    return round(found, 6)
