"""Feature expressions on the CPU: one compiled pass over each state table, then float64 arithmetic."""

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import numba as nb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from gpuseg.engine.arrow import as_arrow, as_numpy, codes_of
from gpuseg.engine.cpu.attributes import Value, attribute_values
from gpuseg.engine.cpu.ranks import rank_ids, sorted_runs
from gpuseg.engine.expression import (
    DECAY_UNIT,
    Arithmetic,
    AtMost,
    Attribute,
    Constant,
    Expression,
    Reduction,
    SquareRoot,
    attributes_of,
    is_integer,
    reductions_of,
)

_SUM, _COUNT, _COUNT_DISTINCT, _MIN, _MAX, _SQUARED_GAPS = range(6)
_CODES = {
    "sum": _SUM,
    "count": _COUNT,
    "count_distinct": _COUNT_DISTINCT,
    "min": _MIN,
    "max": _MAX,
    "sum_squared_gaps": _SQUARED_GAPS,
}
_NEVER = np.int64(-(2**62))
ColumnKey: TypeAlias = tuple[str, int | None, int]


def evaluate_features(state: Mapping[str, pa.Table], features: Mapping[str, Expression]) -> pa.Table:
    """Feature columns of every profile that the tables hold.

    Parameters
    ----------
    state : mapping of table name to Arrow table
        Sorted by `profile_id`, and by `day` within a profile where a reduction looks at distinct days.
    features : mapping of feature name to Expression

    Returns
    -------
    Arrow table
        `profile_id`, ascending, and one int64 or float64 column a feature.
    """
    reductions = dict.fromkeys(r for expression in features.values() for r in reductions_of(expression))
    attributes = dict.fromkeys(a for expression in features.values() for a in attributes_of(expression))
    described = {attribute.table for attribute in attributes}
    profiles, places, runs = _universe({name: table for name, table in state.items() if name not in described})
    reduced: dict[Expression, Value] = attribute_values(state, attributes, profiles)
    for name in dict.fromkeys(reduction.table for reduction in reductions):
        wanted = [reduction for reduction in reductions if reduction.table == name]
        values = _reduce_table(state[name], runs[name], wanted)
        reduced |= {
            reduction: _spread(value, places[name], len(profiles), reduction)
            for reduction, value in zip(wanted, values, strict=True)
        }
    columns = {"profile_id": profiles}
    for feature, expression in features.items():
        value = _compute(expression, reduced)
        null = value.null if is_integer(expression) else ~np.isfinite(value.values)
        columns[feature] = as_arrow(value.values, null)
    return pa.table(columns)


def _universe(state: Mapping[str, pa.Table]) -> tuple[Any, dict[str, Any], dict[str, npt.NDArray[np.int64]]]:
    """All profile ids in order, and for each table the place of its profiles and the offsets of their rows."""
    runs, ids = {}, {}
    for name, table in state.items():
        runs[name], ids[name] = sorted_runs(table["profile_id"])
    first = next(iter(ids.values()))
    if all(other.equals(first) for other in ids.values()):
        return first, dict.fromkeys(ids), runs
    _, profiles = rank_ids(pa.concat_arrays(list(ids.values())))
    places = {name: as_numpy(pc.index_in(own, profiles)) for name, own in ids.items()}
    return profiles, places, runs


def _reduce_table(
    table: pa.Table, runs: npt.NDArray[np.int64], reductions: list[Reduction]
) -> list[npt.NDArray[np.int64]]:
    """Values of each reduction, shape (n_profiles of the table,)."""
    columns = {key: position for position, key in enumerate(_columns_of(reductions))}
    data = [_weighted(table, *key) for key in columns]
    slots, category = _category_slots(table, reductions)
    plain = [r for r in reductions if r.category is None]
    by_category = [r for r in reductions if r.category is not None]
    day = as_numpy(table["day"])
    out = np.empty((len(plain), runs.size - 1), np.int64)
    operations = np.array([_CODES[r.operation] for r in plain], np.int64)
    sources = np.array([columns.get(_key_of(r), 0) for r in plain], np.int64)
    since = np.array([_NEVER if r.since_day is None else r.since_day for r in plain], np.int64)
    stacked = np.stack(data) if data else np.empty((1, 0), np.int64)
    # Only such tables promise to be in order of days; the others are searched whole for the rows of a window.
    by_day = any(r.operation in ("count_distinct", "sum_squared_gaps") for r in plain)
    _reduce(runs, day, stacked, operations, sources, since, by_day, out)
    values = dict(zip(plain, out, strict=True))
    for (operation, key, since_day), group in _grouped(by_category).items():
        if operation not in ("sum", "count"):
            raise ValueError(f"{operation} of one category is not a reduction of the state")
        weights = data[columns[key]] if operation == "sum" else np.ones(day.size, np.int64)
        sums = np.zeros((len(slots), runs.size - 1), np.int64)
        bound = _NEVER if since_day is None else np.int64(since_day)
        _sum_by_category(runs, day, category, weights, bound, sums)
        values |= {reduction: sums[slots[reduction.category]] for reduction in group}
    return [values[reduction] for reduction in reductions]


def _key_of(reduction: Reduction) -> ColumnKey:
    return reduction.column, reduction.half_life_days, reduction.as_of_day


def _columns_of(reductions: Iterable[Reduction]) -> list[ColumnKey]:
    return list(dict.fromkeys(_key_of(r) for r in reductions if r.operation in ("sum", "min", "max")))


def _weighted(table: pa.Table, column: str, half_life_days: int | None, as_of_day: int) -> npt.NDArray[np.int64]:
    """A column as int64, each row times the weight of its age where it decays."""
    values = as_numpy(table[column]).astype(np.int64, copy=False)
    if half_life_days is None:
        return values
    ages = np.maximum(as_of_day - 1 - as_numpy(table["day"]), 0)
    weights = np.rint(DECAY_UNIT * np.exp2(-np.arange(int(ages.max(initial=0)) + 1) / half_life_days))
    return values * weights.astype(np.int64).take(ages)


