"""Names and types of the columns of data files, before a row is read."""

from collections.abc import Collection, Mapping, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from gpuseg.engine.arrow_ipc import ipc_schema
from gpuseg.engine.csv_header import csv_header
from gpuseg.engine.json_lines import json_columns
from gpuseg.engine.opening import START_BYTES, folder_values, opened, readable, refuse_other_format
from gpuseg.errors import EmptyDataError, SchemaError

Schema = Mapping[str, pa.DataType]


def file_schemas(
    files: Sequence[str], file_format: str, source: str, *, wanted: Collection[str], named: Collection[str]
) -> dict[str, Schema]:
    """Names and types of the columns of every file of a source; those of CSV and JSON lines are text.

    Parameters
    ----------
    files : sequence of str
        Paths or URLs.
    file_format : {"parquet", "csv", "jsonl", "arrow"}
    source : str
        Name of the source, for messages.
    wanted : collection of str
        The file's names of the columns that would be read; all lines of JSON lines are searched for them.
    named : collection of str
        Those that the configuration names. Where a file lacks one, a folder of its path may hold it as text
        (`month=2017-03/`).

    Returns
    -------
    dict of str to mapping
        File to its schema. Files of JSON lines share one, since a line need not have every column; those without
        any line are left out.

    Raises
    ------
    EmptyDataError
        If no file of JSON lines has a line.
    SchemaError
        If a file cannot be read as `file_format`.
    """
    if file_format == "jsonl":
        found = _json_schemas(files, source, wanted, named)
    else:
        found = {file: file_schema(file, file_format, source) for file in files}
    return {
        file: {**{name: pa.string() for name in folder_values(file) if name in named}, **schema}
        for file, schema in found.items()
    }


def file_schema(path: str, file_format: str, source: str) -> Schema:
    """Names and types of the columns of one Parquet, CSV or Arrow file.

    Raises
    ------
    SchemaError
        If the file cannot be read as `file_format`.
    """
    if file_format == "csv":
        return dict.fromkeys(csv_header(path, source), pa.string())
    schema = ipc_schema(path, source) if file_format == "arrow" else _parquet_schema(path, source)
    doubles = sorted({name for name in schema.names if schema.names.count(name) > 1})
    if doubles:
        raise SchemaError(f"{source}: {path}: has more than one column {doubles[0]!r}")
    return {field.name: field.type for field in schema}


def plain_type(kind: pa.DataType) -> pa.DataType:
    """The type under dictionaries and runs; all kinds of text are one."""
    while pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
        kind = kind.value_type
    is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    return pa.string() if is_text else kind


def _parquet_schema(path: str, source: str) -> pa.Schema:
    with readable(path, "Parquet", source), opened(path, "parts") as handle:
        refuse_other_format(handle.read(START_BYTES), "Parquet", path, source)
        handle.seek(0)
        return pq.read_schema(handle)


def _json_schemas(
    files: Sequence[str], source: str, wanted: Collection[str], named: Collection[str]
) -> dict[str, Schema]:
    names: dict[str, None] = {}
    held = []
    for file in files:
        elsewhere = {*names, *(name for name in folder_values(file) if name in named)}
        found = json_columns(file, source, [name for name in wanted if name not in elsewhere])
        if found is not None:
            names |= dict.fromkeys(found)
            held.append(file)
    if not held:
        raise EmptyDataError(f"{source}: the files hold no rows")
    return dict.fromkeys(held, dict.fromkeys(names, pa.string()))
