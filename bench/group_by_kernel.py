"""A candidate for `aggregate` on a GPU: group-bys by a hash table of our own in place of cuDF's. Not yet run on a GPU.

It goes into the package only where `gpu_group_by.py` finds it at least 1.3 times as fast; results are the same. Rows go
into an open-addressing table in global memory, sized by a sketch of the number of distinct keys; groups that are hot
meet in each block's shared memory first; the keys of the groups alone are sorted. The kernels are in `group_by.cu`.

Why a table and not a sort of the rows: for n rows with two measures in n / 4 groups, the table moves about 290 bytes a
row: 12 for the sketch, 24 to clear it, 36 to read the row, 128 for two sectors of 32 bytes read and written back around
its slot, 26 to list the groups, 34 to sort them, 31 to write columns. Sorting all rows by key moves about 410: 20 to
make the keys, 264 for eight passes over key and place, 112 to gather three columns by place, and the columns. Both have
about a hundred bytes at random; with more rows to a group the table's share shrinks and the sort's does not.
"""

from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

THREADS = 512
SKETCH_BITS = 12
KEY_BITS = 56
"""Of a key of one number: a sort needs eight more for how far it lies from home."""

LEAST_SLOTS = 64
_SLOTS_PER_GROUP = 2
_CACHE_BYTES = 48 << 10
"""Shared memory that every kernel may take without asking."""

_MOST_ROWS = 2**31 - 1
_REGISTERS, _THREADS_TOGETHER, _KEPT_BYTES = 65_536, 2_048, 1_024
_LARGEST, _SMALLEST = np.iinfo(np.int64).max, np.iinfo(np.int64).min
_NOTHING = np.uint64(0)


class Cells(NamedTuple):
    """Day cells in ascending order of (rank, day, category), as arrays of the device.

    Parameters
    ----------
    rank, day, category : int32 arrays, shape (groups,)
    n, first, last : int64 arrays, shape (groups,)
    sums : int64 array, shape (n_measures, groups)
    groups : int
    """

    rank: Any
    day: Any
    category: Any
    n: Any
    first: Any
    last: Any
    sums: Any
    groups: int


class Orders(NamedTuple):
    """Distinct orders in ascending order of (rank, key), as arrays of the device.

    Parameters
    ----------
    rank : int32 array, shape (groups,)
    key : int64 array, shape (groups,)
    first_day : int32 array, shape (groups,)
    groups : int
    """

    rank: Any
    key: Any
    first_day: Any
    groups: int


def day_cells(cupy: Any, ranks: Any, day: Any, category: Any, at_us: Any, measures: Any) -> Cells:
    """Cells of all rows.

    Parameters
    ----------
    cupy : module
    ranks, day, category : int32 arrays of the device, shape (n_rows,)
        Ranks are at least 0.
    at_us : int64 array of the device, shape (n_rows,)
    measures : int64 array of the device, shape (n_measures, n_rows)
        At least one. Sums pass the end of int64 silently, as cuDF's do; the package looks for that before.
    """
    n_measures, n = len(measures), len(ranks)
    if not n:
        no_key, nothing = cupy.empty(0, np.int32), cupy.empty(0, np.int64)
        sums = cupy.empty((n_measures, 0), np.int64)
        return Cells(no_key, no_key, no_key, nothing, nothing, nothing, sums, 0)
    columns = [cupy.ascontiguousarray(column) for column in (ranks, day, category, at_us, measures)]
    rank, second, third, first, rest = _grouped(cupy, columns, n_measures)
    last, lines, sums = rest
    return Cells(rank, second, third, lines, first, last, sums, len(rank))


def distinct_orders(cupy: Any, ranks: Any, keys: Any, day: Any) -> Orders:
    """Distinct (rank, key), and the first day of each.

    Parameters
    ----------
    cupy : module
    ranks : int32 array of the device, shape (n_rows,)
        At least 0.
    keys : int64 array of the device, shape (n_rows,)
    day : int32 array of the device, shape (n_rows,)
    """
    if not len(ranks):
        return Orders(cupy.empty(0, np.int32), cupy.empty(0, np.int64), cupy.empty(0, np.int32), 0)
    ranks, keys, day = (cupy.ascontiguousarray(column) for column in (ranks, keys, day))
    rank, second, _, first, _ = _grouped(cupy, [ranks, keys, _NOTHING, day, _NOTHING], 0)
    return Orders(rank, second, first, len(rank))


