"""Arrow IPC files and streams, Feather version 2 among them, batch by batch."""

import gzip
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pyarrow as pa

from gpuseg.engine.opening import Access, opened, readable, refuse_other_format
from gpuseg.errors import SchemaError

_FILE = b"ARROW1"
_CONTINUATION = b"\xff\xff\xff\xff"
_END = b"\0\0\0\0"


def ipc_schema(path: str, source: str) -> pa.Schema:
    """Schema of an Arrow file or stream.

    Raises
    ------
    SchemaError
        If it is neither.
    """
    with _reader(path, source, None, "parts") as (reader, _):
        return reader.schema


def ipc_batches(path: str, source: str, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Record batches of an Arrow file or stream with `columns` alone, checked to be whole.

    Raises
    ------
    SchemaError
        If the file is damaged or cut off.
    """
    schema = ipc_schema(path, source)
    wanted = [place for place, name in enumerate(schema.names) if name in columns]
    options = pa.ipc.IpcReadOptions(included_fields=wanted, use_threads=False)
    with _reader(path, source, options, "batches") as (reader, stream):
        if stream is None:
            for number in range(reader.num_record_batches):
                yield _sound(reader.get_batch(number))
            return
        for batch in reader:
            yield _sound(batch)
        # A stream may end anywhere between two batches, so only its mark tells that none is missing.
        if stream.last != _END:
            raise SchemaError(f"{source}: {path}: the Arrow stream has no end mark (truncated, or never closed)")
        if stream.read(1):
            raise SchemaError(f"{source}: {path}: something follows the end of the Arrow stream; one file, one stream")


def _sound(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch, once its offsets are known to lie inside its memory; Arrow itself trusts a file."""
    batch.validate(full=True)
    return batch


class _Stream:
    """A stream that remembers the last bytes it handed out in one piece."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.last = b""
        self.closed = False

    def read(self, size: int = -1) -> bytes:
        data: bytes = self._stream.read(size)
        self.last = data[:8] or self.last
        return data

    def tell(self) -> int:
        return int(self._stream.tell())


@contextmanager
def _reader(
    path: str, source: str, options: pa.ipc.IpcReadOptions | None, access: Access
) -> Iterator[tuple[Any, _Stream | None]]:
    with readable(path, "Arrow", source), opened(path, access) as handle:
        start = handle.read(8)
        handle.seek(0)
        if not start:
            raise SchemaError(f"{source}: {path}: the file is empty; an Arrow file starts with its schema")
        refuse_other_format(start, "Arrow", path, source)
        if start.startswith(_FILE):
            if isinstance(handle, gzip.GzipFile):
                raise SchemaError(f"{source}: {path}: an Arrow file cannot be read through gzip; unpack it")
            yield pa.ipc.open_file(handle, options=options), None
        elif start.startswith(_CONTINUATION):
            stream = _Stream(handle)
            yield pa.ipc.open_stream(stream, options=options), stream
        else:
            raise SchemaError(f"{source}: {path}: is neither an Arrow file nor a stream; for CSV set format: csv")
