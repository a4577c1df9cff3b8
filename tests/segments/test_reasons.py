import datetime as dt
import json
import math
import re
import shutil
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import gpuseg
from gpuseg.errors import ConfigError, DataError, IntegrityError
from gpuseg.segments.reason_text import reasons_text
from gpuseg.segments.reasons import profile_reasons
from gpuseg.workspace.files import read_json, write_json
from gpuseg.workspace.version import content_digest

AS_OF = dt.date(2025, 1, 1)
N_PROFILES, N_BUCKETS = 120, 5


def lines():
    """Steady, rare and single buyers; the last have no gaps between purchases."""
    random = np.random.default_rng(4)
    rows = []
    for profile in range(N_PROFILES):
        n, spend = ((30, 20), (6, 60), (1, 15))[profile % 3]
        for ago in random.integers(1, 360, n):
            at = dt.datetime.combine(AS_OF, dt.time(9)) - dt.timedelta(days=int(ago))
            rows.append((profile * 7 - 50, at, round(float(random.gamma(3, spend / 3)), 2), "WINE" if n < 9 else "Tea"))
    return pd.DataFrame(rows, columns=["profile_id", "at", "amount", "category"])


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Three segments over five buckets, whole-number ids, some below zero, and two profiles without events."""
    people = pd.DataFrame({"profile_id": [-50, 100_000, 100_001], "age": [30, 40, 50]})
    config = {
        "run": {"out": str(tmp_path_factory.mktemp("reasons") / "run"), "as_of": AS_OF, "buckets": N_BUCKETS},
        "sources": [
            {"name": "orders", "kind": "purchases"},
            {"name": "people", "kind": "crm", "columns": {"age": "age"}},
        ],
        "cluster": {"segments": 3},
    }
    return gpuseg.run(config, frames={"orders": lines(), "people": people})


@pytest.fixture
def copied(run, tmp_path):
    shutil.copytree(run.path.parent, tmp_path / "run")
    return gpuseg.Run(tmp_path / "run" / run.version)


def matrix_value(value, column):
    """A feature's place in the matrix, by the definition of the saved transformation."""
    value = column["fill"] if math.isnan(value) else value
    if column["transform"] == "log1p":
        value = math.copysign(math.log1p(abs(value)), value)
    bound = column["clip"] * column["weight"]
    scaled = (value - column["center"]) / column["spread"] * column["weight"]
    return round(min(max(scaled, -bound), bound) * 2**20) / 2**20


def test_every_number_of_every_profile_follows_from_its_features_and_the_model(run):
    content = json.loads((run.path / "model" / "model.json").read_bytes())
    columns = content["matrix"]["columns"]
    centers = np.load(run.path / "model" / "centers.npy").astype(float).tolist()
    features, assignments = run.features().set_index("profile_id"), run.assignments().set_index("profile_id")
    together = features.join(assignments["segment_id"])
    middles, means = together.groupby("segment_id").mean(), features.mean()
    assert len(features) == N_PROFILES
    for profile, row in features.iterrows():
        told = run.explain(profile)
        mine = assignments.loc[profile]
        assert told["status"] == "assigned"
        assert {key: told[key] for key in ("segment_id", "segment_name", "distance", "confidence")} == {
            key: mine[key] for key in ("segment_id", "segment_name", "distance", "confidence")
        }
        place = [matrix_value(float(row[column["feature"]]), column) for column in columns]
        squared = [sum((x - c) ** 2 for x, c in zip(place, center, strict=True)) for center in centers]
        others = [segment for segment in range(3) if segment != mine["segment_id"]]
        other = min(others, key=lambda segment: squared[segment])
        assert told["runner_up"]["segment_id"] == other
        assert told["runner_up"]["segment_name"] == content["names"][other]
        assert told["runner_up"]["distance"] == pytest.approx(math.sqrt(squared[other]), rel=1e-5)
        assert told["distance"] == pytest.approx(math.sqrt(squared[mine["segment_id"]]), rel=1e-5)
        assert told["confidence"] == pytest.approx(1 - told["distance"] / told["runner_up"]["distance"], abs=1e-5)
        assert told["margin"] == pytest.approx(squared[other] - squared[mine["segment_id"]], rel=1e-5)

        found = {each["feature"]: each for reason in told["reasons"] for each in reason["columns"]}
        assert sorted(found) == sorted(column["feature"] for column in columns)
        for position, column in enumerate(columns):
            gaps = [place[position] - centers[segment][position] for segment in (other, mine["segment_id"])]
            name = column["feature"]
            assert found[name]["contribution"] == pytest.approx(gaps[0] ** 2 - gaps[1] ** 2, rel=1e-4, abs=1e-6)
            value = float(row[name])
            assert found[name]["value"] == (None if math.isnan(value) else pytest.approx(value))
        for reason in told["reasons"]:
            name = reason["feature"]
            segments = ((mine["segment_id"], "segment_value"), (other, "runner_up_value"))
            for segment, key in segments:
                middle = float(middles.loc[segment, name])
                assert reason[key] == (None if math.isnan(middle) else pytest.approx(middle))
            assert reason["average"] == pytest.approx(means[name])


