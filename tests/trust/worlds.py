"""Small whole worlds of four sources, and a search for traces of what should have left none."""

import datetime as dt
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import yaml

Row = dict[str, Any]
AS_OF = dt.date(2018, 1, 1)
N_PEOPLE = 40

TYPES = {
    "orders": {
        "profile_id": pa.string(),
        "at": pa.timestamp("us"),
        "amount": pa.float64(),
        "order_id": pa.string(),
        "category": pa.string(),
        "allowed": pa.string(),
    },
    "clicks": {
        "profile_id": pa.string(),
        "at": pa.timestamp("us"),
        "event": pa.string(),
        "url": pa.string(),
        "dwell_ms": pa.float64(),
        "allowed": pa.string(),
    },
    "voices": {
        "profile_id": pa.string(),
        "at": pa.timestamp("us"),
        "rating": pa.float64(),
        "nps": pa.float64(),
        "comment": pa.string(),
        "allowed": pa.string(),
    },
    "people": {"profile_id": pa.string(), "region": pa.string(), "allowed": pa.string()},
}
KINDS = {"orders": "purchases", "clicks": "web", "voices": "feedback", "people": "crm"}


def clean_rows() -> dict[str, list[Row]]:
    """Good rows of all sources, none of which is left out for any reason."""
    random = np.random.default_rng(11)
    found: dict[str, list[Row]] = {name: [] for name in KINDS}

    def moment() -> dt.datetime:
        return dt.datetime(2017, 1, 2) + dt.timedelta(seconds=int(random.integers(0, 350 * 86_400)))

    for person in range(N_PEOPLE):
        who = f"P-{person:03d}"
        for line in range(3 + person % 5):
            found["orders"].append(
                {
                    "profile_id": who,
                    "at": moment(),
                    "amount": round(float(random.gamma(2.0, 9.0)), 2),
                    "order_id": f"{who}/{line // 2}",
                    "category": ("Food", "Garden", "Toys")[(person + line) % 3],
                    "allowed": "yes",
                }
            )
            found["clicks"].append(
                {
                    "profile_id": who,
                    "at": moment(),
                    "event": ("page_view", "add_to_cart", "search")[line % 3],
                    "url": f"/shop/{line}",
                    "dwell_ms": float(random.integers(0, 90_000)),
                    "allowed": "yes",
                }
            )
        if person % 2:
            found["voices"].append(
                {
                    "profile_id": who,
                    "at": moment(),
                    "rating": float(1 + person % 5),
                    "nps": float(person % 11),
                    "comment": "very good" if person % 3 else "bad service",
                    "allowed": "yes",
                }
            )
        found["people"].append({"profile_id": who, "region": ("north", "south")[person % 2], "allowed": "yes"})
    return found


def mixed(clean: Mapping[str, list[Row]], extra: Mapping[str, list[Row]]) -> dict[str, list[Row]]:
    """Clean rows with further rows at places spread between them."""
    found = {}
    for source, rows in clean.items():
        whole = list(rows)
        for number, row in enumerate(extra.get(source, ())):
            whole.insert((number * 7 + 3) % (len(whole) + 1), row)
        found[source] = whole
    return found


def table_of(source: str, rows: Iterable[Row], types: Mapping[str, pa.DataType] | None = None) -> pa.Table:
    """Rows as an Arrow table of the source's columns."""
    rows = list(rows)
    types = types or TYPES[source]
    return pa.table({name: pa.array([row.get(name) for row in rows], kind) for name, kind in types.items()})


