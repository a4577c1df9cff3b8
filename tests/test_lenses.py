"""Runs with lenses: several segmentations in one run, and how they overlap."""

import html
import json
import shutil
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.metrics import adjusted_rand_score

import gpuseg
from gpuseg.cutting import cut
from gpuseg.errors import ConfigError
from gpuseg.pipeline import execute, preview, read_config
from gpuseg.segments.cross import agreement
from gpuseg.segments.run import open_run
from gpuseg.synth import SynthSpec, synthesize
from gpuseg.workspace.version import Version, content_digest
from tests.cli.shop import command_line
from tests.resume.worlds import crashing, litter

OWN = {
    "name": "dense",
    "families": ["rfm", "tempo", "lifecycle"],
    "drop": ["n_lines"],
    "weights": {"recency_days": 2.0, "is_new": 1.0},
    "cluster": {"method": "hierarchical", "segments": 3},
}
LENSES = ["value", "lifecycle", "interests", "intent", OWN]
FLOOR = 4
NAMES = ["value", "lifecycle", "interests", "intent", "dense"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lenses")
    synthesize(SynthSpec(500, 12_000, seed=9), folder)
    return folder


def settings(data, name, *, lenses=LENSES, **sections):
    """The path of a configuration of these events."""
    content = yaml.safe_load((data / "gpuseg.yaml").read_text(encoding="utf-8"))
    content["run"] |= {"out": f"out-{name}"}
    content |= {"cluster": {"method": "hierarchical", "segments": 4}, "lenses": lenses}
    content["privacy"] = {"group_floor": FLOOR}
    for key, section in sections.items():
        content[key] = content.get(key, {}) | section
    path = data / f"{name}.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def made(data):
    return gpuseg.run(settings(data, "made"))


@pytest.fixture
def gpuseg_words(capsys):
    with command_line(capsys) as run:
        yield run


def content_of(path: Path, *names: str) -> dict[str, bytes]:
    """Files of a version below some names."""
    return {
        file.relative_to(path).as_posix(): file.read_bytes()
        for name in names
        for file in sorted((path / name).rglob("*"))
        if file.is_file()
    }


def labels(run):
    """The segment of every profile with events, by segmentation; the withheld ones are one."""
    found = {}
    for name, one in {"segments": run, **run.lenses}.items():
        told, table = one.segments, one.assignments().set_index("profile_id")
        found[name] = table["segment_id"].where(~table["segment_id"].isin(told["withheld"]["segment_ids"]), -2)
        found[name] = found[name][table["segment_status"] != "no_data"]
    return found


def test_every_lens_is_a_whole_segmentation(made):
    assert list(made.lenses) == NAMES
    everyone = made.assignments()
    for name, lens in made.lenses.items():
        told, assigned = lens.segments, lens.assignments()
        assert assigned["profile_id"].tolist() == everyone["profile_id"].tolist()
        sizes = assigned["segment_id"].value_counts()
        assert {card["segment_id"]: card["n_profiles"] for card in told["segments"]}.items() <= sizes.to_dict().items()
        assert told["n_segments"] == lens.model.n_segments == sizes[sizes.index >= 0].size
        assert all(card["name"] and card["headline"] for card in told["segments"]), name


def test_a_lens_looks_at_its_own_features(made):
    families = {
        name: {f["family"] for f in lens.segments["features"] if f["used"]} for name, lens in made.lenses.items()
    }
    assert families == {
        "value": {"rfm"},
        "lifecycle": {"rfm", "tempo"},
        "interests": {"interests"},
        "intent": {"browsing", "intent"},
        "dense": {"rfm", "tempo", "lifecycle"},
    }
    dense = {column.feature: column.weight for column in made.lenses["dense"].model.transform.columns}
    assert "n_lines" not in dense
    assert dense["recency_days"] == 2 * dense["n_orders"]
    assert made.lenses["dense"].segments["method"] == "hierarchical"
    assert [card["name"] for card in made.lenses["lifecycle"].segments["segments"]][-1] == "Lapsed"


def test_a_lens_is_what_a_run_with_its_settings_is(made, data):
    """Fitted alone, by a run of these families, a lens has the same segments."""
    features = {"families": ["rfm"]}
    alone = gpuseg.run(
        settings(data, "alone", lenses=[], features=features, cluster={"method": "kmeans", "segments": "auto"})
    )
    # Names may tell of features that the lens does not look at.
    one, other = (run.assignments().drop(columns="segment_name") for run in (alone, made.lenses["value"]))
    pd.testing.assert_frame_equal(one, other, check_exact=True)


def test_cross_tables_are_those_of_the_assignments(made):
    found, cross = labels(made), made.cross
    assert set(cross) == {"format", "group_floor", "n_profiles", "lenses", "tables"}
    assert cross["lenses"] == NAMES
    assert [(table["rows"], table["columns"]) for table in cross["tables"]] == list(
        combinations(["segments", *NAMES], 2)
    )
    assert cross["n_profiles"] == len(found["segments"])
    withheld = 0
    for table in cross["tables"]:
        one, other = found[table["rows"]], found[table["columns"]]
        truth = pd.crosstab(one, other)
        truth = truth.reindex(
            index=[-2 if place is None else place for place in table["row_ids"]],
            columns=[-2 if place is None else place for place in table["column_ids"]],
        )
        assert truth.to_numpy().sum() == cross["n_profiles"]
        told = pd.DataFrame(table["counts"], index=truth.index, columns=truth.columns, dtype="float64")
        assert told.where(told.notna(), truth).astype("int64").equals(truth.fillna(0).astype("int64"))
        assert int(told.isna().to_numpy().sum()) == table["n_withheld"]
        withheld += table["n_withheld"]
        shown = told.to_numpy()[told.notna().to_numpy()]
        assert ((shown >= FLOOR) | (shown == 0)).all()
    assert withheld > 0


def test_names_of_the_tables_are_those_of_the_cards(made):
    cards = {name: {c["segment_id"]: c["name"] for c in one.segments["segments"]} for name, one in made.lenses.items()}
    told = {t["columns"]: dict(zip(t["column_ids"], t["column_names"], strict=True)) for t in made.cross["tables"]}
    for name in NAMES:
        assert {place: word for place, word in told[name].items() if place is not None} == cards[name]


@pytest.mark.parametrize("seed", range(4))
def test_agreement_is_the_adjusted_rand_index(seed):
    random = np.random.default_rng(seed)
    one = random.integers(0, 4, 300)
    other = np.where(random.random(300) < seed / 4, one, random.integers(0, 3, 300))
    counts = pd.crosstab(one, other).to_numpy()
    found = agreement(counts, np.zeros(counts.shape, bool))
    assert found == pytest.approx(adjusted_rand_score(one, other), abs=0.005)


def test_agreement_tells_nothing_of_withheld_cells():
    shown, hidden = [[900, 0, 80], [0, 0, 0], [70, 0, 0]], np.array([[0, 0, 0], [1, 1, 0], [1, 1, 0]], bool)
    found = set()
    for moved in range(0, 30, 5):
        cells = np.array(shown) + np.array([[0, 0, 0], [moved, 30 - moved, 500], [0, 0, 400]])
        cells[2, :2] = 30 - moved, moved
        found.add(agreement(cells, hidden))
    assert len(found) == 1
    assert 0 < found.pop() < 1
    assert agreement(cells, ~hidden) is None


@pytest.mark.parametrize(
    ("counts", "expected"), [([[5, 0], [0, 7]], 1.0), ([[9]], None), ([[1]], None), ([[4, 4]], 0.0)]
)
def test_agreement_at_its_ends(counts, expected):
    assert agreement(np.array(counts), np.zeros_like(counts, bool)) == expected


def test_noise_has_a_row_of_its_own(data):
    dense = {"name": "groups", "families": ["interests"], "cluster": {"method": "hdbscan", "min_cluster_size": 20}}
    run = gpuseg.run(settings(data, "noise", lenses=[dense], privacy={"group_floor": 1}))
    (table,) = run.cross["tables"]
    assert (table["column_ids"][-1], table["column_names"][-1]) == (-1, "In no segment")
    n_noise = sum(row[-1] for row in table["counts"])
    assert n_noise == run.lenses["groups"].segments["n_noise"] > 0
    assert table["n_withheld"] == 0


def test_bytes_do_not_depend_on_buckets(made, data):
    other = gpuseg.run(settings(data, "buckets", run={"buckets": 5}))
    for name in ["lenses/cross.json", *(f"lenses/{lens}/segments.json" for lens in NAMES)]:
        assert (other.path / name).read_bytes() == (made.path / name).read_bytes(), name
    models = [f"lenses/{lens}/model" for lens in NAMES]
    assert content_of(other.path, *models) == content_of(made.path, *models)


def small(data, out):
    few = [
        "lifecycle",
        *({"name": name, "families": [name], "cluster": {"segments": 3}} for name in ("rfm", "interests")),
    ]
    sections = {"run": {"buckets": 3, "out": str(out)}, "cluster": {"method": "kmeans", "segments": 3}}
    return settings(data, "small", lenses=few, **sections)


@pytest.fixture(scope="module")
def uninterrupted(data, tmp_path_factory):
    return gpuseg.run(small(data, tmp_path_factory.mktemp("whole")))


@pytest.mark.parametrize(
    ("place", "nth"),
    [
        ("gpuseg.segments.fit:sample_profiles", 3),
        ("gpuseg.segments.assign:write_table", 7),
        ("gpuseg.lens_stage:cross_tables", 1),
        ("gpuseg.stages:describe_segments", 3),
    ],
)
def test_a_run_killed_among_its_lenses_goes_on(data, uninterrupted, tmp_path, place, nth):
    config = read_config(small(data, tmp_path / "out"))
    with crashing(place, nth):
        execute(config, fresh=False)
    again = execute(config, fresh=False)
    assert again.executed == ("lenses", "report")
    assert litter(again.version.path) == []
    assert content_of(again.version.path, "lenses") == content_of(uninterrupted.path, "lenses")


def test_lenses_that_are_done_are_not_done_again(data, tmp_path, monkeypatch):
    config = read_config(settings(data, "once", lenses=["value", "interests"], run={"out": str(tmp_path)}))
    with crashing("gpuseg.segments.fit:sample_profiles", 3):
        execute(config, fresh=False)
    fitted = []
    original = gpuseg.lens_stage._STEPS["fit"]
    monkeypatch.setitem(gpuseg.lens_stage._STEPS, "fit", lambda job: fitted.append(job.below) or original(job))
    execute(config, fresh=False)
    assert fitted == ["lenses/interests"]


def test_other_lenses_leave_the_stages_before_as_they_are(data, tmp_path):
    out = {"out": str(tmp_path)}
    execute(read_config(settings(data, "change", lenses=["value"], run=out)))
    changed = read_config(settings(data, "change", lenses=["interests"], run=out))
    assert [stage for stage, needed in preview(changed, fresh=False)["stages"].items() if needed] == [
        "lenses",
        "report",
    ]
    found = execute(changed, fresh=False)
    assert found.executed == ("lenses", "report")
    assert list(found.run.lenses) == ["interests"]
    assert not (found.version.path / "lenses" / "value").exists()
    none = execute(read_config(settings(data, "change", lenses=[], run=out)), fresh=False)
    assert none.executed == ("report",)
    assert none.run.lenses == {}
    with pytest.raises(ConfigError, match=r"has no lenses; name some under `lenses`"):
        _ = none.run.cross


def test_a_preview_tells_what_dense_lenses_take(data):
    dense = {"name": "groups", "cluster": {"method": "hdbscan"}}
    fits = preview(read_config(settings(data, "fits", lenses=["value", dense])))["fit"]
    assert len(fits) == 2
    assert all(fit["text"].startswith("lens groups: ") for fit in fits)


def test_lenses_taken_out_of_an_unfinished_run_leave_nothing(data, tmp_path):
    out = {"out": str(tmp_path)}
    with crashing("gpuseg.stages:write_text", 1):
        execute(read_config(settings(data, "out", lenses=["value"], run=out)))
    found = execute(read_config(settings(data, "out", lenses=[], run=out)), fresh=False)
    assert found.executed == ("report",)
    assert not (found.version.path / "lenses").exists()
    assert found.version.stage("lenses") is None
    assert found.version.verify() > 0


def test_a_cut_takes_the_lenses_and_counts_anew(made, data, tmp_path):
    shutil.copytree(made.path.parent, tmp_path / "run")
    found = cut(tmp_path / "run", segments=3)
    assert "lenses" in found.executed
    kept = [f"lenses/{lens}" for lens in NAMES]
    assert content_of(found.version.path, *kept) == content_of(made.path, *kept)
    asked = gpuseg.run(settings(data, "asked", cluster={"segments": 3}))
    assert found.run.cross == asked.cross
    assert found.run.cross != made.cross
    assert open_run(tmp_path / "run" / made.version).cross == made.cross
    assert found.version.verify() > 0


def test_the_report_and_the_card_tell_of_lenses(made):
    page = (made.path / "report.html").read_text(encoding="utf-8")
    assert page.count("Segments of the lens") == len(NAMES)
    assert '<a href="#lenses">Lenses</a>' in page
    told = [table["agreement"] for table in made.cross["tables"]]
    assert page.count(">agreement ") == len(told) - told.count(None)
    assert 0 < told.count(None) < len(told)
    assert all(card["name"] in page for lens in made.lenses.values() for card in lens.segments["segments"])
    assert '<td class="n">withheld</td>' in page
    card = (made.path / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "dense: 3 segments by Ward's hierarchy" in card


def test_a_lens_is_explained_as_the_run_is(made, gpuseg_words):
    """Its rules, with the floor, in words and in the report; and why a profile is in its segment of the lens."""
    page = (made.path / "report.html").read_text(encoding="utf-8").replace("&#39;", "'")
    for name, lens in made.lenses.items():
        surrogate, withheld = lens.explanations["surrogate"], lens.segments["withheld"]["segment_ids"]
        told = [entry["segment_id"] for entry in surrogate["segments"]]
        assert told == [segment for segment in range(lens.segments["n_segments"]) if segment not in withheld]
        assert surrogate["fidelity"] > 0.6, name
        shown = gpuseg_words("explain", made.path, "--lens", name)
        assert (shown.code, f"{surrogate['fidelity']:.0%}" in shown.out) == (0, True)
        first = next(entry["rules"][0]["text"] for entry in surrogate["segments"] if entry["rules"])
        assert first in shown.out
        if name == "lifecycle":
            # Its own rules are told instead.
            wheres = [html.escape(card["rule"]) for card in lens.segments["segments"] if card["rule"]]
            assert all(f'<code class="rule">{where}</code>' in page for where in wheres)
        else:
            assert f"{first[0].upper()}{first[1:]}." in page
    rows = made.lenses["dense"].assignments().query("segment_status == 'assigned'")
    profile = rows.iloc[3]
    words = ["explain", made.path, "--lens", "dense", "--profile", str(profile["profile_id"])]
    told = gpuseg_words("--json", *words).content
    assert (told["method"], told["segment_id"]) == ("hierarchical", profile["segment_id"])
    assert told["segment_name"] == profile["segment_name"]
    assert {reason["feature"] for reason in told["reasons"]} <= set(made.lenses["dense"].model.transform.features)
    lifecycle = made.lenses["lifecycle"]
    told, rules = lifecycle.explain(int(profile["profile_id"])), lifecycle.segments["choice"]["rules"]["rules"]
    assert told["rule"] == rules[told["segment_id"]]["where"]
    assert gpuseg_words("explain", made.path, "--lens", "none").code == 2


def test_a_run_without_explanations_of_lenses_says_so(made, tmp_path, gpuseg_words):
    shutil.copytree(made.path.parent, tmp_path / "out")
    version = Version(next((tmp_path / "out").glob("v*")))
    content = version.manifest()
    content["files"] = [file for file in content["files"] if file["path"] != "lenses/value/explanations.json"]
    (version.path / "manifest.json").write_text(json.dumps(content | {"sha256": content_digest(content)}))
    told = gpuseg_words("explain", tmp_path / "out", "--lens", "value")
    assert (told.code, len(told.lines), "run the configuration again" in told.err) == (2, 1, True)


def test_describe_shows_a_lens(made, gpuseg_words):
    told = gpuseg_words("describe", made.path, "--lens", "dense")
    assert told.code == 0
    assert all(card["name"] in told.out for card in made.lenses["dense"].segments["segments"])
    content = gpuseg_words("--json", "describe", made.path, "--lens", "value", "--segment", "0").content
    assert [card["segment_id"] for card in content["segments"]] == [0]
    refused = gpuseg_words("describe", made.path, "--lens", "valu")
    assert refused.code == 2
    assert refused.lines == [
        f"gpuseg: error[config] --lens valu: the lenses are {', '.join(NAMES)}; did you mean value?"
    ]


@pytest.mark.parametrize(
    ("lens", "message"),
    [
        ({"families": ["engagement"]}, "looks at family engagement, which this run does not build, as no source has "
         "what it needs; it builds rfm, tempo, interests, lifecycle, browsing, intent, feedback, social"),
        ({"families": ["rfm"], "weights": {"n_session": 2.0}}, "weights: 'n_session' is no feature of this lens"),
        ({"families": ["browsing"], "weights": {"n_session": 2.0}}, "weights: 'n_session' is no feature of this lens; "
         "did you mean n_sessions?"),
        ({"families": ["rfm"], "drop": ["n_order"]}, "drop: 'n_order' is no feature of this lens; "
         "did you mean n_orders?"),
        ({"families": ["lifecycle"]}, "has no features that take part; give it more families, or weights for the "
         "features it has"),
        ({"cluster": {"method": "rules", "rules": [{"name": "a", "where": "amout_sum > 1"}]}},
         "cluster.rules.1.where: unknown feature 'amout_sum' at character 1; did you mean amount_sum?"),
        ({"cluster": {"segments": 900}}, None),
    ],
)  # fmt: skip
def test_what_a_lens_cannot_have_is_one_line(data, gpuseg_words, lens, message):
    path = settings(data, "wrong", lenses=["value", {"name": "own", **lens}], cluster={"method": "kmeans"})
    told = gpuseg_words("run", path)
    assert told.code == 2
    line = told.lines[-1]
    assert line.startswith("gpuseg: error[config] lenses.own: ")
    if message is not None:
        assert line == f"gpuseg: error[config] lenses.own: {message}"
