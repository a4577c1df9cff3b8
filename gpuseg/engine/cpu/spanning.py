"""Minimum spanning tree of mutual reachability distances (Prim 1957) on the CPU, compiled."""

from typing import Any

import numba as nb
import numpy as np
import numpy.typing as npt

from gpuseg.engine.kernels import compiled

_BLOCK = 2_048


def prim(columns: npt.NDArray[Any], cores: npt.NDArray[Any]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """The tree, edge by edge from the first point on; parameters and what is returned as in `Device.prim`."""
    n = len(cores)
    ends, heights = np.empty((n - 1, 2), np.int64), np.empty(n - 1)
    # A copy, which the kernel rearranges.
    _prim(np.array(columns, order="C"), cores, ends, heights)
    return ends, heights


@compiled
def _prim(columns, cores, ends, heights):  # type: ignore[no-untyped-def]
    """Fill in the edges of the tree (Prim 1957), from the first point on."""
    d, n = columns.shape
    point, source = np.arange(n).astype(np.int32), np.zeros(n, np.int32)
    best, squares = np.full(n, np.inf, columns.dtype), cores * cores
    own, gaps = np.empty(d, columns.dtype), np.empty(_BLOCK, columns.dtype)
    at, left = 0, n
    for step in range(n - 1):
        current, core = point[at], squares[at]
        left -= 1
        for feature in range(d):
            own[feature] = columns[feature, at]
            columns[feature, at] = columns[feature, left]
        point[at], best[at], source[at], squares[at] = point[left], best[left], source[left], squares[left]
        least, block = np.inf, 0
        for start in range(0, left, _BLOCK):
            end = min(start + _BLOCK, left)
            _square_gaps(columns, own, start, end, gaps)
            near = _nearer(gaps, core, current, squares[start:end], best[start:end], source[start:end])
            if near < least:
                least, block = near, start
        at = block
        while best[at] != least:
            at += 1
        ends[step, 0], ends[step, 1], heights[step] = source[at], point[at], best[at]


@nb.njit(nogil=True)
def _square_gaps(columns, own, start, end, gaps):  # type: ignore[no-untyped-def]
    gaps[: end - start] = 0
    for feature in range(len(own)):
        mine, column = own[feature], columns[feature, start:end]
        for slot in range(len(column)):
            gap = column[slot] - mine
            gaps[slot] += gap * gap


@nb.njit(nogil=True, fastmath={"nnan", "nsz"})
def _nearer(gaps, core, current, squares, best, source):  # type: ignore[no-untyped-def]
    """Take the current point as the nearest where it is, and give the least of all distances then."""
    least = best.dtype.type(np.inf)
    for slot in range(len(best)):
        gap = max(gaps[slot], max(core, squares[slot]))
        nearer = gap < best[slot]
        best[slot] = gap if nearer else best[slot]
        source[slot] = current if nearer else source[slot]
        least = min(least, best[slot])
    return least
