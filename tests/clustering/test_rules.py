"""Segments by rules: who belongs where, and a clear line for rules that overlap or match nobody."""

import json
import pickle
from functools import reduce
from operator import add

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuseg.clustering import rules as rules_module
from gpuseg.clustering.rules import Rule, RuleSet
from gpuseg.errors import ClusteringError, ConfigError, IntegrityError

NULL = float("nan")
FEATURES = ("amount_sum", "recency_days", "share_Home & Garden", "n_orders_90d")


def rule_set(*conditions, unmatched="Everyone else", overlap="first"):
    names = ["A", "B", "C", "D", "E", "F", "G"]
    made = tuple(Rule.of(name, where) for name, where in zip(names, conditions, strict=False))
    return RuleSet(made, unmatched, overlap)


def columns(**given):
    return {name: np.array(values, np.float64) for name, values in given.items()}


SPENT = columns(x=[5, 50, 500, 5_000, NULL])


def test_the_first_rule_that_matches_counts():
    rules = rule_set("x > 1000", "x > 10", "x > 100")
    placed = rules.place(SPENT)
    assert placed.dtype == np.int32
    assert placed.tolist() == [3, 1, 1, 0, 3]
    assert rules.names == ("A", "B", "C", "Everyone else")


def test_without_a_name_for_them_the_unmatched_are_nowhere():
    rules = rule_set("x > 1000", unmatched=None)
    assert rules.place(SPENT).tolist() == [-1, -1, -1, 0, -1]
    assert rules.names == ("A",)


def test_no_profiles():
    rules = rule_set("x > 1", "x > 2")
    placed = rules.place(columns(x=[]))
    assert (placed.tolist(), placed.dtype) == ([], np.int32)
    assert rules.tally(columns(x=[])).placed.tolist() == [0, 0, 0]


def test_features_come_once():
    assert rule_set("b > a", "a > 1 or c > 1").features == ("b", "a", "c")


def test_columns_that_no_rule_names_are_not_looked_at():
    assert rule_set("x > 1").place({"y": object(), **columns(x=[0, 2])}).tolist() == [1, 0]


def test_overlaps_are_counted():
    rules = rule_set("x > 10", "x > 100", "x < 0")
    overlaps = rules.overlaps(SPENT)
    assert overlaps.dtype == np.int64
    assert overlaps.tolist() == [[3, 2, 0], [2, 2, 0], [0, 0, 0]]


ROWS = st.lists(st.sampled_from([NULL, -1.0, 0.0, 1.0, 2.0, 3.0]), min_size=1, max_size=40)
BOUNDS = st.lists(st.tuples(st.sampled_from(["<", ">", "="]), st.integers(-1, 3)), min_size=1, max_size=5)


@settings(deadline=None)
@given(ROWS, BOUNDS, st.integers(1, 39))
def test_tallies_of_parts_add_up_in_any_blocks(rows, bounds, size):
    rules = rule_set(*(f"x {sign} {bound}" for sign, bound in bounds))
    whole = rules.tally(columns(x=rows))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rules_module, "_BLOCK_ROWS", size)
        assert (
            rules.place(columns(x=rows)).tolist()
            == np.concatenate([rules.place(columns(x=[x])) for x in rows]).tolist()
        )
        parts = [rules.tally(columns(x=rows[start : start + size])) for start in range(0, len(rows), size)]
        for other in (rules.tally(columns(x=rows)), reduce(add, parts)):
            assert other.placed.tolist() == whole.placed.tolist()
            assert other.overlaps.tolist() == whole.overlaps.tolist()
    assert whole.placed.tolist() == np.bincount(rules.place(columns(x=rows)), minlength=len(bounds) + 1).tolist()
    assert whole.placed.sum() == len(rows)
    assert (whole.overlaps == whole.overlaps.T).all()


@settings(deadline=None)
@given(ROWS, BOUNDS)
def test_what_is_settled_keeps_everybody_in_place(rows, bounds):
    rules = rule_set(*(f"x {sign} {bound}" for sign, bound in bounds))
    tally = rules.tally(columns(x=rows))
    if not tally.placed[:-1].any():
        with pytest.raises(ClusteringError, match="no rule matches any"):
            rules.settled(tally)
        return
    settled = rules.settled(tally)
    before, after = rules.place(columns(x=rows)), settled.place(columns(x=rows))
    assert [rules.names[place] for place in before] == [settled.names[place] for place in after]
    assert sorted(set(after.tolist())) == list(range(len(settled.names)))


def test_many_rows_are_worked_on_in_blocks():
    rows = np.arange(100_000, dtype=np.float64)
    rules = rule_set("x < 70000", "x >= 50000 and x < 99999")
    assert rules.overlaps({"x": rows}).tolist() == [[70_000, 20_000], [20_000, 49_999]]
    np.testing.assert_array_equal(rules.place({"x": rows}), np.digitize(rows, [70_000, 99_999]))


def test_rules_without_profiles_are_left_out_and_told():
    rules = rule_set("x > 10", "x > 100", "x > 1e6", "x = 5")
    tally = rules.tally(SPENT)
    settled = rules.settled(tally)
    assert settled.names == ("A", "D", "Everyone else")
    assert settled.place(SPENT).tolist() == [1, 0, 0, 0, 2]
    assert rules.warnings(tally) == [
        "rule 'B' matches 2 profiles, all of which belong to earlier rules; it has no segment",
        "rule 'C' matches nobody; it has no segment",
        "rules 'A' and 'B' both match 2 profiles; the first one counts",
    ]


def test_the_unmatched_are_a_group_only_where_there_are_some():
    rules = rule_set("x > 10", "x <= 10 or x is null")
    settled = rules.settled(rules.tally(SPENT))
    assert settled.names == ("A", "B")
    assert rules.warnings(rules.tally(SPENT)) == []