@dataclass(frozen=True)
class Shape:
    """What the kernels are compiled for.

    Parameters
    ----------
    n_measures : int
        0 for distinct orders.
    wide : bool
        Whether a key is two numbers.
    """

    n_measures: int
    wide: bool = False

    @property
    def options(self) -> tuple[str, ...]:
        """What the compiler is told."""
        cells, wide = int(self.n_measures > 0), int(self.wide)
        macros = {"CELLS": cells, "MEASURES": self.n_measures, "WIDE": wide, "CACHE": self.cache}
        return ("-std=c++17", *(f"-D{name}={value}" for name, value in macros.items()))

    @property
    def slot_words(self) -> int:
        """Numbers of 8 bytes in a slot: the key, bounds, lines and sums."""
        return 1 + self.wide + (3 + self.n_measures if self.n_measures else 1)

    @property
    def cache(self) -> int:
        """Groups that a block keeps, a power of two; distinct orders settle without."""
        return 1 << (_CACHE_BYTES // self._place_bytes).bit_length() - 1 if self.n_measures else 0

    @property
    def cache_bytes(self) -> int:
        """Shared memory of these groups."""
        return self.cache * self._place_bytes

    @property
    def _place_bytes(self) -> int:
        return 8 * (1 + self.wide) + 20 + 8 * self.n_measures


@dataclass(frozen=True)
class Packing:
    """How columns become keys: `tail_bits` hold the second and third key, `third_bits` of them the third."""

    second_least: int
    third_least: int
    third_bits: int
    tail_bits: int

    @property
    def arguments(self) -> tuple[Any, ...]:
        """As the kernels take them."""
        small = (self.third_least, self.third_bits, self.tail_bits)
        return np.int64(self.second_least), *(np.int32(value) for value in small)


class Kernels:
    """The kernels of one shape on one device."""

    def __init__(self, cupy: Any, shape: Shape) -> None:
        self.cupy, self.shape = cupy, shape
        self._attributes = cupy.cuda.Device().attributes
        self._module = cupy.RawModule(code=source(), options=shape.options)
        self._made: dict[str, tuple[Any, int]] = {}

    def call(self, name: str, n_items: int, arguments: tuple[Any, ...], *, n_bytes: int = 0) -> None:
        """Run a kernel over items, by no more blocks than the device holds at a time."""
        if name not in self._made:
            kernel = self._module.get_function(name)
            self._made[name] = kernel, max(int(kernel.num_regs), 1)
        kernel, n_registers = self._made[name]
        together = min(
            int(self._attributes["MaxSharedMemoryPerMultiprocessor"]) // (n_bytes + _KEPT_BYTES),
            _REGISTERS // (n_registers * THREADS),
            _THREADS_TOGETHER // THREADS,
        )
        n_blocks = min(-(-n_items // THREADS), max(together, 1) * int(self._attributes["MultiProcessorCount"]))
        kernel((max(n_blocks, 1),), (THREADS,), arguments, shared_mem=n_bytes)


@cache
def source() -> str:
    """CUDA C++ of all kernels, for the macros of `Shape.options`."""
    return Path(__file__).with_name("group_by.cu").read_text("utf-8")


@lru_cache(maxsize=32)
def kernels_of(cupy: Any, shape: Shape) -> Kernels:
    """The kernels of a shape, compiled once."""
    return Kernels(cupy, shape)


def estimated(sketch: Any) -> float:
    """Distinct keys, by the HyperLogLog sketch of the device (Flajolet et al., 2007); off by 2 % or so."""
    m = len(sketch)
    found = 0.7213 / (1 + 1.079 / m) * m * m / np.ldexp(1.0, -sketch.astype(np.int32)).sum()
    n_zero = int((sketch == 0).sum())
    return float(m * np.log(m / n_zero)) if found <= 2.5 * m and n_zero else float(found)


def _grouped(cupy: Any, columns: list[Any], n_measures: int) -> tuple[Any, Any, Any, Any, tuple[Any, Any, Any]]:
    """Columns rank, second, third, first, and (last, n, sums); those that there are none of are 0."""
    if len(columns[0]) > _MOST_ROWS:
        raise ValueError(f"{len(columns[0]):,} rows at once; at most {_MOST_ROWS:,}")
    packing, wide, capacity = _plan(cupy, columns, n_measures)
    kernels = kernels_of(cupy, Shape(n_measures, wide))
    slots, capacity, groups = _filled(kernels, columns, packing, capacity)
    ordered = _in_order(kernels, slots, capacity, groups)
    rank, second, first = (cupy.empty(groups, column.dtype) for column in (columns[0], columns[1], columns[3]))
    third, last, lines, sums = (_NOTHING,) * 4
    if n_measures:
        third = cupy.empty(groups, np.int32)
        last, lines = cupy.empty(groups, np.int64), cupy.empty(groups, np.int64)
        sums = cupy.empty((n_measures, groups), np.int64)
    found = (slots, np.int64(capacity), ordered, np.int64(groups), *packing.arguments)
    kernels.call("read_groups", groups, (*found, rank, second, third, first, last, lines, sums))
    return rank, second, third, first, (last, lines, sums)


def _plan(cupy: Any, columns: list[Any], n_measures: int) -> tuple[Packing, bool, int]:
    """How keys are packed, whether they take two numbers, and slots for twice as many groups as there seem to be."""
    kernels = kernels_of(cupy, Shape(n_measures))
    n = len(columns[0])
    begun = np.zeros(5 + (1 << SKETCH_BITS) // 2, np.int64)
    begun[:5] = _SMALLEST, _SMALLEST, _LARGEST, _SMALLEST, _LARGEST
    # One array, so that one copy brings it all to the host.
    room = cupy.asarray(begun)
    arguments = (*columns[:3], np.int64(n), room[:5], room[5:])
    kernels.call("survey_keys", n, arguments, n_bytes=4 << SKETCH_BITS)
    host = np.asarray(cupy.asnumpy(room))
    rank, second_most, second_least, third_most, third_least = (int(bound) for bound in host[:5])
    capacity = LEAST_SLOTS + int(_SLOTS_PER_GROUP * min(estimated(host[5:].view(np.uint32)), n))
    third_bits = (third_most - third_least).bit_length()
    tail_bits = third_bits + (second_most - second_least).bit_length()
    if rank.bit_length() + tail_bits <= KEY_BITS:
        return Packing(second_least, third_least, third_bits, tail_bits), False, capacity
    return Packing(second_least, third_least, 32 if n_measures else 0, 64), True, capacity


def _filled(kernels: Kernels, columns: list[Any], packing: Packing, capacity: int) -> tuple[Any, int, int]:
    """The table, its slots and its groups; once more with a slot to spare for each row where it was too small."""
    cupy, n, shape = kernels.cupy, len(columns[0]), kernels.shape
    for slots_now in (capacity, _SLOTS_PER_GROUP * max(n, capacity)):
        slots = cupy.empty(slots_now * shape.slot_words, np.uint64)
        kernels.call("clear_table", slots.size, (slots, np.int64(slots_now)))
        state = cupy.zeros(2, np.uint64)
        arguments = (*columns, np.int64(n), *packing.arguments, slots, np.int64(slots_now), state)
        kernels.call("group_rows", n, arguments, n_bytes=shape.cache_bytes)
        full, groups = (int(value) for value in cupy.asnumpy(state))
        if not full:
            return slots, slots_now, groups
        del slots
    raise RuntimeError("a table with two slots a row has no place for a row")


def _in_order(kernels: Kernels, slots: Any, capacity: int, groups: int) -> Any:
    """What tells `read_groups` the slots in ascending order of their keys."""
    cupy, wide = kernels.cupy, kernels.shape.wide
    keys = cupy.empty((2, groups) if wide else groups, np.uint64)
    places = cupy.empty(groups if wide else 0, np.uint64)
    arguments = (slots, np.int64(capacity), np.int64(groups), keys, places, cupy.zeros(1, np.uint64))
    kernels.call("collect_groups", -(-capacity // 8), arguments)
    if not wide:
        keys.sort()
        return keys
    # CuPy's lexsort compares; its argsort of one column is a radix sort, and stable.
    order = cupy.argsort(keys[0], kind="stable")
    order = order[cupy.argsort(keys[1][order], kind="stable")]
    return places[order]
