"""Who may be looked at: the consent of rows, and that of the profiles that they are about."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from gpuseg.engine.arrow import as_arrow, as_numpy, codes_of
from gpuseg.engine.cpu.checks import BadRows, Rows, one_array
from gpuseg.engine.cpu.hashing import hash_ids
from gpuseg.engine.cpu.keys import keys
from gpuseg.engine.profiles import Profiles, profiles_of
from gpuseg.engine.program import CONSENT, ReadPlan
from gpuseg.errors import SchemaError

_ZEROS = r"^\s*[+-]?0+\s*$"
_SPELT = r"^\s*\+?(-?)0*([1-9][0-9]*)\s*$"


def has_consent(rows: Rows, words: Mapping[str, bool]) -> tuple[npt.NDArray[np.bool_], int]:
    """Where rows say yes, and how many say neither a clear yes nor a clear no, which is a no.

    Parameters
    ----------
    rows : Rows
    words : mapping of str to bool
        As of `ReadPlan`. Missing values are a clear no.

    Raises
    ------
    SchemaError
        If the column holds nothing that could be a word.
    """
    array = one_array(rows.table[CONSENT])
    if pa.types.is_boolean(array.type):
        return as_numpy(pc.and_kleene(array, array.is_valid())), 0
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    try:
        coded = array.cast(pa.string()).dictionary_encode()
    except pa.ArrowException:
        raise SchemaError(
            f"{rows.chunk.source}: {rows.chunk.file}, column {rows.chunk.names[CONSENT]!r}: the type is {array.type}, "
            "but consent needs booleans, integers or text"
        ) from None
    said = [text.strip().casefold() for text in coded.dictionary.to_pylist()]
    codes = codes_of(coded)
    # The entry at the end is where code -1, a missing value, leads.
    yes = np.array([*(words.get(word, False) for word in said), False])
    unclear = np.array([*(bool(word) and word not in words for word in said), False])
    return yes[codes], int(np.count_nonzero(unclear[codes]))


def profiles_in(rows: Rows, plan: ReadPlan) -> Profiles:
    """Who rows are about; nobody where the id is missing, cannot be one, or is not in the identity map.

    Notes
    -----
    A number is known in every spelling, so that no row of a person who refused is kept for the form of its id.
    """
    ids = _readable_ids(rows, plan)
    if plan.identity is not None:
        place = pc.index_in(ids, value_set=plan.identity["key"].combine_chunks())
        ids = one_array(plan.identity["profile_id"].take(place))
    return profiles_of(ids, hash_ids)


def _readable_ids(rows: Rows, plan: ReadPlan) -> pa.Array:
    rows = replace(rows, places=None, find_all=True)
    spelt_out = False
    while True:
        try:
            ids: Any = keys(rows, "profile_id", plan.key_type)
            return as_arrow(ids) if isinstance(ids, np.ndarray) else ids
        except BadRows as bad:
            wrong = np.zeros(rows.table.num_rows, np.bool_)
            wrong[bad.rows] = True
            column = one_array(rows.table["profile_id"])
            if pa.types.is_dictionary(column.type):
                column = column.dictionary_decode()
            if spelt_out or pa.types.is_integer(column.type):
                column = pc.if_else(as_arrow(wrong), pa.nulls(1, column.type)[0], column)
            else:
                plain = pc.replace_substring_regex(column, _ZEROS, "0")
                column = pc.if_else(as_arrow(wrong), pc.replace_substring_regex(plain, _SPELT, r"\1\2"), column)
                spelt_out = True
            rows = replace(rows, table=_with(rows.table, "profile_id", column))


def _with(table: pa.Table, name: str, column: pa.Array) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, column)
