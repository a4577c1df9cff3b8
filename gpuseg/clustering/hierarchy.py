"""Ward's merge tree over micro-clusters: any number of segments from one fit."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gpuseg.clustering.kmeans import canonical_order
from gpuseg.clustering.micro import MicroClusters, micro_clusters, n_micro_of
from gpuseg.clustering.passes import Labels, Mapper
from gpuseg.clustering.tree import MergeTree, ward_tree
from gpuseg.engine.base import Device

LEAST_POINTS = 4_096
"""Micro-clusters of a tree, of which so many cost less than a second: up to as many rows the tree is Ward's own."""


def n_points_of(n_rows: int) -> int:
    """How many micro-clusters a tree over so many rows gets: as of `n_micro_of`, at least `LEAST_POINTS`."""
    return max(n_micro_of(n_rows), LEAST_POINTS)


@dataclass(frozen=True, eq=False)
class Cut:
    """Segments of one granularity.

    Parameters
    ----------
    groups : int32 array, shape (m,)
        Segment of each micro-cluster.
    means : float64 array, shape (k, n_features)
        Mean row of each segment, most rows first, ties by the mean's coordinates.
    counts : int64 array, shape (k,)
    inertia : float
        Sum of squared distances of all rows to the mean of their segment.
    """

    groups: npt.NDArray[np.int32]
    means: npt.NDArray[np.float64]
    counts: npt.NDArray[np.int64]
    inertia: float


@dataclass(frozen=True, eq=False)
class Hierarchy:
    """Micro-clusters and the tree over them.

    Parameters
    ----------
    micro : MicroClusters
    tree : MergeTree
        Its points are the micro-clusters.
    """

    micro: MicroClusters
    tree: MergeTree

    def cut(self, n_segments: int) -> Cut:
        """So many segments; each lies within one segment of any coarser cut.

        Raises
        ------
        ValueError
            If there are fewer micro-clusters.
        """
        micro, groups = self.micro, self.tree.cut(n_segments)
        counts, sums = np.zeros(n_segments, np.int64), np.zeros((n_segments, micro.sums.shape[1]))
        np.add.at(counts, groups, micro.counts)
        np.add.at(sums, groups, micro.sums)
        means = sums / counts[:, None]
        order = canonical_order(counts, means)
        places = np.empty(n_segments, np.int32)
        places[order] = np.arange(n_segments, dtype=np.int32)
        return Cut(places[groups], means[order], counts[order], micro.inertia(groups))


def fit_hierarchy(
    blocks: Sequence[Any],
    sample: npt.NDArray[Any],
    n_micro: int,
    *,
    device: Device,
    executor: Mapper,
    labels: Labels | None = None,
) -> Hierarchy:
    """Micro-clusters of all rows, and Ward's tree over their means, weighted by their rows.

    Where every distinct row is a micro-cluster of its own the tree is Ward's over the rows.

    Parameters
    ----------
    blocks, sample, n_micro, device, executor, labels
        As in `micro_clusters`.
    """
    micro = micro_clusters(blocks, sample, n_micro, device=device, executor=executor, labels=labels)
    return Hierarchy(micro, ward_tree(micro.means, micro.counts))
