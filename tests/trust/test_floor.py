"""The group floor: nothing is published from which a group below it could be made out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuseg.trust.floor import exposed_wholes, floored_rules, floored_segments, withheld_segments


@pytest.mark.parametrize(
    ("counts", "floor", "expected"),
    [
        ([50, 30, 20], 10, []),
        ([50, 30, 10], 10, []),
        # A segment of 9 could be had as the total less the rest, so the next smallest goes too.
        ([50, 30, 9], 10, [1, 2]),
        ([50, 6, 5], 10, [1, 2]),
        ([50, 30, 6, 3], 10, [1, 2, 3]),
        ([50, 30, 6, 4], 10, [2, 3]),
        ([4, 3], 10, [0, 1]),
        ([1], 1, []),
        ([50, 1], 1, []),
    ],
)
def test_what_is_withheld(counts, floor, expected):
    assert withheld_segments(counts, floor) == expected


@given(counts=st.lists(st.integers(1, 60), min_size=1, max_size=12), floor=st.integers(1, 40))
def test_no_small_group_can_be_made_out(counts, floor):
    counts = sorted(counts, reverse=True)
    hidden = withheld_segments(counts, floor)
    shown = [count for segment, count in enumerate(counts) if segment not in hidden]
    assert all(count >= floor for count in shown)
    rest = sum(counts) - sum(shown)
    assert rest == 0 or rest >= floor or not shown


@pytest.mark.parametrize(
    ("parts", "counts", "hidden", "withheld", "expected"),
    [
        # 95 of 100 are told, so that 5 would be.
        ([[0], [1, 2]], [400, 95, 5], [2], [], [1]),
        ([[0], [1, 2, 3]], [400, 90, 5, 5], [2, 3], [], []),
        ([[0], [1, 2, 3]], [400, 91, 5, 4], [2, 3], [], [1]),
        ([[0], [1, 2]], [400, 95, 5], [2], [1], []),
        ([[0], [1, 2]], [400, 50, 50], [], [], []),
        ([[0, 3], [1, 2]], [400, 95, 5, 12], [2, 3], [], [1]),
        ([[0, 3], [1, 2]], [400, 95, 5, 2], [2, 3], [], [0, 1]),
    ],
)
def test_what_two_divisions_together_give_away(parts, counts, hidden, withheld, expected):
    assert exposed_wholes(parts, counts, withheld_parts=hidden, withheld_wholes=withheld, floor=10) == expected


def test_heights_of_segments_that_are_withheld_are_too():
    merges = [[2, 3, 1.5], [1, 4, 2.5], [0, 5, 4.0]]
    told = floored_segments(content(50, 30, 6, 5) | {"choice": {"segments": 4, "merges": merges}}, 10)
    assert told["withheld"]["segment_ids"] == [2, 3]
    assert told["choice"] == {"segments": 4, "merges": [[2, 3, None], [1, 4, None], [0, 5, 4.0]]}
    assert merges[0][2] == 1.5


def content(*counts):
    cards = [{"segment_id": place, "n_profiles": count, "name": f"S{place}"} for place, count in enumerate(counts)]
    return {
        "n_assigned": sum(counts),
        "value_total": 5.0,
        "value_per_profile": 1.0,
        "features": [{"name": "a", "mean": 1.0, "median": 2.0, "std": 3.0, "label": "a"}],
        "segments": cards,
        "projection": {"points": [[0.0, 0.0, place] for place, _ in enumerate(counts)]},
    }


def test_cards_and_dots_of_withheld_segments_are_gone():
    found = floored_segments(content(50, 30, 9), 10)
    assert [card["segment_id"] for card in found["segments"]] == [0]
    assert found["projection"]["points"] == [[0.0, 0.0, 0]]
    assert found["withheld"] == {"group_floor": 10, "n_segments": 2, "n_profiles": 39, "segment_ids": [1, 2]}
    assert found["value_total"] == 5.0


def test_figures_of_everyone_are_withheld_where_everyone_is_few():
    found = floored_segments(content(4, 3), 10)
    assert found["segments"] == []
    assert (found["value_total"], found["value_per_profile"], found["projection"]) == (None, None, None)
    assert found["features"] == [{"name": "a", "mean": None, "median": None, "std": None, "label": "a"}]


def test_a_floor_of_one_changes_nothing_but_says_so():
    given_content = content(4, 3)
    found = floored_segments(given_content, 1)
    assert found == given_content | {
        "withheld": {"group_floor": 1, "n_segments": 0, "n_profiles": 0, "segment_ids": []}
    }


def rule(text, n_profiles, n_matching):
    return {"text": text, "n_profiles": n_profiles, "n_matching": n_matching, "precision": 0.9, "coverage": 0.5}


def test_rules_of_few_and_of_withheld_segments_are_gone():
    segments = [
        {"segment_id": 0, "rules": [rule("a", 40, 200), rule("b", 9, 45), rule("c", 1, 9)]},
        {"segment_id": 1, "rules": [rule("d", 30, 150)]},
    ]
    found = floored_rules({"fidelity": 0.9, "segments": segments}, [1], 10)
    unmeasured = {"text": "b", "n_profiles": None, "n_matching": 45, "precision": None, "coverage": None}
    kept = {"segment_id": 0, "rules": [rule("a", 40, 200), unmeasured], "n_rules_withheld": 1}
    assert found == {"fidelity": 0.9, "segments": [kept]}
    assert floored_rules(None, [], 10) is None
