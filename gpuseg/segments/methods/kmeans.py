"""K-means over all profiles."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gpuseg.clustering.choose import choose_segments, n_distinct
from gpuseg.clustering.decision import Choice
from gpuseg.clustering.kmeans import AUTO_STARTS, SEEDING_ROWS, Reached, best_of, lloyd
from gpuseg.clustering.seeding import seed_centers
from gpuseg.config import Config
from gpuseg.engine import Engine
from gpuseg.engine.solver import OWN, Problem
from gpuseg.errors import ClusteringError, ConfigError
from gpuseg.progress import Meter, way_behind
from gpuseg.segments.methods.base import Clusters, Method, Rows, Telling, nine_digits
from gpuseg.segments.methods.granularity import asked_for, choose_granularity, hierarchy_of
from gpuseg.segments.placing import Placement, Profiles, WithoutNoise
from gpuseg.workspace.ledger import Entry, Ledger

_PROGRESS = "kmeans"
_TOL = 1e-4


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
        choice, start = _started(config, engine, rows, progress, options)
        reached, told = Reached(start), choice.as_dict()
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
    executor = Telling(engine.executor, progress)
    fit = lloyd(rows.blocks, reached, executor=executor, on_pass=after_pass, **options)
    if not fit.counts.all():
        raise ClusteringError("a segment is empty after the last pass; ask for fewer segments")
    means = fit.sums / fit.counts[:, None]
    return Clusters(
        fit.centers, fit.counts, means, nine_digits(fit.inertia), fit.n_iter, told, NearestCenter(fit.centers)
    )


@dataclass(frozen=True, eq=False)
class NearestCenter(WithoutNoise):
    """Puts a profile into the segment of the nearest center.

    Parameters
    ----------
    centers : float32 array, shape (n_segments, n_features)
    """

    centers: npt.NDArray[np.float32]

    def place(self, profiles: Profiles) -> Placement:
        """See `Placer`."""
        device = profiles.device
        found = device.assign_accumulate(profiles.rows, device.asarray(self.centers), want_labels=True)
        nearest, second = (device.to_host(a).astype(np.float64) for a in (found.nearest, found.second))
        distance = np.sqrt(nearest)
        with np.errstate(invalid="ignore"):
            confidence = np.where(second > 0, 1.0 - distance / np.sqrt(second), 0.0)
        labels = device.to_host(found.labels).astype(np.int32)
        return Placement(labels, distance, np.where(np.isinf(second), 1.0, confidence))


def _read(_folder: Path, _content: Mapping[str, Any], centers: npt.NDArray[np.float32]) -> NearestCenter:
    return NearestCenter(centers)


KMEANS = Method(kmeans_clusters, _read)


def _started(
    config: Config, engine: Engine, rows: Rows, progress: Meter, options: dict[str, Any]
) -> tuple[Choice, npt.NDArray[np.float32]]:
    """The number of segments and the centers to start from."""
    if config.cluster.init == "tree":
        hierarchy = hierarchy_of(config, engine, rows, progress)
        progress.begin("choose", unit="numbers of segments")
        choice = choose_granularity(config, engine, rows.sample, hierarchy)
        micro, cut = hierarchy.micro, hierarchy.cut(choice.segments)
        points = engine.device.asarray(micro.means.astype(np.float32))
        # On micro-clusters, each as heavy as its profiles, most updates cost nothing.
        near = lloyd([points], cut.means.astype(np.float32), weights=[micro.counts], executor=engine.threads, **options)
        return choice, near.centers
    progress.begin("choose", unit="numbers of segments")
    choice = _choose(config, engine, rows.sample, options["variance"])
    seeding = rows.sample[:SEEDING_ROWS]
    starts = seed_centers(seeding, choice.segments, n_starts=AUTO_STARTS, seed=config.run.seed)
    return choice, best_of(starts, [engine.device.asarray(seeding)], executor=engine.threads, **options).centers


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
        return asked_for(section.segments)
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
