"""Opens data files and says in one line what is wrong with one, without quoting a value of it."""

import csv
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from gpuseg.errors import GpusegError, SchemaError

_READ_ERRORS = (pa.ArrowException, OSError, EOFError, zlib.error, ValueError)


def file_schema(path: str, file_format: str, source: str) -> dict[str, pa.DataType]:
    """Names and types of a file's columns; CSV columns are text.

    Raises
    ------
    SchemaError
        If the file cannot be read as `file_format`.
    """
    if file_format == "parquet":
        with readable(path, "Parquet", source), opened(path) as handle:
            schema = pq.read_schema(handle)
        doubles = sorted({name for name in schema.names if schema.names.count(name) > 1})
        if doubles:
            raise SchemaError(f"{source}: {path}: has more than one column {doubles[0]!r}")
        return {field.name: field.type for field in schema}
    return dict.fromkeys(csv_header(path, source), pa.string())


def csv_header(path: str, source: str) -> list[str]:
    """Column names of a CSV file.

    Raises
    ------
    SchemaError
        If the file is empty, is not CSV text, or names a column twice.
    """
    with readable(path, "CSV", source), opened(path) as handle:
        start = handle.read(4)
        if start == b"PAR1":
            raise SchemaError(f"{source}: {path}: is a Parquet file, not CSV; set format: parquet")
        text = io.TextIOWrapper(io.BufferedReader(_Prefixed(start, handle)), encoding="utf-8-sig", newline="")
        header = next(csv.reader(text), [])
    if not header:
        raise SchemaError(f"{source}: {path}: the file is empty; a CSV file starts with a header line")
    for place, name in enumerate(header):
        if name in header[:place]:
            both = f"{header.index(name) + 1} and {place + 1}"
            raise SchemaError(f"{source}: {path}: the header names a column more than once (columns {both})")
    return header


class _Prefixed(io.RawIOBase):
    """A stream with bytes already read put back in front."""

    def __init__(self, prefix: bytes, stream: IO[bytes]) -> None:
        self._prefix = prefix
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._prefix or self._stream.read(len(buffer))
        size = min(len(data), len(buffer))
        buffer[:size] = data[:size]
        self._prefix = data[size:] if self._prefix else b""
        return size


@contextmanager
def opened(path: str) -> Iterator[Any]:
    """Open a path or URL for reading; gzip is recognised by its first bytes, whatever the name."""
    # Arrow reads local files without coming back to Python for every block.
    with pa.OSFile(path) if "://" not in path else fsspec.open(path, "rb") as raw:
        magic = raw.read(2)
        raw.seek(0)
        if magic == b"\x1f\x8b":
            with gzip.open(raw) as unpacked:
                yield unpacked
        else:
            yield raw


@contextmanager
def readable(path: str, what: str, source: str) -> Iterator[None]:
    """Turn a reader's error into one line that holds no value of the file."""
    try:
        yield
    except GpusegError:
        raise
    except UnicodeDecodeError:
        raise SchemaError(f"{source}: {path}: not UTF-8 text; convert the file to UTF-8") from None
    except _READ_ERRORS as error:
        raise SchemaError(f"{source}: {path}: not readable as {what}: {_safe_reason(error)}") from None


def _safe_reason(error: BaseException) -> str:
    """Only reasons known to hold no cell of the file are passed on."""
    text = str(error).lower()
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if isinstance(error, PermissionError):
        return "permission denied"
    for sign, reason in _REASONS.items():
        if sign in text:
            return reason
    return f"the file is damaged or of another format ({type(error).__name__})"


_REASONS = {
    "magic bytes": "it does not end as a Parquet file does (truncated, or another format; for CSV set format: csv)",
    "0 bytes": "the file is empty",
    "footer": "its footer is damaged (truncated?)",
    "invalid utf8": "not UTF-8 text; convert the file to UTF-8",
    "end-of-stream": "its compressed data ends early (truncated?)",
    "crc check failed": "its compressed data fails its checksum",
    "checksum": "a page fails its checksum",
    "straddling object": "a row is longer than a block (an unclosed quote?)",
}
