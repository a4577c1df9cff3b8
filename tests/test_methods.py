"""Runs with rules, and with centers that start from a merge tree; and what the tree cannot do."""

import json

import numpy as np
import pytest
import yaml

import gpuseg as package
from gpuseg.errors import ClusteringError, ConfigError, SchemaError


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    from gpuseg.cli import main

    folder = tmp_path_factory.mktemp("methods")
    words = ["synth", "--profiles", "500", "--events", "9000", "--out", str(folder / "data"), "--seed", "11"]
    assert main(words) == 0
    return folder / "data"


@pytest.fixture
def run(data, tmp_path):
    def made(*, buckets="auto", floor=10, **cluster):
        content = yaml.safe_load((data / "gpuseg.yaml").read_text())
        content["run"] |= {"out": str(tmp_path / f"run{buckets}"), "buckets": buckets}
        content |= {"cluster": cluster, "privacy": {"group_floor": floor}}
        path = data / "methods.yaml"
        path.write_text(yaml.safe_dump(content))
        return package.run(path)

    return made


def together(run):
    """Features with assignments, a row a profile with events."""
    return run.features().merge(run.assignments(), on="profile_id")


BIG = {"name": "Big", "where": "amount_sum >= 200 and recency_days < 90"}
LATE = {"name": "Late", "where": "recency_days > 120 or recency_days is null"}


def test_rules_make_segments_with_everything_that_others_have(run):
    made = run(method="rules", rules=[BIG, LATE])
    rows, content = together(made), made.segments
    big = (rows.amount_sum >= 200) & (rows.recency_days < 90)
    late = ~big & ((rows.recency_days > 120) | rows.recency_days.isna())
    expected = np.select([big, late], [0, 1], 2)
    assert rows.segment_id.tolist() == expected.tolist()
    assert min(np.bincount(expected)) > 10
    assert [card["name"] for card in content["segments"]] == ["Big", "Late", "Everyone else"]
    assert [card["n_profiles"] for card in content["segments"]] == np.bincount(expected).tolist()
    assert rows.confidence.tolist() == [1.0] * len(rows)
    assert (rows.distance >= 0).all()
    assert content["choice"]["rules"]["rules"] == [BIG, LATE]
    assert all(card["summary"] and card["distinguishing"] for card in content["segments"])
    assert "Everyone else" in (made.path / "report.html").read_text()
    assert [card["rule"] for card in content["segments"]] == [BIG["where"], LATE["where"], None]
    assert "recency_days &gt; 120" in (made.path / "report.html").read_text()
    assert "that of the first rule that matches" in (made.path / "MODEL_CARD.md").read_text()
    assert made.explanations["surrogate"]["fidelity"] > 0.5


def test_rules_place_profiles_again(run):
    made = run(method="rules", rules=[BIG, LATE])
    rows = together(made)
    placed = package.load(made.path).predict(made.features(), engine="cpu")
    assert placed.segment_id.tolist() == rows.segment_id.tolist()
    np.testing.assert_array_equal(placed.distance, rows.distance)
    with pytest.raises(SchemaError, match="'recency_days'"):
        package.load(made.path).predict(made.features().drop(columns="recency_days"), engine="cpu")


def test_a_profile_is_told_its_rule(run):
    made = run(method="rules", rules=[BIG, LATE])
    rows = together(made)
    for segment, rule in enumerate([BIG["where"], LATE["where"], None]):
        told = made.explain(rows[rows.segment_id == segment].iloc[0].profile_id)
        assert (told["segment_id"], told["rule"]) == (segment, rule)


@pytest.mark.parametrize("preset", ["lifecycle", "rfm_cells"])
def test_rules_that_come_with_it(run, preset):
    made = run(method="rules", rules=preset)
    names = [card["name"] for card in made.segments["segments"]]
    assert {"lifecycle": "Lapsed", "rfm_cells": "Champions"}[preset] in names
    assert made.segments["n_assigned"] == len(made.features())


def test_buckets_do_not_change_what_rules_make(run):
    one, seven = (run(method="rules", rules="rfm_cells", buckets=n) for n in (1, 7))
    for name in ("model/model.json", "model/centers.npy", "model/counts.npy", "segments.json"):
        assert (one.path / name).read_bytes() == (seven.path / name).read_bytes()


def test_a_rule_without_profiles_is_a_warning(run):
    nobody = {"name": "Nobody", "where": "amount_sum > 1e12"}
    made = run(method="rules", rules=[nobody, BIG, {"name": "Any", "where": "amount_sum > 100"}])
    assert [card["name"] for card in made.segments["segments"]] == ["Big", "Any", "Everyone else"]
    rows = together(made)
    both = int(((rows.amount_sum >= 200) & (rows.recency_days < 90)).sum())
    facts = json.loads((made.path / ".stages" / "fit.json").read_text())["facts"]
    assert facts["warnings"] == [
        "rule 'Nobody' matches nobody; it has no segment",
        f"rules 'Big' and 'Any' both match {both} profiles; the first one counts",
    ]
    assert "matches nobody" in (made.path / "report.html").read_text()


@pytest.mark.parametrize(
    ("cluster", "error", "said"),
    [
        ({"rules": [{"name": "A", "where": "amout_sum > 1"}]}, ConfigError, "did you mean amount_sum"),
        ({"rules": [{"name": "A", "where": "amount_sum > 1e12"}]}, ClusteringError, "no rule matches any of"),
        (
            {"rules": [BIG, {"name": "B", "where": "amount_sum >= 300"}], "overlap": "refuse"},
            ClusteringError,
            "'Big' and 'B' both match",
        ),
        ({"rules": [BIG, BIG]}, ConfigError, "cluster.rules"),
        ({"rules": [{"name": "A", "where": "amount_sum >"}]}, ConfigError, r"cluster\.rules\.1\.where"),
        ({"rules": "lifecycles"}, ConfigError, "did you mean lifecycle"),
        ({}, ConfigError, "cluster.rules: is required by method rules"),
    ],
)
def test_rules_that_cannot_be(run, cluster, error, said):
    with pytest.raises(error, match=said):
        run(method="rules", **cluster)


def test_centers_from_the_tree_are_refined_on_all_profiles(run):
    made = run(method="kmeans", init="tree", segments=5, micro_clusters=64)
    model, tree = made.model, run(method="hierarchical", segments=5, micro_clusters=64).model
    plain = run(method="kmeans", segments=5).model
    assert model.inertia < tree.inertia
    assert model.inertia <= plain.inertia * 1.02
    assert model.n_iter >= 1
    assert not list((made.path / "model").glob("tree_*"))


def test_buckets_do_not_change_centers_from_the_tree(run):
    one, seven = (run(method="kmeans", init="tree", buckets=n) for n in (1, 7))
    for name in ("model/model.json", "model/centers.npy", "segments.json"):
        assert (one.path / name).read_bytes() == (seven.path / name).read_bytes()


def test_more_segments_than_micro_clusters(run):
    with pytest.raises(ConfigError, match="9 is more than the 8 micro-clusters; nearest valid: 8"):
        run(method="hierarchical", segments=9, micro_clusters=8)


def test_few_micro_clusters_leave_fewer_numbers_to_choose_from(run):
    made = run(method="hierarchical", micro_clusters=3)
    assert made.segments["n_segments"] in (2, 3)


def test_micro_clusters_of_a_plain_start_are_refused(run):
    with pytest.raises(ConfigError, match=r"cluster\.micro_clusters: needs init: tree, or method hierarchical"):
        run(method="kmeans", micro_clusters=100)
