"""Buckets of canonical rows: parts of the sources are partitioned one by one, and read back one bucket at a time.

Each part becomes a `Run` of pieces. A piece is either held in memory, while there is room, or an Arrow file with one
record batch a bucket, in order, so that a bucket is one read of it (as the map output of a sort shuffle is; Spark's
`SortShuffleManager`). Files are scratch of one stage. Text categories are stored as codes into a table of the run, and
read as codes into one table of all runs; the order of neither ever leaves this module.
"""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gpuseg.engine.arrow import as_arrow, as_numpy, codes_of
from gpuseg.errors import IntegrityError
from gpuseg.workspace.files import replacing

HELD_BYTES = 256 * 2**20
_PIECE_BYTES, _PIECE_BYTES_PER_BUCKET = 64 * 2**20, 64 * 2**10


class Room:
    """Memory that rows of this process may be held in; in another process there is none.

    Parameters
    ----------
    n_bytes : int, default `HELD_BYTES`
    """

    def __init__(self, n_bytes: int | None = None) -> None:
        self._left = HELD_BYTES if n_bytes is None else n_bytes
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[type["Room"], tuple[int]]:
        return Room, (0,)

    def take(self, n_bytes: int) -> bool:
        """Take so many bytes, if they are left."""
        with self._lock:
            fits = n_bytes <= self._left
            self._left -= n_bytes if fits else 0
        return fits

    def give(self, n_bytes: int) -> None:
        """Give bytes back."""
        with self._lock:
            self._left += n_bytes


@dataclass(frozen=True)
class Piece:
    """Some rows of a run.

    Parameters
    ----------
    path : Path or None
        File with one record batch a bucket.
    held : dict of bucket to list of record batch
        Rows in memory, where there is no file.
    """

    path: Path | None
    held: dict[int, list[pa.RecordBatch]] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """The rows of one part of a source.

    Parameters
    ----------
    source : str
    categories : tuple of str or None
        What the codes in column `category` stand for; None where that column, if there is one, holds no codes.
    pieces : tuple of Piece
    """

    source: str
    categories: tuple[str, ...] | None
    pieces: tuple[Piece, ...]

    @property
    def is_stored(self) -> bool:
        """Whether all of it is in files."""
        return all(piece.path is not None for piece in self.pieces)

    def saved(self) -> dict[str, Any]:
        """A run in files as JSON values."""
        names = [piece.path.name for piece in self.pieces if piece.path is not None]
        categories = None if self.categories is None else list(self.categories)
        return {"source": self.source, "categories": categories, "files": names}

    @classmethod
    def restored(cls, saved: Mapping[str, Any], folder: Path) -> "Run":
        """A run from what `saved` gave, and the folder of its files."""
        categories = None if saved["categories"] is None else tuple(saved["categories"])
        return cls(saved["source"], categories, tuple(Piece(folder / name) for name in saved["files"]))


class RunWriter:
    """Takes the rows of one part of a source.

    Parameters
    ----------
    path : Path
        Where its files go; a number and an ending are appended to the name.
    source : str
    n_buckets : int
    room : Room
    coded : bool, default True
        Whether the dictionary column `category`, where there is one, becomes codes.
    """

    def __init__(self, path: Path, source: str, n_buckets: int, room: Room, *, coded: bool = True) -> None:
        self._path, self._source, self._n_buckets, self._room = path, source, n_buckets, room
        self._codes: dict[str, int] | None = {} if coded else None
        self._pieces: list[Piece] = []
        self._waiting: dict[int, list[pa.RecordBatch]] = {}
        self._n_bytes = self._held_bytes = 0
        self._most_bytes = max(_PIECE_BYTES, _PIECE_BYTES_PER_BUCKET * n_buckets)

    def append(self, rows: pa.RecordBatch, offsets: Sequence[int]) -> None:
        """Add rows that are ordered by bucket.

        Parameters
        ----------
        rows : record batch
        offsets : sequence of int, length n_buckets + 1
            First row of each bucket, and the number of rows.
        """
        if self._codes is not None:
            rows = _coded(rows, self._codes)
        for bucket in range(self._n_buckets):
            low, high = int(offsets[bucket]), int(offsets[bucket + 1])
            if high > low:
                self._waiting.setdefault(bucket, []).append(rows.slice(low, high - low))
        self._n_bytes += rows.nbytes
        if self._n_bytes >= self._most_bytes:
            self._flush()

    def finish(self) -> Run:
        """The run, complete."""
        if self._waiting:
            self._flush()
        categories = None if self._codes is None else tuple(self._codes)
        return Run(self._source, categories, tuple(self._pieces))

    def discard(self) -> None:
        """Let go of all rows, in memory and in files."""
        self._waiting, self._n_bytes = {}, 0
        for piece in self._pieces:
            if piece.path is not None:
                piece.path.unlink(missing_ok=True)
        self._pieces = []
        self._room.give(self._held_bytes)
        self._held_bytes = 0

    def _flush(self) -> None:
        held, n_bytes = self._waiting, self._n_bytes
        self._waiting, self._n_bytes = {}, 0
        if self._room.take(n_bytes):
            self._held_bytes += n_bytes
            self._pieces.append(Piece(None, held))
            return
        path = self._path.with_name(f"{self._path.name}.{len(self._pieces):03d}.arrow")
        schema = next(iter(held.values()))[0].schema
        with (
            replacing(path) as temporary,
            pa.OSFile(str(temporary), "wb") as sink,
            pa.ipc.new_file(sink, schema) as writer,
        ):
            for bucket in range(self._n_buckets):
                writer.write_batch(_one_batch(held.pop(bucket, []), schema))
        self._pieces.append(Piece(path))


