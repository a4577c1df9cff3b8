"""Executes the reading part of a plan with Arrow: bounded chunks of raw columns, each with its place in its file."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from gpuseg.engine.opening import csv_header, opened, readable
from gpuseg.engine.program import ReadPlan
from gpuseg.errors import SchemaError

_CSV_BLOCK_BYTES = 8 << 20


@dataclass(frozen=True)
class Chunk:
    """Raw rows under canonical names.

    Parameters
    ----------
    table : pa.Table
        Columns of the plan.
    source, file : str
        Where the rows come from.
    first_row : int
        Number of the first row in its file; row 1 follows the header.
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
        If a file cannot be read or lacks a column.
    """
    names = dict(plan.columns)
    for file in plan.files:
        row = 1
        for table in _tables(plan, file):
            for start in range(0, table.num_rows, plan.chunk_rows):
                piece = table.slice(start, plan.chunk_rows)
                yield Chunk(piece, plan.source, file, row, names)
                row += piece.num_rows


def _tables(plan: ReadPlan, file: str) -> Iterator[pa.Table]:
    physical = list(dict.fromkeys(plan.columns.values()))
    if plan.format == "frame":
        tables: Iterator[pa.Table] = iter([plan.frame.select(physical)])
    elif plan.format == "parquet":
        tables = _parquet_tables(plan, file, physical)
    else:
        tables = _csv_tables(plan, file, physical)
    for table in tables:
        yield pa.table({canonical: table[name] for canonical, name in plan.columns.items()})


def _parquet_tables(plan: ReadPlan, file: str, physical: list[str]) -> Iterator[pa.Table]:
    dictionary = [name for canonical, name in plan.columns.items() if canonical == "category" and plan.kind != "crm"]
    with readable(file, "Parquet", plan.source), opened(file) as handle:
        reader = pq.ParquetFile(handle, read_dictionary=dictionary)
        for batch in reader.iter_batches(batch_size=plan.chunk_rows, columns=physical):
            yield pa.Table.from_batches([batch])


def _csv_tables(plan: ReadPlan, file: str, physical: list[str]) -> Iterator[pa.Table]:
    header = csv_header(file, plan.source)
    broken: list[Any] = []

    def note(row: Any) -> str:
        broken.append(row)
        return "skip"

    with readable(file, "CSV", plan.source), opened(file) as handle:
        if _is_header_alone(handle):
            return
        counted = _QuoteCounter(handle)
        reader = pacsv.open_csv(
            counted,
            read_options=pacsv.ReadOptions(block_size=_CSV_BLOCK_BYTES, use_threads=False),
            parse_options=pacsv.ParseOptions(newlines_in_values=True, invalid_row_handler=note),
            # Every column is text with only the empty field null, so that ids and categories such as
            # `00001` or `NA` come out byte for byte.
            convert_options=pacsv.ConvertOptions(
                include_columns=physical,
                column_types=dict.fromkeys(header, pa.string()),
                null_values=[""],
                strings_can_be_null=True,
            ),
        )
        while True:
            batch = _next_batch(reader)
            if broken:
                where = f", row {broken[0].number - 1}" if broken[0].number else ""
                raise SchemaError(
                    f"{plan.source}: {file}{where}: {broken[0].actual_columns} fields where the header has "
                    f"{broken[0].expected_columns}; quote fields that hold commas"
                )
            if batch is None:
                if counted.n_quotes % 2:
                    _refuse_open_quote(plan, file)
                return
            yield pa.Table.from_batches([batch])


class _QuoteCounter:
    """A stream that counts the quotes it hands out."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.n_quotes = 0
        self.closed = False

    def read(self, size: int = -1) -> bytes:
        data: bytes = self._stream.read(size)
        self.n_quotes += data.count(b'"')
        return data


def _refuse_open_quote(plan: ReadPlan, file: str) -> None:
    """Refuse a file that ends inside a quoted field; Arrow takes all the rest for that field's text.

    An odd number of quotes may also come from one inside a plain field, so the library that tells is asked.
    """
    row = 0
    with opened(file) as handle:
        text = io.TextIOWrapper(io.BufferedReader(handle), encoding="utf-8-sig", newline="")
        try:
            for row, _ in enumerate(csv.reader(text, strict=True)):  # noqa: B007 - the last row read is named
                pass
        except csv.Error as error:
            if "unexpected end" in str(error):
                raise SchemaError(f"{plan.source}: {file}, row {row + 1}: a quote is opened and never closed") from None


def _is_header_alone(handle: Any) -> bool:
    """Whether a file ends without the end of its first line, which Arrow takes for no file at all."""
    start = handle.read(_CSV_BLOCK_BYTES)
    handle.seek(0)
    return len(start) < _CSV_BLOCK_BYTES and b"\n" not in start and b"\r" not in start


def _next_batch(reader: Any) -> pa.RecordBatch | None:
    try:
        return reader.read_next_batch()
    except StopIteration:
        return None
