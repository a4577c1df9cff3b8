"""A folder with a configuration, its data and its run, and the command line as a function.

Shared by the tests of the command line, of the workspace and of bad input.
"""

import datetime as dt
import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from gpuseg.cli import main

COLUMNS = {"profile_id": "customer", "at": "ordered", "amount": "money", "order_id": "ticket", "category": "dept"}
TEXT_ID, INT_ID = "kowalski", 7_700_110_000
N_ROWS = 240
N_PROFILES = 30

Rows = dict[str, list[Any]]


def rows(n: int = N_ROWS, *, ids: type = str) -> Rows:
    """Good purchase lines of 30 profiles in 2017 under the file's own names."""
    random = np.random.default_rng(7)
    people = [i if i < N_PROFILES else int(p) for i, p in enumerate(random.integers(0, N_PROFILES, n))]
    seconds = random.integers(0, 360 * 86_400, n).tolist()
    return {
        "customer": [f"{TEXT_ID}-{p:03d}" if ids is str else INT_ID + p for p in people],
        "ordered": [dt.datetime(2017, 1, 1) + dt.timedelta(seconds=s) for s in seconds],
        "money": [round(float(m), 2) for m in random.gamma(2.0, 9.0, n)],
        "ticket": list(range(n)),
        "dept": [("Food", "Garden", "Toys")[p % 3] for p in people],
    }


def csv_text(content: Rows) -> str:
    """Rows as CSV without any quoting; None is an empty field."""
    lines = [",".join(content)]
    lines += [
        ",".join("" if cell is None else str(cell) for cell in row) for row in zip(*content.values(), strict=True)
    ]
    return "\n".join(lines) + "\n"


def parquet_bytes(content: Rows) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(content), sink)
    return sink.getvalue().to_pybytes()


class Shop:
    """A configuration under `folder`, its data beside it, its run in `out`."""

    def __init__(self, folder: Path, config: dict[str, Any] | None = None) -> None:
        self.folder = folder
        source = {"name": "orders", "kind": "purchases", "uri": "orders.csv", "columns": dict(COLUMNS)}
        self.config: dict[str, Any] = config or {
            "run": {"out": "out", "as_of": dt.date(2018, 1, 1)},
            "sources": [source],
            "cluster": {"segments": 3},
            "privacy": {"group_floor": 1},
        }

    @property
    def out(self) -> Path:
        return self.folder / "out"

    @property
    def source(self) -> dict[str, Any]:
        found: dict[str, Any] = self.config["sources"][0]
        return found

    @property
    def current(self) -> Path:
        """Folder of the current version."""
        return self.out / (self.out / "CURRENT").read_text(encoding="utf-8").strip()

    def write(self) -> Path:
        """Write the configuration as it is now."""
        path = self.folder / "gpuseg.yaml"
        text = self.config["raw"] if "raw" in self.config else yaml.safe_dump(self.config, sort_keys=False)
        path.write_text(text, encoding="utf-8")
        return path

    def copy_config(self) -> dict[str, Any]:
        copied: dict[str, Any] = yaml.safe_load(yaml.safe_dump(self.config))
        return copied

    def csv(self, content: Rows | str | bytes, name: str = "orders.csv") -> None:
        text = csv_text(content) if isinstance(content, dict) else content
        self.file(name, text if isinstance(text, bytes) else text.encode())

    def parquet(self, content: Rows | pa.Table, name: str = "orders.parquet") -> None:
        table = content if isinstance(content, pa.Table) else pa.table(content)
        pq.write_table(table, self.folder / name)
        self.source["uri"] = name

    def file(self, name: str, content: bytes) -> None:
        (self.folder / name).write_bytes(content)
        self.source["uri"] = name

    def crm(self, content: str, **settings: Any) -> None:
        (self.folder / "people.csv").write_text(content, encoding="utf-8")
        columns = {"profile_id": "customer", "region": "region"}
        source = {"name": "people", "kind": "crm", "uri": "people.csv", "columns": columns}
        self.config["sources"].append(source | settings)

    def tree(self) -> dict[str, bytes]:
        """Every file and folder of the run, but for the lock, with its content."""
        return {
            path.relative_to(self.out).as_posix(): path.read_bytes() if path.is_file() else b""
            for path in sorted(self.out.rglob("*"))
            if path.name != ".lock"
        }

    def assignments(self) -> pa.Table:
        """Assignments of the current version."""
        return pa.concat_tables([pq.read_table(path) for path in sorted((self.current / "assignments").iterdir())])


@dataclass(frozen=True)
class Told:
    """What a command said."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.err.splitlines()

    @property
    def content(self) -> Any:
        """The only JSON object on stdout."""
        return json.loads(self.out)


class Command(Protocol):
    def __call__(self, *words: object) -> Told: ...


@contextmanager
def command_line(capsys: pytest.CaptureFixture[str]) -> Iterator[Command]:
    """`gpuseg` in this process; its handler of SIGTERM does not outlive the test."""
    with own_signals():

        def run(*words: object) -> Told:
            capsys.readouterr()
            code = main([str(word) for word in words])
            said = capsys.readouterr()
            return Told(code, said.out, said.err)

        yield run


@contextmanager
def own_signals() -> Iterator[None]:
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, handler)


def committed_shop(folder: Path) -> Shop:
    """A shop with one good version."""
    shop = Shop(folder)
    shop.csv(rows())
    with own_signals():
        assert main(["run", str(shop.write())]) == 0
    return shop
