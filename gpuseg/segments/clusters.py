"""The groups of all profiles' matrix rows, by either method, as the model needs them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gpuseg.clustering.choose import Choice, choose_segments, n_distinct
from gpuseg.clustering.cost import check_fits, density_cost
from gpuseg.clustering.density import Density, DensityFit, fit_density, resolved_density
from gpuseg.clustering.kmeans import AUTO_STARTS, SEEDING_ROWS, Reached, best_of, lloyd
from gpuseg.clustering.neighbourhood import Neighbourhood, inertia_of
from gpuseg.clustering.seeding import seed_centers
from gpuseg.config import Config
from gpuseg.engine import Engine
from gpuseg.engine.base import Executor
from gpuseg.engine.program import LloydPass
from gpuseg.engine.solver import OWN, Problem
from gpuseg.errors import ClusteringError, ConfigError
from gpuseg.progress import Meter, way_behind
from gpuseg.segments.blocks import MatrixBlock
from gpuseg.workspace.ledger import Entry, Ledger

_MUCH_NOISE, _MOST_IN_ONE = 0.5, 0.8
_PROGRESS = "kmeans"
_TOL = 1e-4


@dataclass(frozen=True, eq=False)
class Clusters:
    """What a method found; the fields of `Model` of the same names, and what there is to say about it.

    Parameters
    ----------
    centers, counts, means, inertia, n_iter, choice, neighbourhood
        See `Model`.
    warnings : tuple of str
    """

    centers: npt.NDArray[np.float32]
    counts: npt.NDArray[np.int64]
    means: npt.NDArray[np.float64]
    inertia: float
    n_iter: int
    choice: Mapping[str, Any]
    neighbourhood: Neighbourhood | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rows:
    """The matrix of a fit.

    Parameters
    ----------
    sample : float32 array, shape (n_sample, n_features)
        Sampled rows in canonical order, in host memory.
    n_profiles : int
        Rows of all blocks together.
    blocks : sequence of MatrixBlock
        All rows, one block a bucket.
    """

    sample: npt.NDArray[np.float32]
    n_profiles: int
    blocks: Sequence[MatrixBlock]


def kmeans_clusters(config: Config, engine: Engine, rows: Rows, ledger: Ledger, progress: Meter) -> Clusters:
    """K-means with the number of segments that was asked for or is chosen, from where an earlier attempt came.

    Raises
    ------
    ConfigError
        If more segments are asked for than there are distinct profiles.
    ClusteringError
        If a segment is left empty.
    EngineError
        If another solver than gpuseg's own cannot work, or gives no answer.
    """
    variance = float(rows.sample.var(axis=0, dtype=np.float64).mean())
    options: dict[str, Any] = {"device": engine.device, "variance": variance, "tol": _TOL}
    saved = ledger.read(_PROGRESS)
    if saved is None:
        progress.begin("choose", unit="numbers of segments")
        choice = _choose(config, engine, rows.sample, variance)
        seeding = rows.sample[:SEEDING_ROWS]
        starts = seed_centers(seeding, choice.segments, n_starts=AUTO_STARTS, seed=config.run.seed)
        best = best_of(starts, [engine.device.asarray(seeding)], executor=engine.threads, **options)
        reached, told = Reached(best.centers), choice.as_dict()
    else:
        reached, told = _reached(saved.content), saved.content["choice"]

    def keep(now: Reached) -> None:
        centers = [[float(value) for value in row] for row in now.centers]
        content = {"choice": told, "centers": centers, "n_iter": now.n_iter, "settled": now.settled}
        ledger.write(_PROGRESS, Entry(content, {}))

    moves: list[float] = []

    def after_pass(now: Reached) -> None:
        keep(now)
        if now.moved is not None:
            moves.append(now.moved)
            progress.near(way_behind(moves[0], now.moved))

    progress.begin("fit", unit="passes")
    if config.cluster.solver not in OWN and not reached.settled:
        keep(reached)
        told = {**told, "solver": config.cluster.solver}
        reached = _solved(config, engine, rows, reached, variance)
        after_pass(reached)
    executor = _Telling(engine.executor, progress)
    fit = lloyd(rows.blocks, reached, executor=executor, on_pass=after_pass, **options)
    if not fit.counts.all():
        raise ClusteringError("a segment is empty after the last pass; ask for fewer segments")
    # Blocks add up in another order where there are other buckets; nine digits are the same.
    inertia = float(f"{fit.inertia:.9g}")
    means = fit.sums / fit.counts[:, None]
    return Clusters(fit.centers, fit.counts, means, inertia, fit.n_iter, told)


def _solved(config: Config, engine: Engine, rows: Rows, start: Reached, variance: float) -> Reached:
    """Where a library's iterations end; what is left to do is the pass that makes the segments."""
    problem = Problem(
        config.cluster.solver,
        engine.device,
        rows.blocks,
        start.centers,
        n_rows=rows.n_profiles,
        seed=config.run.seed,
        tol=_TOL * variance,
    )
    found = engine.executor.solve(problem)
    return Reached(found.centers, found.n_iter, settled=True)


def _reached(content: Any) -> Reached:
    return Reached(np.array(content["centers"], np.float32), content["n_iter"], settled=content["settled"])


