"""Nearest of many centers by way of few: the same centers and distances as when all are compared, with less work.

Centers lie in cells, one around each of a few coarse centers. A row x in the cell of the coarse center g is compared
with the centers that are near to g. A center that is left out is at least R from g, so at least R - |x - g| from x
(triangle inequality, as in Elkan 2003 and in the annuli of Newling and Fleuret 2016): where what was found is nearer,
it is the nearest of all. Rows for which it is not are compared with more centers, and in the end with all. Where most
rows would be, as where they have no structure, all are compared right away.

References
----------
Elkan, C. (2003). Using the triangle inequality to accelerate k-means. ICML.
Newling, J., Fleuret, F. (2016). Fast k-means with accurate bounds. ICML.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from gpuseg.engine.program import LloydPass

LEAST_CENTERS, LEAST_ROWS = 2_048, 32_768
"""Fewer are compared with each other right away."""

_CELLS, _UPDATES = 64, 4
_SHARES = (8, 3)
"""An eighth of the centers is tried first, then a third."""

_CHUNK_ROWS = 131_072
_PROBES = 4_096
_MOST_WORK = 0.6
_ROUNDING = 1e-12


class Compare(Protocol):
    """How rows are compared with all of some centers; labels and distances are wanted."""

    def __call__(
        self,
        rows: npt.NDArray[Any],
        centers: npt.NDArray[Any],
        *,
        want_labels: bool,
        want_second: bool,
        want_sums: bool = True,
    ) -> LloydPass:
        """See `LloydPass`; what is not wanted is empty."""


@dataclass(frozen=True)
class _Level:
    """For every cell the centers that are compared, ascending, and the least distance of all others from its own."""

    chosen: list[npt.NDArray[np.int64]]
    radii: npt.NDArray[np.float64]


class Cells:
    """Centers in cells, and the search for the nearest.

    Parameters
    ----------
    centers : float32 or float64 array, shape (k, n_features)
    compare : Compare
    """

    def __init__(self, centers: npt.NDArray[Any], compare: Compare) -> None:
        self._centers, self._compare = centers, compare
        k = len(centers)
        coarse = centers[np.arange(_CELLS) * k // _CELLS].copy()
        for _ in range(_UPDATES):
            told = compare(centers, coarse, want_labels=False, want_second=False)
            filled = told.counts > 0
            coarse[filled] = told.sums[filled] / told.counts[filled, None]
        self._coarse, self._levels = coarse, [_level(centers, coarse, k // share) for share in _SHARES]

    def pays(self, rows: npt.NDArray[Any], *, want_second: bool) -> bool:
        """Whether fewer comparisons will do, by some of the rows."""
        some = np.ascontiguousarray(rows[:: max(len(rows) // _PROBES, 1)])
        parts = [1 / share for share in (*_SHARES, 1)]
        left = [len(some), *(len(unsure) for unsure in self._search(some, *_empty(some, want_second=want_second)))]
        return sum(n * part for n, part in zip(left, parts, strict=True)) < _MOST_WORK * len(some)

    def nearest(
        self, rows: npt.NDArray[Any], *, want_second: bool
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[Any], npt.NDArray[Any]]:
        """Index and squared distance of each row's nearest center, and the squared distance of the next.

        Parameters
        ----------
        rows : array of the centers' type, C-ordered, shape (n_rows, n_features)
        want_second : bool
            Without it the last array is empty.
        """
        found = _empty(rows, want_second=want_second)
        for start in range(0, len(rows), _CHUNK_ROWS):
            chunk = slice(start, start + _CHUNK_ROWS)
            parts = [array[chunk] for array in found]
            *_, unsure = self._search(rows[chunk], *parts)
            if unsure.size:
                self._look(rows[chunk], unsure, None, *parts)
        return found

    def _search(
        self, rows: npt.NDArray[Any], labels: npt.NDArray[Any], nearest: npt.NDArray[Any], second: npt.NDArray[Any]
    ) -> Iterator[npt.NDArray[np.int64]]:
        """Fill the arrays level by level, and give the rows for which that was not enough."""
        told = self._compare(rows, self._coarse, want_labels=True, want_second=False, want_sums=False)
        cell_of: npt.NDArray[np.int32] = told.labels
        # Distances are sums of d squares: their roots are off by less than this share.
        limits, d = np.finfo(rows.dtype), rows.shape[1]
        hair = 1 + (d + 8) * float(limits.eps)
        # Below this, squares underflow and say nothing.
        least = np.sqrt(d * float(limits.tiny) / float(limits.eps))
        own = np.maximum(np.sqrt(told.nearest.astype(np.float64)) * hair, least)
        left = np.arange(len(rows))
        for level in self._levels:
            left = left[np.argsort(cell_of[left], kind="stable")]
            ends = np.searchsorted(cell_of[left], np.arange(_CELLS + 1))
            for cell in np.flatnonzero(np.diff(ends)):
                self._look(rows, left[ends[cell] : ends[cell + 1]], level.chosen[cell], labels, nearest, second)
            reached = (second if second.size else nearest)[left].astype(np.float64)
            # Written so that what is not a number is unsure.
            with np.errstate(invalid="ignore"):
                sure = np.maximum(np.sqrt(reached) * hair, least) + own[left] < level.radii[cell_of[left]]
            left = np.sort(left[~sure])
            yield left

    def _look(
        self,
        rows: npt.NDArray[Any],
        places: npt.NDArray[np.int64],
        chosen: npt.NDArray[np.int64] | None,
        labels: npt.NDArray[Any],
        nearest: npt.NDArray[Any],
        second: npt.NDArray[Any],
    ) -> None:
        """Compare some of the rows with the chosen centers, or with all."""
        centers = self._centers if chosen is None else self._centers[chosen]
        wanted = {"want_labels": True, "want_second": bool(second.size), "want_sums": False}
        told = self._compare(rows[places], centers, **wanted)
        labels[places] = told.labels if chosen is None else chosen[told.labels]
        nearest[places] = told.nearest
        if second.size:
            second[places] = told.second


@lru_cache(maxsize=2)
def cells_of(content: bytes, shape: tuple[int, int], kind: str, compare: Compare) -> Cells:
    """Cells of the centers that the bytes of an array hold; kept, since one pass has many blocks of rows."""
    return Cells(np.frombuffer(content, kind).reshape(shape), compare)


def _level(centers: npt.NDArray[Any], coarse: npt.NDArray[Any], n: int) -> _Level:
    """The n centers nearest to each coarse one."""
    exact, rough = centers.astype(np.float64), coarse.astype(np.float64)
    squares, chosen, radii = (exact**2).sum(axis=1), [], np.empty(len(coarse))
    for cell, middle in enumerate(rough):
        gaps = squares - 2 * (exact @ middle)
        order = np.argpartition(gaps, n)
        chosen.append(np.sort(order[:n]))
        length, first_out = middle @ middle, order[n]
        # A hair less: sums of large squares are rounded.
        hair = _ROUNDING * (length + squares[first_out])
        radii[cell] = np.sqrt(max(gaps[first_out] + length - hair, 0.0))
    return _Level(chosen, radii)


def _empty(
    rows: npt.NDArray[Any], *, want_second: bool
) -> tuple[npt.NDArray[np.int32], npt.NDArray[Any], npt.NDArray[Any]]:
    n = len(rows)
    return np.empty(n, np.int32), np.empty(n, rows.dtype), np.empty(n if want_second else 0, rows.dtype)
