"""Cards against plain pandas over the same features and assignments."""

import re

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from gpuseg.segments.text import card_text


@pytest.fixture(scope="module")
def together(planted):
    """Features with the segment of each profile."""
    return planted.features().merge(planted.assignments(), on="profile_id", validate="one_to_one")


def test_shares_add_up(planted, together):
    content = planted.segments
    cards = content["segments"]
    assert [card["segment_id"] for card in cards] == [0, 1]
    assert [card["n_profiles"] for card in cards] == together["segment_id"].value_counts().sort_index().tolist()
    assert sum(card["profile_share"] for card in cards) == pytest.approx(1, abs=1e-12)
    assert sum(card["value_share"] for card in cards) == pytest.approx(1, abs=1e-12)
    assert sum(card["value_sum"] for card in cards) == pytest.approx(content["value_total"])
    assert content["value_total"] == pytest.approx(together["amount_sum"].sum())
    assert (content["n_assigned"], content["n_no_data"], content["n_profiles"]) == (100, 3, 103)


def test_figures_are_those_of_the_profiles(planted, together):
    content = planted.segments
    by_segment = together.groupby("segment_id")
    for feature in content["features"]:
        name = feature["name"]
        assert feature["mean"] == pytest.approx(together[name].mean())
        assert feature["median"] == pytest.approx(together[name].median())
        assert feature["std"] == pytest.approx(together[name].std(ddof=0))
        assert feature["n_known"] == together[name].notna().sum()
        for card in content["segments"]:
            mine = by_segment.get_group(card["segment_id"])[name]
            assert card["features"][name]["mean"] == pytest.approx(mine.mean())
            assert card["features"][name]["median"] == pytest.approx(mine.median())


def test_effect_sizes_are_differences_in_the_matrix(planted, together):
    transform = planted.model.transform
    weights = np.array([column.weight for column in transform.columns])
    scaled = pd.DataFrame(transform.apply(pa.table(together)) / weights, columns=transform.features)
    expected = scaled.groupby(together["segment_id"]).mean() - scaled.mean()
    for card in planted.segments["segments"]:
        effects = {name: figure["effect_size"] for name, figure in card["features"].items()}
        assert {name for name, effect in effects.items() if effect is not None} == set(transform.features)
        for name in transform.features:
            assert effects[name] == pytest.approx(expected.loc[card["segment_id"], name], abs=1e-6)


def test_effects_cancel_over_everyone(planted):
    cards = planted.segments["segments"]
    for name in planted.model.transform.features:
        total = sum(card["n_profiles"] * card["features"][name]["effect_size"] for card in cards)
        assert total == pytest.approx(0, abs=1e-6)


def test_signs_follow_the_planted_groups(planted, together):
    who = together.groupby("segment_id")["profile_id"].agg(lambda ids: {name.partition("-")[0] for name in ids})
    assert who.tolist() == [{"loyal"}, {"lapsed"}]
    loyal, lapsed = planted.segments["segments"]
    for name, sign in {"recency_days": -1, "n_orders": 1, "amount_sum": 1, "n_active_days": 1, "share_Wine": 1}.items():
        assert np.sign(loyal["features"][name]["effect_size"]) == sign
        assert np.sign(lapsed["features"][name]["effect_size"]) == -sign
    assert "lapsed" in lapsed["name"].lower()
    assert "lapsed" not in loyal["name"].lower()
    assert all(len(card["name"].split()) <= 5 for card in (loyal, lapsed))
    assert lapsed["tastes"] == ["Bread"]


def test_what_sets_apart_is_clear_and_once_a_figure(planted):
    for card in planted.segments["segments"]:
        traits = card["distinguishing"]
        assert 1 <= len(traits) <= 5
        sizes = [abs(trait["effect_size"]) for trait in traits]
        assert sizes[0] >= 0.7 * max(sizes)
        assert min(sizes) >= 0.25
        stems = [trait["feature"].removesuffix("_30d").removesuffix("_90d").removesuffix("_365d") for trait in traits]
        assert len(set(stems)) == len(stems)
        for trait in traits:
            effect = card["features"][trait["feature"]]["effect_size"]
            assert trait["effect_size"] == effect
            assert trait["direction"] == ("higher" if effect > 0 else "lower")


def test_phrases_say_the_direction_of_their_effect(planted):
    content = planted.segments
    overall = {feature["name"]: feature for feature in content["features"]}
    for card in content["segments"]:
        for trait in card["distinguishing"]:
            name, statistic = trait["feature"], trait["statistic"]
            assert trait["value"] == card["features"][name][statistic]
            assert trait["overall"] == overall[name][statistic]
            assert (trait["value"] > trait["overall"]) == (trait["direction"] == "higher")


def test_headlines_repeat_the_figures(planted):
    for card in planted.segments["segments"]:
        assert card["headline"].startswith(f"{card['profile_share']:.0%} of customers bring ")
        assert card["summary"].startswith(card["headline"])
        assert 1 <= len(card["actions"]) <= 2
        assert card["who"] or card["does"]
        assert card["worth"]


def test_what_a_customer_is_worth(planted, together):
    content = planted.segments
    assert content["value_per_profile"] == pytest.approx(together["amount_sum"].mean())
    for card in content["segments"]:
        mine = together.loc[together["segment_id"] == card["segment_id"], "amount_sum"].mean()
        assert card["value_per_profile"] == pytest.approx(mine)
        assert card["value_ratio"] == pytest.approx(mine / content["value_per_profile"])
        assert card["value_change"] == pytest.approx(card["value_ratio"] - 1)


def test_known_values_are_counted(planted, together):
    for card in planted.segments["segments"]:
        mine = together[together["segment_id"] == card["segment_id"]]
        for name, figure in card["features"].items():
            assert figure["n_known"] == mine[name].notna().sum()


def test_the_projection_is_a_picture_of_some_profiles(planted):
    projection = planted.segments["projection"]
    assert len(projection["points"]) == 100
    assert [label for _, _, label in projection["points"]].count(0) == 60
    first, second = projection["explained_variance_share"]
    assert 1 >= first >= second >= 0


def test_the_choice_is_told(planted):
    choice = planted.segments["choice"]
    assert (choice["segments"], choice["requested"]) == (2, 2)
    assert choice["reason"] == "2 segments were asked for"


def test_a_card_as_text(planted):
    content = planted.segments
    text = card_text(content["segments"][1], content["value_feature"])
    lines = text.splitlines()
    assert lines[0] == f"1  {content['segments'][1]['name']}"
    assert lines[1] == "-" * len(lines[0])
    assert "How they differ, clearest first:" in lines
    assert "What to try:" in lines
    assert "Worth:" in lines
    assert max(map(len, lines)) <= 96
    # Spend is told under its worth, and effect sizes are for analysts.
    told = " ".join(text.split("How they differ")[1].split("What to try")[0].split())
    phrases = {trait["feature"]: trait["phrase"] for trait in content["segments"][1]["distinguishing"]}
    assert phrases
    for name, words in phrases.items():
        assert (words in told) is (not name.startswith("amount_sum"))
    assert not re.search(r"[+-]\d\.\d  ", text)
