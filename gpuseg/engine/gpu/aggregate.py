"""The kernels of `aggregate` on the device: cuDF group-bys over int64, sorted by their keys.

Sums, minima and maxima of integers come out the same in any order, so the state has the bits of the CPU's. Arrays come
from and go back to host memory; text is ranked there.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gpuseg.engine.arrow import as_arrow, as_numpy
from gpuseg.engine.cpu.aggregate import Kernels
from gpuseg.engine.cpu.cells import day_cells
from gpuseg.engine.cpu.ranks import rank_ids
from gpuseg.engine.gpu.libraries import Libraries
from gpuseg.engine.gpu.memory import halving

Int64 = npt.NDArray[np.int64]
Int32 = npt.NDArray[np.int32]

_CLEARLY_FITS = 8.9e18
_BYTES_PER_ROW = 32
_COPIES = 4
"""A group-by holds its rows, their hash table or order, and its results."""


def device_kernels(libraries: Libraries) -> Kernels:
    """The kernels of `aggregate` with the work done by these libraries."""
    on = _Grouping(libraries)
    return Kernels(on.rank_ids, on.day_cells, on.distinct_orders)


class _Grouping:
    """Group-bys with the parameters and results of the compiled kernels of the same names."""

    def __init__(self, libraries: Libraries) -> None:
        self._libraries = libraries

    def rank_ids(self, ids: pa.Array | pa.ChunkedArray) -> tuple[Int32, Any]:
        """Integers are ranked on the device, text on the host."""
        if not pa.types.is_integer(ids.type) or not len(ids):
            return rank_ids(ids)
        cupy = self._libraries.cupy
        try:
            distinct, ranks = cupy.unique(cupy.asarray(as_numpy(ids)), return_inverse=True)
            return cupy.asnumpy(ranks.reshape(-1).astype(np.int32)), as_arrow(cupy.asnumpy(distinct))
        except MemoryError:
            return rank_ids(ids)

    def day_cells(
        self, ranks: Int32, n_profiles: int, day: Int32, category: Int32, at_us: Int64, measures: Int64
    ) -> tuple[Any, ...]:
        """Cells of all profiles, by as many profiles at a time as fit."""
        sums = [f"sum{number}" for number in range(len(measures))]
        how = {"n": "sum", "first": "min", "last": "max", **dict.fromkeys(sums, "sum")}

        def cells(low: int, high: int) -> tuple[Any, ...] | None:
            rows = _rows_between(ranks, low, high, n_profiles)
            keys = {"rank": ranks[rows], "day": day[rows], "category": category[rows]}
            values = {"first": at_us[rows], "last": at_us[rows]}
            values |= {name: measures[number][rows] for number, name in enumerate(sums)}
            frame = self._frame(keys, values)
            frame["n"] = self._libraries.cupy.ones(len(keys["rank"]), np.int64)
            if not self._fits(frame, sums):
                return None
            found = self._grouped(frame, list(keys), how)
            integers = [found[name].astype(np.int32, copy=False) for name in keys]
            return *integers, found["n"], found["first"], found["last"], np.stack([found[name] for name in sums])

        parts = list(self._by_profiles(cells, ranks.size, n_profiles, _BYTES_PER_ROW + 8 * len(measures)))
        if any(part is None for part in parts):
            # Near the end of int64 the CPU decides, row by row.
            found: tuple[Any, ...] = day_cells(ranks, n_profiles, day, category, at_us, measures)
            return found
        joined = [np.concatenate(columns, axis=-1) for columns in zip(*parts, strict=True)]
        return *joined, False

    def distinct_orders(self, ranks: Int32, n_profiles: int, keys: Int64, day: Int32) -> tuple[Int32, Int64, Int32]:
        """Distinct (profile, key), and the first day of each."""

        def orders(low: int, high: int) -> tuple[Any, ...]:
            rows = _rows_between(ranks, low, high, n_profiles)
            frame = self._frame({"rank": ranks[rows], "key": keys[rows]}, {"day": day[rows]})
            found = self._grouped(frame, ["rank", "key"], {"day": "min"})
            return found["rank"], found["key"], found["day"]

        parts = list(self._by_profiles(orders, ranks.size, n_profiles, _BYTES_PER_ROW))
        rank, key, first_day = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        return rank.astype(np.int32, copy=False), key, first_day.astype(np.int32, copy=False)

    def _by_profiles(self, function: Any, n_rows: int, n_profiles: int, row_bytes: int) -> Any:
        rows_each = -(-n_rows // max(n_profiles, 1))
        unit = _COPIES * rows_each * row_bytes
        return halving(function, n_profiles, libraries=self._libraries, what="profiles of a bucket", unit_bytes=unit)

    def _frame(self, keys: dict[str, Any], values: dict[str, Any]) -> Any:
        cupy, cudf = self._libraries.cupy, self._libraries.cudf
        return cudf.DataFrame({name: cupy.asarray(column) for name, column in (keys | values).items()})

    def _grouped(self, frame: Any, keys: list[str], how: dict[str, str]) -> dict[str, Any]:
        """Columns of the groups in ascending order of their keys, in host memory."""
        found = frame.groupby(keys, sort=True).agg(how).reset_index()
        return {name: self._libraries.cupy.asnumpy(found[name].values) for name in (*keys, *how)}

    def _fits(self, frame: Any, sums: list[str]) -> bool:
        """Whether no sum of any profile can come near the end of int64, which group-bys pass silently."""
        cupy, cudf = self._libraries.cupy, self._libraries.cudf
        columns = {name: cupy.abs(frame[name].values.astype(np.float64)) for name in sums}
        sizes = cudf.DataFrame({"rank": frame["rank"].values, **columns})
        totals = sizes.groupby("rank", sort=False).agg(dict.fromkeys(sums, "sum"))
        return all(float(totals[name].max()) <= _CLEARLY_FITS for name in sums) if len(totals) else True


def _rows_between(ranks: Int32, low: int, high: int, n_profiles: int) -> Any:
    """What selects the rows of profiles low to high."""
    return slice(None) if high - low == n_profiles else (ranks >= low) & (ranks < high)