@dataclass(frozen=True)
class _Telling:
    """An executor that tells how far a pass over all blocks is.

    Parameters
    ----------
    executor : Executor
    progress : Meter
    """

    executor: Executor
    progress: Meter

    def map(self, function: Callable[[Any], LloydPass], items: Sequence[Any]) -> Iterator[LloydPass]:
        for found in self.executor.map(function, items):
            yield found
            self.progress.add(1 / len(items), rows=int(found.counts.sum()))


def density_clusters(config: Config, engine: Engine, rows: Rows, ledger: Ledger, progress: Meter) -> Clusters:
    """HDBSCAN over all profiles at once, in one go.

    A profile of the fit is known again by the bytes of its row, so rows are those of the host on every device.

    Raises
    ------
    ConfigError
        If a setting is more than there are profiles.
    DeviceMemoryError, UnsupportedOnDeviceError
        If the exact algorithm does not fit on the device.
    ClusteringError
        If it finds fewer than two dense groups.
    """
    section = config.cluster
    density = resolved_density(
        rows.n_profiles,
        min_cluster_size=section.min_cluster_size,
        min_samples=section.min_samples,
        noise=section.noise,
        selection=section.selection,
        min_share=section.min_segment_share,
        section="cluster.",
    )
    size = (rows.n_profiles, rows.sample.shape[1])
    check_fits(*size, device=engine.device, min_samples=density.min_samples)
    progress.say(density_cost(*size, device=engine.device, min_samples=density.min_samples).text)
    progress.begin("fit", unit="passes")
    everything = np.concatenate([block(engine.device) for block in rows.blocks])
    fit = fit_density(everything, device=engine.device, density=density)
    progress.add(1, rows=rows.n_profiles)
    n, k = rows.n_profiles, len(fit.counts)
    if k < 2:
        lower = "them" if density.min_cluster_size > 2 else "min_samples"
        raise ClusteringError(
            f"hdbscan found {'one dense group' if k else 'no dense groups'} among {n:,} profiles with "
            f"min_cluster_size {density.min_cluster_size} and min_samples {density.min_samples}; lower {lower}, or use "
            "cluster.method kmeans"
        )
    means, fitted = fit.means.astype(np.float32), fit.neighbourhood
    inertia = float(f"{inertia_of(fitted.rows, fitted.labels, means):.9g}")
    choice = {
        **Choice(k, "auto", _reason(fit, density, n)).as_dict(),
        "min_cluster_size": density.min_cluster_size,
        "min_samples": density.min_samples,
        "selection": density.selection,
        "noise": density.noise,
        "n_noise": fit.n_noise,
    }
    return Clusters(means, fit.counts, fit.means, inertia, 0, choice, fitted, _warnings(fit, density, n))


@dataclass(frozen=True)
class Method:
    """A way to find clusters.

    Parameters
    ----------
    find : callable
        From configuration, engine, rows, ledger and progress to `Clusters`.
    on_host : bool
        Whether it needs rows in host memory.
    """

    find: Callable[[Config, Engine, Rows, Ledger, Meter], Clusters]
    on_host: bool = False


METHODS = {"kmeans": Method(kmeans_clusters), "hdbscan": Method(density_clusters, on_host=True)}


def _warnings(fit: DensityFit, density: Density, n: int) -> tuple[str, ...]:
    share, largest = fit.n_noise / n, fit.counts[0] / n
    found = []
    if share > _MUCH_NOISE and density.noise == "keep":
        found.append(
            f"hdbscan leaves {share:.0%} of the profiles in no segment; lower cluster.min_samples, "
            "set cluster.noise: nearest, or use cluster.method kmeans"
        )
    if largest > _MOST_IN_ONE and density.selection == "eom":
        found.append(
            f"hdbscan puts {largest:.0%} of the profiles into one segment; cluster.selection: leaf looks for "
            "finer ones, or use cluster.method kmeans"
        )
    return tuple(found)


def _reason(fit: DensityFit, density: Density, n: int) -> str:
    found = (
        f"HDBSCAN found {len(fit.counts)} dense groups of at least {density.min_cluster_size:,} profiles, with "
        f"{density.min_samples} neighbours to tell density by"
    )
    if not fit.n_noise:
        return f"{found}; every profile is in one"
    lone = f"{fit.n_noise:,} of {n:,} profiles ({fit.n_noise / n:.1%})"
    if density.noise == "nearest":
        return f"{found}; {lone} are in none of them and were put into the nearest, with confidence 0"
    return f"{found}; {lone} are in none of them"


def _choose(config: Config, engine: Engine, rows: npt.NDArray[np.float32], variance: float) -> Choice:
    section = config.cluster
    low, high = section.segments_range
    distinct = n_distinct(rows, enough=high if section.segments == "auto" else section.segments)
    if section.segments != "auto":
        if section.segments > distinct:
            raise ConfigError(
                f"cluster.segments: {section.segments} is more than the {distinct} distinct profiles; "
                f"nearest valid: {distinct}"
            )
        return Choice(section.segments, section.segments, f"{section.segments} segments were asked for")
    candidates = [k for k in range(low, high + 1) if k <= distinct and k < len(rows)]
    if not candidates:
        few = min(distinct, 2)
        return Choice(few, "auto", f"the data has only {distinct} distinct profiles")
    return choose_segments(
        rows,
        candidates,
        device=engine.device,
        executor=engine.threads,
        seed=config.run.seed,
        min_share=section.min_segment_share,
        variance=variance,
    )