def _grouped(reductions: list[Reduction]) -> dict[tuple[str, ColumnKey, int | None], list[Reduction]]:
    groups: dict[tuple[str, ColumnKey, int | None], list[Reduction]] = {}
    for r in reductions:
        groups.setdefault((r.operation, _key_of(r), r.since_day), []).append(r)
    return groups


def _category_slots(
    table: pa.Table, reductions: list[Reduction]
) -> tuple[dict[str | None, int], npt.NDArray[np.int32]]:
    """A slot for each category that is asked for, and the slot of each row, -1 for none."""
    names = dict.fromkeys(r.category for r in reductions if r.category is not None)
    slots: dict[str | None, int] = {name: slot for slot, name in enumerate(names)}
    if not slots:
        return slots, np.empty(0, np.int32)
    column = table["category"]
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    column = column.unify_dictionaries().combine_chunks()
    if isinstance(column, pa.ChunkedArray):
        column = column.chunk(0) if column.num_chunks else pa.nulls(0, column.type)
    slot_of_code = np.array([slots.get(name, -1) for name in column.dictionary.to_pylist()] + [-1], np.int32)
    codes = codes_of(column)
    return slots, slot_of_code.take(codes)


@nb.njit(cache=True, nogil=True)
def _reduce(runs, day, columns, operations, sources, since, by_day, out):  # type: ignore[no-untyped-def]
    for profile in range(runs.size - 1):
        first, high = runs[profile], runs[profile + 1]
        for r in range(operations.size):
            column = columns[sources[r]]
            bound = since[r]
            low = first
            if by_day and bound != _NEVER:
                low = high
                while low > first and day[low - 1] >= bound:
                    low -= 1
            value = np.int64(0)
            if operations[r] == _SUM:
                for row in range(low, high):
                    value += column[row] if day[row] >= bound else 0
            elif operations[r] == _COUNT:
                for row in range(low, high):
                    value += 1 if day[row] >= bound else 0
            elif operations[r] == _MIN or operations[r] == _MAX:
                # The extreme of nothing is marked, and becomes null.
                value = _NEVER
                for row in range(low, high):
                    found = column[row]
                    better = found < value if operations[r] == _MIN else found > value
                    if day[row] >= bound and (value == _NEVER or better):
                        value = found
            else:
                value = _over_days(day, low, high, operations[r])
            out[r, profile] = value


@nb.njit(nogil=True)
def _over_days(day, start, high, operation):  # type: ignore[no-untyped-def]
    """Number of distinct days, or the sum of squares of the gaps between them."""
    value = np.int64(1 if operation == _COUNT_DISTINCT and start < high else 0)
    for row in range(start + 1, high):
        gap = np.int64(day[row]) - np.int64(day[row - 1])
        if gap:
            value += 1 if operation == _COUNT_DISTINCT else gap * gap
    return value


@nb.njit(cache=True, nogil=True)
def _sum_by_category(runs, day, category, weights, bound, out):  # type: ignore[no-untyped-def]
    for profile in range(runs.size - 1):
        for row in range(runs[profile], runs[profile + 1]):
            slot = category[row]
            if slot >= 0 and day[row] >= bound:
                out[slot, profile] += weights[row]


def _spread(
    values: npt.NDArray[np.int64], places: npt.NDArray[Any] | None, n_profiles: int, reduction: Reduction
) -> Value:
    """Values of a table's profiles at their places among all profiles; empty sums are 0, empty extremes null."""
    extreme = reduction.operation in ("min", "max")
    if places is not None:
        wide = np.full(n_profiles, _NEVER if extreme else 0, np.int64)
        wide[places] = values
        values = wide
    if not extreme:
        return Value(values)
    null = values == _NEVER
    return Value(np.where(null, 0, values), null) if null.any() else Value(values)


def _compute(expression: Expression, reduced: Mapping[Expression, Value]) -> Value:
    match expression:
        case Reduction() | Attribute():
            return reduced[expression]
        case Constant(value):
            return Value(np.int64(value))  # type: ignore[arg-type]
        case SquareRoot(operand):
            inner = _as_float(_compute(operand, reduced))
            with np.errstate(invalid="ignore"):
                return Value(np.sqrt(inner))
        case Arithmetic(operator, left, right):
            return _arithmetic(operator, _compute(left, reduced), _compute(right, reduced))
        case AtMost(left, right):
            least, most = _compute(left, reduced), _compute(right, reduced)
            return Value((least.values <= most.values).astype(np.int64), _either(least, most))
        case _:
            raise TypeError(f"not an expression: {expression!r}")


def _arithmetic(operator: str, left: Value, right: Value) -> Value:
    if operator == "/":
        with np.errstate(divide="ignore", invalid="ignore"):
            return Value(np.divide(_as_float(left), _as_float(right)))
    if left.values.dtype == np.float64 or right.values.dtype == np.float64:
        left, right = Value(_as_float(left)), Value(_as_float(right))
    operation = {"+": np.add, "-": np.subtract, "*": np.multiply}[operator]
    return Value(operation(left.values, right.values), _either(left, right))


def _either(left: Value, right: Value) -> npt.NDArray[np.bool_] | None:
    """Where one of the two is null."""
    null = [side.null for side in (left, right) if side.null is not None]
    return np.logical_or.reduce(null) if null else None


def _as_float(value: Value) -> npt.NDArray[np.float64]:
    values = np.asarray(value.values, np.float64)
    return values if value.null is None else np.where(value.null, np.nan, values)
