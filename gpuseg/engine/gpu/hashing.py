"""XXH64 of integer ids as arithmetic on device arrays (Collet, xxHash specification 0.1.1)."""

from typing import Any

import numpy as np

_P1, _P2, _P3 = (np.uint64(p) for p in (0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9))
_P4 = np.uint64(0x85EBCA77C2B2AE63)
_P5 = 0x27D4EB2F165667C5
_WIDTH = 8
_MASK = 2**64 - 1


def hash_int64(values: Any, seed: int) -> Any:
    """uint64 XXH64 of each value's eight little-endian bytes, an array of the same device.

    Parameters
    ----------
    values : int64 array of the device
    seed : int
        0 to 2^64 - 1.
    """
    lanes = _rotated(values.view(np.uint64) * _P2, 31) * _P1
    found = _rotated(lanes ^ np.uint64((seed + _P5 + _WIDTH) & _MASK), 27) * _P1 + _P4
    found = (found ^ (found >> np.uint64(33))) * _P2
    found = (found ^ (found >> np.uint64(29))) * _P3
    return found ^ (found >> np.uint64(32))


def _rotated(values: Any, bits: int) -> Any:
    return (values << np.uint64(bits)) | (values >> np.uint64(64 - bits))
