import datetime as dt

import pandas as pd
import pytest

import gpuseg
from gpuseg.config import parse_config
from gpuseg.engine.program import Tally
from gpuseg.errors import EmptyDataError, GateFailed
from gpuseg.sources.ingest import Ingested
from gpuseg.trust.gates import check_gates, check_not_empty

ORDERS = {"name": "orders", "kind": "purchases", "columns": {"category": "dept"}}
MORE = {"name": "more", "kind": "purchases"}
PEOPLE = {"name": "people", "kind": "crm"}


def config(*sources, limit=0.05):
    return parse_config(
        {
            "run": {"out": "x", "as_of": "2025-01-01"},
            "sources": list(sources or [ORDERS]),
            "quality": {"max_null_share": limit},
        }
    )


def found(**tallies):
    return Ingested(tallies={name: Tally(**counts) for name, counts in tallies.items()})


# --- is there anything? ---


def test_one_used_row_is_enough():
    check_not_empty(config(ORDERS, MORE), found(orders={}, more={"rows_used": 1, "rows_read": 1}))


@pytest.mark.parametrize(
    ("sources", "tallies", "told"),
    [
        ([PEOPLE], {"people": {"rows_used": 5}}, "no source holds events; add a source of kind purchases"),
        ([ORDERS], {"orders": {}}, "orders: the frame holds no rows"),
        ([ORDERS, PEOPLE], {"orders": {}, "people": {"rows_used": 5}}, "orders: the frame holds no rows"),
        ([ORDERS], {"orders": {"rows_after_as_of": 7}}, "orders: all 7 rows lie at or after as_of 2025-01-01; move"),
        (
            [ORDERS, MORE],
            {"orders": {"rows_after_as_of": 7}, "more": {"rows_after_as_of": 1}},
            "orders, more: all 8 rows lie at or after",
        ),
    ],
    ids=["only people", "no rows", "people but no rows", "too late", "all too late"],
)
def test_nothing_to_work_on(sources, tallies, told):
    with pytest.raises(EmptyDataError, match=f"^{told}"):
        check_not_empty(config(*sources), found(**tallies))


# --- nulls ---


@pytest.mark.parametrize("limit", [0.0, 0.05, 0.5, 1.0])
def test_the_limit_itself_is_allowed(limit):
    at_limit = {"orders": {"rows_read": 1000, "rows_used": 1000, "null_counts": {"category": int(1000 * limit)}}}
    check_gates(config(limit=limit), found(**at_limit))
    if limit < 1:
        at_limit["orders"]["null_counts"]["category"] += 1
        with pytest.raises(GateFailed, match="max_null_share"):
            check_gates(config(limit=limit), found(**at_limit))


def test_the_gate_names_source_column_share_and_limit():
    tallies = found(orders={"rows_read": 8, "rows_used": 8, "null_counts": {"order_id": 0, "category": 3}})
    with pytest.raises(GateFailed) as caught:
        check_gates(config(limit=0.25), tallies)
    assert str(caught.value) == (
        "gate max_null_share: orders: column 'dept' is null in 37.5% of rows, the limit is 25.0%; "
        "mend the data or raise quality.max_null_share"
    )
    assert caught.value.exit_code == 1


def test_no_rows_have_no_nulls():
    check_gates(config(limit=0.0), found(orders={"null_counts": {"category": 0}}))


# --- the record ---


@pytest.fixture
def run(tmp_path):
    """Lines with a late row, a fine amount, an ambiguous and a nonexistent time, and a null."""
    lines = pd.DataFrame(
        [
            ("a", "2024-03-10 02:30:00", "1.00", "x"),
            ("a", "2024-11-03 01:30:00", "1.005", "y"),
            ("b", "2024-06-01 12:00:00", "2.00", None),
            ("b", "2024-12-31 23:59:59", "2.00", "x"),
            ("c", "2025-01-01 00:00:00", "9.00", "x"),
        ],
        columns=["profile_id", "at", "amount", "category"],
    )
    people = pd.DataFrame({"profile_id": ["b", "z"], "region": ["north", None]})
    content = {
        "run": {"out": str(tmp_path / "run"), "as_of": dt.date(2025, 1, 1), "timezone": "America/New_York"},
        "sources": [
            {"name": "orders", "kind": "purchases", "timezone": "America/New_York", "lawful_basis": "contract"},
            {"name": "people", "kind": "crm", "columns": {"region": "region"}, "purpose": "cards"},
        ],
        "quality": {"max_null_share": 0.5},
        "cluster": {"segments": 2},
    }
    content["run"]["amount_scale"] = 100
    return gpuseg.run(content, frames={"orders": lines, "people": people})


def test_what_was_read_used_left_out_rounded_and_shifted(run):
    orders, people = run.quality["sources"]
    assert orders == {
        "name": "orders",
        "kind": "purchases",
        "event_kind": "purchases",
        "n_files": 1,
        "rows_read": 5,
        "rows_used": 4,
        "rows_after_as_of": 1,
        "rows_without_consent": 0,
        "consents_unclear": 0,
        "rows_past_retention": 0,
        "rows_unmatched": 0,
        "rows_duplicate": None,
        "rows_quarantined": 0,
        "amounts_rounded": 1,
        "times_ambiguous": 1,
        "times_nonexistent": 1,
        "null_counts": {"category": 1},
        "first_day": "2024-03-10",
        "last_day": "2024-12-31",
        "purpose": "segmentation",
        "lawful_basis": "contract",
        "consent_column": None,
        "consent_unknown": None,
        "retention_days": None,
    }
    assert (people["rows_read"], people["rows_used"], people["null_counts"]) == (2, 2, {"region": 1})
    assert (people["first_day"], people["last_day"]) == (None, None)
    assert (people["purpose"], people["lawful_basis"]) == ("cards", None)


def test_who_is_known_to_whom(run):
    assert run.quality["n_profiles"] == 3
    assert run.quality["profiles_per_source"] == {"orders": 2, "people": 2}


def test_notes_say_what_was_changed_as_asked_for(run):
    assert run.quality["warnings"] == []
    assert run.quality["notes"] == [
        "orders: 1 amount finer than 1/100, rounded half to even",
        "orders: 1 row at or after as_of left out",
    ]
