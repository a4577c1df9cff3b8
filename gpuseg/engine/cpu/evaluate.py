"""Feature expressions: one pass of a processor over each state table, then its float64 arithmetic."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from gpuseg.engine.arrow import as_arrow, as_numpy, codes_of, frozen
from gpuseg.engine.cpu import windows
from gpuseg.engine.cpu.attributes import Value, attribute_values
from gpuseg.engine.cpu.ranks import rank_ids, sorted_runs
from gpuseg.engine.expression import (
    DECAY_UNIT,
    Arithmetic,
    AtMost,
    Attribute,
    Constant,
    Expression,
    Operation,
    Reduction,
    SquareRoot,
    attributes_of,
    is_integer,
    may_be_null,
    reductions_of,
)

ColumnKey: TypeAlias = tuple[str, int | None, int]


def _same(array: Any) -> Any:
    return array


@dataclass(frozen=True)
class Processor:
    """What reduces and computes; the default is NumPy with the compiled kernels.

    Parameters
    ----------
    arrays : module
        NumPy, or one that speaks as it does.
    windows : object
        With the functions of `engine.cpu.windows`, over arrays of the processor.
    to_device, to_host : callable
        From NumPy arrays to the processor's, and back.
    """

    arrays: Any = np
    windows: Any = windows
    to_device: Callable[[npt.NDArray[Any]], Any] = _same
    to_host: Callable[[Any], npt.NDArray[Any]] = _same


_HOST = Processor()


def evaluate_features(
    state: Mapping[str, pa.Table], features: Mapping[str, Expression], *, processor: Processor = _HOST
) -> pa.Table:
    """Feature columns of every profile that the tables hold.

    Parameters
    ----------
    state : mapping of table name to Arrow table
        Sorted by `profile_id`, and by `day` within a profile where a reduction looks at distinct days.
    features : mapping of feature name to Expression
    processor : Processor

    Returns
    -------
    Arrow table
        `profile_id`, ascending, and one int64 or float64 column a feature.
    """
    reductions = dict.fromkeys(r for expression in features.values() for r in reductions_of(expression))
    attributes = dict.fromkeys(a for expression in features.values() for a in attributes_of(expression))
    described = {attribute.table for attribute in attributes}
    profiles, places, runs = universe({name: table for name, table in state.items() if name not in described})
    reduced: dict[Expression, Value] = {
        attribute: _moved(value, processor)
        for attribute, value in attribute_values(state, attributes, profiles).items()
    }
    for name in dict.fromkeys(reduction.table for reduction in reductions):
        wanted = [reduction for reduction in reductions if reduction.table == name]
        values = _reduce_table(state[name], runs[name], wanted, processor)
        spread = None if places[name] is None else processor.to_device(places[name])
        reduced |= {r: _spread(values[r], spread, len(profiles), r, processor.arrays) for r in wanted}
    columns = {"profile_id": profiles}
    for feature, expression in features.items():
        value = _compute(expression, reduced, processor.arrays)
        null = None
        if may_be_null(expression):
            null = value.null if is_integer(expression) else ~processor.arrays.isfinite(value.values)
        columns[feature] = as_arrow(processor.to_host(value.values), None if null is None else processor.to_host(null))
    return pa.table(columns)


def _moved(value: Value, processor: Processor) -> Value:
    null = None if value.null is None else processor.to_device(value.null)
    return Value(processor.to_device(value.values), null)


def universe(state: Mapping[str, pa.Table]) -> tuple[Any, dict[str, Any], dict[str, npt.NDArray[np.int64]]]:
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
    table: pa.Table, offsets: npt.NDArray[np.int64], reductions: Sequence[Reduction], processor: Processor
) -> dict[Expression, npt.NDArray[np.int64]]:
    """Values of each reduction, shape (n_profiles of the table,)."""
    slots, slots_of_rows = _category_slots(table, reductions)
    kernels, to_device = processor.windows, processor.to_device
    runs, day, slot_of_row = to_device(offsets), to_device(as_numpy(table["day"])), to_device(slots_of_rows)
    # Only such tables promise to be in order of days.
    by_day = any(r.operation in ("count_distinct", "sum_squared_gaps") for r in reductions)
    values: dict[Expression, npt.NDArray[np.int64]] = {}
    starts: dict[tuple[int, ...], npt.NDArray[np.int64]] = {}
    for (operation, key, by_category), group in _grouped(reductions).items():
        column = to_device(_weighted(table, *key)) if operation in ("sum", "min", "max") else None
        since = tuple(sorted({_since(r) for r in group}, reverse=True))
        if by_category:
            if operation not in ("sum", "count"):
                raise ValueError(f"{operation} of one category is not a reduction of the state")
            weights = to_device(frozen(np.ones(table.num_rows, np.int64))) if column is None else column
            for bound in since:
                found = kernels.sums_by_slot(runs, day, slot_of_row, weights, bound, len(slots))
                values |= {r: found[slots[r.category]] for r in group if _since(r) == bound}
        else:
            if not by_day:
                found = _of_all_rows(kernels, operation, runs, day, frozen(np.array(since)), column)
            else:
                if since not in starts:
                    starts[since] = kernels.first_rows(runs, day, frozen(np.array(since)))
                found = _of_ordered_rows(kernels, operation, runs, day, starts[since], column)
            values |= {r: found[since.index(_since(r))] for r in group}
    return values


def _of_all_rows(
    kernels: Any,
    operation: Operation,
    runs: npt.NDArray[np.int64],
    day: npt.NDArray[np.int32],
    since: npt.NDArray[np.int64],
    column: npt.NDArray[np.int64] | None,
) -> npt.NDArray[np.int64]:
    """One operation over several windows, shape (n_windows, n_profiles), where rows are in any order."""
    match operation:
        case "count":
            return kernels.counts_since(runs, day, since)
        case "sum":
            return kernels.sums_since(runs, day, since, column)
        case _:
            return kernels.extremes_since(runs, day, since, column, 1 if operation == "max" else -1)


def _of_ordered_rows(
    kernels: Any,
    operation: Operation,
    runs: npt.NDArray[np.int64],
    day: npt.NDArray[np.int32],
    starts: npt.NDArray[np.int64],
    column: npt.NDArray[np.int64] | None,
) -> npt.NDArray[np.int64]:
    """The same where they are in order of days, from the first row of each window."""
    match operation:
        case "count":
            return runs[1:] - starts
        case "sum":
            return kernels.sums(runs, starts, column)
        case "count_distinct":
            return kernels.distinct_days(runs, starts, day)
        case "sum_squared_gaps":
            return kernels.squared_gaps(runs, starts, day)
        case _:
            return kernels.extremes(runs, starts, column, 1 if operation == "max" else -1)


def _since(reduction: Reduction) -> int:
    return int(windows.NEVER) if reduction.since_day is None else reduction.since_day


def _weighted(table: pa.Table, column: str, half_life_days: int | None, as_of_day: int) -> npt.NDArray[np.int64]:
    """A column as int64, each row times the weight of its age where it decays."""
    values = as_numpy(table[column]).astype(np.int64, copy=False)
    if half_life_days is None:
        return frozen(values)
    ages = np.maximum(as_of_day - 1 - as_numpy(table["day"]), 0)
    weights = np.rint(DECAY_UNIT * np.exp2(-np.arange(int(ages.max(initial=0)) + 1) / half_life_days))
    return frozen(values * weights.astype(np.int64).take(ages))


def _grouped(reductions: Iterable[Reduction]) -> dict[tuple[Operation, ColumnKey, bool], list[Reduction]]:
    """Reductions that differ in nothing but their window and, where they have one, their category."""
    groups: dict[tuple[Operation, ColumnKey, bool], list[Reduction]] = {}
    for r in reductions:
        key = (r.column, r.half_life_days, r.as_of_day)
        groups.setdefault((r.operation, key, r.category is not None), []).append(r)
    return groups


def _category_slots(
    table: pa.Table, reductions: Sequence[Reduction]
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


def _spread(values: Any, places: Any | None, n_profiles: int, reduction: Reduction, arrays: Any) -> Value:
    """Values of a table's profiles at their places among all profiles; empty sums are 0, empty extremes null."""
    extreme = reduction.operation in ("min", "max")
    if places is not None:
        wide = arrays.full(n_profiles, windows.NEVER if extreme else 0, np.int64)
        wide[places] = values
        values = wide
    if not extreme:
        return Value(values)
    null = values == windows.NEVER
    return Value(arrays.where(null, 0, values), null) if null.any() else Value(values)


