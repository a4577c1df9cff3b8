"""Dense groups that any row can be placed in by the nearest of a few thousand centers, and the pass that places all."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from gpuseg.clustering.density_cells import Cells
from gpuseg.clustering.far_rows import rows_of
from gpuseg.clustering.kmeans import canonical_order
from gpuseg.clustering.passes import Labels, Mapper
from gpuseg.engine.base import Device
from gpuseg.vocabulary import NO_SEGMENT

Float64Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class MicroDensity:
    """Dense groups that any row can be placed in, as plain arrays.

    Parameters
    ----------
    centers : float array, shape (m, n_features)
        Those of the cells; a row is in the cell of the nearest, the first of equals.
    labels : int32 array, shape (m,)
        Cluster of the rows within reach, -1 for none.
    reaches : float64 array, shape (m,)
        Distance from the center up to which a row is in the cluster; below 0 where there is none.
    strengths : float64 array, shape (m, 4)
        Membership strength of a row at distance r of the center is the first plus r times the second, at least the
        third and at most the fourth.
    births : float64 array, shape (n_clusters,)
        Distance at which each cluster parts from the rest.
    takes_noise : bool
        Whether noise goes to the cluster of the nearest cell that has one.
    agreement : float
        The least adjusted Rand index of the checks.
    """

    centers: npt.NDArray[Any]
    labels: npt.NDArray[np.int32]
    reaches: Float64Array
    strengths: Float64Array
    births: Float64Array
    takes_noise: bool
    agreement: float

    @property
    def n_clusters(self) -> int:
        """Number of clusters, 0 where nothing is dense enough."""
        return len(self.births)

    def place(self, rows: Any, *, device: Device) -> tuple[npt.NDArray[np.int32], Float64Array]:
        """Cluster and membership strength of rows.

        Parameters
        ----------
        rows : array of the device, shape (n, n_features)
        device : Device

        Returns
        -------
        int32 array and float64 array, both of shape (n,)
            In host memory: -1 for noise that stays noise; the strength is above 0 exactly for rows that are in a dense
            group by themselves.
        """
        found = device.assign_accumulate(rows, self.centers, want_labels=True)
        labels, strengths = self.looked_up(device.to_host(found.labels), device.to_host(found.nearest))
        noise = labels < 0
        if self.takes_noise and self.n_clusters and noise.any():
            member = np.flatnonzero(self.labels >= 0)
            left = np.ascontiguousarray(device.to_host(rows)[noise])
            near = device.nearest(device.asarray(left), np.ascontiguousarray(self.centers[member]))
            labels[noise] = self.labels[member][device.to_host(near)]
        return labels, strengths

    def looked_up(
        self, cells: npt.NDArray[Any], squared_distances: npt.NDArray[Any]
    ) -> tuple[npt.NDArray[np.int32], Float64Array]:
        """The same from each row's nearest center and its squared distance; all noise stays noise.

        Parameters
        ----------
        cells : array of int, shape (n,)
        squared_distances : float array, shape (n,)
        """
        gaps = np.sqrt(np.asarray(squared_distances, np.float64))
        labels = Cells(self.centers, self.labels, self.reaches).told(cells, gaps)
        start, slope, low, high = self.strengths[cells].T
        strengths = np.where(labels >= 0, np.clip(start + slope * gaps, low, high), 0.0)
        return labels, strengths

    def reordered(self, sequence: npt.NDArray[np.int64]) -> "MicroDensity":
        """The same with clusters in another order: `sequence` has the old number of each."""
        # The last place stands for no cluster.
        places = np.full(self.n_clusters + 1, NO_SEGMENT, np.int32)
        places[sequence] = np.arange(len(sequence), dtype=np.int32)
        return replace(self, labels=places[self.labels], births=self.births[sequence])


@dataclass(frozen=True, eq=False)
class Placed:
    """All rows in their clusters.

    Parameters
    ----------
    density : MicroDensity
        With clusters in canonical order: most rows first, ties by the mean's coordinates.
    counts : int64 array, shape (n_clusters,)
        Rows of each.
    means : float64 array, shape (n_clusters, n_features)
        Mean row of each; the sums of rows on the matrix's grid are exact, whatever the blocks.
    sums : float64 array, shape (n_clusters, n_features)
        Sum of the rows of each.
    squares : float64 array, shape (n_clusters,)
        Sum of squared distances of the rows of each to its mean.
    n_noise : int
        Rows that are in no dense group, wherever they were put.
    """

    density: MicroDensity
    counts: npt.NDArray[np.int64]
    means: Float64Array
    sums: Float64Array
    squares: Float64Array
    n_noise: int


def place_all(
    blocks: Sequence[Any],
    density: MicroDensity,
    *,
    device: Device,
    executor: Mapper,
    labels: Labels | None = None,
    strengths: npt.NDArray[Any] | None = None,
) -> Placed:
    """One pass over all rows: their clusters, and what these amount to.

    Parameters
    ----------
    blocks : sequence of device arrays, or of callables that give one for a device
        All rows, as in `gpuseg.clustering.kmeans.lloyd`.
    density : MicroDensity
        As `fit_micro_density` gives it.
    device, executor
    labels, strengths : arrays of signed integers and of floats, shape (n_rows,), optional
        Take the cluster, in canonical order, and the membership strength of each row, rows in the order of the blocks.
    """
    k, d = density.n_clusters, int(density.centers.shape[1])
    counts, sums, lengths, n_noise, start = np.zeros(k, np.int64), np.zeros((k, d)), np.zeros(k), 0, 0
    want_rows = labels is not None or strengths is not None
    for part in executor.map(_Place(device, density, want_rows), blocks):
        counts, sums, lengths = counts + part.counts, sums + part.sums, lengths + part.lengths
        n_noise += part.n_noise
        end = start + len(part.labels)
        if labels is not None:
            labels[start:end] = part.labels
        if strengths is not None:
            strengths[start:end] = part.strengths
        start = end
    means = sums / np.maximum(counts, 1)[:, None]
    squares = np.maximum(lengths - counts * (means * means).sum(axis=1), 0.0)
    sequence = canonical_order(counts, means)
    if labels is not None:
        places = np.full(k + 1, NO_SEGMENT, labels.dtype)
        places[sequence] = np.arange(k)
        labels[:] = places[labels]
    placed = density.reordered(sequence)
    return Placed(placed, counts[sequence], means[sequence], sums[sequence], squares[sequence], n_noise)


@dataclass(frozen=True)
class _PlacedBlock:
    """What one block adds."""

    counts: npt.NDArray[np.int64]
    sums: Float64Array
    lengths: Float64Array
    n_noise: int
    labels: npt.NDArray[np.int32]
    strengths: Float64Array


@dataclass(frozen=True)
class _Place:
    """Places the rows of one block."""

    device: Device
    density: MicroDensity
    want_rows: bool

    def __call__(self, block: Any) -> _PlacedBlock:
        on_device, k = rows_of(block, self.device), self.density.n_clusters
        labels, strengths = self.density.place(on_device, device=self.device)
        inside, n_noise = labels >= 0, int((strengths == 0).sum())
        own = labels[inside]
        rows = self.device.to_host(on_device)[inside].astype(np.float64)
        columns = (*rows.T, (rows * rows).sum(axis=1))
        *sums, lengths = np.array([np.bincount(own, column, k) for column in columns], np.float64)
        counts = np.bincount(own, minlength=k).astype(np.int64)
        if not self.want_rows:
            labels, strengths = labels[:0], strengths[:0]
        return _PlacedBlock(counts, np.stack(sums, axis=1), lengths, n_noise, labels, strengths)
