"""The kernels of `evaluate` on the device: cumulative int64 sums, differenced at the runs of profiles.

They have the parameters and results of `engine.cpu.windows`, over arrays of the device. A cumulative sum may wrap
around; its differences are then still those of the CPU's sums. The arithmetic after them is the same code for both
devices, one operation at a time, so no product and sum are fused and the bits agree.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gpuseg.engine.cpu.evaluate import Processor, evaluate_features, universe
from gpuseg.engine.cpu.windows import NEVER
from gpuseg.engine.expression import Expression, attributes_of
from gpuseg.engine.gpu.libraries import Libraries
from gpuseg.engine.gpu.memory import halving

Int64 = npt.NDArray[np.int64]

_BYTES_PER_VALUE = 8
_COPIES = 6
"""Columns, cumulative sums and results of several windows lie in memory together."""


def evaluate_on_device(
    state: Mapping[str, pa.Table], features: Mapping[str, Expression], libraries: Libraries
) -> pa.Table:
    """Feature columns of every profile, in host memory; as many profiles at a time as fit.

    Parameters
    ----------
    state, features : as for `evaluate_features`
    libraries : Libraries
    """
    cupy = libraries.cupy
    processor = Processor(cupy, Windows(libraries), cupy.asarray, cupy.asnumpy)
    described = {a.table for expression in features.values() for a in attributes_of(expression)}
    events = {name: table for name, table in state.items() if name not in described}
    profiles, places, runs = universe(events)
    n_values = sum(table.num_rows * table.num_columns for table in events.values()) + len(profiles) * len(features)
    unit = _COPIES * _BYTES_PER_VALUE * -(-n_values // max(len(profiles), 1))

    def of_profiles(low: int, high: int) -> pa.Table:
        if high - low == len(profiles):
            return evaluate_features(state, features, processor=processor)
        mine = dict(state)
        for name, table in events.items():
            own = np.arange(low, high + 1) if places[name] is None else np.searchsorted(places[name], (low, high))
            first, last = int(own[0]), int(own[-1])
            mine[name] = table.slice(int(runs[name][first]), int(runs[name][last] - runs[name][first]))
        return evaluate_features(mine, features, processor=processor)

    parts = halving(of_profiles, len(profiles), libraries=libraries, what="profiles of a bucket", unit_bytes=unit)
    return pa.concat_tables(parts)


class Windows:
    """Reductions over windows that end together; shapes as in `engine.cpu.windows`."""

    def __init__(self, libraries: Libraries) -> None:
        self._libraries = libraries
        self._cupy = libraries.cupy

    def first_rows(self, runs: Any, day: Any, since: Int64) -> Any:
        """First row of each window of each profile: rows are in order of days, so a window is the last of them."""
        return runs[1:] - self.counts_since(runs, day, since)

    def sums(self, runs: Any, starts: Any, column: Any) -> Any:
        """Sum of a column over each window."""
        total = self._cumulated(column)
        return total[runs[1:]] - total[starts]

    def distinct_days(self, runs: Any, starts: Any, day: Any) -> Any:
        """Number of distinct days in each window: 1 for its first row, and 1 wherever the day changes after it."""
        changed = self._cumulated((day[1:] != day[:-1]).astype(np.int64), before=2)
        stops = runs[1:]
        after = changed[stops] - changed[self._cupy.minimum(starts + 1, stops)]
        return after + (starts < stops)

    def squared_gaps(self, runs: Any, starts: Any, day: Any) -> Any:
        """Sum of the squares of the gaps between successive days in each window."""
        days = day.astype(np.int64)
        gaps = days[1:] - days[:-1]
        total = self._cumulated(gaps * gaps, before=2)
        stops = runs[1:]
        return total[stops] - total[self._cupy.minimum(starts + 1, stops)]

    def extremes(self, runs: Any, starts: Any, column: Any, sign: int) -> Any:
        """Largest (`sign` 1) or smallest (-1) value in each window, `NEVER` in an empty one."""
        profile = self._profiles(runs, column.size)
        row = self._cupy.arange(column.size)
        inside = (row >= starts[window][profile] for window in range(starts.shape[0]))
        return self._extremes_where(inside, profile, column, runs.size - 1, sign)

    def counts_since(self, runs: Any, day: Any, since: Int64) -> Any:
        """Number of rows in each window."""
        return self._sums_where(runs, day, since, None)

    def sums_since(self, runs: Any, day: Any, since: Int64, column: Any) -> Any:
        """Sum of a column over each window."""
        return self._sums_where(runs, day, since, column)

    def extremes_since(self, runs: Any, day: Any, since: Int64, column: Any, sign: int) -> Any:
        """Largest (`sign` 1) or smallest (-1) value in each window, `NEVER` in an empty one."""
        days = day.astype(np.int64)
        inside = (days >= bound for bound in since.tolist())
        return self._extremes_where(inside, self._profiles(runs, day.size), column, runs.size - 1, sign)

    def sums_by_slot(self, runs: Any, day: Any, slot: Any, weights: Any, since: int, n_slots: int) -> Any:
        """Sum of `weights` over the rows of each slot on or after `since`, shape (n_slots, n_profiles)."""
        kept = (slot >= 0) & (day.astype(np.int64) >= since)
        place = slot[kept].astype(np.int64) * (runs.size - 1) + self._profiles(runs, day.size)[kept]
        out = self._cupy.zeros(n_slots * (runs.size - 1), np.int64)
        self._group_into(out, place, weights[kept], "sum")
        return out.reshape(n_slots, runs.size - 1)

    def _sums_where(self, runs: Any, day: Any, since: Int64, column: Any | None) -> Any:
        out = self._cupy.empty((since.size, runs.size - 1), np.int64)
        # CuPy would cut the start of the window that holds everything to the 32 bits of a day.
        days = day.astype(np.int64)
        for window, bound in enumerate(since.tolist()):
            inside = (days >= bound).astype(np.int64)
            total = self._cumulated(inside if column is None else inside * column)
            out[window] = total[runs[1:]] - total[runs[:-1]]
        return out

    def _extremes_where(self, inside: Any, profile: Any, column: Any, n_profiles: int, sign: int) -> Any:
        windows = []
        for rows in inside:
            out = self._cupy.full(n_profiles, int(NEVER), np.int64)
            self._group_into(out, profile[rows], column[rows], "max" if sign > 0 else "min")
            windows.append(out)
        return self._cupy.stack(windows)

    def _group_into(self, out: Any, key: Any, value: Any, how: str) -> None:
        """Put the sum or extreme of the values of each key at the key's place."""
        if key.size:
            frame = self._libraries.cudf.DataFrame({"key": key, "value": value})
            found = frame.groupby("key", sort=False).agg({"value": how}).reset_index()
            out[found["key"].values] = found["value"].values

    def _cumulated(self, values: Any, before: int = 1) -> Any:
        """Sums of the values before each place, with `before` zeros in front."""
        out = self._cupy.zeros(values.size + before, np.int64)
        if values.size:
            out[before:] = self._cupy.cumsum(values)
        return out

    def _profiles(self, runs: Any, n_rows: int) -> Any:
        """Place of each row's profile."""
        return self._cupy.searchsorted(runs[1:], self._cupy.arange(n_rows), side="right")
