"""Who is not in a consent table has given no clear yes, unless the configuration says that this does not matter."""

import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gpuseg
from gpuseg.config import parse_config
from gpuseg.engine.profiles import ProfileSet, profile_set, profiles_of
from gpuseg.errors import ConfigError, EmptyDataError
from tests.trust.test_consent import MARKS, WHO, marked, same_as_without, together
from tests.trust.worlds import World, clean_rows, mixed, quarantined, reconciled, traces

ASKED = {"people": {"consent_column": "allowed"}}
USED = {"people": {"consent_column": "allowed", "consent_unknown": "use"}}


def strangers(*names):
    """Rows of persons that the consent table does not know."""
    extra = together(*(marked(who) for who in names))
    del extra["people"]
    return extra


@pytest.mark.parametrize("form", ["parquet", "csv", "frame"])
@pytest.mark.parametrize("buckets", [1, 7])
def test_who_is_not_in_the_table_leaves_no_trace(tmp_path, form, buckets):
    settings = {"form": form, "sources": ASKED, "run": {"buckets": buckets, "chunk_rows": 5}}
    world = World(tmp_path / "w", mixed(clean_rows(), together(strangers(*WHO[:2]), marked(WHO[2]))), **settings)
    run = world.run()
    assert traces(world.out, MARKS) == []
    same_as_without(world, tmp_path, **settings)
    counts = {source["name"]: source["rows_without_consent"] for source in run.quality["sources"]}
    assert counts == {"orders": 6, "clicks": 6, "voices": 3, "people": 1}
    assert all(reconciled(source) for source in run.quality["sources"])
    assert run.quality["sources"][3]["consent_unknown"] == "refuse"
    # The one who said no is on record.
    assert run.quality["profiles_without_consent_record"] == {"refused": 2, "used": 0}
    assert "people: 2 profiles without a record of consent left out" in run.quality["notes"]


def test_who_is_not_in_the_table_may_be_used(tmp_path):
    world = World(tmp_path / "w", mixed(clean_rows(), together(strangers(*WHO[:2]), marked(WHO[2]))), sources=USED)
    run = world.run()
    assert run.quality["n_profiles"] == 42
    counts = {source["name"]: source["rows_without_consent"] for source in run.quality["sources"]}
    assert counts == {"orders": 2, "clicks": 2, "voices": 1, "people": 1}
    assert run.quality["sources"][3]["consent_unknown"] == "use"
    assert run.quality["profiles_without_consent_record"] == {"refused": 0, "used": 2}
    told = "people: 2 profiles without a record of consent used (consent_unknown: use)"
    assert told in run.quality["warnings"]
    assert traces(world.out, [WHO[2]]) == []


def test_where_everybody_is_on_record_nothing_is_told(tmp_path):
    for number, sources in enumerate((ASKED, USED, {})):
        run = World(tmp_path / str(number), clean_rows(), sources=sources).run()
        assert run.quality["profiles_without_consent_record"] == {"refused": 0, "used": 0}
        assert not any("record of consent" in line for line in run.quality["warnings"] + run.quality["notes"])


def test_an_empty_table_of_consent_is_no_consent(tmp_path):
    rows = clean_rows() | {"people": [{"profile_id": "SOMEBODY-ELSE", "region": "north", "allowed": "yes"}]}
    with pytest.raises(EmptyDataError, match=r"no row of .* is left: .* without consent"):
        World(tmp_path / "w", rows, sources=ASKED).run()


def frames(n=12, **more):
    orders = {
        "profile_id": [f"P-{i % 6}" for i in range(n)],
        "at": [f"2017-03-{i + 1:02d}" for i in range(n)],
        "amount": [float(i + 1) for i in range(n)],
    }
    return {"orders": pa.table(orders), **{name: pa.table(table) for name, table in more.items()}}


def run_frames(tmp_path, given, *people, quality=None, order=None):
    sources = [{"name": "orders", "kind": "purchases", **(order or {})}, *people]
    content = {
        "run": {"out": str(tmp_path / "out"), "as_of": "2018-01-01"},
        "sources": sources,
        "quality": {"min_coverage": 0.0, "max_orphan_share": 1.0, **(quality or {})},
        "cluster": {"segments": 2},
    }
    return gpuseg.run(content, frames=given)


def crm(name, **settings):
    return {"name": name, "kind": "crm", "consent_column": "ok", **settings}


