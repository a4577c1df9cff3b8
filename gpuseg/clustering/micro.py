"""Micro-clusters: any number of rows as a few thousand weighted points, by one pass over all of them.

What is decided later, such as the number of segments, is decided on the points alone; a row gets its segment through
its micro-cluster (as in BIRCH, Zhang, Ramakrishnan, Livny 1996, whose sufficient statistics these are).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from gpuseg.clustering.far_rows import rows_of
from gpuseg.clustering.kmeans import lloyd
from gpuseg.clustering.nearest import row_keys
from gpuseg.clustering.passes import Labels, Mapper
from gpuseg.engine.base import Device

FEWEST, MOST = 256, 20_000
MICRO_ROWS = 131_072
"""Sampled rows on which their centers are found."""

_UPDATES = 10
_TOL = 1e-3


@dataclass(frozen=True, eq=False)
class MicroClusters:
    """Weighted points that stand for all rows.

    Parameters
    ----------
    centers : float array, shape (m, n_features)
        A row belongs to the nearest of them, the first of equals.
    counts : int64 array, shape (m,)
        Rows of each, none without.
    sums : float64 array, shape (m, n_features)
        Sum of those rows; on the matrix's grid exact, whatever the blocks.
    spread : float64 array, shape (m,)
        Sum of squared distances of those rows to the center.
    """

    centers: npt.NDArray[Any]
    counts: npt.NDArray[np.int64]
    sums: npt.NDArray[np.float64]
    spread: npt.NDArray[np.float64]

    @property
    def means(self) -> npt.NDArray[np.float64]:
        """Mean row of each."""
        found: npt.NDArray[np.float64] = self.sums / self.counts[:, None]
        return found

    def inertia(self, groups: npt.NDArray[Any]) -> float:
        """Sum of squared distances of all rows to the mean of the group that their micro-cluster is in.

        Parameters
        ----------
        groups : array of int, shape (m,)
        """
        n_groups = int(groups.max()) + 1
        totals, counts = np.zeros((n_groups, self.sums.shape[1])), np.bincount(groups, self.counts, n_groups)
        np.add.at(totals, groups, self.sums)
        means, exact = totals / counts[:, None], self.centers.astype(np.float64)
        # For rows x around a center c, |x - g|^2 adds up to |x - c|^2, n |c - g|^2 and 2 (sum of x - n c)(c - g).
        gaps = exact - means[groups]
        beside = 2 * (self.sums - self.counts[:, None] * exact) * gaps
        return float(self.spread.sum() + (self.counts[:, None] * gaps * gaps + beside).sum())


def n_micro_of(n_rows: int) -> int:
    """How many micro-clusters so many rows get: twice the root of their number, from 256 to 20 000."""
    return int(min(max(2 * sqrt(n_rows), FEWEST), MOST))


def micro_clusters(
    blocks: Sequence[Any],
    sample: npt.NDArray[Any],
    n_micro: int,
    *,
    device: Device,
    executor: Mapper,
    labels: Labels | None = None,
) -> MicroClusters:
    """Micro-clusters of all rows: centers by K-means on a sample, statistics by one pass over everything.

    Where there are no more distinct rows in the sample than micro-clusters are asked for, each of them is a center.

    Parameters
    ----------
    blocks : sequence of device arrays, or of callables that give one for a device
        All rows, as in `gpuseg.clustering.kmeans.lloyd`.
    sample : float array, shape (n_sample, n_features)
        Some of these rows in host memory, in an order that says nothing: centers start from the first distinct ones.
    n_micro : int
        Most micro-clusters.
    device, executor
        What a block runs on, and how blocks are spread.
    labels : array of signed integers, shape (n_rows,), optional
        Takes the micro-cluster of each row, rows in the order of the blocks.

    Returns
    -------
    MicroClusters
        Those that have rows, largest first in the sample.
    """
    first = np.sort(np.unique(row_keys(sample), return_index=True)[1])
    centers = np.ascontiguousarray(sample[first[:n_micro]])
    if len(first) > n_micro:
        variance = float(sample.var(axis=0, dtype=np.float64).mean())
        options: dict[str, Any] = {"max_iter": _UPDATES, "tol": _TOL, "variance": variance}
        centers = lloyd([device.asarray(sample)], centers, device=device, executor=executor, **options).centers
    found = _collected(blocks, centers, device, executor, labels)
    filled = found.counts > 0
    if filled.all():
        return found
    if labels is not None:
        places = np.cumsum(filled) - 1
        labels[:] = places[labels]
    return MicroClusters(found.centers[filled], found.counts[filled], found.sums[filled], found.spread[filled])


@dataclass(frozen=True)
class _Part:
    """What one block adds."""

    counts: npt.NDArray[np.int64]
    sums: npt.NDArray[np.float64]
    spread: npt.NDArray[np.float64]
    labels: npt.NDArray[np.int32] | None


@dataclass(frozen=True)
class _Collect:
    """Adds up one block by micro-cluster."""

    device: Device
    centers: npt.NDArray[Any]
    want_labels: bool

    def __call__(self, block: Any) -> _Part:
        found = self.device.assign_accumulate(rows_of(block, self.device), self.centers, want_labels=True)
        labels, nearest = (self.device.to_host(array) for array in (found.labels, found.nearest))
        spread = np.bincount(labels, nearest, len(self.centers)).astype(np.float64)
        return _Part(found.counts, found.sums, spread, labels if self.want_labels else None)


def _collected(
    blocks: Sequence[Any], centers: npt.NDArray[Any], device: Device, executor: Mapper, labels: Labels | None
) -> MicroClusters:
    shape = centers.shape
    counts, sums, spread, start = np.zeros(shape[0], np.int64), np.zeros(shape), np.zeros(shape[0]), 0
    for part in executor.map(_Collect(device, centers, labels is not None), blocks):
        counts, sums, spread = counts + part.counts, sums + part.sums, spread + part.spread
        if labels is not None:
            labels[start : start + len(part.labels)] = part.labels
            start += len(part.labels)
    return MicroClusters(centers, counts, sums, spread)
