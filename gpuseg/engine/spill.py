"""Buckets of canonical rows, appended while sources are scanned and read back one bucket at a time.

The first rows stay in memory, up to a fixed number of bytes; all others go to files. A spill is scratch space of one
running stage. Text categories are stored as codes into one table a spill, so that a
bucket's rows stay small; the table's order is that of arrival and never leaves the spill.
"""

import resource
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa

from gpuseg.engine.arrow import as_arrow, codes_of

HELD_BYTES = 256 * 2**20
_MOST_OPEN = 256


class Spill:
    """Rows of several sources, apart by source and bucket.

    Parameters
    ----------
    folder : Path
        Empty scratch folder; the caller removes it.
    n_buckets : int
        Number of buckets.
    held_bytes : int, default `HELD_BYTES`
        Most bytes of rows that stay in memory.
    """

    def __init__(self, folder: Path, n_buckets: int, held_bytes: int | None = None) -> None:
        self.folder = folder
        self.n_buckets = n_buckets
        self._room = HELD_BYTES if held_bytes is None else held_bytes
        self._held: dict[tuple[str, int], list[pa.RecordBatch]] = {}
        self._writers: dict[tuple[str, int], tuple[Any, Any]] = {}
        self._codes: dict[str, int] = {}
        self._most_open = max(1, min(_MOST_OPEN, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 4))

    def __enter__(self) -> "Spill":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.finish()

    @property
    def categories(self) -> list[str]:
        """The text that each category code stands for."""
        return list(self._codes)

    def append(self, source: str, rows: pa.RecordBatch, offsets: Sequence[int], *, coded: bool = True) -> None:
        """Add rows that are ordered by bucket.

        Parameters
        ----------
        source : str
            Name of the source.
        rows : pa.RecordBatch
            Canonical columns.
        offsets : sequence of int, length n_buckets + 1
            First row of each bucket.
        coded : bool, default True
            Whether the dictionary column `category`, where there is one, becomes codes.
        """
        if coded:
            rows = self._coded(rows)
        self._room -= rows.nbytes
        for bucket in range(self.n_buckets):
            low, high = int(offsets[bucket]), int(offsets[bucket + 1])
            if high == low:
                continue
            mine = rows.slice(low, high - low)
            if self._room >= 0:
                self._held.setdefault((source, bucket), []).append(mine)
            else:
                self._writer(source, bucket, rows.schema).write_batch(mine)

    def finish(self) -> None:
        """Flush and close every file."""
        while self._writers:
            _, (writer, sink) = self._writers.popitem()
            writer.close()
            sink.close()

    def read(self, bucket: int, sources: Sequence[str]) -> dict[str, pa.Table]:
        """Rows of one bucket by source; sources without rows in it are absent."""
        found = {}
        for source in sources:
            held, path = self._held.get((source, bucket)), self._path(source, bucket)
            tables = [pa.Table.from_batches(held)] if held else []
            if path.exists():
                tables += _streams(path)
            if tables:
                found[source] = pa.concat_tables(tables)
        return found

    def discard(self, bucket: int, sources: Sequence[str]) -> None:
        """Let go of the rows of one bucket."""
        for source in sources:
            self._held.pop((source, bucket), None)
            self._path(source, bucket).unlink(missing_ok=True)

    def _path(self, source: str, bucket: int) -> Path:
        return self.folder / f"{source}.{bucket:04d}.arrows"

    def _writer(self, source: str, bucket: int, schema: pa.Schema) -> Any:
        found = self._writers.get((source, bucket))
        if found is None:
            if len(self._writers) >= self._most_open:
                self.finish()
            sink = pa.OSFile(str(self._path(source, bucket)), "ab")
            found = (pa.ipc.new_stream(sink, schema), sink)
            self._writers[source, bucket] = found
        return found[0]

    def _coded(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        if "category" not in rows.schema.names:
            return rows
        column = rows["category"]
        table = np.array(
            [
                self._codes.setdefault(text, len(self._codes)) if text is not None else -1
                for text in column.dictionary.to_pylist()
            ]
            + [-1],
            np.int32,
        )
        codes = codes_of(column)
        return rows.set_column(rows.schema.get_field_index("category"), "category", as_arrow(table[codes]))


def _streams(path: Path) -> list[pa.Table]:
    """A file's Arrow streams, one for each time it was opened."""
    with pa.memory_map(str(path)) as mapped:
        tables = []
        while mapped.tell() < mapped.size():
            tables.append(pa.ipc.open_stream(mapped).read_all())
    return tables
