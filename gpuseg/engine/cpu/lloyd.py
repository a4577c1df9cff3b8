"""`assign_accumulate` on the CPU: nearest centers and sums per center in one compiled pass.

Rows go through in tiles that are transposed, so that the lanes of a vector register are rows and each row's distance
is the same sequence of operations whatever tile or thread it falls in. Sums are float64; for rows on the matrix's
grid of 2^-20 they are exact, so neither blocks nor their order change a bit of the centers.
"""

import numba as nb
import numpy as np
import numpy.typing as npt

from gpuseg.engine.program import LloydPass

_TILE = 128


@nb.njit(nogil=True)
def _tile_distances(tile, centers, k, d, nearest, second, labels):  # type: ignore[no-untyped-def]
    distance = np.empty(_TILE, tile.dtype)
    for lane in range(_TILE):
        nearest[lane] = np.inf
        second[lane] = np.inf
        labels[lane] = 0
    for center in range(k):
        for lane in range(_TILE):
            distance[lane] = 0
        for feature in range(d):
            at = centers[center, feature]
            for lane in range(_TILE):
                gap = tile[feature, lane] - at
                distance[lane] += gap * gap
        for lane in range(_TILE):
            found = distance[lane]
            closer = found < nearest[lane]
            second[lane] = nearest[lane] if closer else min(second[lane], found)
            labels[lane] = center if closer else labels[lane]
            nearest[lane] = found if closer else nearest[lane]


@nb.njit(cache=True, nogil=True)
def _pass(rows, centers, sums, counts, labels_out, nearest_out, second_out):  # type: ignore[no-untyped-def]
    n, d = rows.shape
    k = centers.shape[0]
    tile = np.zeros((d, _TILE), rows.dtype)
    nearest = np.empty(_TILE, rows.dtype)
    second = np.empty(_TILE, rows.dtype)
    labels = np.empty(_TILE, np.int32)
    want = labels_out.size > 0
    inertia = 0.0
    for start in range(0, n, _TILE):
        size = min(_TILE, n - start)
        for lane in range(size):
            for feature in range(d):
                tile[feature, lane] = rows[start + lane, feature]
        _tile_distances(tile, centers, k, d, nearest, second, labels)
        for lane in range(size):
            label = labels[lane]
            counts[label] += 1
            inertia += np.float64(nearest[lane])
            for feature in range(d):
                sums[label, feature] += np.float64(rows[start + lane, feature])
        if want:
            labels_out[start : start + size] = labels[:size]
            nearest_out[start : start + size] = nearest[:size]
            second_out[start : start + size] = second[:size]
    return inertia


def lloyd_pass(rows: npt.NDArray[np.floating], centers: npt.NDArray[np.floating], *, want_labels: bool) -> LloydPass:
    """One pass over the rows; see `LloydPass` for what it returns.

    Parameters
    ----------
    rows : float32 or float64 array, shape (n_rows, n_features), C-ordered
    centers : array of the same type, shape (k, n_features)
    want_labels : bool
    """
    k, d = centers.shape
    n_labels = rows.shape[0] if want_labels else 0
    sums, counts = np.zeros((k, d), np.float64), np.zeros(k, np.int64)
    labels = np.empty(n_labels, np.int32)
    nearest, second = np.empty(n_labels, rows.dtype), np.empty(n_labels, rows.dtype)
    centers = np.ascontiguousarray(centers, rows.dtype)
    inertia = _pass(rows, centers, sums, counts, labels, nearest, second)
    if not want_labels:
        return LloydPass(sums, counts, float(inertia))
    return LloydPass(sums, counts, float(inertia), labels, nearest, second)
