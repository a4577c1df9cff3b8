"""Nearest rows by exact distances, from a library that finds them by rounded ones.

Libraries compute distances in the precision of the rows, often as |x|^2 + |y|^2 - 2xy, which leaves little of the
distance of two rows that lie close together and far from zero: in float32 such neighbours come in any order. So more
candidates are asked for than are wanted, their distances are computed again in float64, and the nearest of them count,
of equally near ones the first. Where a row that is no candidate could still be nearer, more candidates are asked for,
and in the end all rows are compared. What a library may be off is the bound for sums of d products in float32 (Higham,
Accuracy and Stability of Numerical Algorithms, 3.1), or four times the most that was seen on fitted rows where that is
more.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from gpuseg.engine.base import Device

SPARE, MORE = 4, 4
"""Candidates beyond those wanted, and times as many with each new try."""

MOST_CANDIDATES = 1_024
_PROBES = 2_048
_ALLOWED = 4.0
_FLOAT32_EPS = 2.0**-23
_STEPS = 8
"""Of the arithmetic besides the sums, the rounding of the rows themselves among them."""

_PAIRS_AT_ONCE = 2**20


class NearestRows:
    """Finds the nearest of some rows, the same ones on every device.

    Parameters
    ----------
    rows : float array, shape (n_rows, n_features)
        In host memory, C-ordered, without minus zero; searched without duplicates where equal rows are neighbours.
    device : Device
        Runs the estimator "neighbors".

    Attributes
    ----------
    rounding : float
        How far squared distances of the library may be off, as a share of the squares of both rows' lengths.
    """

    def __init__(self, rows: npt.NDArray[Any], device: Device) -> None:
        keys = as_keys(rows)
        self._first = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
        self._copies = np.diff(np.append(self._first, len(rows)))
        self._rows = np.ascontiguousarray(rows[self._first])
        self._squares = _squares(self._rows)
        self._device = device
        self._search = device.estimator("neighbors", n_neighbors=1).fit(device.asarray(self._rows))
        self.rounding = self._measured()

    def nearest(self, rows: npt.NDArray[Any], n: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """Positions and distances of the n nearest of the fitted rows, nearest first, both of shape (n_rows, n).

        Parameters
        ----------
        rows : float array, shape (n_rows, n_features)
            In host memory.
        n : int
            At most the number of fitted rows.
        """
        places, distances = np.empty((len(rows), n), np.int64), np.empty((len(rows), n))
        left, wanted = np.arange(len(rows)), n + SPARE
        while left.size:
            if wanted > max(MOST_CANDIDATES, n + SPARE):
                places[left], distances[left] = self._by_all_pairs(rows[left], n)
                break
            step = max(_PAIRS_AT_ONCE // wanted, 1)
            unsure = []
            for part in (left[start : start + step] for start in range(0, len(left), step)):
                places[part], distances[part], sure = self._by_candidates(rows[part], n, wanted)
                unsure.append(part[~sure])
            left, wanted = np.concatenate(unsure), wanted * MORE
        return places, distances

    def _by_candidates(
        self, rows: npt.NDArray[Any], n: int, wanted: int
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
        """Nearest of so many candidates, and for which rows no other row can be nearer."""
        wanted = min(wanted, len(self._rows))
        near, told = self._candidates(rows, wanted)
        gaps = np.stack([row_distances(rows, self._rows[column]) for column in near.T], axis=1)
        places, distances = self._chosen(near, gaps, n)
        if wanted == len(self._rows):
            return places, distances, np.ones(len(rows), np.bool_)
        # What is nearer than `last` is at most that much longer than the row itself.
        last, lengths = distances[:, -1], np.sqrt(_squares(rows))
        hair = self.rounding * (lengths**2 + (lengths + last) ** 2)
        return places, distances, told.max(axis=1) ** 2 - hair > last**2

    def _by_all_pairs(self, rows: npt.NDArray[Any], n: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """Nearest by exact distances to all rows."""
        found = []
        step = max(_PAIRS_AT_ONCE // len(self._rows), 1)
        kept = min(n, len(self._rows))
        for start in range(0, len(rows), step):
            total = np.zeros((len(rows[start : start + step]), len(self._rows)))
            for mine, theirs in zip(rows[start : start + step].T, self._rows.T, strict=True):
                gap = mine.astype(np.float64)[:, None] - theirs
                total += gap * gap
            gaps = np.sqrt(total)
            near = gaps.argsort(axis=1, kind="stable")[:, :kept]
            found.append(self._chosen(near, np.take_along_axis(gaps, near, axis=1), n))
        places, distances = (np.concatenate(parts) for parts in zip(*found, strict=True))
        return places, distances

    def _chosen(
        self, near: npt.NDArray[np.int64], gaps: npt.NDArray[np.float64], n: int
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """The n nearest of candidates, of which each stands for all rows that equal it."""
        order = np.lexsort((near, gaps), axis=1)
        near, gaps = np.take_along_axis(near, order, axis=1), np.take_along_axis(gaps, order, axis=1)
        copies = self._copies[near]
        before = np.cumsum(copies, axis=1) - copies
        taken = np.clip(n - before, 0, copies).ravel()
        own = np.repeat(np.cumsum(taken) - taken, taken)
        places = np.repeat(self._first[near].ravel(), taken) + np.arange(own.size) - own
        return places.reshape(len(near), n), np.repeat(gaps.ravel(), taken).reshape(len(near), n)

    def _candidates(self, rows: npt.NDArray[Any], wanted: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """What the library finds: positions and distances, both of shape (n_rows, wanted)."""
        told, near = self._search.kneighbors(self._device.asarray(rows), n_neighbors=wanted)
        shape = (len(rows), wanted)
        return (
            self._device.to_host(near).astype(np.int64).reshape(shape),
            self._device.to_host(told).astype(np.float64).reshape(shape),
        )

    def _measured(self) -> float:
        """The share of `rounding`: a bound, or what is seen on fitted rows where that is more."""
        probes = np.linspace(0, len(self._rows) - 1, min(_PROBES, len(self._rows))).astype(np.int64)
        rows = self._rows[probes]
        near, told = self._candidates(rows, min(1 + SPARE, len(self._rows)))
        worst = 0.0
        for column, distance in zip(near.T, told.T, strict=True):
            lengths = self._squares[probes] + self._squares[column]
            off = np.abs(distance**2 - row_distances(rows, self._rows[column]) ** 2)
            worst = max(worst, float(np.divide(off, lengths, out=np.zeros_like(off), where=lengths > 0).max()))
        return max(_ALLOWED * worst, (int(self._rows.shape[1]) + _STEPS) * _FLOAT32_EPS)


def row_keys(rows: npt.NDArray[Any]) -> npt.NDArray[np.void]:
    """Bytes of each row, which can be sorted, searched and compared; minus zero is zero."""
    return as_keys(np.ascontiguousarray(rows + rows.dtype.type(0)))


def as_keys(rows: npt.NDArray[Any]) -> npt.NDArray[np.void]:
    """The same for C-ordered rows without minus zero, over their memory."""
    return rows.view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1])))[:, 0]


def row_distances(rows: npt.NDArray[Any], others: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Euclidean distances, row by row, column by column: those of libraries depend on threads and device."""
    total = np.zeros(len(rows))
    for one, two in zip(rows.T, others.T, strict=True):
        gap = one.astype(np.float64) - two
        total += gap * gap
    return np.sqrt(total)


def _squares(rows: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Squared length of each row."""
    found: npt.NDArray[np.float64] = np.square(rows, dtype=np.float64).sum(axis=1)
    return found
