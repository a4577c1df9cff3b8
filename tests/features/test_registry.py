import datetime as dt

import pytest

from gpuseg.config import FeaturesSection
from gpuseg.errors import ConfigError
from gpuseg.features.algebra import Context
from gpuseg.features.registry import FAMILIES, check_families, check_names, declare_features

CONTEXT = Context(dt.date(2018, 1, 1), (30,), 10_000, categories=("x",), has_categories=True)


def test_names_of_families_are_their_keys():
    assert all(family.name == name for name, family in FAMILIES.items())


def test_families_come_in_the_order_asked_for():
    section = FeaturesSection(families=("tempo", "rfm"))
    declared, skipped = declare_features(section, CONTEXT, {"purchases"})
    assert list(dict.fromkeys(item.family for item in declared)) == ["tempo", "rfm"]
    assert skipped == []


def test_every_feature_has_a_name_of_its_own_a_label_and_a_unit():
    section = FeaturesSection(families=tuple(FAMILIES))
    declared, _ = declare_features(section, CONTEXT, {family.needs for family in FAMILIES.values()})
    names = [item.feature.name for item in declared]
    assert len(set(names)) == len(names)
    assert all(item.feature.label and item.feature.unit for item in declared)
    assert all("7" in item.feature.saying.format(value="7") for item in declared)
    labels = [item.feature.label for item in declared if item.feature.in_matrix]
    assert len(set(labels)) == len(labels)


def test_families_without_their_source_are_skipped_and_named():
    asked = FeaturesSection(families=("rfm", "browsing", "engagement"))
    declared, skipped = declare_features(asked, CONTEXT, {"purchases"})
    assert {item.family for item in declared} == {"rfm"}
    assert skipped == [
        "family browsing skipped: no source of kind web",
        "family engagement skipped: no source of kind crm with a time (at)",
    ]


def test_families_nobody_asked_for_are_skipped_in_silence():
    assert declare_features(FeaturesSection(), CONTEXT, {"crm"}) == ([], [])


def test_interests_without_categories_are_skipped_and_named():
    bare = Context(dt.date(2018, 1, 1), (30,), 10_000)
    declared, skipped = declare_features(FeaturesSection(families=("interests",)), bare, {"purchases"})
    assert (declared, skipped) == ([], ["family interests skipped: no purchases source has the column it needs"])


def test_a_category_may_hold_braces():
    odd = Context(dt.date(2018, 1, 1), (), 1, categories=("{value}", "{", "a}b"), has_categories=True)
    declared, _ = declare_features(FeaturesSection(families=("interests",)), odd, {"purchases"})
    assert [item.feature.name for item in declared] == ["share_{value}", "share_{", "share_a}b", "share_other"]
    assert declared[0].feature.saying.format(value="7%") == "7% of items from {value}"


def test_unknown_families_are_refused():
    with pytest.raises(
        ConfigError, match=r"^features.families: 'tempi' is no family; there are .*; did you mean tempo\?"
    ):
        check_families(FeaturesSection(families=("rfm", "tempi")))


@pytest.mark.parametrize("section", [{"drop": ("n_order",)}, {"weights": {"n_order": 2.0}}], ids=str)
def test_unknown_features_are_refused(section):
    key = next(iter(section))
    with pytest.raises(
        ConfigError, match=rf"^features.{key}: 'n_order' is no feature of this run; did you mean n_orders\?"
    ):
        check_names(FeaturesSection(**section), ["n_orders", "n_lines"])
    check_names(FeaturesSection(**section), ["n_order"])
