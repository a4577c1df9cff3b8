"""XXH64 of profile ids (Collet, xxHash specification 0.1.1), compiled.

It decides the bucket of a profile and its place in samples, so it must be the same on every device; cuDF offers the
same function as `hash_values(method="xxhash64")`.
"""

from typing import Any

import numba as nb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gpuseg.engine.arrow import as_numpy
from gpuseg.engine.kernels import compiled

_P1 = np.uint64(0x9E3779B185EBCA87)
_P2 = np.uint64(0xC2B2AE3D27D4EB4F)
_P3 = np.uint64(0x165667B19E3779F9)
_P4 = np.uint64(0x85EBCA77C2B2AE63)
_P5 = np.uint64(0x27D4EB2F165667C5)
_U8 = np.uint64(8)


@nb.njit(inline="always")
def _rotate(value, bits):  # type: ignore[no-untyped-def]
    return (value << np.uint64(bits)) | (value >> np.uint64(64 - bits))


@nb.njit(inline="always")
def _round(accumulator, lane):  # type: ignore[no-untyped-def]
    return _rotate(accumulator + lane * _P2, 31) * _P1


@nb.njit(inline="always")
def _avalanche(value):  # type: ignore[no-untyped-def]
    value ^= value >> np.uint64(33)
    value *= _P2
    value ^= value >> np.uint64(29)
    value *= _P3
    return value ^ (value >> np.uint64(32))


@nb.njit(inline="always")
def _word(data, at, width):  # type: ignore[no-untyped-def]
    value = np.uint64(0)
    for byte in range(width):
        value |= np.uint64(data[at + byte]) << (_U8 * np.uint64(byte))
    return value


@compiled
def hash_int64(values: npt.NDArray[np.int64], seed: np.uint64) -> npt.NDArray[np.uint64]:
    """XXH64 of each value's eight little-endian bytes."""
    out = np.empty(values.size, np.uint64)
    for row in range(values.size):
        h = seed + _P5 + _U8
        h ^= _round(np.uint64(0), np.uint64(values[row]))
        h = _rotate(h, 27) * _P1 + _P4
        out[row] = _avalanche(h)
    return out


@nb.njit(inline="always")
def _stripes(data, at, end, seed):  # type: ignore[no-untyped-def]
    a, b, c, d = seed + _P1 + _P2, seed + _P2, seed, seed - _P1
    while at + 32 <= end:
        a = _round(a, _word(data, at, 8))
        b = _round(b, _word(data, at + 8, 8))
        c = _round(c, _word(data, at + 16, 8))
        d = _round(d, _word(data, at + 24, 8))
        at += 32
    h = _rotate(a, 1) + _rotate(b, 7) + _rotate(c, 12) + _rotate(d, 18)
    for lane in (a, b, c, d):
        h = (h ^ _round(np.uint64(0), lane)) * _P1 + _P4
    return h, at


@compiled
def hash_text(data: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int64], seed: np.uint64) -> npt.NDArray[np.uint64]:
    """XXH64 of each string's bytes; `offsets` has one more entry than there are strings."""
    n_rows = offsets.size - 1
    out = np.empty(n_rows, np.uint64)
    for row in range(n_rows):
        at, end = offsets[row], offsets[row + 1]
        length = np.uint64(end - at)
        if end - at >= 32:
            h, at = _stripes(data, at, end, seed)
        else:
            h = seed + _P5
        h += length
        while at + 8 <= end:
            h = _rotate(h ^ _round(np.uint64(0), _word(data, at, 8)), 27) * _P1 + _P4
            at += 8
        if at + 4 <= end:
            h = _rotate(h ^ (_word(data, at, 4) * _P1), 23) * _P2 + _P3
            at += 4
        while at < end:
            h = _rotate(h ^ (np.uint64(data[at]) * _P5), 11) * _P1
            at += 1
        out[row] = _avalanche(h)
    return out


def hash_ids(ids: Any, seed: int) -> npt.NDArray[np.uint64]:
    """uint64 XXH64 of each id of a NumPy or Arrow array; anything where it is null."""
    if isinstance(ids, np.ndarray):
        return hash_int64(ids, np.uint64(seed))
    if isinstance(ids, pa.ChunkedArray):
        parts = [hash_ids(chunk, seed) for chunk in ids.chunks]
        return np.concatenate(parts) if parts else np.empty(0, np.uint64)
    if pa.types.is_integer(ids.type):
        return hash_int64(as_numpy(ids), np.uint64(seed))
    text = ids.cast(pa.large_string())
    _, offsets, data = text.buffers()
    bounds = np.frombuffer(offsets, np.int64)[text.offset : text.offset + len(text) + 1]
    content = np.frombuffer(data, np.uint8) if data is not None else np.empty(0, np.uint8)
    return hash_text(content, bounds, np.uint64(seed))


@compiled
def order_by_bucket(
    hashes: npt.NDArray[np.uint64], n_buckets: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Stable order of rows by bucket (`hash % n_buckets`) and the offsets between buckets, by counting."""
    modulus = np.uint64(n_buckets)
    offsets = np.zeros(n_buckets + 1, np.int64)
    buckets = np.empty(hashes.size, np.int32)
    for row in range(hashes.size):
        buckets[row] = np.int32(hashes[row] % modulus)
        offsets[buckets[row] + 1] += 1
    for bucket in range(n_buckets):
        offsets[bucket + 1] += offsets[bucket]
    cursor = offsets[:-1].copy()
    order = np.empty(hashes.size, np.int64)
    for row in range(hashes.size):
        order[cursor[buckets[row]]] = row
        cursor[buckets[row]] += 1
    return order, offsets