def test_every_refusing_table_must_say_yes(tmp_path):
    first = {"profile_id": ["P-0", "P-1", "P-2", "P-3", "P-5"], "ok": ["yes"] * 5}
    second = {"profile_id": ["P-1", "P-5", "P-2", "P-4"], "ok": ["yes"] * 4}
    third = {"profile_id": ["P-2"], "ok": ["no"]}
    given = frames(first=first, second=second, third=third)
    run = run_frames(tmp_path, given, crm("first"), crm("second"), crm("third", consent_unknown="use"))
    assert run.assignments()["profile_id"].tolist() == ["P-1", "P-5"]
    # P-0, P-3 and P-4 are missing somewhere, and P-2 said no.
    assert run.quality["profiles_without_consent_record"] == {"refused": 3, "used": 0}


def test_a_yes_of_a_row_that_is_set_apart_is_none(tmp_path):
    """A row whose id cannot be read is nobody's consent, and its own values are not kept either."""
    people = {"profile_id": ["0", "1", "2", "PIN-3", None], "ok": ["yes"] * 5, "town": ["X"] * 3 + ["SECRET"] * 2}
    orders = {
        "profile_id": ["0", "1", "2", "3", "PIN-3", None],
        "at": ["2017-03-01"] * 6,
        "amount": ["1", "2", "3", "31337", "31337", "31337"],
    }
    given = {"orders": pa.table(orders), "people": pa.table(people)}
    section = crm("people", id_type="int64", columns={"town": "town"})
    quality = {"on_bad": "quarantine"}
    run = run_frames(tmp_path, given, section, quality=quality, order={"id_type": "int64"})
    assert run.assignments()["profile_id"].tolist() == [0, 1, 2]
    orders, people = run.quality["sources"]
    assert (orders["rows_without_consent"], orders["rows_quarantined"]) == (1, 2)
    assert (people["rows_without_consent"], people["rows_quarantined"]) == (0, 2)
    assert traces(run.path, ["PIN-3", "31337", "SECRET"]) == []
    rows = quarantined(run.path, "orders")
    assert [(row["row"], row["column"], row["value_amount"]) for row in rows] == [
        (5, "profile_id", None),
        (6, "profile_id", None),
    ]


def test_keys_outside_the_identity_map_are_nobody(tmp_path):
    """Neither a consent under an unknown key nor a bad row under one is anybody's."""
    (tmp_path / "map.csv").write_text("key,profile_id\n" + "".join(f"K-{i},P-{i}\n" for i in range(4)))
    identity = {"uri": str(tmp_path / "map.csv")}
    people = {"profile_id": ["K-0", "K-1", "K-9"], "ok": ["yes", "yes", "yes"]}
    orders = {
        "profile_id": ["K-0", "K-1", "K-2", "K-9", "K-9", "K-2"],
        "at": ["2017-03-01"] * 6,
        "amount": ["1", "2", "3", "4", "SECRET", "SECRET"],
    }
    given = {"orders": pa.table(orders), "people": pa.table(people)}
    section = crm("people", identity=identity)
    run = run_frames(tmp_path, given, section, quality={"on_bad": "quarantine"}, order={"identity": identity})
    assert run.assignments()["profile_id"].tolist() == ["P-0", "P-1"]
    orders, people = run.quality["sources"]
    assert (orders["rows_unmatched"], orders["rows_without_consent"], orders["rows_quarantined"]) == (1, 2, 1)
    assert people["rows_unmatched"] == 1
    assert run.quality["profiles_without_consent_record"] == {"refused": 1, "used": 0}
    assert traces(run.path, ["SECRET", "K-9"]) == []


@pytest.mark.parametrize("unknown", ["refuse", "use"])
@pytest.mark.parametrize("chunk_rows", [1, 262_144])
def test_nothing_of_a_refused_row_is_counted(tmp_path, unknown, chunk_rows):
    """Amounts finer than the scale, hours that are twice or never, and missing values of those who refused."""
    orders = [
        {"profile_id": "NO", "at": "2017-03-12 02:30:00", "amount": "1.00000001", "category": None},
        {"profile_id": "NO", "at": "2017-11-05 01:30:00", "amount": "bad", "category": None},
        {"profile_id": "NO", "at": "never", "amount": "1", "category": None},
        {"profile_id": "NO", "at": "2020-01-01", "amount": "1", "category": None},
    ]
    good = [
        {"profile_id": f"P-{i % 3}", "at": f"2017-04-{i + 1:02d}", "amount": f"{i}", "category": "x"} for i in range(9)
    ]
    people = {"profile_id": ["P-0", "NO", "P-1", "P-2"], "ok": ["yes", "no", "yes", "yes"]}
    people["town"] = ["a", None, "b", "c"]
    content = {
        "run": {"out": str(tmp_path / "out"), "as_of": "2018-01-01", "chunk_rows": chunk_rows},
        "sources": [
            {"name": "orders", "kind": "purchases", "timezone": "America/New_York"},
            crm("people", columns={"town": "town"}, consent_unknown=unknown),
        ],
        "cluster": {"segments": 2},
    }
    given = {"orders": pa.Table.from_pylist([*orders, *good]), "people": pa.table(people)}
    record, told = gpuseg.run(content, frames=given).quality["sources"]
    assert (record["rows_read"], record["rows_used"], record["rows_without_consent"]) == (13, 9, 4)
    for name in ("amounts_rounded", "times_ambiguous", "times_nonexistent", "rows_after_as_of", "rows_quarantined"):
        assert record[name] == 0, name
    assert record["null_counts"] == told["null_counts"] == {}