def test_later_profiles_of_a_rule_that_is_left_out_go_to_the_next_one():
    settled = rule_set("x > 1e6", "x > 10").settled(rule_set("x > 1e6", "x > 10").tally(SPENT))
    assert settled.names == ("B", "Everyone else")
    assert settled.place(columns(x=[2e6, 1])).tolist() == [0, 1]


def test_most_overlaps_come_first_and_the_others_are_counted():
    rules = rule_set(*(f"x >= {n}" for n in range(5)))
    lines = rules.warnings(rules.tally(columns(x=np.arange(2_000))))
    assert lines[4] == "rules 'A' and 'B' both match 1,999 profiles; the first one counts"
    assert lines[5] == "rules 'A' and 'C' both match 1,998 profiles; the first one counts"
    assert lines[6] == "rules 'B' and 'C' both match 1,998 profiles; the first one counts"
    assert lines[9:] == ["pairs of rules that overlap less: 5; the first one of each counts"]


def test_small_numbers_of_profiles_are_not_told():
    rules = rule_set("x > 10", "x > 100", overlap="refuse")
    tally = rules.tally(SPENT)
    assert rules.warnings(tally, group_floor=10)[0].startswith("rule 'B' matches fewer than 10 profiles, all of")
    with pytest.raises(ClusteringError, match="both match fewer than 10 profiles, which"):
        rules.settled(tally, group_floor=10)
    assert rules.warnings(rule_set("x > 10", "x > 1000").tally(SPENT))[1] == (
        "rules 'A' and 'B' both match 1 profile; the first one counts"
    )


def test_overlaps_may_be_refused():
    rules = rule_set("x > 10", "x > 1000", "x < 600", overlap="refuse")
    with pytest.raises(ClusteringError) as caught:
        rules.settled(rules.tally(SPENT))
    assert str(caught.value) == (
        "cluster.rules: 'A' and 'C' both match 2 profiles, which cluster.overlap: refuse forbids; narrow one of them, "
        "or set cluster.overlap: first to let the first one count (and 1 more pair)"
    )
    assert caught.value.exit_code == 3


def test_what_is_refused_concerns_the_fit_alone():
    rules = rule_set("x > 10", "x < 7", overlap="refuse")
    settled = rules.settled(rules.tally(SPENT))
    assert settled.place(SPENT).tolist() == [1, 0, 0, 0, 2]


def test_rules_that_match_nobody_at_all():
    with pytest.raises(ClusteringError, match=r"^cluster\.rules: no rule matches any of 5 profiles; compare"):
        rule_set("x > 1e9").settled(rule_set("x > 1e9").tally(SPENT))


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("amout_sum > 1", "unknown feature 'amout_sum' at character 1; did you mean amount_sum?"),
        ("amount_sum > 1 or Recency > 1", "unknown feature 'Recency' at character 19; did you mean recency_days?"),
        ("`share_home` > 1", "unknown feature 'share_home' at character 1; did you mean \"share_Home & Garden\"?"),
        ("zzz > qqq", "unknown feature 'zzz' at character 1; this run has 4, such as amount_sum, recency_days, "
         '"share_Home & Garden", n_orders_90d (and 1 more)'),
    ],
)  # fmt: skip
def test_an_unknown_feature(where, message):
    with pytest.raises(ConfigError) as caught:
        rule_set("amount_sum > 1", where).check(FEATURES)
    assert str(caught.value) == f"cluster.rules.2.where: {message}"
    assert caught.value.exit_code == 2


def test_features_that_a_message_may_not_name():
    with pytest.raises(ConfigError) as caught:
        rule_set('"share_Home & Gardem" > 0').check(FEATURES, published=FEATURES[:2])
    assert str(caught.value).endswith("at character 1; this run has 4, such as amount_sum, recency_days")


def test_the_unmatched_need_a_name_of_their_own():
    with pytest.raises(ConfigError, match=r"^cluster\.unmatched: 'a' is also the name of a rule; choose another$"):
        rule_set("amount_sum > 1", unmatched="a").check(FEATURES)


def test_known_features_are_no_matter():
    rule_set("amount_sum > recency_days", '"share_Home & Garden" > 0').check(FEATURES, published=FEATURES[:2])


def test_a_long_name_is_shown_in_part():
    with pytest.raises(ConfigError) as caught:
        rule_set(f"`{'y' * 3_000}` > 0").check(FEATURES)
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize("unmatched", ["Everyone else", None])
def test_json_form_and_pickles(unmatched):
    rules = rule_set("x > 10 -  1", '"share_Home & Garden" is null', unmatched=unmatched, overlap="refuse")
    again = RuleSet.from_dict(json.loads(json.dumps(rules.as_dict())))
    assert again == rules
    assert again.as_dict() == rules.as_dict()
    assert again.rules[0].where.text == "x > 10 -  1"
    assert pickle.loads(pickle.dumps(rules)) == rules
    assert hash(again) == hash(rules)


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"rules": None, "unmatched": None, "overlap": "first"},
        {"rules": [{"name": "A"}], "unmatched": None, "overlap": "first"},
        {"rules": [{"name": "A", "where": "x >"}], "unmatched": None, "overlap": "first"},
        {"rules": [{"name": "A", "where": 7}], "unmatched": None, "overlap": "first"},
        {"rules": [{"name": "A", "where": "x > 1"}], "unmatched": None},
    ],
)
def test_a_damaged_json_form(content):
    with pytest.raises(IntegrityError, match="the model's rules are not whole"):
        RuleSet.from_dict(content)
