"""The compiled pass of `assign_accumulate`, tile by tile.

Distances cost a subtraction, a product and a sum a coordinate; the product alone, which ranks centers as well but for
rounding, half of that. So with many centers products choose, and where the two best are closer than rounding could
bring them, distances decide. Both ways have the same bits.
"""

import numba as nb
import numpy as np

from gpuseg.engine.cpu.lloyd_tiles import (
    TILE,
    accumulate,
    distances,
    move,
    own_distances,
    scores,
    transpose,
)
from gpuseg.engine.kernels import compiled

TILES_DIGEST = "2701df38e66b"
"""Of the files with the vectors. numba keeps what it compiled until this file changes, whatever it is made of."""

_PARTS = 16
_MOST_UNSURE = 4
_CREDIT, _COST = 64, 4
"""Tiles that needed both ways cost, others earn; without credit products are not tried again."""


@nb.njit(nogil=True)
def _unsure_rows(size, best, second, squares, bound, unsure):  # type: ignore[no-untyped-def]
    """Number of rows that rounding could have given to the wrong center, and which they are."""
    n = 0
    for lane in range(size):
        # Written so that what is not a number is unsure.
        if not best[lane] - second[lane] > bound[0] * (bound[1] + squares[lane]) + bound[2]:
            unsure[n] = lane
            n += 1
    return n


@nb.njit(nogil=True)
def _settle(tile, centers, lane, nearest, labels):  # type: ignore[no-untyped-def]
    """Distance and center of one row by the arithmetic of `distances`."""
    k, d = centers.shape
    nearest[lane], labels[lane] = np.inf, 0
    for center in range(k):
        total = centers.dtype.type(0)
        for feature in range(d):
            gap = tile[feature, lane] - centers[center, feature]
            total += gap * gap
        if total < nearest[lane]:
            nearest[lane], labels[lane] = total, center


@compiled
def pass_over(rows, n, tail, centers, packed, quick, tile, moved, sums, counts, labels_out, nearest_out, second_out):  # type: ignore[no-untyped-def]
    """Assign n rows at an address and add them up; see `gpuseg.engine.cpu.lloyd` for the arrays.

    Arrays of what is not wanted are empty.
    """
    k, d = centers.shape
    ranked, halves, shift, bound = quick
    nearest, second, squares = np.empty((3, TILE), centers.dtype)
    labels, parts, unsure = np.empty(TILE, np.int32), np.zeros(_PARTS, np.float64), np.empty(TILE, np.int64)
    want, want_second, credit = labels_out.size > 0, second_out.size > 0, _CREDIT
    tile_at, moved_at, labels_at = tile.ctypes.data, moved.ctypes.data, labels.ctypes.data
    nearest_at, second_at = nearest.ctypes.data, second.ctypes.data
    for start in range(0, n, TILE):
        size = min(TILE, n - start)
        here = rows + start * d * centers.itemsize if size == TILE else tail.ctypes.data
        transpose(centers, here, d, tile_at)
        n_unsure = TILE
        if ranked.size > 0 and credit > 0:
            move(shift, tile_at, d, moved_at, squares.ctypes.data)
            scores(ranked, moved_at, d, k, halves.ctypes.data, nearest_at, second_at, labels_at)
            n_unsure = _unsure_rows(size, nearest, second, squares, bound, unsure)
            credit = min(credit + 1, _CREDIT) if n_unsure <= _MOST_UNSURE else credit - _COST
        if n_unsure > _MOST_UNSURE:
            distances(packed, tile_at, d, k, nearest_at, second_at, labels_at, want_second)
        else:
            own_distances(centers, tile_at, d, labels_at, nearest_at)
            for place in range(n_unsure):
                _settle(tile, centers, unsure[place], nearest, labels)
        if counts.size > 0:
            accumulate(centers, here, size, d, labels_at, sums.ctypes.data, counts.ctypes.data)
        if want:
            for lane in range(size):
                labels_out[start + lane] = labels[lane]
                nearest_out[start + lane] = nearest[lane]
        if want_second:
            for lane in range(size):
                second_out[start + lane] = second[lane]
        for lane in range(size, TILE):
            nearest[lane] = 0
        for lane in range(0, TILE, _PARTS):
            for part in range(_PARTS):
                parts[part] += np.float64(nearest[lane + part])
    inertia = 0.0
    for part in range(_PARTS):
        inertia += parts[part]
    return inertia


@compiled
def add_up(rows, n, tail, labels, sums, counts):  # type: ignore[no-untyped-def]
    """Add n rows at an address to the sums of the centers that their labels name, and count them."""
    d = tail.shape[1]
    labels_at = labels.ctypes.data
    for start in range(0, n, TILE):
        size = min(TILE, n - start)
        here = rows + start * d * tail.itemsize if size == TILE else tail.ctypes.data
        accumulate(tail, here, size, d, labels_at + start * labels.itemsize, sums.ctypes.data, counts.ctypes.data)


@compiled
def add_up_weighted(rows, labels, nearest, weights, sums, masses):  # type: ignore[no-untyped-def]
    """Add rows, each times its weight, to the sums of their centers and weights to their masses; gives the inertia."""
    n, d = rows.shape
    parts = np.zeros(_PARTS, np.float64)
    for row in range(n):
        label, weight = labels[row], weights[row]
        masses[label] += weight
        for feature in range(d):
            sums[label, feature] += weight * np.float64(rows[row, feature])
        parts[row % _PARTS] += weight * np.float64(nearest[row])
    inertia = 0.0
    for part in range(_PARTS):
        inertia += parts[part]
    return inertia
