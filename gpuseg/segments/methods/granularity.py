"""The merge tree over micro-clusters of all profiles, and the number of segments to cut it into."""

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from gpuseg.clustering.choose import choose_cut
from gpuseg.clustering.decision import Choice
from gpuseg.clustering.hierarchy import Hierarchy, fit_hierarchy, n_points_of
from gpuseg.config import Config
from gpuseg.engine import Engine
from gpuseg.errors import ClusteringError, ConfigError
from gpuseg.progress import Meter
from gpuseg.segments.methods.base import Rows, Telling, nine_digits


def hierarchy_of(config: Config, engine: Engine, rows: Rows, progress: Meter) -> Hierarchy:
    """Micro-clusters of all profiles and the tree over them, by one pass over all rows.

    Raises
    ------
    ClusteringError
        If all profiles are the same.
    """
    section = config.cluster
    n_micro = n_points_of(rows.n_profiles) if section.micro_clusters == "auto" else section.micro_clusters
    progress.begin("fit", unit="passes")
    where: dict[str, Any] = {"device": engine.device, "executor": Telling(engine.executor, progress)}
    found = fit_hierarchy(rows.blocks, rows.sample, n_micro, **where)
    if found.tree.n_points < 2:
        raise ClusteringError("all profiles are the same in the matrix; there is nothing to tell them apart by")
    spread = np.array([nine_digits(figure) for figure in found.micro.spread])
    return Hierarchy(replace(found.micro, spread=spread), found.tree)


def asked_for(segments: int) -> Choice:
    """The number that the configuration gives."""
    return Choice(segments, segments, f"{segments} segments were asked for")


def choose_granularity(config: Config, engine: Engine, sample: npt.NDArray[np.float32], hierarchy: Hierarchy) -> Choice:
    """The number of segments that is asked for, or chosen by the measures of the tree's cuts.

    Raises
    ------
    ConfigError
        If more are asked for than there are micro-clusters.
    """
    section, n_micro = config.cluster, hierarchy.tree.n_points
    if section.segments != "auto":
        if section.segments > n_micro:
            raise ConfigError(
                f"cluster.segments: {section.segments} is more than the {n_micro} micro-clusters; "
                f"nearest valid: {n_micro}"
            )
        return asked_for(section.segments)
    low, high = section.segments_range
    candidates = [k for k in range(low, high + 1) if k <= n_micro and k < len(sample)]
    if not candidates:
        return Choice(2, "auto", f"the data has only {n_micro} distinct profiles")
    return choose_cut(
        hierarchy,
        sample,
        candidates,
        device=engine.device,
        executor=engine.threads,
        seed=config.run.seed,
        min_share=section.min_segment_share,
        variance=float(sample.var(axis=0, dtype=np.float64).mean()),
    )