class Spill:
    """The runs of all sources.

    Parameters
    ----------
    n_buckets : int
    """

    def __init__(self, n_buckets: int) -> None:
        self.n_buckets = n_buckets
        self._runs: list[Run] = []
        self._tables: list[npt.NDArray[np.int32] | None] = []
        self._codes: dict[str, int] = {}

    @property
    def categories(self) -> list[str]:
        """The text that each category code stands for."""
        return list(self._codes)

    def add(self, run: Run) -> None:
        """Take in a run."""
        # The words are in the table of all runs; every worker gets this object.
        self._runs.append(replace(run, categories=None))
        self._tables.append(None if run.categories is None else _places(run.categories, self._codes))

    def read(self, bucket: int, only: Callable[[pa.Table], pa.Table] | None = None) -> dict[str, pa.Table]:
        """Rows of one bucket by source, in the order of the runs; sources without rows in it are absent.

        Parameters
        ----------
        bucket : int
        only : callable, optional
            Picks the rows that are wanted of each piece.

        Raises
        ------
        IntegrityError
            If a scratch file is gone or damaged.
        """
        found: dict[str, list[pa.Table]] = {}
        for run, table in zip(self._runs, self._tables, strict=True):
            for piece in run.pieces:
                rows = _rows_of(piece, bucket)
                rows = only(rows) if rows is not None and only is not None else rows
                if rows is not None and rows.num_rows:
                    found.setdefault(run.source, []).append(_translated(rows, table))
        return {source: pa.concat_tables(tables) for source, tables in found.items()}

    def discard(self, bucket: int) -> None:
        """Let go of the rows of one bucket that are held in memory."""
        for run in self._runs:
            for piece in run.pieces:
                piece.held.pop(bucket, None)


def _rows_of(piece: Piece, bucket: int) -> pa.Table | None:
    if piece.path is None:
        held = piece.held.get(bucket)
        return pa.Table.from_batches(held) if held else None
    # Not mapped: what is read is counted once, as memory of this process, and goes with the table.
    try:
        with pa.OSFile(str(piece.path)) as file:
            return pa.Table.from_batches([pa.ipc.open_file(file).get_batch(bucket)])
    except MemoryError:
        raise
    except (OSError, pa.ArrowException) as error:
        raise IntegrityError(
            f"{piece.path}: a scratch file is missing or damaged ({type(error).__name__}); run again"
        ) from None


def _coded(rows: pa.RecordBatch, codes: dict[str, int]) -> pa.RecordBatch:
    """Words as codes; new words get the next ones."""
    place = rows.schema.get_field_index("category")
    if place < 0:
        return rows
    table = _places(rows.column(place).dictionary.to_pylist(), codes)
    return rows.set_column(place, "category", as_arrow(table.take(codes_of(rows.column(place)))))


def _places(words: Iterable[str | None], codes: dict[str, int]) -> npt.NDArray[np.int32]:
    """Code of each word, and at the end, where code -1 finds it, -1."""
    places = [-1 if word is None else codes.setdefault(word, len(codes)) for word in words]
    return np.array([*places, -1], np.int32)


def _translated(rows: pa.Table, table: npt.NDArray[np.int32] | None) -> pa.Table:
    """Codes of a run as codes of all."""
    place = rows.schema.get_field_index("category")
    if place < 0 or table is None:
        return rows
    return rows.set_column(place, "category", as_arrow(table.take(as_numpy(rows["category"]))))


def _one_batch(batches: Sequence[pa.RecordBatch], schema: pa.Schema) -> pa.RecordBatch:
    if not batches:
        return pa.RecordBatch.from_arrays([pa.nulls(0, field.type) for field in schema], schema=schema)
    columns = [pa.concat_arrays([batch.column(place) for batch in batches]) for place in range(len(schema))]
    return pa.RecordBatch.from_arrays(columns, schema=schema)