# --- what is asked of the configuration ---


def section(**settings):
    return {"run": {"out": "x", "as_of": "2018-01-01"}, "sources": [{"name": "s", **settings}]}


@pytest.mark.parametrize("unknown", ["refuse", "use"])
@pytest.mark.parametrize(
    "settings",
    [
        {"kind": "crm"},
        {"kind": "crm", "columns": {"at": "at"}, "consent_column": "ok"},
        {"kind": "purchases", "consent_column": "ok"},
    ],
    ids=["no column", "contacts", "purchases"],
)
def test_the_key_is_refused_where_it_would_say_nothing(settings, unknown):
    with pytest.raises(ConfigError, match="consent_unknown: only a crm source without a time that has a consent_col"):
        parse_config(section(**settings, consent_unknown=unknown))


def test_words_that_the_key_does_not_know():
    with pytest.raises(ConfigError, match=r"consent_unknown: .*must be refuse or use"):
        parse_config(section(kind="crm", consent_column="ok", consent_unknown="maybe"))
    parse_config(section(kind="crm", consent_column="ok", consent_unknown="use"))


def test_the_choice_decides_the_stage(tmp_path):
    world = World(tmp_path / "w", mixed(clean_rows(), strangers(WHO[0])), sources=USED)
    assert world.run().quality["n_profiles"] == 41
    strict = World(tmp_path / "w", mixed(clean_rows(), strangers(WHO[0])), sources=ASKED)
    run = gpuseg.run(strict.path)
    assert run.quality["n_profiles"] == 40
    assert json.loads((run.path / "quality.json").read_text())["profiles_without_consent_record"]["refused"] == 1


# --- the set of profiles ---


def one_hash(ids, seed):
    """The worst of all hashes: every id collides with every other."""
    return np.full(len(ids), 7 + seed, np.uint64)


@given(
    members=st.lists(st.text(max_size=3), max_size=20),
    asked=st.lists(st.none() | st.text(max_size=3), max_size=20),
    collide=st.booleans(),
)
def test_sets_of_text_are_exact(device, members, asked, collide):
    hash_ids = one_hash if collide else device.hash_ids
    found = profile_set(profiles_of(pa.array(members, pa.large_string()), hash_ids))
    inside = found.contains(profiles_of(pa.array(asked, pa.large_string()), hash_ids))
    assert inside.tolist() == [name in members for name in asked]


@given(
    members=st.lists(st.none() | st.integers(-4, 4) | st.integers(-(2**63), 2**63 - 1), max_size=20),
    asked=st.lists(st.none() | st.integers(-5, 5) | st.sampled_from([2**63 - 1, -(2**63)]), max_size=20),
)
def test_sets_of_numbers_are_exact(device, members, asked):
    found = profile_set(profiles_of(pa.array(members, pa.int64()), device.hash_ids))
    inside = found.contains(profiles_of(pa.array(asked, pa.int64()), device.hash_ids))
    assert inside.tolist() == [who is not None and who in members for who in asked]
    assert found.text is None


def test_numbers_take_eight_bytes_each():
    ids = pa.array(np.arange(1000)[::-1])
    found = profile_set(profiles_of(ids, one_hash))
    assert isinstance(found, ProfileSet)
    assert found.marks.nbytes == 8000


def test_where_consent_leaves_nobody_the_likely_reasons_are_named(tmp_path):
    rows = clean_rows()
    others = [{**row, "profile_id": f"other-{row['profile_id']}"} for row in rows["people"]]
    with pytest.raises(EmptyDataError, match=r"; \d+ profiles are in no table of consent: do its ids match"):
        World(tmp_path / "a", {**rows, "people": others}, sources=ASKED).run()
    unclear = [{**row, "allowed": "ja"} for row in rows["people"]]
    with pytest.raises(EmptyDataError, match=r"; \d+ values of consent are neither .* consent_yes adds words"):
        World(tmp_path / "b", {**rows, "people": unclear}, sources=ASKED).run()
