"""Ids, words and attributes in their canonical types."""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from gpuseg.engine.arrow import as_numpy
from gpuseg.engine.cpu.checks import Rows, is_text, one_array, or_nothing
from gpuseg.engine.program import IdType

_NOT_WHOLE = "not a whole number within int64"


def keys(rows: Rows, column: str, wanted: IdType) -> Any:
    """Ids as an int64 array or as a large_string array; nulls, where the column may have them, stay Arrow nulls."""
    array = one_array(rows.table[column])
    if pa.types.is_dictionary(array.type) and is_text(array.type):
        array = pa.DictionaryArray.from_arrays(array.indices, array.dictionary.cast(pa.large_string()))
    elif pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if wanted == "text":
        if is_text(array.type):
            return array.cast(pa.large_string())
        if pa.types.is_integer(array.type):
            return array.cast(pa.string()).cast(pa.large_string())
        raise rows.wrong_type(column, array.type, "text or integers")
    if not (pa.types.is_integer(array.type) or is_text(array.type)):
        raise rows.wrong_type(column, array.type, "integers or text")
    if is_text(array.type):
        # Arrow would take hexadecimal too, and make one profile of `31` and `0x1F`.
        whole = pc.match_substring_regex(array.cast(pa.string()), r"^[+-]?[0-9]+$")
        rows.refuse(as_numpy(pc.and_kleene(pc.invert(whole), array.is_valid())), column, _NOT_WHOLE)
    cast = rows.converted(column, array, lambda part: part.cast(pa.int64()), _NOT_WHOLE)
    return cast if cast.null_count else as_numpy(cast)


def attribute(column: pa.ChunkedArray) -> pa.Array:
    """A free column; text in whatever form becomes plain text, so that equal data gives equal files."""
    array = one_array(column)
    if pa.types.is_dictionary(array.type) and is_text(array.type):
        array = pa.DictionaryArray.from_arrays(array.indices, array.dictionary.cast(pa.string()))
    return array.cast(pa.string()) if is_text(array.type) else array


def categories(rows: Rows, column: str) -> pa.DictionaryArray:
    """Words as a dictionary column; integers and booleans are spelt out."""
    array = or_nothing(one_array(rows.table[column]))
    if pa.types.is_integer(array.type) or pa.types.is_boolean(array.type):
        array = array.cast(pa.string())
    if not is_text(array.type):
        raise rows.wrong_type(column, array.type, "text or integers")
    if not pa.types.is_dictionary(array.type):
        array = array.dictionary_encode()
    return array.cast(pa.dictionary(pa.int32(), pa.string()))
