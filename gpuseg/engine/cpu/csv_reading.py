"""Reads CSV files with Arrow, block by block, every column as text."""

import csv
import io
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from gpuseg.engine.arrow import as_arrow, as_numpy
from gpuseg.engine.csv_header import csv_header
from gpuseg.engine.opening import opened, readable
from gpuseg.engine.program import WRONG_COLUMN, WRONG_REASON
from gpuseg.errors import SchemaError

_NOT_TEXT = "not UTF-8 text; convert the file to UTF-8"
_BLOCK_BYTES = 8 << 20


def csv_tables(file: str, source: str, wanted: list[str], *, quarantine: bool = False) -> Iterator[pa.Table]:
    """The columns of `wanted` that a CSV file has, as text with only the empty field null.

    Under quarantine, `WRONG_REASON` and `WRONG_COLUMN` say what is wrong with rows, which have no value there.

    Raises
    ------
    SchemaError
        If the file cannot be read, or a row has too few or too many fields or bytes that are no text; names the row.
    """
    header = csv_header(file, source)
    broken: list[Any] = []
    next_row = 1

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
            # Every column is text with only the empty field null, so that ids and categories such as `00001` or `NA`
            # come out byte for byte; it is read as bytes so that a cell that is no text can be named.
            convert_options=pacsv.ConvertOptions(
                include_columns=[name for name in wanted if name in header],
                column_types=dict.fromkeys(header, pa.binary()),
                null_values=[""],
                strings_can_be_null=True,
            ),
        )
        while True:
            batch = _next_batch(reader)
            if broken and not quarantine:
                raise SchemaError(f"{source}: {file}, row {broken[0].number - 1}: {_width(broken[0])}")
            if batch is None:
                if counted.n_quotes % 2:
                    _refuse_open_quote(file, source)
                if broken:
                    yield _with_broken(_text_table(reader.schema.empty_table()), broken, next_row)
                return
            table = _text_table(pa.Table.from_batches([batch]))
            if WRONG_REASON in table.column_names and not quarantine:
                row = int(np.argmax(as_numpy(table[WRONG_REASON].is_valid())))
                where = f"row {next_row + row}, column {table[WRONG_COLUMN][row].as_py()!r}"
                raise SchemaError(f"{source}: {file}, {where}: {_NOT_TEXT}")
            table = _with_broken(table, broken, next_row)
            next_row += table.num_rows
            yield table


def _width(row: Any) -> str:
    return f"{row.actual_columns} fields where the header has {row.expected_columns}; quote fields that hold commas"


def _text_table(table: pa.Table) -> pa.Table:
    """Columns of bytes as text; where a cell is no UTF-8 it is null, and its row is marked."""
    reasons: list[str | None] = [None] * table.num_rows
    columns: list[str | None] = [None] * table.num_rows
    texts = {}
    for name in table.column_names:
        try:
            texts[name] = table[name].cast(pa.string())
        except pa.ArrowInvalid:
            cells = [None if cell is None else _decoded(cell) for cell in table[name].to_pylist()]
            for row, cell in enumerate(cells):
                if cell is False:
                    reasons[row], columns[row] = reasons[row] or _NOT_TEXT, columns[row] or name
            texts[name] = pa.chunked_array([pa.array([cell or None for cell in cells], pa.string())])
    if any(reasons):
        texts[WRONG_REASON] = pa.chunked_array([pa.array(reasons, pa.string())])
        texts[WRONG_COLUMN] = pa.chunked_array([pa.array(columns, pa.string())])
    return pa.table(texts)


def _decoded(cell: bytes) -> str | Literal[False]:
    try:
        return cell.decode()
    except UnicodeDecodeError:
        return False


def _with_broken(table: pa.Table, broken: list[Any], first_row: int) -> pa.Table:
    """A table with marked rows of nulls where rows of another width were left out; takes them from `broken`."""
    end = first_row + table.num_rows
    taken = []
    # The header is row 1 to Arrow; the rows it left out count, blank lines do not.
    while broken and broken[0].number - 1 <= end:
        taken.append(broken.pop(0))
        end += 1
    if not taken:
        return table
    lost = np.zeros(end - first_row, np.bool_)
    reasons: list[str | None] = [None] * lost.size
    for row in taken:
        place = row.number - 1 - first_row
        lost[place], reasons[place] = True, _width(row)
    spread = table.take(as_arrow(np.cumsum(~lost) - 1, lost))
    own = pa.array(reasons, pa.string())
    if WRONG_REASON not in table.column_names:
        nothing = pa.nulls(lost.size, pa.string())
        return spread.append_column(WRONG_REASON, own).append_column(WRONG_COLUMN, nothing)
    both = pc.coalesce(own, spread[WRONG_REASON])
    return spread.set_column(spread.column_names.index(WRONG_REASON), WRONG_REASON, both)


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
