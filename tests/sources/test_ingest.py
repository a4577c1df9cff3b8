"""From sources to the state that is kept."""

import datetime as dt
import resource
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gpuseg.engine import open_engine
from gpuseg.errors import GpusegError, InvalidValueError
from gpuseg.progress import Meter
from gpuseg.sources.ingest import ingest
from gpuseg.sources.plan import plan_sources
from gpuseg.sources.reduce import bucket_files
from gpuseg.workspace.ledger import Ledger

ORDERS = {"name": "orders", "kind": "purchases"}
PEOPLE = {"name": "people", "kind": "crm"}


def events(profiles, **columns):
    n = len(profiles)
    start = dt.datetime(2017, 1, 1)
    at = [start + dt.timedelta(hours=7 * row) for row in range(n)]
    return pa.table({"profile_id": profiles, "at": pa.array(at), "amount": pa.array(range(n)), **columns})


@pytest.fixture
def state(tmp_path, config_of):
    """Ingests frames and gives what was found, and a reader of the state's tables."""

    def run(*sources, frames, **settings):
        plans = plan_sources(config_of(*sources, **settings), frames)
        folder = tmp_path / f"v{len(list(tmp_path.iterdir()))}"
        with open_engine(engine="cpu") as engine:
            found = ingest(plans, engine, folder=folder, ledger=Ledger(folder / ".work", "key"), progress=Meter())

        def read(name):
            return pa.concat_tables([pq.read_table(file) for file in bucket_files(folder / "state" / name)])

        return found, read

    return run


@pytest.mark.parametrize("buckets", [1, 2, 7])
def test_profiles_and_who_knows_them(state, buckets):
    frames = {
        "orders": events(pa.array(["b", "a", "b"])),
        "web": events(pa.array(["c"])),
        "people": pa.table({"profile_id": ["d", "a"], "age": [30, 40]}),
    }
    found, read = state(
        ORDERS, ORDERS | {"name": "web"}, PEOPLE | {"columns": {"age": "age"}}, frames=frames, buckets=buckets
    )
    assert found.n_profiles == 4
    assert found.profiles_per_source == {"orders": 2, "web": 1, "people": 2}
    rows = {
        row.pop("profile_id"): [name for name, known in row.items() if known] for row in read("profiles").to_pylist()
    }
    assert rows == {"a": ["in_orders", "in_people"], "b": ["in_orders"], "c": ["in_web"], "d": ["in_people"]}
    ages = {row["profile_id"]: row["age"] for row in read("people.attributes").to_pylist()}
    assert ages == {"d": 30, "a": 40}
    assert sorted(read("purchases.cells")["profile_id"].to_pylist()) == ["a", "b", "c"]


def test_categories_by_lines_then_bytes_over_all_sources(state, tmp_path):
    frames = {
        "orders": events(pa.array(range(5)), category=pa.array(["b", "a", "é", None, "late"])),
        "web": events(pa.array(range(4)), category=pa.array(["é", "Z", "b", "é"])),
    }
    web = ORDERS | {"name": "web"}
    state(ORDERS, web, frames=frames, buckets=3)
    (path,) = tmp_path.glob("v*/state/categories.parquet")
    listed = pq.read_table(path).to_pydict()
    assert dict(zip(listed["category"], listed["n_lines"], strict=True)) == {"é": 3, "b": 2, "Z": 1, "a": 1, "late": 1}


def test_the_list_of_categories(tmp_path, config_of):
    names = [f"c{number * 7 % 30:02}" for number in range(30)]
    frame = events(pa.array(range(34)), category=pa.array([*names, "é", "é", "Z", None]))
    plans = plan_sources(config_of(ORDERS, buckets=7), {"orders": frame})
    with open_engine(engine="cpu") as engine:
        ingest(plans, engine, folder=tmp_path, ledger=Ledger(tmp_path / ".work", "key"), progress=Meter())
    listed = pq.read_table(tmp_path / "state" / "categories.parquet").to_pydict()
    assert listed == {
        "kind": ["purchases"] * 32,
        "category": ["é", "Z", *sorted(names)],
        "n_lines": [2, *[1] * 31],
        "n_profiles": [2, *[1] * 31],
    }


