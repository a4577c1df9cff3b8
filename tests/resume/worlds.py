"""A small run over several kinds of source, made so that every path of a large one is used, and ways to break it."""

import json
import shutil as shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gpuseg import attempt
from gpuseg.config import Config, parse_config
from gpuseg.outcome import Outcome
from gpuseg.pipeline import execute
from gpuseg.workspace import files

N_PROFILES = 90
N_BUCKETS = 4
START_US = 1_490_000_000_000_000
CLUSTER = {"kmeans": {"segments": 3}, "hdbscan": {"method": "hdbscan", "min_cluster_size": 8}}
PROMISED = ("state/", "features/", "model/", "assignments/", "quarantine/", "segments.json", "explanations.json")


class Crash(BaseException):
    """The process is taken to have ended here."""


def tiny(patch: pytest.MonkeyPatch) -> None:
    """Make parts, pieces and held memory so small that rows go to many files and the matrix to disk."""
    patch.setattr("gpuseg.engine.spill.HELD_BYTES", 0)
    patch.setattr("gpuseg.engine.spill._PIECE_BYTES", 2_000)
    patch.setattr("gpuseg.engine.spill._PIECE_BYTES_PER_BUCKET", 1)
    patch.setattr("gpuseg.sources.scan.PART_BYTES", 1)
    patch.setattr("gpuseg.engine.cpu.device.CpuDevice.held_bytes", 0)


def write_sources(folder: Path, *, seed: int = 5) -> None:
    """Purchases, visits, ratings and people of a few groups that lie apart."""
    folder.mkdir(exist_ok=True)
    random = np.random.default_rng(seed)
    group = np.arange(N_PROFILES) % 3
    for number in range(2):
        who = np.repeat(np.arange(N_PROFILES), 1 + 2 * group)
        n = who.size
        table = {
            "profile_id": [f"p{w:03d}" for w in who],
            "at": pa.array(START_US + random.integers(0, 10**13, n), pa.timestamp("us")),
            "amount": np.round(random.gamma(2.0, 5.0 * (1 + 9 * (group[who] == 1))), 2),
            "order_id": random.integers(0, 200, n),
            "category": [("food", "toys", "garden", "größe")[c] for c in (group[who] + random.integers(0, 2, n))],
        }
        pq.write_table(pa.table(table), folder / f"orders{number}.parquet", row_group_size=70)
    who = random.integers(0, N_PROFILES, 200)
    lines = ["profile_id,at,event,url"]
    events = ("page_view", "add_to_cart", "search")
    lines += [
        f"p{w:03d},2017-0{1 + i % 6}-1{i % 9}T0{i % 9}:15:00Z,{events[i % 3]},/x/{i % 5}" for i, w in enumerate(who)
    ]
    lines += ["p001,never,page_view,/x"]
    (folder / "web.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    rating = {"at": "2017-05-05T10:00:00Z", "comment": "good"}
    ratings = [json.dumps({"profile_id": f"p{w:03d}", "rating": 1 + w % 5, **rating}) for w in range(0, N_PROFILES, 2)]
    (folder / "stars.jsonl").write_text("\n".join(ratings) + "\n", encoding="utf-8")
    people = ["profile_id,region,age"]
    people += [f"p{w:03d},{('north', 'south')[w % 2]},{20 + w % 50}" for w in range(N_PROFILES + 5)]
    (folder / "people.csv").write_text("\n".join(people) + "\np000,north,1\n", encoding="utf-8")


def settings(folder: Path, out: str = "out", **sections: Any) -> dict[str, Any]:
    """The configuration of a run over `write_sources`."""
    quarantine = {"quality": {"on_bad": "quarantine"}}
    content: dict[str, Any] = {
        "run": {"out": str(folder / out), "as_of": "2018-01-01", "buckets": N_BUCKETS, "chunk_rows": 50},
        "sources": [
            {"name": "orders", "kind": "purchases", "uri": str(folder / "orders*.parquet")},
            {"name": "visits", "kind": "web", "uri": str(folder / "web.csv")},
            {"name": "stars", "kind": "feedback", "uri": str(folder / "stars.jsonl")},
            {
                "name": "people",
                "kind": "crm",
                "uri": str(folder / "people.csv"),
                "columns": {name: name for name in ("profile_id", "region", "age")},
            },
        ],
        "features": {"families": ["rfm", "interests", "browsing", "feedback", "attributes"]},
        "cluster": {"segments": 3},
        "privacy": {"group_floor": 1},
        **quarantine,
    }
    for name, section in sections.items():
        content[name] = section if name == "cluster" else {**content.get(name, {}), **section}
    return content


def config(folder: Path, out: str = "out", **sections: Any) -> Config:
    return parse_config(settings(folder, out, **sections))


def go_on(configured: Config, until: str = "assign") -> Outcome:
    """What `--resume` does, up to a stage."""
    return execute(configured, until=until, fresh=False)


def promised(version: Path) -> dict[str, bytes]:
    """The files of equal bytes for equal work."""
    found = {p.relative_to(version).as_posix(): p for p in sorted(version.rglob("*")) if p.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if name.startswith(PROMISED)}


def litter(version: Path) -> list[str]:
    """What must not be left of an attempt."""
    names = [path.relative_to(version).as_posix() for path in version.rglob("*")]
    return [name for name in names if name.endswith(".tmp") or name.startswith(".work")]


def owner_of(place: str) -> tuple[Any, str]:
    """Where a function of a place such as `module:Class.name` hangs, and its name."""
    module, _, name = place.partition(":")
    owner = import_module(module)
    *parents, last = name.split(".")
    for parent in parents:
        owner = getattr(owner, parent)
    return owner, last


@contextmanager
def crashing(place: str, nth: int) -> Iterator[None]:
    """The process as it is at the n-th call of a function, as if it were killed there.

    From then on no file comes to its place or is removed, and nothing is tidied up.
    """
    owner, name = owner_of(place)
    original, left, dead = getattr(owner, name), [nth], []

    def crash(*arguments: Any, **options: Any) -> Any:
        left[0] -= 1
        if not left[0]:
            dead.append(True)
        if dead:
            raise Crash
        return original(*arguments, **options)

    def unless_dead(function: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            if dead:
                raise Crash
            return function(*arguments, **options)

        return call

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "replace", unless_dead(Path.replace))
        patch.setattr(Path, "unlink", unless_dead(Path.unlink))
        patch.setattr(files, "sync_folder", unless_dead(files.sync_folder))
        patch.setattr(attempt, "_let_go", lambda *_: None)
        patch.setattr(owner, name, crash)
        with pytest.raises(Crash):
            yield
    assert dead, "it ended before it came there"


class Counted:
    """How often the pieces of work were done."""

    PLACES = {
        "part": "gpuseg.sources.scan:Scanner._scanned",
        "state": "gpuseg.sources.reduce:Reducer._state",
        "features": "gpuseg.feature_build:BucketFeatures.__call__",
        "pass": "gpuseg.clustering.kmeans:_pass",
        "assign": "gpuseg.segments.assign:_Assigner.__call__",
    }

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.done = dict.fromkeys(self.PLACES, 0)
        for kind, place in self.PLACES.items():
            owner, name = owner_of(place)
            patch.setattr(owner, name, self._counting(kind, getattr(owner, name)))

    def _counting(self, kind: str, function: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            result = function(*arguments, **options)
            self.done[kind] += 1
            return result

        return call
