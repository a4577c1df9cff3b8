"""Turns raw columns into canonical integer columns, with every value checked on the way."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from gpuseg.engine.arrow import as_arrow, as_numpy, frozen, text_arrow
from gpuseg.engine.cpu.amounts import known_numbers, minor_amounts
from gpuseg.engine.cpu.apart import kept_rows, rejected_rows, set_apart
from gpuseg.engine.cpu.checks import BadRows, RowNumbers, Rows
from gpuseg.engine.cpu.consent import has_consent, profiles_in
from gpuseg.engine.cpu.instants import event_times, wall_times
from gpuseg.engine.cpu.keys import attribute, categories, keys
from gpuseg.engine.cpu.labels import row_classes
from gpuseg.engine.cpu.reading import Chunk
from gpuseg.engine.cpu.sentiment import sentiments
from gpuseg.engine.cpu.times import local_days
from gpuseg.engine.program import CONSENT, WRONG_REASON, ReadPlan, Tally
from gpuseg.errors import InvalidValueError
from gpuseg.vocabulary import KINDS, Kind, Measure

_THOUSANDTHS = 1000


@dataclass
class Columns:
    """Canonical columns of one chunk: NumPy arrays for integers, Arrow arrays for text and attributes.

    Parameters
    ----------
    values : dict of str to array
    n_rows : int
    places : int64 array or None
        Place of each row in the chunk; None for all in order.
    refused : array or None
        As of `Batch`.
    """

    values: dict[str, Any]
    n_rows: int
    places: RowNumbers | None = None
    refused: Any = None


def canonical_columns(chunk: Chunk, plan: ReadPlan) -> tuple[Columns, Tally, pa.Table | None]:
    """Convert one chunk.

    Parameters
    ----------
    chunk : Chunk
        Raw columns under canonical names.
    plan : ReadPlan
        What they should become.

    Returns
    -------
    columns : Columns
        Good rows with consent, inside the window and not older than is retained.
    tally : Tally
        rows_read is the sum of rows_used and of all rows left out, each counted once.
    rejected : Arrow table or None
        Where bad rows are quarantined: `file`, `row`, `column`, `reason` and the row's values as text. Rows without
        consent are never among them, and of rows that no consent table can speak for no values are kept.

    Raises
    ------
    InvalidValueError
        If a required value is null, not finite, out of range or of the wrong form; names file, row and column.
    SchemaError
        If a column has a type that cannot hold what it should.
    """
    rows = Rows(chunk, chunk.table, None, find_all=plan.quarantine)
    rejected: list[pa.Table] = []
    rows = set_apart(rows, rejected, plan, whole=True)
    n_readable, unclear = rows.table.num_rows, 0
    if CONSENT in plan.columns and not _is_asked(plan):
        consent, unclear = has_consent(rows, plan.consent_words)
        rows = kept_rows(rows, consent)
    rows, refused = _of_consenting(rows, plan)
    n_consenting = rows.table.num_rows
    if not _is_asked(plan):
        rows = set_apart(rows, rejected, plan, whole=False)
    while True:
        try:
            columns, tally = _converted(rows, plan)
        except BadRows as bad:
            if not plan.quarantine:
                raise InvalidValueError(str(bad)) from None
            names, reasons = [chunk.names[bad.column]] * len(bad.rows), [bad.reason] * len(bad.rows)
            rejected.append(rejected_rows(rows, bad.rows, text_arrow(names), text_arrow(reasons), plan))
            places = np.arange(rows.table.num_rows) if rows.places is None else rows.places
            rows = kept_rows(rows, ~np.isin(places, bad.rows, assume_unique=True))
            continue
        tally.rows_read = chunk.table.num_rows
        tally.rows_without_consent, tally.consents_unclear = n_readable - n_consenting, unclear
        tally.rows_quarantined = sum(table.num_rows for table in rejected)
        columns.refused = refused
        return columns, tally, pa.concat_tables(rejected) if rejected else None


def _is_asked(plan: ReadPlan) -> bool:
    """Whether the rows are read for what they say about consent."""
    return plan.tells_consent and plan.consent is None


def _of_consenting(rows: Rows, plan: ReadPlan) -> tuple[Rows, npt.NDArray[Any] | None]:
    """Rows of profiles that may be used or are not known, and the marks of profiles that may not."""
    rule = plan.consent
    if rule is None:
        return rows, None
    found = profiles_in(rows, plan)
    listed = rule.profiles.contains(found)
    if not rule.may_be_used:
        return kept_rows(rows, ~listed), None
    return kept_rows(rows, listed | ~found.known), np.unique(found.marks[found.known & ~listed])


def _converted(rows: Rows, plan: ReadPlan) -> tuple[Columns, Tally]:
    """The canonical columns of rows; the rows of a `BadRows` from here are places in the chunk."""
    tally = Tally()
    values: dict[str, Any] = {}
    try:
        if not KINDS[plan.kind].has_attributes:
            _require(rows, "at")
            rows = _in_window(rows, plan, values, tally)
        return _filled(rows, plan, values, tally), tally
    except BadRows as bad:
        if rows.places is not None:
            bad.rows = rows.places[bad.rows]
        raise


def _filled(rows: Rows, plan: ReadPlan, values: dict[str, Any], tally: Tally) -> Columns:
    kind = KINDS[plan.kind]
    for column in kind.columns:
        if column.name in rows.table.column_names:
            if column.required:
                _require(rows, column.name)
            tally.null_counts[column.name] = rows.table[column.name].null_count
    for name in plan.attributes:
        tally.null_counts[name] = rows.table[name].null_count
    values = {"profile_id": keys(rows, "profile_id", plan.key_type)} | values
    if kind.has_attributes:
        values |= {name: _attribute(rows, name, plan) for name in plan.attributes}
        if _is_asked(plan):
            values[CONSENT] = _clear_yes(rows, plan)
    else:
        values |= _measures(rows, kind, plan, tally)
    if plan.order_type is not None:
        values["order_id"] = keys(rows, "order_id", plan.order_type)
    places = rows.places
    if plan.identity is not None:
        known = _identified(values, plan)
        tally.rows_unmatched = int(known.size - np.count_nonzero(known))
        if tally.rows_unmatched:
            values = {name: _filtered(array, known) for name, array in values.items()}
            places = np.flatnonzero(known) if places is None else places[known]
    tally.rows_used = len(values["profile_id"])
    if tally.rows_used and not kind.has_attributes:
        tally.first_day, tally.last_day = int(values["day"].min()), int(values["day"].max())
    return Columns(values, tally.rows_used, places)


def _attribute(rows: Rows, name: str, plan: ReadPlan) -> pa.Array:
    """A free column; instants are told by the clocks of the run's zone, as the days of events are."""
    found = attribute(rows.table[name])
    if pa.types.is_timestamp(found.type) and found.type.tz is not None:
        return wall_times(rows, name, found, plan.run_zone)
    return found