@pytest.mark.parametrize("buckets", [1, 3])
@pytest.mark.parametrize("ids", ["int64", "text"])
def test_profiles_of_a_category_are_counted_once_each(tmp_path, config_of, buckets, ids):
    random = np.random.default_rng(0)
    profiles = random.integers(0, 9, 400)
    categories = np.array(["a", "b", "c", "d", None])[np.minimum(random.integers(0, 40, 400), 4)]
    at = pa.array(np.datetime64("2017-01-01", "us") + random.integers(0, 9, 400) * np.timedelta64(86_400_000_000, "us"))
    who = pa.array(profiles) if ids == "int64" else pa.array([f"p{each}" for each in profiles])
    frame = pa.table({"profile_id": who, "at": at, "amount": pa.array(np.ones(400)), "category": pa.array(categories)})
    plans = plan_sources(config_of(ORDERS, buckets=buckets), {"orders": frame})
    with open_engine(engine="cpu") as engine:
        ingest(plans, engine, folder=tmp_path, ledger=Ledger(tmp_path / ".work", "key"), progress=Meter())
    listed = pq.read_table(tmp_path / "state" / "categories.parquet").to_pydict()
    twin = {name: len(set(profiles[categories == name])) for name in "abcd"}
    assert dict(zip(listed["category"], listed["n_profiles"], strict=True)) == twin


@pytest.mark.parametrize("container", ["frame", "parquet", "categorical"])
def test_an_attribute_called_category_keeps_its_text(state, tmp_path, container):
    people = pa.table({"profile_id": [1, 2], "category": ["zeta", "alpha"]})
    frames = {"orders": events(pa.array([1, 2]))}
    source = PEOPLE | {"columns": {"category": "category"}}
    if container == "parquet":
        pq.write_table(people, tmp_path / "people.parquet")
        source |= {"uri": str(tmp_path / "people.parquet")}
    elif container == "categorical":
        frames["people"] = people.set_column(1, "category", people["category"].dictionary_encode())
    else:
        frames["people"] = people
    _, read = state(ORDERS, source, frames=frames)
    assert read("people.attributes")["category"].to_pylist() == ["zeta", "alpha"]


@pytest.mark.parametrize("name", ["file", "row", "at_us", "day", "amount"])
def test_attributes_may_have_any_name(state, name):
    frames = {"orders": events(pa.array([1, 2])), "people": pa.table({"profile_id": [2, 1], name: ["x", "y"]})}
    _, read = state(ORDERS, PEOPLE | {"columns": {name: name}}, frames=frames, buckets=2)
    assert {row["profile_id"]: row[name] for row in read("people.attributes").to_pylist()} == {2: "x", 1: "y"}


def test_text_attributes_of_a_polars_frame(state):
    people = pl.DataFrame({"profile_id": [2, 1], "tier": ["gold", None]})
    _, read = state(
        ORDERS, PEOPLE | {"columns": {"tier": "tier"}}, frames={"orders": events(pa.array([1])), "people": people}
    )
    assert read("people.attributes").to_pydict() == {"profile_id": [1, 2], "tier": [None, "gold"]}


@pytest.mark.parametrize("encoded", [False, True], ids=["plain", "dictionary"])
def test_the_order_of_crm_rows_changes_no_byte(tmp_path, config_of, encoded):
    written = []
    for order in ([0, 1, 2, 3], [3, 1, 0, 2]):
        tier = pa.array(["gold", "silver", None, "bronze"]).take(pa.array(order))
        people = pa.table({"profile_id": pa.array(order), "tier": tier.dictionary_encode() if encoded else tier})
        plans = plan_sources(
            config_of(ORDERS, PEOPLE | {"columns": {"tier": "tier"}}),
            {"orders": events(pa.array([1])), "people": people},
        )
        folder = tmp_path / str(len(written))
        with open_engine(engine="cpu") as engine:
            ingest(plans, engine, folder=folder, ledger=Ledger(folder / ".work", "key"), progress=Meter())
        written.append((folder / "state" / "people.attributes" / "0000.parquet").read_bytes())
    assert written[0] == written[1]