def test_contributions_add_up_and_are_in_order(run):
    for profile in run.features()["profile_id"]:
        told = run.explain(profile)
        parts = [each["contribution"] for reason in told["reasons"] for each in reason["columns"]]
        assert math.fsum(parts) == told["margin"] > 0
        assert math.fsum(reason["contribution"] for reason in told["reasons"]) == pytest.approx(
            told["margin"], rel=1e-13
        )
        assert math.fsum(reason["share"] for reason in told["reasons"]) == pytest.approx(1)
        contributions = [reason["contribution"] for reason in told["reasons"]]
        assert contributions == sorted(contributions, reverse=True)
        for reason in told["reasons"]:
            assert math.fsum(each["contribution"] for each in reason["columns"]) == reason["contribution"]
            assert reason["feature"] in [each["feature"] for each in reason["columns"]]
        assert json.loads(json.dumps(told, allow_nan=False)) == told


def test_windows_of_one_figure_are_one_reason(run):
    told = run.explain(run.features()["profile_id"][0])
    codes = [reason["code"] for reason in told["reasons"]]
    assert len({code.rpartition(".")[0] for code in codes}) == len(codes)
    orders = next(reason for reason in told["reasons"] if reason["code"].startswith("n_orders."))
    assert {each["feature"] for each in orders["columns"]} >= {"n_orders", "n_orders_90d", "n_orders_365d"}
    assert {code.rpartition(".")[2] for code in codes} <= {"high", "low"}


def test_high_and_low_are_sides_of_the_middle_between_both_centers(run):
    model = run.model
    for profile in run.features()["profile_id"][:20]:
        told = run.explain(profile)
        mine, other = (
            model.centers[each].astype(float) for each in (told["segment_id"], told["runner_up"]["segment_id"])
        )
        for reason in told["reasons"]:
            at = model.transform.features.index(reason["feature"])
            pull = next(each["contribution"] for each in reason["columns"] if each["feature"] == reason["feature"])
            if pull:
                assert reason["code"].endswith(".high") is ((pull > 0) is bool(mine[at] > other[at]))


def test_an_unknown_value_is_said_to_be_taken_as_the_middle_one(run):
    features = run.features().set_index("profile_id")
    profile = features.index[features["gap_days_mean"].isna()][0]
    told = run.explain(profile)
    gap = next(reason for reason in told["reasons"] if reason["feature"] == "gap_days_mean")
    assert gap["value"] is None
    assert gap["text"].startswith("days between purchases unknown, taken as ")


def test_ids_may_be_given_as_text(run):
    for profile in (-50, 97):
        assert run.explain(str(profile)) == run.explain(profile) == run.explain(np.int64(profile))


@pytest.mark.parametrize("profile", [100_000, 100_001])
def test_a_profile_without_events_has_no_segment(run, profile):
    told = run.explain(profile)
    assert told == {
        "profile_id": profile,
        "status": "no_data",
        "method": "kmeans",
        "segment_id": -1,
        "segment_name": None,
        "distance": None,
        "confidence": None,
        "runner_up": None,
        "margin": None,
        "reasons": [],
    }
    assert reasons_text(told) == "No segment: the profile has no events before the end of the data (as_of)."


UNKNOWN = [424_242, "424242", "kowalski", "", " 97", "97.0", 97.0, 2**70, "9" * 19, True, None, "\udcff"]


@pytest.mark.parametrize("profile", UNKNOWN, ids=repr)
def test_an_unknown_id_is_not_repeated(run, profile):
    with pytest.raises(DataError) as caught:
        run.explain(profile)
    assert str(caught.value) == f"{run.path}: no profile of this run has the id given; its ids are whole numbers"


def test_ids_of_text(planted):
    ids = planted.assignments().set_index("profile_id")["segment_id"]
    for profile in ("loyal-0", "lapsed-99"):
        assert planted.explain(profile)["segment_id"] == ids[profile]
    assert planted.explain("nobody-1")["status"] == "no_data"
    for profile in ("Loyal-0", "loyal-0 ", "", "\udcff", 0, None):
        with pytest.raises(DataError, match=r"its ids are text, compared byte for byte$"):
            planted.explain(profile)


def test_only_the_bucket_of_the_profile_is_read(run, copied):
    """Every other table may be missing; one is looked at for the type of ids."""
    files = sorted((copied.path / "assignments").glob("*.parquet"))
    assert len(files) == N_BUCKETS
    homes = {int(p): f.name for f in files for p in pd.read_parquet(f)["profile_id"]}
    profile = next(p for p in run.features()["profile_id"] if homes[p] != files[0].name)
    for path in copied.path.rglob("*.parquet"):
        if path != files[0] and (path.name != homes[profile] or path.parent.name == "state"):
            path.unlink()
    assert copied.explain(profile) == run.explain(profile)


