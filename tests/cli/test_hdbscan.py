"""`cluster.method: hdbscan` from events to report, on synthetic events with planted segments."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import yaml
from sklearn.cluster import HDBSCAN
from sklearn.metrics import adjusted_rand_score

import gpuseg as package
from gpuseg.errors import IntegrityError
from gpuseg.segments.reason_text import reasons_text
from gpuseg.segments.reasons import noise_reasons
from gpuseg.segments.run import open_run
from gpuseg.synth import SynthSpec, synthesize

N = 900


@pytest.fixture(scope="module")
def events(tmp_path_factory):
    folder = tmp_path_factory.mktemp("synth") / "events"
    synthesize(SynthSpec(N, 36_000, seed=3, n_segments=3, kinds=("web", "purchases")), folder)
    return folder


@pytest.fixture
def write(events, tmp_path):
    def written(name="run", *, run=None, **sections):
        config = yaml.safe_load((events / "gpuseg.yaml").read_text(encoding="utf-8"))
        for source in config["sources"]:
            source["uri"] = str(events / source["uri"])
        config["run"] |= {"out": str(tmp_path / name)} | (run or {})
        config |= {"cluster": {"method": "hdbscan"}} | sections
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump(config), encoding="utf-8")
        return path

    return written


@pytest.fixture(scope="module")
def made(events, tmp_path_factory):
    """One run that keeps its noise, of which there is enough to be described."""
    config = yaml.safe_load((events / "gpuseg.yaml").read_text(encoding="utf-8"))
    for source in config["sources"]:
        source["uri"] = str(events / source["uri"])
    config["run"]["out"] = str(tmp_path_factory.mktemp("hdbscan") / "run")
    config["cluster"] = {"method": "hdbscan"}
    return package.run(config)


def bytes_of(folder, *, below=("model", "assignments", "segments.json", "explanations.json")):
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in files.items() if name.startswith(below)}


# --- what a run holds ---


def test_segments_are_the_planted_ones_and_noise_is_told(made, events):
    found = made.assignments()
    assert set(found["segment_status"]) == {"assigned", "noise"}
    inside, noise = found[found["segment_id"] >= 0], found[found["segment_id"] < 0]
    assert len(found) == N
    assert len(noise) > 10
    assert set(noise["segment_id"]) == {-1}
    assert set(noise["segment_status"]) == {"noise"}
    assert noise["segment_name"].isna().all()
    assert noise["distance"].isna().all()
    assert (noise["confidence"] == 0).all()
    assert (inside["confidence"] > 0).all()
    assert inside["distance"].notna().all()
    assert inside["segment_id"].value_counts().sort_index().is_monotonic_decreasing
    truth = pd.read_parquet(events / "truth.parquet").set_index("customer_id")["segment"]
    assert adjusted_rand_score(truth.loc[inside["profile_id"]], inside["segment_id"]) > 0.98


def test_figures_are_of_everyone_with_noise_beside_the_segments(made):
    told, assigned = made.segments, made.assignments()
    features = made.features().set_index("profile_id")
    noise = assigned[assigned["segment_status"] == "noise"]["profile_id"]
    assert told["method"] == "hdbscan"
    assert told["n_noise"] == told["noise"]["n_profiles"] == told["choice"]["n_noise"] == len(noise)
    assert told["n_profiles"] == told["n_assigned"] + told["n_noise"] + told["n_no_data"]
    assert sum(card["profile_share"] for card in told["segments"]) + told["noise"]["profile_share"] == pytest.approx(1)
    assert sum(card["value_share"] for card in told["segments"]) + told["noise"]["value_share"] == pytest.approx(1)
    assert told["value_total"] == pytest.approx(features["amount_sum"].sum())
    assert told["noise"]["value_sum"] == pytest.approx(features.loc[noise, "amount_sum"].sum())
    orders = next(feature for feature in told["features"] if feature["name"] == "n_orders")
    assert orders["mean"] == pytest.approx(features["n_orders"].mean())
    assert {card["segment_id"] for card in told["segments"]} == set(range(told["n_segments"]))
    assert {point[2] for point in told["projection"]["points"]} == {-1, *range(told["n_segments"])}
    effects = [card["features"]["recency_days"]["effect_size"] * card["n_profiles"] for card in told["segments"]]
    columns = made.model.transform
    at = columns.features.index("recency_days")
    rows = made.model.neighbourhood.rows[made.model.neighbourhood.labels < 0][:, at] / columns.columns[at].weight
    everyone = made.model.neighbourhood.rows[:, at].mean(dtype=float) / columns.columns[at].weight
    assert sum(effects) + (rows - everyone).sum(dtype=float) == pytest.approx(0, abs=1e-2)


def test_the_average_customer_of_the_cards_counts_noise(made):
    average = f"{made.segments['value_per_profile']:,.2f} of the average customer"
    told = [card["worth"] for card in made.segments["segments"] if "average customer" in (card["worth"] or "")]
    assert told
    assert all(average in text for text in told)


def test_labels_are_those_of_the_library(made):
    model = made.model
    theirs = HDBSCAN(
        min_cluster_size=model.choice["min_cluster_size"], min_samples=model.choice["min_samples"], copy=True
    ).fit(model.neighbourhood.rows)
    assert adjusted_rand_score(theirs.labels_, model.neighbourhood.labels) == 1.0


def test_rules_and_baseline_are_of_profiles_in_segments(made):
    explained = made.explanations
    assert explained["surrogate"]["n_profiles"] == made.segments["n_assigned"]
    assert explained["baseline"]["n_profiles"] == made.segments["n_assigned"]
    assert {entry["segment_id"] for entry in explained["surrogate"]["segments"]} == set(
        range(made.segments["n_segments"])
    )


# --- placing ---


def test_predicting_the_profiles_of_the_run_gives_their_assignments(made):
    assigned = made.assignments()
    for model in (made.model, package.load(made.path.parent)):
        found = model.predict(made.features()).merge(assigned, on="profile_id", suffixes=("", "_then"))
        assert len(found) == N
        for name in ("segment_id", "segment_name", "distance", "confidence"):
            pd.testing.assert_series_equal(found[name], found[f"{name}_then"], check_names=False, check_exact=True)


def test_new_profiles_join_their_neighbours_or_none(made):
    features = made.features()
    figures = features.columns[features.dtypes == "float64"]
    near, far = features.copy(), features.copy()
    near[figures] *= 1.0001
    far["n_orders"], far["recency_days"], far["amount_sum"] = 40_000, 0, 9e9
    then, now = made.model.predict(features), made.model.predict(near)
    assert (now["segment_id"] == then["segment_id"]).mean() > 0.97
    lost = made.model.predict(far)
    assert (lost["segment_id"] == -1).all()
    assert lost["segment_name"].isna().all()


def test_explaining_a_profile(made, gpuseg):
    assigned = made.assignments().sort_values("confidence")
    noise = int(assigned[assigned["segment_status"] == "noise"]["profile_id"].iloc[0])
    told = gpuseg("explain", made.path.parent, "--profile", noise)
    assert told.code == 0
    assert told.out.startswith(
        "No segment: too few profiles are like this one for a segment of their own, or to join one (noise).\n"
    )
    content = gpuseg("--json", "explain", made.path.parent, "--profile", noise).content
    assert (content["status"], content["segment_id"], content["confidence"]) == ("noise", -1, 0.0)
    assert (content["segment_name"], content["distance"], content["margin"]) == (None, None, None)
    inside = assigned[assigned["segment_status"] == "assigned"]["profile_id"]
    dense, thin = int(inside.iloc[-1]), int(inside.iloc[0])
    assert "Fit: in the dense middle of this segment;" in gpuseg("explain", made.path, "--profile", dense).out
    assert made.explain(dense)["confidence"] > 0.9 > made.explain(thin)["confidence"] > 0
    assert gpuseg("explain", made.path).code == 0


def test_what_keeps_noise_apart(made, gpuseg):
    model, features = made.model, made.features()
    assigned = made.assignments()
    rows = model.transform.apply(pa.Table.from_pandas(features)).astype(float)
    at = dict(zip(features["profile_id"], rows, strict=True))
    gaps = {}
    for profile in assigned[assigned["segment_status"] == "noise"]["profile_id"]:
        told = made.explain(profile)
        near = told["runner_up"]
        distances = np.sqrt(((at[profile] - model.centers.astype(float)) ** 2).sum(axis=1))
        assert near["segment_id"] == distances.argmin()
        assert near["segment_name"] == model.names[near["segment_id"]]
        assert near["distance"] == pytest.approx(distances.min())
        members = assigned[assigned["segment_id"] == near["segment_id"]]["distance"]
        assert near["typical_distance"] == pytest.approx(members.median())
        parts = [reason["contribution"] for reason in told["reasons"]]
        assert sum(parts) == pytest.approx(distances.min() ** 2)
        assert parts == sorted(parts, reverse=True)
        assert sum(reason["share"] for reason in told["reasons"]) == pytest.approx(1)
        assert {reason["segment_value"] for reason in told["reasons"]} == {None}
        for reason in told["reasons"]:
            assert reason["code"].endswith(("high", "low"))
            assert "on average here" not in reason["text"]
        gaps[profile] = near["distance"] / near["typical_distance"]
    far, near = max(gaps, key=gaps.get), min(gaps, key=gaps.get)
    lines = gpuseg("explain", made.path, "--profile", far).out.splitlines()
    told = made.explain(far)
    name = told["runner_up"]["segment_name"]
    assert lines[1].startswith(
        f"Nearest segment: {name}; from its average this profile is {gaps[far]:.1f} times as far "
    )
    assert told["reasons"][0]["text"] in lines[3]
    assert lines[3].startswith(f"{told['reasons'][0]['share']:+6.0%}  ")
    assert len(lines) <= 8
    alike = made.explain(near) | {"runner_up": told["runner_up"] | {"distance": 0.5, "typical_distance": 0.5}}
    assert reasons_text(alike).splitlines()[1:] == [
        f"The average of {name} is near, but hardly anybody is close to this profile."
    ]
    alone = alike | {"runner_up": told["runner_up"] | {"typical_distance": 0.0}}
    assert "this profile is much farther than a typical profile there." in reasons_text(alone)


def test_noise_where_no_segment_is_described(made):
    assigned = made.assignments()
    profile = assigned[assigned["segment_status"] == "noise"]["profile_id"].iloc[0]
    features = made.features()
    features = pa.Table.from_pandas(features[features["profile_id"] == profile])
    told = noise_reasons(made.model, features, made.segments | {"segments": []})
    assert told == {"runner_up": None, "margin": None, "reasons": []}


# --- what people see ---


def test_every_verb_tells_of_noise(made, write, gpuseg):
    told = made.segments["noise"]
    line = f"{told['n_profiles']:,} profiles are in no segment ("
    shown = gpuseg("describe", made.path)
    assert shown.code == 0
    assert shown.out.count(line) == 1
    assert line not in gpuseg("describe", made.path, "--segment", 0).out
    assert gpuseg("describe", made.path, "--segment", -1).code == 2
    assert gpuseg("verify", made.path).code == 0
    again = gpuseg("run", write())
    assert again.code == 0, again.err
    assert again.out.count(line) == 1
    report = (made.path / "report.html").read_text(encoding="utf-8")
    assert report.count("in no segment: too few others are alike. Averages and shares count them.") == 1
    assert "HDBSCAN" in report
    assert f"({N} of {N}), grey ones in no segment; customers" in report
    card = (made.path / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "segmentation by HDBSCAN" in card
    assert f"{told['n_profiles']:,} have events but are in none" in card
    assert "K-means" not in card


def test_noise_may_go_to_the_nearest_segment(made, write, gpuseg):
    told = gpuseg("run", write(cluster={"method": "hdbscan", "noise": "nearest"}))
    assert told.code == 0, told.err
    n = made.segments["n_noise"]
    assert f"{n} profiles are in no dense group and were put into the nearest segment, with confidence 0." in told.out
    path = next(line for line in told.out.splitlines() if line.startswith("Assignments: ")).removeprefix(
        "Assignments: "
    )
    found = pd.read_parquet(path)
    assert set(found["segment_status"]) == {"assigned"}
    then = made.assignments().merge(found, on="profile_id", suffixes=("_then", ""))
    placed = then[then["segment_status_then"] == "noise"]
    assert (placed["confidence"] == 0).all()
    kept = then[then["segment_status_then"] == "assigned"]
    assert (kept["confidence"] == kept["confidence_then"]).all()
    assert adjusted_rand_score(kept["segment_id"], kept["segment_id_then"]) == 1.0


def test_the_finest_groups_may_be_taken(made, write, gpuseg, tmp_path):
    told = gpuseg("run", write("fine", cluster={"method": "hdbscan", "selection": "leaf", "min_cluster_size": 8}))
    assert told.code == 0, told.err
    fine = open_run(tmp_path / "fine")
    assert fine.model.choice["selection"] == "leaf"
    assert fine.segments["n_segments"] > made.segments["n_segments"]
    assert made.model.choice["selection"] == "eom"


def test_noise_below_the_floor_is_in_no_figure(made, write, gpuseg, tmp_path):
    n = made.segments["n_noise"]
    told = gpuseg("--json", "run", write("floored", privacy={"group_floor": n + 1}))
    assert told.code == 0, told.err
    content = open_run(tmp_path / "floored").segments
    noise = content["noise"]
    assert (noise["n_profiles"], noise["in_figures"]) == (n, False)
    assert (noise["value_sum"], noise["value_share"]) == (None, None)
    assigned = made.assignments()
    inside = assigned[assigned["segment_status"] == "assigned"]["profile_id"]
    features = made.features().set_index("profile_id").loc[inside]
    assert content["value_total"] == pytest.approx(features["amount_sum"].sum())
    orders = next(feature for feature in content["features"] if feature["name"] == "n_orders")
    assert orders["mean"] == pytest.approx(features["n_orders"].mean())
    assert sum(card["profile_share"] for card in content["segments"]) == pytest.approx(1)
    effects = [card["features"]["recency_days"]["effect_size"] * card["n_profiles"] for card in content["segments"]]
    assert sum(effects) == pytest.approx(0, abs=1e-6)
    assert -1 not in {point[2] for point in content["projection"]["points"]}
    report = (open_run(tmp_path / "floored").path / "report.html").read_text(encoding="utf-8")
    assert "Averages and shares leave them out." in report


# --- what must not matter ---


def test_buckets_chunks_and_stages_one_by_one_change_nothing(made, write, gpuseg, tmp_path):
    alike = {name: content for name, content in bytes_of(made.path).items() if "assignments" not in name}
    for name, run in (("buckets", {"buckets": 5}), ("chunks", {"chunk_rows": 777})):
        assert gpuseg("run", write(name, run=run)).code == 0
        found = open_run(tmp_path / name)
        for file, content in alike.items():
            assert bytes_of(found.path)[file] == content, file
        pd.testing.assert_frame_equal(
            found.assignments().sort_values("profile_id", ignore_index=True),
            made.assignments().sort_values("profile_id", ignore_index=True),
            check_exact=True,
        )
    config = write("steps")
    for stage in ("validate", "features", "fit", "assign", "report"):
        assert gpuseg(stage, config).code == 0
    assert bytes_of(open_run(tmp_path / "steps").path) == bytes_of(made.path)


def test_a_damaged_model_is_noticed(write, gpuseg, tmp_path):
    assert gpuseg("run", write("damaged")).code == 0
    model = open_run(tmp_path / "damaged").path / "model"
    strengths = np.load(model / "neighbourhood_strengths.npy")
    np.save(model / "neighbourhood_strengths.npy", strengths / 2)
    told = gpuseg("verify", tmp_path / "damaged")
    assert told.code == 5
    assert "model/neighbourhood_strengths.npy" in told.err
    (model / "neighbourhood_cores.npy").unlink()
    with pytest.raises(IntegrityError, match=r"neighbourhood_cores\.npy"):
        _ = open_run(tmp_path / "damaged").model.n_segments


# --- bad input ---


@pytest.mark.parametrize(
    ("cluster", "code", "words"),
    [
        ({"min_cluster_size": N + 1}, 2, f"cluster.min_cluster_size: {N + 1} is more than the {N} profiles; nearest "),
        ({"min_samples": N + 1}, 2, f"cluster.min_samples: {N + 1} is more than the {N} profiles; nearest valid: {N}"),
        ({"min_cluster_size": N}, 3, f"hdbscan found no dense groups among {N} profiles with min_cluster_size {N} and"),
        ({"segments": 4}, 2, "cluster.segments: belongs to method kmeans and hierarchical, but method is hdbscan"),
        ({"min_cluster_size": 1}, 2, "cluster.min_cluster_size: 1: must be auto, or a whole number of at least 2"),
    ],
)
def test_what_cannot_be_is_one_line(write, gpuseg, tmp_path, cluster, code, words):
    told = gpuseg("run", write("bad", cluster={"method": "hdbscan"} | cluster))
    assert told.code == code
    assert len(told.lines) == 1
    assert words in told.err
    assert not (tmp_path / "bad" / "CURRENT").exists()


def few(tmp_path, n, *, alike=False):
    rows = [f"c{i},2017-06-0{1 if alike else 1 + i % 9},{5 if alike else 5 + i}" for i in range(n)]
    (tmp_path / "few.csv").write_text("\n".join(["who,when,money", *rows]) + "\n", encoding="utf-8")
    config = {
        "run": {"out": "few", "as_of": "2018-01-01"},
        "sources": [
            {
                "name": "orders",
                "kind": "purchases",
                "uri": "few.csv",
                "columns": {"profile_id": "who", "at": "when", "amount": "money"},
            }
        ],
        "cluster": {"method": "hdbscan"},
    }
    path = tmp_path / "few.yaml"
    path.write_text(json.dumps(config), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("n", "alike", "words"),
    [
        (1, False, "1 profile has events before as_of; segments need at least 2"),
        (40, True, "every feature is the same for all profiles"),
        (3, False, "hdbscan found no dense groups among 3 profiles with min_cluster_size 2 and min_samples 2"),
    ],
)
def test_too_little_to_part_is_one_line(gpuseg, tmp_path, n, alike, words):
    told = gpuseg("run", few(tmp_path, n, alike=alike))
    assert told.code == 3
    assert len(told.lines) == 1
    assert words in told.err


def test_what_does_not_fit_is_one_line(write, gpuseg, monkeypatch):
    monkeypatch.setattr("gpuseg.engine.cpu.device.free_bytes", lambda: 100_000)
    exact = {"method": "hdbscan", "resolution": "profiles"}
    told = gpuseg("run", write("crowded", cluster=exact))
    assert told.code == 4
    assert len(told.lines) == 1
    assert f"exact hdbscan of {N} profiles with" in told.err
    assert "use method kmeans" in told.err


def test_much_noise_is_a_warning(write, gpuseg):
    told = gpuseg("run", write("noisy", cluster={"method": "hdbscan", "min_samples": 50, "min_cluster_size": 12}))
    assert told.code == 0, told.err
    assert "warning: hdbscan leaves " in told.err
    assert "% of the profiles in no segment; lower cluster.min_samples" in told.err


def test_one_segment_for_nearly_all_is_a_warning(write, gpuseg, monkeypatch):
    monkeypatch.setattr("gpuseg.segments.methods.hdbscan._MOST_IN_ONE", 0.3)
    told = gpuseg("run", write("lumped"))
    assert told.code == 0, told.err
    assert "% of the profiles into one segment; cluster.selection: leaf looks for finer ones" in told.err
    told = gpuseg("run", write("leaves", cluster={"method": "hdbscan", "selection": "leaf"}))
    assert "into one segment" not in told.err


# --- what a fit will take ---


def test_a_dry_run_tells_what_a_fit_will_take(write, gpuseg):
    path = write()
    plan = gpuseg("--json", "run", path, "--dry-run").content
    assert [(cost["version"], cost["n_profiles"]) for cost in plan["fit"]] == [(None, 10_000), (None, 100_000)]
    assert plan["fit"][1]["seconds"] == pytest.approx(100 * plan["fit"][0]["seconds"])
    assert plan["fit"][1]["n_bytes"] == 10 * plan["fit"][0]["n_bytes"]
    assert gpuseg("features", path).code == 0
    told = gpuseg("run", path, "--dry-run", "--resume")
    (line,) = (line for line in told.out.splitlines() if "hdbscan" in line)
    assert line.startswith("    hdbscan of 900 profiles with ")
    assert line.endswith(" (as many as in v0001)")
    assert gpuseg("fit", path).code == 0
    assert "hdbscan" not in gpuseg("run", path, "--dry-run", "--resume").out


def test_a_dry_run_with_settings_beyond_the_profiles(write, gpuseg):
    path = write(cluster={"method": "hdbscan", "min_cluster_size": 50_000, "min_samples": 20_000})
    assert gpuseg("run", path, "--dry-run").code == 0


def test_a_dry_run_of_kmeans_needs_no_estimate(write, gpuseg):
    assert gpuseg("--json", "run", write(cluster={"method": "kmeans"}), "--dry-run").content["fit"] == []


def test_a_line_before_what_takes_long(write, gpuseg):
    path = write()
    assert "hdbscan" not in gpuseg("features", path).err
    told = gpuseg("-v", "fit", path)
    (line,) = (line for line in told.err.splitlines() if "hdbscan of" in line)
    assert line.startswith("gpuseg: hdbscan of 900 profiles with ")
    assert " features: by estimate " in line
    assert line.endswith(" MB of memory")
