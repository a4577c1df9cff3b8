"""Executes the reading part of a plan with Arrow: bounded chunks of raw columns, each with its place in its file."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from gpuseg.engine.arrow import text_arrow
from gpuseg.engine.arrow_ipc import ipc_batches
from gpuseg.engine.cpu.csv_reading import csv_tables
from gpuseg.engine.cpu.json_reading import json_tables
from gpuseg.engine.cpu.raw_columns import plain_column
from gpuseg.engine.cpu.sql_reading import sql_tables
from gpuseg.engine.file_schemas import file_schema, plain_type
from gpuseg.engine.opening import count_streamed, folder_values, opened, readable
from gpuseg.engine.parquet_parts import fetch_plan
from gpuseg.engine.places import is_remote
from gpuseg.engine.program import WRONG_COLUMN, WRONG_REASON, ReadPlan
from gpuseg.errors import SchemaError

_WRONG = (WRONG_REASON, WRONG_COLUMN)


@dataclass(frozen=True)
class Chunk:
    """Raw rows under canonical names.

    Parameters
    ----------
    table : pa.Table
        Columns of the plan; no empty text, no column of Arrow's null type. Under quarantine, `WRONG_REASON` and
        `WRONG_COLUMN` where rows could not be read.
    source, file : str
        Where the rows come from.
    first_row : int
        Number of the first row in its file; row 1 is the first after a header, and blank lines are not counted.
    names : dict of str to str
        Canonical name to the file's name, for messages.
    """

    table: pa.Table
    source: str
    file: str
    first_row: int
    names: dict[str, str]

    def place(self, row: int, column: str) -> str:
        """`source: file, row N, column X`, for a message."""
        return f"{self.source}: {self.file}, row {self.first_row + row}, column {self.names[column]!r}"


def read_chunks(plan: ReadPlan) -> Iterator[Chunk]:
    """Read every file of a plan, at most `plan.chunk_rows` rows at a time.

    Raises
    ------
    SchemaError
        If a file cannot be read or lacks a column, or a free column changes its type from file to file.
    """
    names = dict(plan.columns)
    types = _types_of_nothing(plan)
    for file in plan.files:
        row = plan.first_row
        for raw in _tables(plan, file):
            table = pa.table({name: plain_column(raw[name], types.get(name)) for name in raw.column_names})
            for start in range(0, table.num_rows, plan.chunk_rows):
                piece = table.slice(start, plan.chunk_rows)
                yield Chunk(piece, plan.source, file, row, names)
                row += piece.num_rows


def _tables(plan: ReadPlan, file: str) -> Iterator[pa.Table]:
    """Tables under canonical names; columns that the file lacks come from the names of its folders."""
    physical = list(dict.fromkeys(plan.columns.values()))
    if plan.format == "frame":
        tables: Iterator[pa.Table] = iter([plan.frame.select(physical)])
    elif plan.format == "parquet":
        tables = _parquet_tables(plan, file, physical)
    elif plan.format == "arrow":
        tables = (pa.Table.from_batches([batch]) for batch in ipc_batches(file, plan.source, physical))
    elif plan.format == "sql":
        tables = sql_tables(plan)
    elif plan.format == "jsonl":
        tables = json_tables(plan, file)
    else:
        tables = csv_tables(file, plan.source, physical, quarantine=plan.quarantine)
    folders = folder_values(file) if plan.format not in ("frame", "sql") else {}
    for table in tables:
        columns = {canonical: _column(table, name, folders) for canonical, name in plan.columns.items()}
        yield pa.table(columns | {name: table[name] for name in _WRONG if name in table.column_names})


def _column(table: pa.Table, name: str, folders: Mapping[str, str | None]) -> pa.ChunkedArray:
    if name in table.column_names:
        return table[name]
    value = folders[name]
    text = pa.nulls(table.num_rows, pa.string())
    return pa.chunked_array([text if value is None else pa.repeat(text_arrow([value])[0], table.num_rows)])


def _parquet_tables(plan: ReadPlan, file: str, physical: list[str]) -> Iterator[pa.Table]:
    with readable(file, "Parquet", plan.source), opened(file, "parts") as handle:
        metadata = pq.read_metadata(handle)
        bytes_a_row = handle.seek(0, os.SEEK_END) / max(metadata.num_rows, 1)
        there = [name for name in physical if name in metadata.schema.to_arrow_schema().names]
        dictionary = [plan.columns["category"]] if "category" in plan.columns and plan.kind != "crm" else []
        schema = metadata.schema.to_arrow_schema()
        flat = [name for name in dictionary if name in there and not pa.types.is_nested(schema.field(name).type)]
        options = {"metadata": metadata, "read_dictionary": flat}
        wanted = range(*(plan.row_groups or (0, metadata.num_row_groups)))
        at_once: list[tuple[list[int], dict[str, Any]]] = [(list(wanted), {})]
        for groups, fetching in fetch_plan(metadata, there, wanted) if is_remote(file) else at_once:
            reader = pq.ParquetFile(handle, **options, **fetching)
            for batch in reader.iter_batches(batch_size=plan.chunk_rows, row_groups=groups, columns=there):
                count_streamed(int(batch.num_rows * bytes_a_row))
                yield pa.Table.from_batches([batch])


def _types_of_nothing(plan: ReadPlan) -> dict[str, pa.DataType]:
    """Types of columns that hold nothing in one file and say so in their type: orders as planned, others as elsewhere.

    Raises
    ------
    SchemaError
        If a free column has two types in two files.
    """
    found = {"order_id": pa.int64()} if plan.order_type == "int64" else {}
    several = plan.format in ("parquet", "arrow") and len(plan.files) > 1 and plan.attributes
    for file in plan.files if several else ():
        schema = file_schema(file, plan.format, plan.source)
        for name in plan.attributes:
            type_ = plain_type(schema.get(plan.columns[name], pa.string()))
            if not pa.types.is_null(type_) and found.setdefault(name, type_) != type_:
                raise SchemaError(
                    f"{plan.source}: {file}, column {plan.columns[name]!r}: the type is {type_}, but {found[name]} in "
                    "an earlier file; write all files alike"
                )
    return found
