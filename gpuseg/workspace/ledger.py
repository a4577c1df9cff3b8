"""What a running stage has done already: pieces of work that a later attempt takes over instead of doing them again.

A piece counts once its entry is written, by an atomic rename after every file of it is synced. Entries are scratch:
they go when the stage is committed.
"""

import shutil
from collections.abc import Callable, Mapping
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
        if not self.is_of(folder, key):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            write_text(folder / _KEY, key)

    @staticmethod
    def is_of(folder: Path, key: str) -> bool:
        """Whether a folder holds the entries of a stage with this key."""
        try:
            return (folder / _KEY).read_text(encoding="utf-8") == key
        except (OSError, UnicodeDecodeError):
            return False

    def read(self, name: str) -> Entry | None:
        """An entry, or None where there is none that is whole."""
        path = self.folder / f"{name}.json"
        if not path.exists():
            return None
        try:
            saved = read_json(path)
            return Entry(saved["content"], {table: self._table(name, table) for table in saved["tables"]})
        except (IntegrityError, KeyError, TypeError, OSError, pa.ArrowException):
            # Nothing is lost by doing it again.
            return None

    def write(self, name: str, entry: Entry) -> None:
        """Add an entry."""
        for table, rows in entry.tables.items():
            with (
                replacing(self._path(name, table)) as temporary,
                pa.OSFile(str(temporary), "wb") as sink,
                pa.ipc.new_file(sink, rows.schema) as writer,
            ):
                writer.write_table(rows)
        write_json(self.folder / f"{name}.json", {"content": entry.content, "tables": list(entry.tables)})

    def close(self) -> None:
        """Remove all entries."""
        shutil.rmtree(self.folder, ignore_errors=True)
        with suppress(OSError):
            self.folder.parent.rmdir()

    def _path(self, name: str, table: str) -> Path:
        return self.folder / f"{name}.{table}.arrow"

    def _table(self, name: str, table: str) -> pa.Table:
        with pa.OSFile(str(self._path(name, table))) as file:
            return pa.ipc.open_file(file).read_all()


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
    """

    function: Callable[[Item], Result]
    ledger: Ledger
    codec: Codec[Result]
    name: str

    def __call__(self, item: Item) -> Result:
        """The result of one item."""
        name = f"{self.name}-{item}"
        entry = self.ledger.read(name)
        if entry is not None:
            return self.codec.restore(entry)
        result = self.function(item)
        stored = self.codec.store(result)
        if stored is not None:
            self.ledger.write(name, stored)
        return result


class Plain:
    """Results that are JSON values already."""

    def store(self, result: Any) -> Entry:
        """The value itself."""
        return Entry(result, {})

    def restore(self, entry: Entry) -> Any:
        """The value itself."""
        return entry.content
