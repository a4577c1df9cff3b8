"""Whoever has not clearly said yes is nowhere: not a value, not a word, not a count, not a sum."""

import datetime as dt
import json

import pyarrow as pa
import pytest

from gpuseg.errors import EmptyDataError, SchemaError
from tests.trust.worlds import World, clean_rows, mixed, outputs, quarantined, read_all, reconciled, traces

WHO = ("REFUSED-17", "REFUSED-18", "REFUSED-19")
MARKS = ("REFUSED", "987654321", "SECRETCAT", "refused-page", "SECRETREGION", "2015-05-05")
FORMS = ("parquet", "csv", "frame")
YES = [
    "true",
    "T",
    "Yes",
    " y ",
    "1",
    "1.0",
    "granted",
    "OPT_IN",
    "opt-in",
    "optin",
    "opted_in",
    "consent",
    "consented",
]
NO = [
    "false",
    "no",
    "0",
    "2",
    "",
    None,
    "yes?",
    "maybe",
    "revoked",
    "not consented",
    "yesno",
    "NULL",
    "nan",
    "-1",
    "1.00",
]


def marked(who, allowed="no"):
    """Rows of one person in every source that nobody else has the like of."""
    at = dt.datetime(2015, 5, 5, 5, 5, 5)
    later = dt.datetime(2017, 11, 30)
    return {
        "orders": [
            {
                "profile_id": who,
                "at": when,
                "amount": 987654321.12,
                "order_id": f"O-{who}",
                "category": "SECRETCAT",
                "allowed": allowed,
            }
            for when in (at, later)
        ],
        "clicks": [
            {
                "profile_id": who,
                "at": when,
                "event": "purchase",
                "url": "/refused-page",
                "dwell_ms": 7.0,
                "allowed": allowed,
            }
            for when in (at, later)
        ],
        "voices": [{"profile_id": who, "at": at, "rating": 5.0, "nps": 10.0, "comment": "great", "allowed": allowed}],
        "people": [{"profile_id": who, "region": "SECRETREGION", "allowed": allowed}],
    }


def together(*worlds):
    found = {}
    for world in worlds:
        for source, rows in world.items():
            found.setdefault(source, []).extend(rows)
    return found


def same_as_without(world, tmp_path, **settings):
    """A run in which the marked rows never were."""
    twin = World(tmp_path / "twin", clean_rows(), **settings)
    twin.run()
    assert outputs(world.version) == outputs(twin.version)
    return twin


@pytest.mark.parametrize("form", FORMS)
def test_refused_rows_leave_no_trace(tmp_path, form):
    sources = {name: {"consent_column": "allowed"} for name in ("orders", "clicks", "voices")}
    extra = together(*(marked(who, said) for who, said in zip(WHO, ("no", None, "perhaps"), strict=True)))
    extra.pop("people")
    world = World(tmp_path / "w", mixed(clean_rows(), extra), form=form, sources=sources)
    run = world.run()
    assert traces(world.out, MARKS) == []
    same_as_without(world, tmp_path, form=form, sources=sources)
    counts = {source["name"]: source["rows_without_consent"] for source in run.quality["sources"]}
    assert counts == {"orders": 6, "clicks": 6, "voices": 3, "people": 0}
    assert all(reconciled(source) for source in run.quality["sources"])
    assert {source["first_day"] for source in run.quality["sources"]}.isdisjoint({"2015-05-05"})
    assert not (world.version / ".work").exists()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("buckets", [1, 7])
def test_a_profile_refused_in_crm_leaves_no_trace_in_any_source(tmp_path, form, buckets):
    sources = {"people": {"consent_column": "allowed"}}
    extra = together(*(marked(who, said) for who, said in zip(WHO, ("no", None, "perhaps"), strict=True)))
    settings = {"form": form, "sources": sources, "run": {"buckets": buckets, "chunk_rows": 5}}
    world = World(tmp_path / "w", mixed(clean_rows(), extra), **settings)
    run = world.run()
    assert traces(world.out, MARKS) == []
    twin = same_as_without(world, tmp_path, **settings)
    counts = {source["name"]: source["rows_without_consent"] for source in run.quality["sources"]}
    assert counts == {"orders": 6, "clicks": 6, "voices": 3, "people": 3}
    assert all(reconciled(source) for source in run.quality["sources"])
    other = json.loads((twin.version / "quality.json").read_text())
    for mine, theirs in zip(run.quality["sources"], other["sources"], strict=True):
        for key in ("rows_used", "first_day", "last_day", "null_counts", "amounts_rounded"):
            assert mine[key] == theirs[key]
    for key in ("n_profiles", "n_with_events", "profiles_per_source"):
        assert run.quality[key] == other[key]


