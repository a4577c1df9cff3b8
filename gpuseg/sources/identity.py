"""Identity maps: which profile a key of a source belongs to."""

from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from gpuseg.engine import Engine
from gpuseg.engine.program import IdType, ReadPlan
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
        If a key stands more than once, is missing or has no profile; a bad row of a map is never set apart.
    SchemaError
        If profiles are of a type that ids cannot have.
    """
    kind = pa.int64() if id_type == "int64" else pa.large_string()
    keys: list[pa.Array] = []
    targets: list[pa.Array] = []
    for batch in engine.device.scan(replace(plan, quarantine=False)):
        rows, _ = engine.device.partition_to_host(batch, 1)
        keys.append(rows["profile_id"])
        targets.append(_as_ids(rows["target"], kind, plan))
    key_type = pa.int64() if plan.key_type == "int64" else pa.large_string()
    table = pa.table({"key": pa.chunked_array(keys, key_type), "profile_id": pa.chunked_array(targets, kind)})
    if table["profile_id"].null_count:
        raise InvalidValueError(f"{_where(plan)}: {table['profile_id'].null_count} keys have no profile id")
    n_keys = len(pc.unique(table["key"]))
    if n_keys < table.num_rows:
        raise InvalidValueError(f"{_where(plan)}: {table.num_rows - n_keys} rows repeat a key; a key has one profile")
    return table


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
