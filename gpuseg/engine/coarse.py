"""Rows rounded to bfloat16, float32 without its last 16 bits: 8 significant bits for passes that only lead the way."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

_CHUNK = 4
_BLOCK_ROWS = 65_536


@dataclass(frozen=True, eq=False)
class CoarseRows:
    """Rows in half the memory, as a device keeps them.

    Parameters
    ----------
    patterns : uint16 array, shape (n_rows, n_features and zeros to a multiple of 4)
        The upper halves of float32 numbers.
    n_features : int
    """

    patterns: Any
    n_features: int

    def __len__(self) -> int:
        return len(self.patterns)

    def __getitem__(self, part: slice) -> "CoarseRows":
        return CoarseRows(self.patterns[part], self.n_features)

    @property
    def dtype(self) -> np.dtype[np.float32]:
        """What passes compute in."""
        return np.dtype(np.float32)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and features."""
        return len(self.patterns), self.n_features

    def widened(self) -> Any:
        """The same numbers as float32 array of the device, shape (n_rows, n_features)."""
        return (self.patterns[:, : self.n_features].astype(np.uint32) << np.uint32(16)).view(np.float32)


def widened(rows: Any) -> Any:
    """Rows that are coarse in float32, others as they are."""
    return rows.widened() if isinstance(rows, CoarseRows) else rows


def coarse_rows(library: Any, rows: Any, shift: Any) -> CoarseRows:
    """Rows less a point, rounded to the nearest bfloat16 numbers, half-way cases to even ones.

    Parameters
    ----------
    library : module
        NumPy, or one like it that holds the rows.
    rows : float array, shape (n_rows, n_features)
        Finite; what float32 cannot hold becomes infinite.
    shift : array of the same type, shape (n_features,)
        Among the rows, so that what tells them apart is not lost where they lie far from zero.
    """
    n, d = rows.shape
    patterns = library.zeros((n, -(-d // _CHUNK) * _CHUNK), np.uint16)
    for low in range(0, n, _BLOCK_ROWS):
        with np.errstate(over="ignore"):
            gaps = library.ascontiguousarray(rows[low : low + _BLOCK_ROWS] - shift, np.float32)
        bits = gaps.view(np.uint32)
        last = (bits >> np.uint32(16)) & np.uint32(1)
        patterns[low : low + _BLOCK_ROWS, :d] = ((bits + np.uint32(0x7FFF) + last) >> np.uint32(16)).astype(np.uint16)
    return CoarseRows(patterns, d)


def rounded_rows(rows: npt.NDArray[Any], shift: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """The same numbers as float32 array of the host."""
    found = np.empty(rows.shape, np.float32)
    for low in range(0, len(rows), _BLOCK_ROWS):
        found[low : low + _BLOCK_ROWS] = coarse_rows(np, rows[low : low + _BLOCK_ROWS], shift).widened()
    return found