def test_one_refusal_of_a_person_described_twice_is_enough(tmp_path):
    extra = together(marked("REFUSED-17", "yes"), {"people": [{"profile_id": "REFUSED-17", "allowed": "no"}]})
    sources = {"people": {"consent_column": "allowed"}}
    for number, quality in enumerate(({}, {"on_bad": "quarantine"})):
        world = World(
            tmp_path / f"w{number}", mixed(clean_rows(), extra), sources=sources, sections={"quality": quality}
        )
        world.run()
        assert traces(world.out, MARKS) == []


def test_bad_rows_of_the_refused_are_not_set_apart(tmp_path):
    bad = {"profile_id": "REFUSED-17", "at": dt.datetime(2017, 5, 5), "amount": None, "category": "SECRETCAT"}
    extra = together(
        marked("REFUSED-17"),
        {
            "orders": [bad, bad | {"allowed": "yes"}, bad | {"at": None}],
            "voices": [{"profile_id": "REFUSED-17", "at": dt.datetime(2017, 5, 5), "nps": 11.0}],
            "people": [{"profile_id": None, "region": "SECRETREGION", "allowed": "no"}],
        },
    )
    for name, sources in {
        "profile": {"people": {"consent_column": "allowed"}},
        "both": {source: {"consent_column": "allowed"} for source in ("orders", "voices", "people")},
    }.items():
        world = World(
            tmp_path / name,
            mixed(clean_rows(), extra),
            sources=sources,
            sections={"quality": {"on_bad": "quarantine"}},
        )
        run = world.run()
        assert traces(world.out, MARKS) == []
        orders, _, voices, people = run.quality["sources"]
        assert all(reconciled(source) for source in run.quality["sources"])
        assert (orders["rows_without_consent"], voices["rows_without_consent"]) == (5, 2)
        assert (people["rows_without_consent"], people["rows_quarantined"]) == (2, 0)
        assert not (world.version / "quarantine").exists()
        assert run.quality["n_profiles"] == 40


@pytest.mark.parametrize("id_text", ["007", "7"])
def test_a_refused_number_is_known_in_every_spelling(tmp_path, id_text):
    (tmp_path / "o.csv").write_text(
        "profile_id,at,amount\n"
        + "".join(f"{i},2017-03-{i % 28 + 1:02d},{i}.5\n" for i in range(1, 40))
        + f"{id_text},2017-05-05,MARKED\n{id_text},2017-05-05,1\n8,2017-05-05,BAD\n"
    )
    (tmp_path / "p.csv").write_text("profile_id,ok\n7,no\n8,yes\n")
    config = {
        "run": {"out": str(tmp_path / "out"), "as_of": "2018-01-01"},
        "sources": [
            {"name": "orders", "kind": "purchases", "uri": str(tmp_path / "o.csv"), "id_type": "int64"},
            {
                "name": "people",
                "kind": "crm",
                "uri": str(tmp_path / "p.csv"),
                "id_type": "int64",
                "consent_column": "ok",
                "consent_unknown": "use",
            },
        ],
        "quality": {"on_bad": "quarantine"},
        "cluster": {"segments": 2},
    }
    import gpuseg

    run = gpuseg.run(config)
    rows = quarantined(run.path, "orders")
    assert [(row["value_profile_id"], row["value_amount"], row["row"]) for row in rows] == [("8", "BAD", 42)]
    assert run.quality["sources"][0]["rows_without_consent"] == 3
    assert traces(run.path, ["MARKED"]) == []
    assert 7 not in read_all(run.path / "assignments")["profile_id"].to_pylist()


