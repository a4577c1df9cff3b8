"""What a running stage has done already: pieces of work that a later attempt takes over instead of doing them again.

A piece counts once its entry is written, by an atomic rename after every file of it is synced, and only as long as
these files are what they were then. Entries are scratch: they go when the stage is committed.
"""

import json
import os
import shutil
import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import pyarrow as pa

from gpuseg.errors import IntegrityError
from gpuseg.workspace.files import read_json, replacing, write_json, write_text

Item = TypeVar("Item")
Result = TypeVar("Result")

_KEY = "key"


@dataclass(frozen=True)
class Entry:
    """A result in a form that can be stored.

    Parameters
    ----------
    content : JSON value
    tables : mapping of str to Arrow table
    """

    content: Any
    tables: Mapping[str, pa.Table]


class Codec(Protocol[Result]):
    """How the results of a kind of work are stored."""

    def store(self, result: Result) -> Entry | None:
        """The result to store; None where it cannot be taken over by another process."""

    def restore(self, entry: Entry) -> Result:
        """The result from what was stored."""


class Ledger:
    """The entries of one stage.

    Parameters
    ----------
    folder : Path
        Its own; made where it is missing.
    key : str
        Hash of everything that decides the stage's output. Entries that another key left are removed first.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self.folder = folder
        self._key = key
        if not self.is_of(folder, key):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True, exist_ok=True)
            write_text(folder / _KEY, key)

    @staticmethod
    def is_of(folder: Path, key: str) -> bool:
        """Whether a folder holds the entries of a stage with this key."""
        try:
            return (folder / _KEY).read_text(encoding="utf-8") == key
        except (OSError, UnicodeDecodeError):
            return False

    @classmethod
    def kept(cls, folder: Path, key: str) -> dict[str, int]:
        """How many entries of each name a folder holds, whole or not; none of a stage with another key."""
        if not cls.is_of(folder, key):
            return {}
        return dict(Counter(path.stem.partition("-")[0] for path in folder.glob("*.json")))

    def below(self, name: str) -> "Ledger":
        """A ledger for a part of the stage, which lasts no longer than this one."""
        return Ledger(self.folder / name, f"{self._key} {name}")

    def read(self, name: str) -> Entry | None:
        """An entry, or None where there is none that is whole, with all its files as they were."""
        path = self.folder / f"{name}.json"
        if not path.exists():
            return None
        try:
            saved = read_json(path)
            content, parts = saved["content"], saved["parts"]
            if saved["check"] != self._check(content, parts):
                return None
            if any(_facts(self.folder / part) != facts for part, facts in parts.items()):
                return None
            return Entry(content, {table: self._table(name, table) for table in saved["tables"]})
        except (IntegrityError, KeyError, TypeError, AttributeError, OSError, pa.ArrowException):
            # Nothing is lost by doing it again.
            return None

    def holds(self, name: str) -> bool:
        """Whether there is an entry, whole or not."""
        return (self.folder / f"{name}.json").exists()

    def write(self, name: str, entry: Entry, files: Sequence[Path] = ()) -> None:
        """Add an entry.

        Parameters
        ----------
        name : str
        entry : Entry
        files : sequence of Path
            What else the work has written.
        """
        for table, rows in entry.tables.items():
            with (
                replacing(self._path(name, table)) as temporary,
                pa.OSFile(str(temporary), "wb") as sink,
                pa.ipc.new_file(sink, rows.schema) as writer,
            ):
                writer.write_table(rows)
        paths = [*files, *(self._path(name, table) for table in entry.tables)]
        parts = {os.path.relpath(path, self.folder): _facts(path) for path in paths}
        saved = {"content": entry.content, "tables": list(entry.tables), "parts": parts}
        write_json(self.folder / f"{name}.json", {**saved, "check": self._check(entry.content, parts)})

    def close(self) -> None:
        """Remove all entries."""
        shutil.rmtree(self.folder, ignore_errors=True)
        with suppress(OSError):
            self.folder.parent.rmdir()

    def _check(self, content: Any, parts: Mapping[str, Any]) -> int:
        """A checksum that holds for this key alone."""
        return zlib.crc32(json.dumps([self._key, content, parts], sort_keys=True).encode())

    def _path(self, name: str, table: str) -> Path:
        return self.folder / f"{name}.{table}.arrow"

    def _table(self, name: str, table: str) -> pa.Table:
        with pa.OSFile(str(self._path(name, table))) as file:
            return pa.ipc.open_file(file).read_all()


def _facts(path: Path) -> list[int]:
    """What a change of the file would change, without reading it."""
    found = path.stat()
    return [found.st_size, found.st_mtime_ns]


def no_files(_item: Any, _result: Any) -> Sequence[Path]:
    """Of work that writes none."""
    return ()


@dataclass(frozen=True)
class Once(Generic[Item, Result]):
    """A function whose results are taken from the ledger where they are, and added to it where they are not.

    Parameters
    ----------
    function : callable
        Safe to be called again for an item whose entry is missing.
    ledger : Ledger
    codec : Codec
    name : str
        What the entries are called before the item.
    files : callable
        The files that the function has written, from the item and its result.
    """

    function: Callable[[Item], Result]
    ledger: Ledger
    codec: Codec[Result]
    name: str
    files: Callable[[Item, Result], Sequence[Path]] = no_files

    def __call__(self, item: Item) -> Result:
        """The result of one item."""
        name = f"{self.name}-{item}"
        entry = self.ledger.read(name)
        if entry is not None:
            return self.codec.restore(entry)
        result = self.function(item)
        stored = self.codec.store(result)
        if stored is not None:
            self.ledger.write(name, stored, self.files(item, result))
        return result

    def told(self, item: Item) -> str:
        """An item in words for people."""
        return f"{self.name} {getattr(item, 'told', item)}"


class Plain:
    """Results that are JSON values already."""

    def store(self, result: Any) -> Entry:
        """The value itself."""
        return Entry(result, {})

    def restore(self, entry: Entry) -> Any:
        """The value itself."""
        return entry.content
