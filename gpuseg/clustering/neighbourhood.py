"""Puts rows that were not fitted into density clusters: by the fitted rows around them, not by means.

The rule follows `approximate_predict` of McInnes and Healy (2017) as far as it goes without the tree. The core distance
of a row is that to its `min_samples`-th nearest fitted row, itself counted; the mutual reachability distance of two
rows is the largest of their distance and their two core distances. A row joins the cluster of the clustered row that is
nearest by mutual reachability if that is within the cluster's reach, its largest core distance: it lies at least as
dense as the thinnest place of the cluster. Otherwise it is noise. A row that equals a fitted one has that one's result.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gpuseg.clustering.nearest import NearestRows, as_keys, row_distances, row_keys
from gpuseg.engine.base import Device
from gpuseg.vocabulary import NO_SEGMENT

LEAST_SAMPLES = 2
"""Of a neighbourhood: alone, a row would be endlessly dense, and no other would reach its cluster."""

_CHUNK_ROWS = 8_192


@dataclass(frozen=True, eq=False)
class Neighbourhood:
    """The fitted rows, ordered by `row_keys`.

    Parameters
    ----------
    rows : float array, shape (n_rows, n_features)
        C-ordered, without minus zero.
    labels : int32 array, shape (n_rows,)
        Cluster of each row, -1 for none.
    strengths : float64 array, shape (n_rows,)
        Membership strength, above 0 exactly for rows that are dense enough for a cluster.
    cores : float64 array, shape (n_rows,)
        Core distance of each row.
    reaches : float64 array, shape (n_clusters,)
        Largest core distance of each cluster.
    min_samples : int
        At least `LEAST_SAMPLES`.
    takes_noise : bool
        Whether noise goes to the cluster of the nearest clustered row.
    """

    rows: npt.NDArray[Any]
    labels: npt.NDArray[np.int32]
    strengths: npt.NDArray[np.float64]
    cores: npt.NDArray[np.float64]
    reaches: npt.NDArray[np.float64]
    min_samples: int
    takes_noise: bool

    def place(self, rows: npt.NDArray[Any], *, device: Device) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float64]]:
        """Cluster and membership strength of rows.

        Parameters
        ----------
        rows : float array, shape (n, n_features)
            In host memory.
        device : Device
            Runs the estimator "neighbors".

        Returns
        -------
        int32 array and float64 array, both of shape (n,)
            -1 and 0 for noise. The strength of a new row is that of the clustered row it joins, times that row's core
            distance over their mutual reachability distance.
        """
        rows = np.ascontiguousarray(rows, self.rows.dtype)
        mine, keys = as_keys(self.rows), row_keys(rows)
        at = np.minimum(np.searchsorted(mine, keys), len(mine) - 1)
        labels, strengths = self.labels[at].copy(), self.strengths[at].copy()
        new = np.flatnonzero(mine[at] != keys)
        if new.size:
            labels[new], strengths[new] = self._joined(rows[new], device)
        return labels, strengths

    def _joined(self, rows: npt.NDArray[Any], device: Device) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float64]]:
        labels, strengths = np.full(len(rows), NO_SEGMENT, np.int32), np.zeros(len(rows))
        dense = self.strengths > 0
        if not dense.any():
            return labels, strengths
        search = NearestRows(self.rows, device)
        for start in range(0, len(rows), _CHUNK_ROWS):
            part = slice(start, start + _CHUNK_ROWS)
            near, gaps = search.nearest(rows[part], min(2 * self.min_samples, len(self.rows)))
            labels[part], strengths[part] = self._nearest_cluster(near, gaps, dense)
        lost = labels < 0
        if self.takes_noise and lost.any():
            labels[lost] = self.labels[dense][nearest_member(rows[lost], self.rows[dense], device=device)]
        return labels, strengths

    def _nearest_cluster(
        self, near: npt.NDArray[np.int64], gaps: npt.NDArray[np.float64], dense: npt.NDArray[np.bool_]
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float64]]:
        # A new row is the first of its own neighbours.
        own = gaps[:, self.min_samples - 2 : self.min_samples - 1]
        reachable = np.maximum(np.maximum(gaps, self.cores[near]), own)
        reachable[~dense[near]] = np.inf
        # Many rows around are equally reachable; of those the first is the nearest.
        best = reachable.argmin(axis=1)[:, None]
        distance = np.take_along_axis(reachable, best, axis=1)[:, 0]
        neighbour = np.take_along_axis(near, best, axis=1)[:, 0]
        labels = self.labels[neighbour]
        joins = dense[neighbour] & (distance <= self.reaches[np.maximum(labels, 0)])
        ratio = np.divide(self.cores[neighbour], distance, out=np.ones_like(distance), where=distance > 0)
        return (
            np.where(joins, labels, NO_SEGMENT).astype(np.int32),
            np.where(joins, self.strengths[neighbour] * ratio, 0.0),
        )


def core_distances(rows: npt.NDArray[Any], *, min_samples: int, device: Device) -> npt.NDArray[np.float64]:
    """Distance of each row to its `min_samples`-th nearest row, itself counted, shape (n_rows,)."""
    search = NearestRows(rows, device)
    starts = range(0, len(rows), _CHUNK_ROWS)
    return np.concatenate([search.nearest(rows[at : at + _CHUNK_ROWS], min_samples)[1][:, -1] for at in starts])


def nearest_member(rows: npt.NDArray[Any], members: npt.NDArray[Any], *, device: Device) -> npt.NDArray[np.int64]:
    """Position of the member nearest to each row, the first of equally near ones, shape (n_rows,)."""
    search = NearestRows(members, device)
    starts = range(0, len(rows), _CHUNK_ROWS)
    return np.concatenate([search.nearest(rows[at : at + _CHUNK_ROWS], 1)[0][:, 0] for at in starts])


def inertia_of(rows: npt.NDArray[Any], labels: npt.NDArray[np.int32], centers: npt.NDArray[Any]) -> float:
    """Sum of squared distances of the rows that have a cluster to its center."""
    inside = labels >= 0
    gaps = row_distances(rows[inside], centers[labels[inside]])
    return float((gaps * gaps).sum())
