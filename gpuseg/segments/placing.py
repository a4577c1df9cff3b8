"""How profiles get their segments once a model is fitted: one placer a method."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gpuseg.clustering.nearest import row_distances
from gpuseg.vocabulary import NO_SEGMENT

if TYPE_CHECKING:
    from gpuseg.engine.base import Device
    from gpuseg.matrix.transform import MatrixTransform


@dataclass(frozen=True)
class Placement:
    """Segments of some rows.

    Parameters
    ----------
    segment_id : int32 array, shape (n_rows,)
        -1 for noise.
    distance : float64 array, shape (n_rows,)
        Euclidean distance to the segment's center, in the matrix; NaN for noise. With hierarchical that of the
        profile's micro-cluster.
    confidence : float64 array, shape (n_rows,)
        1 - distance to the nearest center / distance to the second-nearest: 0 half-way, 1 at the center. With
        hierarchical the centers are those of the own segment and of the nearest other one, 0 where that is nearer. For
        hdbscan the membership strength: how dense it is around the profile, as a share of the segment's densest place;
        for rules 1.
    micro_cluster : int32 array, shape (n_rows,), or None
        Where segments are made of micro-clusters, the profile's.
    """

    segment_id: npt.NDArray[np.int32]
    distance: npt.NDArray[np.float64]
    confidence: npt.NDArray[np.float64]
    micro_cluster: npt.NDArray[np.int32] | None = None


@dataclass(frozen=True)
class Profiles:
    """Profiles to place: their features, and their matrix rows where these are wanted.

    Parameters
    ----------
    features : Arrow table
        Every feature of the matrix.
    transform : MatrixTransform
    device : Device
    given : array, shape (n_profiles, n_features), optional
        The rows, where they are at hand: on the device, or in host memory for a placer that wants them there.
    """

    features: pa.Table
    transform: "MatrixTransform"
    device: "Device"
    given: Any = None

    @cached_property
    def rows(self) -> Any:
        """Matrix rows on the device."""
        return self.device.matrix(self.features, self.transform.plan) if self.given is None else self.given

    @cached_property
    def host_rows(self) -> npt.NDArray[np.float32]:
        """Matrix rows in host memory, with the host's bits whatever the device."""
        rows: npt.NDArray[np.float32] = self.transform.apply(self.features) if self.given is None else self.given
        return rows


def placed_by_means(
    rows: npt.NDArray[Any], labels: npt.NDArray[np.int32], confidence: npt.NDArray[np.float64], means: npt.NDArray[Any]
) -> Placement:
    """A placement whose distances are those of rows in host memory to the means of their segments."""
    distance = np.full(len(rows), np.nan)
    inside = labels != NO_SEGMENT
    distance[inside] = row_distances(rows[inside], means[labels[inside]])
    return Placement(labels, distance, confidence)


class WithoutNoise:
    """What a placer tells that puts every fitted profile into a segment, and keeps nothing besides the centers."""

    def save(self, folder: Path) -> None:
        """Nothing."""

    def noise(self) -> None:
        """None."""

    def typical_distance(self, segment: int) -> float:
        """Zero: without noise nobody asks."""
        return 0.0

    @property
    def n_micro(self) -> int | None:
        """None."""
        return None


class Placer(Protocol):
    """Puts profiles into segments, and keeps what it needs for that."""

    def place(self, profiles: Profiles) -> Placement:
        """Segments of profiles."""

    def save(self, folder: Path) -> None:
        """Write what the model's `centers.npy` does not hold."""

    def noise(self) -> tuple[int, npt.NDArray[np.float64]] | None:
        """Number and mean matrix row of the fitted profiles in no segment, or None where all are in one."""

    def typical_distance(self, segment: int) -> float:
        """How far the fitted profiles of a segment are from its mean, where there may be noise."""

    @property
    def n_micro(self) -> int | None:
        """Number of micro-clusters that segments are made of, or None."""
