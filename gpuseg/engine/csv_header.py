"""The header line of a CSV file."""

import csv
import io
from typing import IO, Any

from gpuseg.engine.opening import START_BYTES, opened, readable, refuse_other_format
from gpuseg.errors import SchemaError

_OTHER_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}


def csv_header(path: str, source: str) -> list[str]:
    """Column names of a CSV file; empty lines before them are skipped.

    Raises
    ------
    SchemaError
        If the file is empty, is not comma-separated text, or names a column twice.
    """
    with readable(path, "CSV", source), opened(path, "start") as handle:
        start = handle.read(START_BYTES)
        refuse_other_format(start, "CSV", path, source)
        if start.removeprefix(b"\xef\xbb\xbf").lstrip().startswith((b'{"', b"[{")):
            raise SchemaError(f"{source}: {path}: is JSON, not CSV; set format: jsonl")
        text = io.TextIOWrapper(
            io.BufferedReader(_Prefixed(start, handle)), encoding="utf-8-sig", errors="surrogateescape", newline=""
        )
        try:
            header = next((row for row in csv.reader(text) if row), [])
        except csv.Error:
            raise SchemaError(f"{source}: {path}: its first line cannot be read as a CSV header") from None
        # Only the header must be text here; which row is not, the reading says.
        "".join(header).encode(errors="surrogateescape").decode()
    if not header:
        raise SchemaError(f"{source}: {path}: the file is empty; a CSV file starts with a header line")
    _check(header, path, source)
    return header


def _check(header: list[str], path: str, source: str) -> None:
    if not any(name.strip() for name in header):
        raise SchemaError(f"{source}: {path}: the header line names no column; a CSV file starts with a header line")
    for separator, name in _OTHER_SEPARATORS.items():
        if sum(field.count(separator) for field in header) > len(header) - 1:
            raise SchemaError(
                f"{source}: {path}: the header line is separated by {name}; a CSV file is separated by commas, "
                "with a point in decimal numbers: convert it"
            )
    for place, field in enumerate(header):
        if field in header[:place]:
            both = f"{header.index(field) + 1} and {place + 1}"
            raise SchemaError(f"{source}: {path}: the header names a column more than once (columns {both})")


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
