"""Reads CSV files with Arrow, block by block, every column as text."""

import csv
import io
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.csv as pacsv

from gpuseg.engine.csv_header import csv_header
from gpuseg.engine.opening import opened, readable
from gpuseg.errors import SchemaError

_BLOCK_BYTES = 8 << 20


def csv_tables(file: str, source: str, wanted: list[str]) -> Iterator[pa.Table]:
    """The columns of `wanted` that a CSV file has, as text with only the empty field null.

    Raises
    ------
    SchemaError
        If the file cannot be read or a row has too few or too many fields; names the row.
    """
    header = csv_header(file, source)
    broken: list[Any] = []

    def note(row: Any) -> str:
        broken.append(row)
        return "skip"

    with readable(file, "CSV", source), opened(file) as handle:
        if _is_header_alone(handle):
            return
        counted = _QuoteCounter(handle)
        reader = pacsv.open_csv(
            counted,
            read_options=pacsv.ReadOptions(block_size=_BLOCK_BYTES, use_threads=False),
            parse_options=pacsv.ParseOptions(newlines_in_values=True, invalid_row_handler=note),
            # Every column is text with only the empty field null, so that ids and categories such as
            # `00001` or `NA` come out byte for byte.
            convert_options=pacsv.ConvertOptions(
                include_columns=[name for name in wanted if name in header],
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
                    f"{source}: {file}{where}: {broken[0].actual_columns} fields where the header has "
                    f"{broken[0].expected_columns}; quote fields that hold commas"
                )
            if batch is None:
                if counted.n_quotes % 2:
                    _refuse_open_quote(file, source)
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


def _refuse_open_quote(file: str, source: str) -> None:
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
                raise SchemaError(f"{source}: {file}, row {row + 1}: a quote is opened and never closed") from None


def _is_header_alone(handle: Any) -> bool:
    """Whether a file ends without the end of its header line, which Arrow takes for no file at all."""
    start = handle.read(_BLOCK_BYTES)
    handle.seek(0)
    lines = start.removeprefix(b"\xef\xbb\xbf").lstrip(b"\r\n")
    return len(start) < _BLOCK_BYTES and b"\n" not in lines and b"\r" not in lines


def _next_batch(reader: Any) -> pa.RecordBatch | None:
    try:
        return reader.read_next_batch()
    except StopIteration:
        return None
