"""Identity maps: which profile a key of a source belongs to."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from gpuseg.engine import Engine
from gpuseg.engine.arrow import as_arrow, as_numpy
from gpuseg.engine.program import PLACE_FILE, PLACE_ROW, IdType, ReadPlan
from gpuseg.errors import InvalidValueError, SchemaError


def read_identity(plan: ReadPlan, engine: Engine, *, id_type: IdType) -> pa.Table:
    """The whole map in host memory.

    Parameters
    ----------
    plan : ReadPlan
        Reads the keys as `profile_id` and the profiles as `target`.
    engine : Engine
    id_type : {"int64", "text"}
        Type of profile ids.

    Returns
    -------
    Arrow table
        `key` and `profile_id`, each key once.

    Raises
    ------
    InvalidValueError
        If a key has two profiles (both rows are named), is missing or has none; a bad row of a map is never set apart.
    SchemaError
        If profiles are of a type that ids cannot have.
    """
    kind = pa.int64() if id_type == "int64" else pa.large_string()
    keys: list[pa.Array] = []
    targets: list[pa.Array] = []
    files: list[npt.NDArray[np.int64]] = []
    places: list[npt.NDArray[np.int64]] = []
    for batch in engine.device.scan(replace(plan, quarantine=False)):
        rows, _ = engine.device.partition_to_host(batch, 1)
        keys.append(rows["profile_id"])
        places.append(as_numpy(rows[PLACE_ROW]))
        file = plan.files.index(rows[PLACE_FILE][0].as_py()) if rows.num_rows else 0
        files.append(np.full(rows.num_rows, file, np.int64))
        targets.append(_as_ids(rows["target"], kind, plan))
    key_type = pa.int64() if plan.key_type == "int64" else pa.large_string()
    table = pa.table({"key": pa.chunked_array(keys, key_type), "profile_id": pa.chunked_array(targets, kind)})
    if table["profile_id"].null_count:
        raise InvalidValueError(f"{_where(plan)}: {table['profile_id'].null_count} keys have no profile id")
    return _one_row_a_key(table.append_column("file", _codes(files)).append_column("row", _codes(places)), plan)


def _codes(parts: list[npt.NDArray[np.int64]]) -> pa.Array:
    return as_arrow(np.concatenate(parts) if parts else np.empty(0, np.int64))


def _one_row_a_key(table: pa.Table, plan: ReadPlan) -> pa.Table:
    """The map with every key once; rows that say the same of a key again are left out."""
    plain = table.select(["key", "profile_id"])
    if len(pc.unique(table["key"])) == table.num_rows:
        return plain
    order = pc.sort_indices(table, [(name, "ascending") for name in ("key", "file", "row")])
    ordered = table.take(order).combine_chunks()

    def repeats(name: str) -> npt.NDArray[np.bool_]:
        column = ordered[name].combine_chunks()
        column = column.chunk(0) if isinstance(column, pa.ChunkedArray) else column
        return np.concatenate([[False], as_numpy(pc.equal(column.slice(1), column.slice(0, len(column) - 1)))])

    again = repeats("key")
    contrary = np.flatnonzero(again & ~repeats("profile_id"))
    if contrary.size:
        first, second = (_place(ordered, int(row), plan) for row in (contrary[0] - 1, contrary[0]))
        raise InvalidValueError(f"{plan.source}: identity map: {first} and {second} give one key two profiles")
    return ordered.select(["key", "profile_id"]).filter(as_arrow(~again))


def _place(table: pa.Table, row: int, plan: ReadPlan) -> str:
    return f"{plan.files[table['file'][row].as_py()]}, row {table['row'][row].as_py()}"


def _as_ids(column: pa.Array, kind: pa.DataType, plan: ReadPlan) -> pa.Array:
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_floating(column.type):
        raise SchemaError(f"{_where(plan)}: profile ids are {column.type}, but must be integers or text")
    try:
        text = column.cast(pa.string())
        if kind != pa.int64():
            return text.cast(kind)
        # Arrow would read hexadecimal too, and make one profile of `31` and `0x1F`.
        return pc.replace_substring_regex(text, "[xX]", "?").cast(kind)
    except pa.ArrowException:
        raise SchemaError(f"{_where(plan)}: profile ids must be {kind}, as those of the other sources") from None


def _where(plan: ReadPlan) -> str:
    return f"{plan.source}: identity map {plan.files[0]}{' and others' if len(plan.files) > 1 else ''}"