@pytest.mark.parametrize("part", ["assignments", "features", "model", "segments.json"])
def test_what_differs_from_the_commit_is_not_trusted(run, copied, part):
    profile = int(run.features()["profile_id"][3])
    for path in [copied.path / part] if part.endswith("json") else sorted((copied.path / part).iterdir()):
        path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(IntegrityError, match=part):
        copied.explain(profile)


def test_a_run_without_the_stage_is_refused(copied):
    path = copied.path / "manifest.json"
    content = read_json(path)
    content.pop("sha256")
    content["stages"].pop("explain")
    write_json(path, content | {"sha256": content_digest(content)})
    for ask in (lambda: copied.explain(97), lambda: copied.explanations):
        with pytest.raises(ConfigError, match=r"was made without explanations; run its configuration again$"):
            ask()


def test_explanations_are_those_of_the_file(run):
    assert run.explanations == json.loads((run.path / "explanations.json").read_bytes())
    assert set(run.explanations) == {"format", "surrogate", "baseline"}
    assert run.explanations["format"] == 1


def test_reasons_as_text(run):
    told = run.explain(97)
    mine = told["segment_name"]
    text = reasons_text(told).splitlines()
    assert text[0] == f"{told['segment_id']}  {told['segment_name']}"
    other = told["runner_up"]["segment_name"]
    assert text[2] == f"Fit: clearly this segment; the next most alike is {other}."
    assert text[4] == f"{told['reasons'][0]['share']:+6.0%}  {told['reasons'][0]['text']}"
    shares = [int(line[:6].strip().rstrip("%")) for line in text[4:] if not line.startswith("What")]
    assert sum(shares) == pytest.approx(100, abs=len(shares))
    assert "97" not in text[0] + text[2]
    for confidence, words in ((0.5, "clearly this"), (0.49, "more like this"), (0.19, f"between {mine} and {other}")):
        assert words in reasons_text(told | {"confidence": confidence}).splitlines()[2]
    assert not re.search("confidence|center", "".join(text).lower())


def test_half_way_between_two_centers_there_is_nothing_to_tell(run):
    told = run.explain(97) | {"margin": 0.0}
    assert reasons_text(told).endswith("The profile is equally like both.")


def test_one_segment_has_no_runner_up():
    told = profile_reasons(SimpleNamespace(n_segments=1), None, 0, {})
    assert told == {"runner_up": None, "margin": None, "reasons": []}
    row = {"status": "assigned", "segment_id": 0, "segment_name": "All"}
    assert reasons_text(row | told).splitlines() == ["0  All", "------", "There is no other segment."]


def test_values_of_an_attribute_are_one_reason(tmp_path):
    people = pd.DataFrame({"profile_id": range(-50, N_PROFILES * 7 - 50, 7)})
    people["region"] = np.array(["North", "South", "West"])[np.arange(N_PROFILES) % 3]
    config = {
        "run": {"out": str(tmp_path / "run"), "as_of": AS_OF},
        "sources": [
            {"name": "orders", "kind": "purchases"},
            {"name": "people", "kind": "crm", "columns": {"region": "region"}},
        ],
        "features": {"families": ["rfm", "attributes"]},
        "cluster": {"segments": 3},
    }
    told = gpuseg.run(config, frames={"orders": lines(), "people": people}).explain(-50)
    (region,) = (reason for reason in told["reasons"] if reason["feature"].startswith("region="))
    assert sorted(each["feature"] for each in region["columns"]) == ["region=North", "region=South", "region=West"]
    assert region["code"].startswith(f"{region['feature']}.")
    assert "region is " in region["text"]


@pytest.fixture(scope="module")
def floored(tmp_path_factory):
    """A run whose smallest segment, and the next with it, lie below the group floor."""
    config = {
        "run": {"out": str(tmp_path_factory.mktemp("floored") / "run"), "as_of": AS_OF},
        "sources": [{"name": "orders", "kind": "purchases"}],
        "cluster": {"segments": 3},
        "privacy": {"group_floor": 41},
    }
    return gpuseg.run(config, frames={"orders": lines()})


def test_a_withheld_segment_is_not_explained(floored):
    withheld = set(floored.segments["withheld"]["segment_ids"])
    rows = floored.assignments().set_index("profile_id")["segment_id"]
    assert withheld
    assert set(rows) - withheld
    hidden = rows.index[rows.isin(withheld)]
    for profile in hidden:
        with pytest.raises(ConfigError, match=r"is not described, so that no group of fewer than 41 is$"):
            floored.explain(profile)
    shown = floored.explain(rows.index[~rows.isin(withheld)][0])
    assert shown["reasons"]
