"""Words of consent: a small list of clear yes, a small list of clear no, and a warning about all others."""

import pyarrow as pa
import pytest

from gpuseg.config import parse_config
from gpuseg.config_sources import CLEAR_NO, CLEAR_YES
from gpuseg.errors import ConfigError
from tests.trust.test_consent import marked
from tests.trust.worlds import World, clean_rows, mixed, traces


def said(scan, words, **settings):
    """Who said yes, and how many values are unclear."""
    values = words if isinstance(words, pa.Array) else pa.array(words, pa.string())
    n = len(values)
    table = {"profile_id": [f"{i}" for i in range(n)], "at": ["2017-01-01"] * n, "amount": ["1"] * n, "ok": values}
    columns, tally = scan(pa.table(table), consent_column="ok", **settings)
    assert tally.rows_without_consent == n - len(columns["profile_id"])
    return [int(who) for who in columns["profile_id"]], tally.consents_unclear


def test_the_lists_do_not_meet():
    assert not set(CLEAR_YES) & set(CLEAR_NO)
    assert all(word == word.strip().casefold() for word in (*CLEAR_YES, *CLEAR_NO))


@pytest.mark.parametrize("word", [*CLEAR_NO, "FALSE", " No ", "Opt-Out", "Withdrawn", "", "  ", None])
def test_words_that_are_a_clear_no(scan, word):
    assert said(scan, [word]) == ([], 0)


@pytest.mark.parametrize("word", ["ja", "oui", "si", "sí", "maybe", "2", "yes?", "2017-01-01", "not withdrawn"])
def test_words_that_are_neither(scan, word):
    assert said(scan, [word, "yes", word]) == ([1], 2)


@pytest.mark.parametrize("chunk_rows", [1, 262_144])
def test_words_of_ones_own(scan, chunk_rows):
    words = ["JA", " ja ", "Sí", "STRASSE", "jaja", "no", "yes"]
    found = said(scan, words, consent_yes=["ja", " SÍ", "straße"], run={"chunk_rows": chunk_rows})
    assert found == ([0, 1, 2, 3, 6], 1)


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (pa.array([True, False, None]), ([0], 0)),
        (pa.array([1, 0, 7, None]), ([0], 1)),
        (pa.array([1.0, 0.0, 0.5, float("nan"), None]), ([0], 1)),
        (pa.array(["ja", "no", "ja", None]).dictionary_encode(), ([], 2)),
    ],
    ids=["bool", "int", "float", "coded"],
)
def test_other_types(scan, values, found):
    assert said(scan, values) == found


@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_the_record_warns_and_quotes_nothing(tmp_path, form):
    rows = mixed(clean_rows(), {"people": marked("MARKED-1", "vielleicht")["people"]})
    world = World(tmp_path / "w", rows, form=form, sources={"people": {"consent_column": "allowed"}})
    run = world.run()
    orders, _, _, people = run.quality["sources"]
    assert (orders["consents_unclear"], people["consents_unclear"], people["rows_without_consent"]) == (0, 1, 1)
    told = [warning for warning in run.quality["warnings"] if "clear yes" in warning]
    assert told == [
        "people: 1 value of allowed neither a clear yes nor a clear no, taken as no; "
        f"clear yes: {', '.join(CLEAR_YES)}; consent_yes adds words"
    ]
    assert traces(world.out, ["vielleicht", "MARKED"]) == []


def test_own_words_hold_for_profiles(tmp_path):
    rows = {
        source: [row | {"allowed": "Ja" if row["profile_id"] != "P-003" else "nein"} for row in mine]
        for source, mine in clean_rows().items()
    }
    sources = {"people": {"consent_column": "allowed", "consent_yes": ["ja"]}}
    run = World(tmp_path / "w", rows, sources=sources).run()
    assert run.quality["n_profiles"] == 39
    assert run.quality["sources"][3]["consents_unclear"] == 1


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"consent_yes": []}, "consent_yes"),
        ({"consent_yes": [" "]}, "consent_yes: ' ' is no yes"),
        ({"consent_yes": ["ja", "No "]}, "consent_yes: 'No ' is no yes"),
        ({"consent_yes": ["Opt-Out"]}, "consent_yes: 'Opt-Out' is no yes"),
        ({"consent_yes": ["ja"], "consent_column": None}, "consent_yes: needs a consent_column"),
    ],
    ids=["empty", "blank", "no", "opt-out", "no column"],
)
def test_words_that_a_configuration_may_not_give(settings, told):
    source = {"name": "s", "kind": "purchases", "consent_column": "ok", **settings}
    with pytest.raises(ConfigError, match=told):
        parse_config({"run": {"out": "x", "as_of": "2018-01-01"}, "sources": [source]})
