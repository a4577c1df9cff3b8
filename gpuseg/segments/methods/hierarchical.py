"""Ward's merge tree over micro-clusters of all profiles, cut into segments."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gpuseg.clustering.decision import Choice
from gpuseg.clustering.hierarchy import Hierarchy
from gpuseg.clustering.micro import MicroClusters
from gpuseg.clustering.nearest import row_distances
from gpuseg.clustering.tree import MergeTree
from gpuseg.config import Config
from gpuseg.engine import Engine
from gpuseg.progress import Meter
from gpuseg.segments.arrays import read_array, write_array
from gpuseg.segments.figures import rounded_up
from gpuseg.segments.methods.base import Clusters, Method, Rows, nine_digits
from gpuseg.segments.methods.granularity import choose_granularity, hierarchy_of
from gpuseg.segments.placing import Placement, Profiles, WithoutNoise
from gpuseg.workspace.ledger import Ledger

_MICRO, _TREE = ("centers", "counts", "sums", "spread"), ("merges", "heights")


def hierarchical_clusters(config: Config, engine: Engine, rows: Rows, ledger: Ledger, progress: Meter) -> Clusters:
    """The merge tree, cut into the number of segments that was asked for or is chosen.

    Raises
    ------
    ConfigError
        If more segments are asked for than there are micro-clusters.
    ClusteringError
        If all profiles are the same.
    """
    hierarchy = hierarchy_of(config, engine, rows, progress)
    progress.begin("choose", unit="numbers of segments")
    return cut_clusters(hierarchy, choose_granularity(config, engine, rows.sample, hierarchy))


def cut_clusters(hierarchy: Hierarchy, choice: Choice) -> Clusters:
    """The segments of one granularity."""
    cut = hierarchy.cut(choice.segments)
    low, high = hierarchy.tree.heights_of(choice.segments)
    told = choice.as_dict() | {
        "micro_clusters": hierarchy.tree.n_points,
        "height_from": rounded_up(low),
        "height_below": rounded_up(high),
        "merges": [[*pair, rounded_up(height)] for *pair, height in hierarchy.tree.merges_among(cut.groups)],
    }
    centers = cut.means.astype(np.float32)
    placer = ThroughMicroClusters(hierarchy, cut.groups, cut.means)
    return Clusters(centers, cut.counts, cut.means, nine_digits(cut.inertia), 0, told, placer)


@dataclass(frozen=True, eq=False)
class ThroughMicroClusters(WithoutNoise):
    """Puts a profile into the segment of the nearest micro-cluster; distance and confidence are the micro-cluster's.

    Parameters
    ----------
    hierarchy : Hierarchy
    groups : int32 array, shape (m,)
        Segment of each micro-cluster.
    means : float64 array, shape (n_segments, n_features)
        Mean of each segment.
    """

    hierarchy: Hierarchy
    groups: npt.NDArray[np.int32]
    means: npt.NDArray[np.float64]

    def place(self, profiles: Profiles) -> Placement:
        """See `Placer`."""
        device = profiles.device
        nearest = device.nearest(profiles.rows, device.asarray(self.hierarchy.micro.centers))
        return self.of_micro_clusters(device.to_host(nearest).astype(np.int32, copy=False))

    def of_micro_clusters(self, found: npt.NDArray[np.int32]) -> Placement:
        """Segments of profiles whose micro-clusters are known, shape (n_profiles,)."""
        distance, confidence = self._clearness
        return Placement(self.groups[found], distance[found], confidence[found], found)

    @cached_property
    def _clearness(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Distance of each micro-cluster's mean to its segment's, and its confidence."""
        points = self.hierarchy.micro.means
        own, other = np.zeros(len(points)), np.full(len(points), np.inf)
        for segment, mean in enumerate(self.means):
            distance = row_distances(points, np.broadcast_to(mean, points.shape))
            mine = self.groups == segment
            own[mine] = distance[mine]
            other[~mine] = np.minimum(other, distance)[~mine]
        # Where means of two segments lie on each other nothing tells them apart.
        margin = np.divide(own, other, out=np.ones_like(own), where=other > 0)
        return own, np.clip(1.0 - margin, 0.0, 1.0)

    def save(self, folder: Path) -> None:
        """Write micro-clusters and tree, `micro_centers.npy`, `tree_merges.npy` and so on."""
        for name in _MICRO:
            write_array(folder / f"micro_{name}.npy", getattr(self.hierarchy.micro, name))
        for name in _TREE:
            write_array(folder / f"tree_{name}.npy", getattr(self.hierarchy.tree, name))

    @property
    def n_micro(self) -> int:
        """Number of micro-clusters."""
        return self.hierarchy.tree.n_points


def _read(folder: Path, content: Mapping[str, Any], centers: npt.NDArray[np.float32]) -> ThroughMicroClusters:
    micro = MicroClusters(**{name: read_array(folder / f"micro_{name}.npy") for name in _MICRO})
    hierarchy = Hierarchy(micro, MergeTree(**{name: read_array(folder / f"tree_{name}.npy") for name in _TREE}))
    cut = hierarchy.cut(len(centers))
    return ThroughMicroClusters(hierarchy, cut.groups, cut.means)


HIERARCHICAL = Method(hierarchical_clusters, _read)