def test_refusals_reach_sources_with_an_identity_map(tmp_path):
    clean = clean_rows()
    extra = marked("KEY-OF-REFUSED")
    extra["orders"].append({"profile_id": "KEY-OF-REFUSED", "at": dt.datetime(2017, 5, 5), "category": "SECRETCAT"})
    extra["people"] = marked("REFUSED-17")["people"]
    keys = [*(row["profile_id"] for row in clean["people"]), "KEY-OF-REFUSED"]
    targets = [*keys[:-1], "REFUSED-17"]
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / "map.csv").write_text("key,profile_id\n" + "".join(map("{},{}\n".format, keys, targets)))
    identity = {"identity": {"uri": "map.csv"}}
    world = World(
        tmp_path / "w",
        mixed(clean, extra),
        sources={"orders": identity, "clicks": identity, "voices": identity, "people": {"consent_column": "allowed"}},
        sections={"quality": {"on_bad": "quarantine"}},
    )
    run = world.run()
    assert traces(world.out, [*MARKS, "KEY-OF-REFUSED"]) == []
    assert [source["rows_without_consent"] for source in run.quality["sources"]] == [3, 2, 1, 1]
    assert all(reconciled(source) for source in run.quality["sources"])


@pytest.mark.parametrize("word", YES)
def test_words_that_are_a_yes(scan, word):
    rows = {"profile_id": ["a"], "at": ["2017-01-01"], "amount": ["1"], "ok": [word]}
    assert scan(pa.table(rows), consent_column="ok")[0]["profile_id"] == ["a"]


@pytest.mark.parametrize("word", NO)
def test_every_other_word_is_a_no(scan, word):
    rows = pa.table({"profile_id": ["a"], "at": ["2017-01-01"], "amount": ["1"], "ok": pa.array([word], pa.string())})
    columns, tally = scan(rows, consent_column="ok")
    assert columns["profile_id"] == []
    assert (tally.rows_read, tally.rows_without_consent, tally.rows_used) == (1, 1, 0)


@pytest.mark.parametrize(
    ("values", "kept"),
    [
        (pa.array([True, False, None]), ["a"]),
        (pa.array([1, 0, None]), ["a"]),
        (pa.array([1.0, 0.5, None]), ["a"]),
        (pa.array(["yes", "no", None]).dictionary_encode(), ["a"]),
        (pa.array([True, False, None]).dictionary_encode(), ["a"]),
        (pa.array([None, None, None], pa.null()), []),
        (pa.array([dt.date(2017, 1, 1)] * 3), []),
    ],
    ids=["bool", "int", "float", "words", "coded bool", "nothing", "dates"],
)
def test_types_that_can_say_yes(scan, values, kept):
    table = pa.table({"profile_id": ["a", "b", "c"], "at": ["2017-01-01"] * 3, "amount": ["1"] * 3, "ok": values})
    assert scan(table, consent_column="ok")[0]["profile_id"] == kept


@pytest.mark.parametrize("values", [pa.array([b"\xff\xfe"]), pa.array([["yes"]])], ids=["binary", "list"])
def test_types_that_cannot_say_yes_are_refused(scan, values):
    table = pa.table({"profile_id": ["a"], "at": ["2017-01-01"], "amount": ["1"], "ok": values})
    with pytest.raises(SchemaError, match=r"^orders: frame, column 'ok': the type is .*, but consent needs booleans"):
        scan(table, consent_column="ok")


def test_nobody_who_said_yes_is_an_error_with_counts_only(tmp_path):
    rows = {"orders": marked("REFUSED-17")["orders"]}
    world = World(tmp_path / "w", rows, sources={"orders": {"consent_column": "allowed"}})
    with pytest.raises(EmptyDataError, match=r"^orders: no row of 2 is left: 2 without consent$"):
        world.run()
    assert traces(world.out, MARKS) == []


def test_refused_people_do_not_decide_a_gate(tmp_path):
    """Their missing categories are no reason to refuse the data of others."""
    clean = clean_rows()
    extra = {
        "orders": [
            {"profile_id": "REFUSED-17", "at": dt.datetime(2017, 12, 31), "amount": 1.0, "allowed": "no"}
            for _ in range(len(clean["orders"]) * 3)
        ]
    }
    sources = {"orders": {"consent_column": "allowed"}}
    settings = {"sources": sources, "sections": {"quality": {"max_null_share": 0.01}}}
    World(tmp_path / "w", mixed(clean, extra), **settings).run()
