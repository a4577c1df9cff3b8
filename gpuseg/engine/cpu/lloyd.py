"""`assign_accumulate` on the CPU: nearest centers and sums per center in one compiled pass, without a copy of the rows.

Each row's distances are the same sequence of operations whatever tile or thread it falls in: features are added up one
after the other in the rows' own precision. Sums are float64; for rows on the matrix's grid of 2^-20 they are exact, so
neither blocks nor their order change a bit of the centers.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from gpuseg.engine.cpu.lloyd_kernel import add_up, add_up_weighted, pass_over
from gpuseg.engine.cpu.lloyd_tiles import CENTERS, PADDED, TILE
from gpuseg.engine.cpu.two_level import LEAST_CENTERS, LEAST_ROWS, Cells, cells_of
from gpuseg.engine.program import LloydPass

_ALIGNED_BYTES = 64
_QUICK_CENTERS = 48


def lloyd_pass(
    rows: npt.NDArray[np.floating],
    centers: npt.NDArray[np.floating],
    *,
    weights: npt.NDArray[Any] | None = None,
    want_labels: bool,
) -> LloydPass:
    """One pass over the rows; see `LloydPass` for what it returns.

    Parameters
    ----------
    rows : float32 or float64 array, shape (n_rows, n_features)
        Read where it lies if it is C-ordered, else from a copy.
    centers : array, shape (k, n_features)
        Taken in the type of the rows.
    weights : array, shape (n_rows,), optional
        Finite, not below zero.
    want_labels : bool

    Raises
    ------
    ValueError
        If the rows are of another type, rows and centers of different widths, or weights of another number.
    """
    rows, centers = _checked(rows, centers)
    cells = _cells(rows, centers, want_second=want_labels)
    if weights is not None:
        return _weighted(rows, centers, checked_weights(weights, len(rows)), cells, want_labels=want_labels)
    if cells is None:
        return _compared(rows, centers, want_labels=want_labels, want_second=want_labels)
    labels, nearest, second = cells.nearest(rows, want_second=want_labels)
    sums, counts, tail = _room(rows, len(centers))
    add_up(rows.ctypes.data, len(rows), tail, labels, sums, counts)
    found = sums[:, : rows.shape[1]], counts, float(nearest.sum(dtype=np.float64))
    return LloydPass(*found, labels, nearest, second) if want_labels else LloydPass(*found)


def nearest_centers(rows: npt.NDArray[np.floating], centers: npt.NDArray[np.floating]) -> npt.NDArray[np.int32]:
    """Index of each row's nearest center, the lower of equals, and nothing else: the same as `labels` of a pass.

    Parameters, errors: see `lloyd_pass`.
    """
    rows, centers = _checked(rows, centers)
    cells = _cells(rows, centers, want_second=False)
    if cells is not None:
        return cells.nearest(rows, want_second=False)[0]
    labels: npt.NDArray[np.int32] = _compared(
        rows, centers, want_labels=True, want_second=False, want_sums=False
    ).labels
    return labels


def _checked(
    rows: npt.NDArray[np.floating], centers: npt.NDArray[np.floating]
) -> tuple[npt.NDArray[np.floating], npt.NDArray[np.floating]]:
    """Rows in C order, and centers in their type."""
    rows, centers = np.ascontiguousarray(rows), np.asarray(centers, rows.dtype)
    if rows.dtype not in (np.float32, np.float64) or centers.shape != (len(centers), *rows.shape[1:]) or rows.ndim != 2:
        raise ValueError(f"rows of shape {rows.shape} and type {rows.dtype}, centers of shape {centers.shape}")
    return rows, centers


def checked_weights(weights: Any, n_rows: int) -> npt.NDArray[np.float64]:
    """Weights as float64.

    Raises
    ------
    ValueError
        If there is not one for each row, or one is negative or not finite.
    """
    found = np.ascontiguousarray(weights, np.float64)
    if found.shape != (n_rows,) or not (np.isfinite(found).all() and (found >= 0).all()):
        raise ValueError(f"weights of shape {found.shape} for {n_rows} rows must be finite and not below zero")
    return found


def _weighted(
    rows: npt.NDArray[Any],
    centers: npt.NDArray[Any],
    weights: npt.NDArray[np.float64],
    cells: Cells | None,
    *,
    want_labels: bool,
) -> LloydPass:
    """The pass over rows that count as often as their weights say."""
    if cells is None:
        told = _compared(rows, centers, want_labels=True, want_second=want_labels, want_sums=False)
        labels, nearest, second = told.labels, told.nearest, told.second
    else:
        labels, nearest, second = cells.nearest(rows, want_second=want_labels)
    sums, masses = np.zeros(centers.shape), np.zeros(len(centers))
    inertia = add_up_weighted(rows, labels, nearest, weights, sums, masses)
    found = sums, masses, float(inertia)
    return LloydPass(*found, labels, nearest, second) if want_labels else LloydPass(*found)


def _cells(rows: npt.NDArray[np.floating], centers: npt.NDArray[np.floating], *, want_second: bool) -> Cells | None:
    """Cells of the centers where they spare comparisons."""
    if len(centers) < LEAST_CENTERS or len(rows) < LEAST_ROWS:
        return None
    cells = cells_of(centers.tobytes(), centers.shape, centers.dtype.str, _compared)
    return cells if cells.pays(rows, want_second=want_second) else None


def _compared(
    rows: npt.NDArray[np.floating],
    centers: npt.NDArray[np.floating],
    *,
    want_labels: bool,
    want_second: bool,
    want_sums: bool = True,
) -> LloydPass:
    """Every row compared with every center."""
    (n, d), k = rows.shape, len(centers)
    n_labels = n if want_labels else 0
    labels, nearest = np.empty(n_labels, np.int32), np.empty(n_labels, rows.dtype)
    second = np.empty(n if want_second else 0, rows.dtype)
    sums, counts, tail = _room(rows, k if want_sums else 0)
    # Behind the last feature there is room for the rest of a vector.
    tile, moved = _zeros((2 * (d + _ALIGNED_BYTES // rows.itemsize), TILE), rows.dtype).reshape(2, -1, TILE)
    centers = np.ascontiguousarray(centers)
    quick = _quick(centers, worth_it=k >= _QUICK_CENTERS and not want_second)
    inertia = pass_over(
        rows.ctypes.data,
        n,
        tail,
        centers,
        _packed(centers),
        quick,
        tile,
        moved,
        sums,
        counts,
        labels,
        nearest,
        second,
    )
    found = sums[:, :d], counts, float(inertia)
    return LloydPass(*found, labels, nearest, second) if want_labels else LloydPass(*found)


def _room(rows: npt.NDArray[Any], k: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64], npt.NDArray[Any]]:
    """Sums and counts of zero, and the rows behind the last whole tile, with zeros to the end of theirs."""
    n, d = rows.shape
    tail = _zeros((TILE, d), rows.dtype)
    n_whole = n // TILE * TILE
    tail[: n - n_whole] = rows[n_whole:]
    return _zeros((k, -(-d // PADDED) * PADDED), np.float64), np.zeros(k, np.int64), tail


def _quick(centers: npt.NDArray[Any], *, worth_it: bool) -> tuple[npt.NDArray[Any], ...]:
    """What ranks centers by products: they and rows less their mean m, so that little is lost to rounding.

    A row x is nearest to the center c of the largest p = (x - m)(c - m) - (c - m)^2 / 2. With u half the spacing of
    numbers at 1 and M the largest (c - m)^2, a computed p is off by at most (d + 8) u (3 M + (x - m)^2) / 2, and a
    squared distance, which is at most 2 (M + (x - m)^2), by (d + 2) u of itself (Higham, Accuracy and Stability of
    Numerical Algorithms, 3.1). So where the two largest differ by more than 6 (d + 8) u (M + (x - m)^2), distances
    have the same order.

    Returns
    -------
    Packed c - m, -(c - m)^2 / 2, m, and [6 (d + 8) u, M, a bound for underflow]; empty where it is not worth it.
    """
    kind = centers.dtype
    if not worth_it:
        return (np.empty(0, kind),) * 4
    exact, limits = centers.astype(np.float64), np.finfo(kind)
    with np.errstate(over="ignore", invalid="ignore"):
        shift = exact.mean(axis=0).astype(kind)
        moved = exact - shift
        squares = (moved**2).sum(axis=1)
        bound = np.array([3 * (centers.shape[1] + 8) * limits.eps, squares.max(), limits.tiny]).astype(kind)
        return _packed(moved.astype(kind)), (squares / -2).astype(kind), shift, bound


def _packed(centers: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Coordinates in the order of use: feature by feature of `CENTERS` centers at a time, the rest by center."""
    k, d = centers.shape
    n_wide = k // CENTERS * CENTERS
    wide = centers[:n_wide].reshape(-1, CENTERS, d).transpose(0, 2, 1)
    return np.concatenate([wide.ravel(), centers[n_wide:].ravel()])


def _zeros(shape: tuple[int, int], kind: npt.DTypeLike) -> npt.NDArray[Any]:
    """A C-ordered array of zeros that begins where a cache line begins."""
    kind = np.dtype(kind)
    n_bytes = shape[0] * shape[1] * kind.itemsize
    room = np.zeros(n_bytes + _ALIGNED_BYTES, np.uint8)
    start = -room.ctypes.data % _ALIGNED_BYTES
    return room[start : start + n_bytes].view(kind).reshape(shape)