def _compute(expression: Expression, reduced: Mapping[Expression, Value], arrays: Any) -> Value:
    match expression:
        case Reduction() | Attribute():
            return reduced[expression]
        case Constant(value):
            return Value(np.int64(value))  # type: ignore[arg-type]
        case SquareRoot(operand):
            inner = _as_float(_compute(operand, reduced, arrays), arrays)
            with np.errstate(invalid="ignore"):
                return Value(arrays.sqrt(inner))
        case Arithmetic(operator, left, right):
            return _arithmetic(operator, _compute(left, reduced, arrays), _compute(right, reduced, arrays), arrays)
        case AtMost(left, right):
            least, most = _compute(left, reduced, arrays), _compute(right, reduced, arrays)
            return Value((least.values <= most.values).astype(np.int64), _either(least, most, arrays))
        case _:
            raise TypeError(f"not an expression: {expression!r}")


def _arithmetic(operator: str, left: Value, right: Value, arrays: Any) -> Value:
    if operator == "/":
        with np.errstate(divide="ignore", invalid="ignore"):
            return Value(arrays.divide(_as_float(left, arrays), _as_float(right, arrays)))
    if left.values.dtype == np.float64 or right.values.dtype == np.float64:
        left, right = Value(_as_float(left, arrays)), Value(_as_float(right, arrays))
    operation = {"+": arrays.add, "-": arrays.subtract, "*": arrays.multiply}[operator]
    return Value(operation(left.values, right.values), _either(left, right, arrays))


def _either(left: Value, right: Value, arrays: Any) -> Any:
    """Where one of the two is null."""
    null = [side.null for side in (left, right) if side.null is not None]
    return reduce(arrays.logical_or, null) if null else None


def _as_float(value: Value, arrays: Any) -> Any:
    values = arrays.asarray(value.values, dtype=np.float64)
    return values if value.null is None else arrays.where(value.null, np.nan, values)