class World:
    """A folder with data of four sources and a configuration beside it.

    Parameters
    ----------
    folder : Path
    rows : mapping of source name to rows
    form : {"parquet", "csv", "frame"}
    sections : mapping
        Sections of the configuration beside `run` and `sources`.
    sources : mapping of source name to mapping
        Further keys of a source.
    """

    def __init__(
        self,
        folder: Path,
        rows: Mapping[str, list[Row]],
        *,
        form: str = "parquet",
        sections: Mapping[str, Any] | None = None,
        sources: Mapping[str, Mapping[str, Any]] | None = None,
        run: Mapping[str, Any] | None = None,
    ) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.frames = {source: table_of(source, mine) for source, mine in rows.items()} if form == "frame" else None
        described = []
        for source, mine in rows.items():
            section: dict[str, Any] = {"name": source, "kind": KINDS[source]}
            if form != "frame":
                section["uri"] = f"{source}.{form}"
                write(folder / f"{source}.{form}", table_of(source, mine))
            if source == "people":
                section["columns"] = {"region": "region"}
            described.append(section | dict((sources or {}).get(source, {})))
        self.config: dict[str, Any] = {
            "run": {"out": str(folder / "out"), "as_of": AS_OF, **(run or {})},
            "sources": described,
            "cluster": {"segments": 3},
            "quality": {"max_null_share": 1.0, "min_coverage": 0.0},
        }
        for name, section in (sections or {}).items():
            self.config[name] = {**self.config.get(name, {}), **section}
        self.path = folder / "gpuseg.yaml"
        self.path.write_text(yaml.safe_dump(self.config, sort_keys=False), encoding="utf-8")

    def run(self) -> Any:
        """The whole pipeline, from Python."""
        import gpuseg
        from gpuseg.config import load_config

        return gpuseg.run(load_config(self.path), frames=self.frames)

    @property
    def out(self) -> Path:
        return self.folder / "out"

    @property
    def version(self) -> Path:
        """Folder of the current version."""
        return self.out / (self.out / "CURRENT").read_text(encoding="utf-8").strip()


def write(path: Path, table: pa.Table) -> None:
    """Write a table as Parquet or CSV, by the file's name; null is an empty field."""
    if path.suffix == ".csv":
        options = pa.csv.WriteOptions(quoting_style="needed")
        pa.csv.write_csv(table, path, options)
    else:
        pq.write_table(table, path)


def outputs(version: Path) -> dict[str, bytes]:
    """Bytes of everything that must not depend on rows that were left out."""
    parts = ("state", "features", "model", "assignments")
    files = [path for part in parts for path in (version / part).rglob("*") if path.is_file()]
    files += [version / "segments.json", version / "explanations.json"]
    return {path.relative_to(version).as_posix(): path.read_bytes() for path in sorted(files)}


def values_of(path: Path) -> Iterator[str]:
    """Everything that a file holds, as text: its bytes, and its values once decoded."""
    yield path.name
    yield path.read_bytes().decode("utf-8", "replace")
    if path.suffix == ".json":
        yield from _leaves(json.loads(path.read_text(encoding="utf-8")))
    if path.suffix == ".npy":
        yield from map(str, np.load(path).ravel().tolist())
    if path.suffix == ".parquet":
        plain = pq.read_table(path)
        words = [field.name for field in plain.schema if pa.types.is_string(_plain(field.type))]
        # Read as dictionaries, columns give up words that no row has.
        spelt = pq.read_table(path, read_dictionary=words)
        yield str(spelt.schema)
        for name in plain.column_names:
            yield from map(str, plain[name].to_pylist())
            for chunk in spelt[name].chunks:
                if isinstance(chunk, pa.DictionaryArray):
                    yield from map(str, chunk.dictionary.to_pylist())


def _plain(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _leaves(content: Any) -> Iterator[str]:
    if isinstance(content, dict):
        for key, value in content.items():
            yield str(key)
            yield from _leaves(value)
    elif isinstance(content, list):
        for value in content:
            yield from _leaves(value)
    else:
        yield str(content)


def traces(folder: Path, markers: Iterable[str], *, except_for: Iterable[str] = ()) -> list[str]:
    """`file: marker` for every marker that any file below a folder holds, in its bytes or once decoded."""
    markers, spared = list(markers), set(except_for)
    found = []
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and p.name not in spared):
        text = "\n".join(values_of(path))
        found += [f"{path.relative_to(folder)}: {marker}" for marker in markers if marker in text]
    return found


def read_all(folder: Path) -> pa.Table:
    """All Parquet files of a folder as one table, sorted by profile."""
    table = pa.concat_tables([pq.read_table(path) for path in sorted(folder.glob("*.parquet"))])
    return table.sort_by("profile_id")


def quarantined(version: Path, source: str) -> list[Row]:
    """Rows of a source's quarantine."""
    rows: list[Row] = pq.read_table(version / "quarantine" / f"{source}.parquet").to_pylist()
    return rows


def reconciled(source: Mapping[str, Any], *, dedupe: bool = False) -> bool:
    """Whether the counts of one source in `quality.json` add up."""
    left_out = ("quarantined", "after_as_of", "without_consent", "past_retention", "unmatched")
    total = source["rows_used"] + sum(source[f"rows_{reason}"] for reason in left_out)
    return bool(source["rows_read"] == total + ((source["rows_duplicate"] or 0) if dedupe else 0))