def _clear_yes(rows: Rows, plan: ReadPlan) -> npt.NDArray[np.bool_]:
    """Where rows that are asked for consent say yes; one that will be set apart says no."""
    says, _ = has_consent(rows, plan.consent_words)
    if WRONG_REASON not in rows.table.column_names:
        return says
    return says & as_numpy(rows.table[WRONG_REASON].is_null())


def _in_window(rows: Rows, plan: ReadPlan, values: dict[str, Any], tally: Tally) -> Rows:
    """Rows before `as_of` that are not older than is retained; fills in `at_us` and `day`."""
    at_us = event_times(rows, plan, tally)
    day = local_days(at_us, plan.run_zone.transitions_us, plan.run_zone.offsets_us)
    keep: npt.NDArray[np.bool_] = at_us < plan.as_of_us
    tally.rows_after_as_of = int(keep.size - np.count_nonzero(keep))
    if plan.oldest_day is not None:
        old = keep & (day < plan.oldest_day)
        tally.rows_past_retention = int(np.count_nonzero(old))
        keep &= ~old
    if not keep.all():
        at_us, day = frozen(at_us[keep]), frozen(day[keep])
        rows = kept_rows(rows, keep)
    values["at_us"], values["day"] = at_us, day
    return rows


def _measures(rows: Rows, kind: Kind, plan: ReadPlan, tally: Tally) -> dict[str, Any]:
    """The kind's measures, and what splits its day cells."""
    found: dict[str, Any] = {}
    classes = row_classes(rows, kind, plan.words) if kind.classes else np.empty(0, np.int32)
    made: dict[tuple[str, int], tuple[Any, Any]] = {}
    for measure in kind.measures:
        if measure.rule == "amount":
            found[measure.name], tally.amounts_rounded = minor_amounts(rows, plan.amount_scale)
        elif measure.rule == "is":
            wanted = [kind.class_order.index(name) for name in measure.classes]
            found[measure.name] = np.isin(classes, wanted).astype(np.int64)
        else:
            found[measure.name] = _optional(rows, kind, measure, made)
    if kind.category == "class":
        found["category"] = pa.DictionaryArray.from_arrays(as_arrow(classes), text_arrow(kind.class_order))
    elif kind.category is not None and kind.category in rows.table.column_names:
        found["category"] = categories(rows, kind.category)
    return found


def _optional(
    rows: Rows, kind: Kind, measure: Measure, made: dict[tuple[str, int], tuple[Any, Any]]
) -> npt.NDArray[np.int64]:
    """A measure of a column that may be missing; `made` holds what other measures made of the same column."""
    if measure.column not in rows.table.column_names:
        return np.zeros(rows.table.num_rows, np.int64)
    column = next(column for column in kind.columns if column.name == measure.column)
    bound = measure.by * _THOUSANDTHS
    scale = measure.by if measure.rule in ("scaled", "sentiment") else _THOUSANDTHS
    if column.type == "comment":
        scale = next(m.by for m in kind.measures if m.rule == "sentiment")
    key = (column.name, scale)
    if key not in made:
        text = column.type == "comment"
        made[key] = sentiments(rows, column.name, scale) if text else known_numbers(rows, column, scale)
    values, known = made[key]
    if measure.rule == "known":
        return known.astype(np.int64)
    if measure.rule == "at_least":
        return (known & (values >= bound)).astype(np.int64)
    if measure.rule == "at_most":
        return (known & (values <= bound)).astype(np.int64)
    return values


def _identified(values: dict[str, Any], plan: ReadPlan) -> npt.NDArray[np.bool_]:
    """Replace the source's keys by profile ids; where a key is in the map."""
    assert plan.identity is not None
    given = values["profile_id"]
    given = as_arrow(given) if isinstance(given, np.ndarray) else given
    place = pc.index_in(given, value_set=plan.identity["key"].combine_chunks())
    known = ~as_numpy(place.is_null())
    ids = plan.identity["profile_id"].take(place).combine_chunks()
    values["profile_id"] = as_numpy(ids.fill_null(0)) if pa.types.is_integer(ids.type) else ids
    return known


def _require(rows: Rows, column: str) -> None:
    array = rows.table[column]
    if array.null_count:
        rows.refuse(as_numpy(array.is_null()), column, "the value is missing; every row needs one")


def _filtered(array: Any, keep: npt.NDArray[np.bool_]) -> Any:
    return array[keep] if isinstance(array, np.ndarray) else array.filter(as_arrow(keep))
