"""`assign_accumulate` on the device, first form: plain CuPy over blocks of a fixed number of rows.

Distances are added up feature by feature in the rows' own precision, one operation at a time, as the CPU's kernel does,
so labels and distances have its bits. Sums per center are float64 products with 0 and 1 (cuBLAS in its own precision,
not told to emulate it); for rows on the matrix's grid of 2^-20 every partial sum is exact (up to 2^32 rows), so neither
the order in which a library adds nor blocks change a bit. For other rows the order of blocks is fixed and that inside
one is the library's.
"""

from typing import Any

import numpy as np

from gpuseg.engine.cpu.lloyd import checked_weights
from gpuseg.engine.gpu.libraries import Libraries
from gpuseg.engine.gpu.memory import halving
from gpuseg.engine.program import LloydPass

BLOCK_ROWS = 65_536
_COPIES = 4
"""Distances, gaps, their squares and the membership of a block lie in memory together."""


def lloyd_pass(libraries: Libraries, rows: Any, centers: Any, *, weights: Any = None, want_labels: bool) -> LloydPass:
    """One pass over the rows; see `LloydPass` for what it returns.

    Parameters
    ----------
    libraries : Libraries
    rows : float32 or float64 array of the device or the host, shape (n_rows, n_features)
    centers : array, shape (k, n_features)
    weights : array, shape (n_rows,), optional
        Finite, not below zero.
    want_labels : bool

    Returns
    -------
    LloydPass
        Sums, counts and inertia in host memory, the rest on the device.
    """
    cupy = libraries.cupy
    rows = cupy.asarray(rows)
    centers = cupy.asarray(centers, dtype=rows.dtype)
    k, n_features = centers.shape
    own = None if weights is None else cupy.asarray(checked_weights(weights, len(rows)))
    sums, counts, inertia = np.zeros((k, n_features)), np.zeros(k, np.int64 if own is None else np.float64), 0.0
    kept: list[tuple[Any, Any, Any]] = []
    unit = _COPIES * rows.dtype.itemsize * k + 2 * 8 * (k + n_features)

    def one(low: int, high: int) -> tuple[Any, ...]:
        part = slice(start + low, start + high)
        return _block(cupy, rows[part], centers, None if own is None else own[part])

    for start in range(0, len(rows), BLOCK_ROWS):
        n = min(BLOCK_ROWS, len(rows) - start)
        for label, nearest, second, *added in halving(one, n, libraries=libraries, what="rows", unit_bytes=unit):
            sums, counts, inertia = sums + added[0], counts + added[1], inertia + added[2]
            if want_labels:
                kept.append((label, nearest, second))
    if not want_labels:
        return LloydPass(sums, counts, inertia)
    if not kept:
        nothing = cupy.empty(0, rows.dtype)
        return LloydPass(sums, counts, inertia, cupy.empty(0, np.int32), nothing, nothing)
    labels, near, far = (cupy.concatenate(column) for column in zip(*kept, strict=True))
    return LloydPass(sums, counts, inertia, labels, near, far)


def _block(cupy: Any, rows: Any, centers: Any, weights: Any) -> tuple[Any, ...]:
    """Labels, nearest and second distance on the device; sums, counts and inertia on the host."""
    n, k = len(rows), len(centers)
    distance = cupy.zeros((n, k), rows.dtype)
    for feature in range(rows.shape[1]):
        gap = rows[:, feature, None] - centers[None, :, feature]
        distance += gap * gap
    label = cupy.argmin(distance, axis=1)
    nearest = cupy.take_along_axis(distance, label[:, None], axis=1)[:, 0]
    mine = label[:, None] == cupy.arange(k)[None, :]
    second = cupy.where(mine, np.inf, distance).min(axis=1).astype(rows.dtype)
    squares, exact = nearest.astype(np.float64), rows.astype(np.float64)
    if weights is None:
        counts = mine.sum(axis=0).astype(np.int64)
    else:
        squares, exact = squares * weights, exact * weights[:, None]
        counts = cupy.matmul(mine.T.astype(np.float64), weights)
    sums = cupy.matmul(mine.T.astype(np.float64), exact)
    inertia = float(squares.sum())
    return label.astype(np.int32), nearest, second, cupy.asnumpy(sums), cupy.asnumpy(counts), inertia
