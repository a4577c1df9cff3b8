"""Parts the rows that cannot be used from those that can, with what is kept of them."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from gpuseg.engine.arrow import as_arrow, as_numpy, text_arrow
from gpuseg.engine.cpu.checks import RowNumbers, Rows, one_array
from gpuseg.engine.cpu.consent import profiles_in
from gpuseg.engine.program import CONSENT, WRONG_COLUMN, WRONG_REASON, ReadPlan


def set_apart(rows: Rows, rejected: list[pa.Table], plan: ReadPlan, *, whole: bool) -> Rows:
    """Rows without those that the reader could not read: `whole` rows of which nothing is known, or all of them."""
    if WRONG_REASON not in rows.table.column_names:
        return rows
    wrong = as_numpy(rows.table[WRONG_REASON].is_valid())
    if whole:
        wrong = wrong & as_numpy(rows.table[WRONG_COLUMN].is_null())
    places = np.flatnonzero(wrong) if rows.places is None else rows.places[wrong]
    apart = rows.table.filter(as_arrow(wrong))
    if places.size:
        columns, reasons = one_array(apart[WRONG_COLUMN]), one_array(apart[WRONG_REASON])
        rejected.append(rejected_rows(rows, places, columns, reasons, plan))
    return kept_rows(rows, ~wrong)


def kept_rows(rows: Rows, keep: npt.NDArray[np.bool_]) -> Rows:
    """The rows to keep, with their places."""
    if keep.all():
        return rows
    places = np.flatnonzero(keep) if rows.places is None else rows.places[keep]
    return replace(rows, table=rows.table.filter(as_arrow(keep)), places=places)


def rejected_rows(rows: Rows, places: RowNumbers, columns: pa.Array, reasons: pa.Array, plan: ReadPlan) -> pa.Table:
    """What is kept of bad rows by their places in the chunk, the file's names of the bad columns, and the reasons."""
    chunk = rows.chunk
    taken = chunk.table.take(as_arrow(places))
    found = {
        "file": text_arrow([chunk.file] * len(places)),
        "row": as_arrow(places + chunk.first_row),
        "column": columns,
        "reason": reasons,
    }
    shown = None
    if plan.consent is not None and plan.consent.may_be_used:
        # Nobody is known to have agreed to a row that cannot be told whose it is.
        shown = as_arrow(profiles_in(replace(rows, table=taken), plan).known)
    for name in taken.column_names:
        if name not in (CONSENT, WRONG_REASON, WRONG_COLUMN):
            text = _as_text(one_array(taken[name]))
            found[f"value_{name}"] = text if shown is None else pc.if_else(shown, text, pa.nulls(1, pa.string())[0])
    return pa.table(found)


def _as_text(array: pa.Array) -> pa.Array:
    """Any column as text; Arrow spells out instants that Python's own types cannot hold."""
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    try:
        return array.cast(pa.string())
    except pa.ArrowException:
        return pa.array([None if value is None else str(value) for value in array.to_pylist()], pa.string())