def test_a_source_may_be_named_like_a_kind(state):
    frames = {"orders": events(pa.array([1, 2])), "purchases": pa.table({"profile_id": [2, 3], "age": [30, 40]})}
    found, read = state(ORDERS, PEOPLE | {"name": "purchases", "columns": {"age": "age"}}, frames=frames)
    assert found.profiles_per_source == {"orders": 2, "purchases": 2}
    assert read("purchases.attributes")["age"].to_pylist() == [30, 40]


@pytest.mark.parametrize("name", ["a.b-c_d", "0", "x.0000", "profiles"])
def test_names_that_sources_may_have(state, name):
    found, read = state(ORDERS | {"name": name}, frames={name: events(pa.array([1, 2, 2]))}, buckets=2)
    assert found.profiles_per_source == {name: 2}
    assert read("profiles").column_names == ["profile_id", f"in_{name}"]


class Told(Meter):
    """Keeps what it is told."""

    def __init__(self):
        self.begun, self.added = [], []

    def begin(self, step, total=None, *, unit="buckets"):
        self.begun.append((step, total, unit))

    def add(self, n=1, *, rows=0, anew=True):
        assert anew
        self.added.append((self.begun[-1][0], n, rows))


def test_progress_adds_up_to_the_rows_and_the_buckets(tmp_path, config_of):
    seen = Told()
    plans = plan_sources(config_of(ORDERS, chunk_rows=2, buckets=3), {"orders": events(pa.array(range(5)))})
    with open_engine(engine="cpu") as engine:
        ingest(
            plans,
            engine,
            folder=tmp_path,
            ledger=Ledger(tmp_path / ".work", "key"),
            progress=seen,
        )
    (read, n_bytes, unit), *rest = seen.begun
    assert (read, unit) == ("read", "bytes")
    assert n_bytes == plans.n_bytes > 0
    assert [rows for name, _, rows in seen.added if name == "read" and rows] == [2, 2, 1]
    assert sum(n for name, n, _ in seen.added if name == "read") == n_bytes
    assert rest == [("reduce", 3, "buckets")]
    assert [n for name, n, _ in seen.added if name == "reduce"] == [1, 1, 1]


@pytest.fixture
def few_open_files():
    """As in a shell where processes may open few files, without opening hundreds here."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(list(Path("/proc/self/fd").iterdir())) + 60, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("few_open_files")
def test_more_buckets_than_files_may_be_open(state):
    """A bucket is a file; `run.buckets` goes up to 4096, while processes often may open 1024 files."""
    frames = {"orders": events(pa.array(np.arange(1_000)))}
    try:
        found, _ = state(ORDERS, frames=frames, buckets=200)
    except GpusegError as error:
        assert error.exit_code == 4  # noqa: PT017 a refusal is as good as a success
        return
    assert found.n_profiles == 1_000


def test_two_rows_of_one_profile_in_two_files(tmp_path, state):
    for number, age in enumerate([30, 31]):
        pq.write_table(pa.table({"profile_id": ["secret"], "age": [age]}), tmp_path / f"{number}.parquet")
    source = PEOPLE | {"uri": f"{tmp_path}/*.parquet", "columns": {"age": "age"}}
    with pytest.raises(InvalidValueError, match=r"people: .*/0.parquet, row 1 and .*/1.parquet, row 1") as caught:
        state(ORDERS, source, frames={"orders": events(pa.array(["a"]))}, buckets=3)
    assert "secret" not in str(caught.value)
