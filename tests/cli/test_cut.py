"""`gpuseg cut`: other granularities of one fit, as versions of the run."""

import itertools
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

import gpuseg as package
from gpuseg.cli import main
from gpuseg.cutting import cut
from gpuseg.errors import ConfigError, IntegrityError, WorkspaceError
from gpuseg.segments.figures import height_text
from gpuseg.segments.run import open_run

SAME = ("model", "totals", "assignments", "segments.json", "explanations.json", "features", "state")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cut")
    words = ["synth", "--profiles", "700", "--events", "14000", "--out", str(folder / "data"), "--seed", "5"]
    assert main(words) == 0
    return folder


def configured(folder, name, **cluster):
    """The path of a configuration and that of its run."""
    content = yaml.safe_load((folder / "data" / "gpuseg.yaml").read_text())
    content["run"] |= {"out": f"../{name}"} | cluster.pop("run", {})
    # Fewer than profiles, so that micro-clusters are more than these.
    content["cluster"] = cluster if "method" in cluster else {"method": "hierarchical", "micro_clusters": 120} | cluster
    path = folder / "data" / f"{name}.yaml"
    path.write_text(yaml.safe_dump(content))
    return path, folder / name


@pytest.fixture(scope="module")
def fitted(folder):
    config, out = configured(folder, "fitted")
    package.run(config)
    return out


@pytest.fixture
def out(fitted, tmp_path):
    """A copy of the run."""
    shutil.copytree(fitted, tmp_path / "run")
    return tmp_path / "run"


def files(version, names=SAME):
    found = {}
    for name in names:
        path = version / name
        paths = [path] if path.is_file() else sorted(path.rglob("*"))
        found |= {each.relative_to(version).as_posix(): each.read_bytes() for each in paths if each.is_file()}
    return found


@pytest.mark.parametrize("k", [2, 9])
def test_it_writes_what_a_fresh_fit_of_so_many_segments_writes(folder, out, gpuseg, k):
    config, fresh = configured(folder, f"fresh{k}", segments=k)
    assert gpuseg("run", config).code == 0
    told = gpuseg("--json", "cut", out, "--segments", k)
    assert (told.code, told.content["version"], told.content["complete"]) == (0, "v0002", True)
    assert len(told.content["segments"]) == k
    assert told.content["executed"] == ["fit", "assign", "explain", "report"]
    mine, theirs = files(out / "v0002"), files(fresh / "v0001")
    assert mine.keys() == theirs.keys()
    assert [name for name in mine if mine[name] != theirs[name]] == []
    keys = [
        {name: stage["key"] for name, stage in json.loads((version / "manifest.json").read_text())["stages"].items()}
        for version in (out / "v0002", fresh / "v0001")
    ]
    assert keys[0] == keys[1]
    assert gpuseg("verify", out).code == 0


def test_every_verb_works_on_a_cut(out, gpuseg):
    assert gpuseg("cut", out, "--segments", 4).code == 0
    told = gpuseg("--json", "describe", out)
    assert [card["segment_id"] for card in told.content["segments"]] == [0, 1, 2, 3]
    people = open_run(out).assignments()
    someone = people[people.segment_status == "assigned"].iloc[0]
    explained = gpuseg("--json", "explain", out, "--profile", someone.profile_id)
    assert (explained.content["segment_id"], explained.content["method"]) == (someone.segment_id, "hierarchical")
    assert "4 segments" in (out / "v0002" / "report.html").read_text()


def test_finer_segments_lie_in_coarser_ones(out):
    cuts = [cut(out, segments=k).run.assignments() for k in (3, 6, 15)]
    for coarse, fine in itertools.pairwise(cuts):
        assert coarse.profile_id.tolist() == fine.profile_id.tolist()
        assert (coarse.groupby(fine.segment_id).segment_id.nunique() == 1).all()


def test_the_model_places_profiles_as_the_run_does(out):
    run = cut(out, segments=5).run
    features, people = run.features(), run.assignments().set_index("profile_id")
    placed = package.load(out).predict(features, engine="cpu").set_index("profile_id")
    assert placed.segment_id.tolist() == people.loc[placed.index].segment_id.tolist()
    np.testing.assert_array_equal(placed.distance, people.loc[placed.index].distance)
    np.testing.assert_array_equal(placed.confidence, people.loc[placed.index].confidence)
    assert placed.confidence.between(0, 1).all()
    assert (placed.confidence > 0).mean() > 0.5


def test_a_height_is_a_number_of_segments(out, gpuseg):
    heights = np.load(out / "v0001" / "model" / "tree_heights.npy")
    between = (heights[-4] + heights[-5]) / 2
    told = gpuseg("--json", "cut", out, "--height", between)
    assert len(told.content["segments"]) == 5


def test_what_is_there_already_is_not_written_again(out, gpuseg):
    n = open_run(out).segments["n_segments"]
    told = gpuseg("cut", out, "--segments", n)
    assert (told.code, told.out) == (0, f"v0001 has {n} segments already; nothing was written\n")
    assert gpuseg("--json", "cut", out, "--segments", n).content["executed"] == []
    assert not (out / "v0002").exists()


def test_an_older_version_can_be_cut(out, gpuseg):
    assert gpuseg("cut", out, "--segments", 7).code == 0
    assert gpuseg("cut", out / "v0001", "--segments", 3).code == 0
    assert (out / "CURRENT").read_text() == "v0003\n"
    manifest = json.loads((out / "v0003" / "manifest.json").read_text())
    assert (manifest["cut_of"], manifest["config"]["cluster"]["segments"]) == ("v0001", 3)


def test_it_tells_which_segments_became_which(out, gpuseg):
    """Finer segments lie within the earlier ones, coarser ones are made of whole ones; both are told with names."""
    cut(out, segments=6)
    before = open_run(out)
    for k, finer in ((9, True), (3, False)):
        gpuseg("rollback", out, "--to", "v0002")
        told = gpuseg("--json", "cut", out, "--segments", k).content["stages"]["fit"]["came_from"]
        assert (told["version"], told["finer"], len(told["segments"])) == ("v0002", finer, k)
        assert told["names"] == {str(card["segment_id"]): card["name"] for card in before.segments["segments"]}
        mine, theirs = (
            pd.read_parquet(run.path / "assignments").set_index("profile_id")["segment_id"]
            for run in (open_run(out), before)
        )
        pairs = pd.DataFrame({"mine": mine, "theirs": theirs}).dropna().groupby("mine")["theirs"].unique()
        assert [sorted(map(int, pairs[segment])) for segment in range(k)] == told["segments"]
        assert (finer, {len(parts) for parts in told["segments"]}) in ((True, {1}), (False, {1, 2, 3}), (False, {1, 4}))
        page = (open_run(out).path / "report.html").read_text()
        assert "Cut from version v0002" in page
        assert "More segments, or fewer" in page


def test_figures_that_two_versions_would_give_away_are_warned_of(out, gpuseg):
    """Cuts into more and more segments, until one parts a few profiles from a segment that is told of."""
    warned = []
    for k in range(20, 60, 4):
        cut(out, segments=2)
        told = gpuseg("--json", "cut", out, "--segments", k)
        assert told.code == 0
        withheld = open_run(out).segments["withheld"]
        hidden = set(withheld["segment_ids"])
        counts = open_run(out).model.counts
        parents = coarser_parts(open_run(out))
        small = [sum(counts[s] for s in hidden if parents[s] == [parent]) for parent in (0, 1)]
        warned.append(any(0 < number < withheld["group_floor"] for number in small))
        lines = [line for line in told.content["warnings"] if "side by side tell of fewer than 10" in line]
        assert len(lines) == warned[-1]
        if lines:
            assert lines[0] in (open_run(out).path / "report.html").read_text()
    assert {True, False} == set(warned)


def test_segments_most_of_which_are_too_small_are_warned_of(out, gpuseg):
    told = gpuseg("--json", "cut", out, "--segments", "119")
    content = open_run(out).segments
    assert 2 * content["withheld"]["n_profiles"] > content["n_assigned"]
    line = f"{content['withheld']['n_profiles']:,} of {content['n_assigned']:,} profiles are in segments too small"
    assert any(warning.startswith(line) for warning in told.content["warnings"])


def test_the_merges_among_segments_are_those_of_the_tree(out):
    cut(out, segments=5)
    content, finer = open_run(out).segments, open_run(out)
    merges = content["choice"]["merges"]
    assert (len(merges), content["choice"]["height_below"]) == (4, merges[0][2])
    coarser = cut(out, segments=4).run
    told = json.loads((coarser.path / "manifest.json").read_text())["cut_of"]
    assert told == finer.version
    joined = [parts for parts in coarser_parts(coarser) if len(parts) == 2]
    assert joined == [merges[0][:2]]
    assert coarser.segments["choice"]["merges"][0][2] == merges[1][2]


def coarser_parts(run):
    return json.loads((run.path / ".stages" / "fit.json").read_text())["facts"]["came_from"]["segments"]


def test_sources_are_not_needed(out, gpuseg, tmp_path):
    """Another copy of the run, far from its data."""
    moved = tmp_path / "elsewhere"
    out.rename(moved)
    assert gpuseg("cut", moved, "--segments", 6).code == 0
    assert open_run(moved).segments["n_segments"] == 6
    assert gpuseg("verify", moved).code == 0


def damaged(path, how):
    content = path.read_bytes()
    path.unlink()
    if how == "shorter":
        path.write_bytes(content[:-7])
    if how == "other":
        path.write_bytes(content[:-40] + bytes([content[-40] ^ 1]) + content[-39:])


@pytest.mark.parametrize("name", ["features/*.parquet", "state/profiles/*.parquet", "quality.json", ".stages/fit.json"])
@pytest.mark.parametrize("how", ["gone", "shorter", "other"])
def test_what_is_taken_over_must_be_whole(out, gpuseg, name, how):
    path = next((out / "v0001").glob(name))
    damaged(path, how)
    told = gpuseg("cut", out, "--segments", 3)
    if how == "other" and path.suffix == ".parquet":
        # No byte of these is read for a cut, so that its time does not grow with them; whoever asks is told.
        assert told.code == 0
        told = gpuseg("verify", out)
        assert (told.code, f"v0002/{path.relative_to(out / 'v0001')}: differs" in told.err) == (5, True)
        return
    assert (told.code, len(told.lines)) == (5, 1)
    assert (out / "CURRENT").read_text() == "v0001\n"
    assert not (out / "v0002").exists()


def test_a_file_in_the_way_of_the_version_is_told(out, gpuseg):
    (out / "v0002").touch()
    told = gpuseg("cut", out, "--segments", 3)
    assert (told.code, "v0002: is in the way of the next version" in told.err) == (4, True)


def test_the_heights_of_segments_are_told(out, gpuseg):
    for k in (4, 9):
        version = cut(out, segments=k).version.path
        choice = json.loads((version / "segments.json").read_text())["choice"]
        low, high = choice["height_from"], choice["height_below"]
        assert low < high
        card = (version / "MODEL_CARD.md").read_text()
        assert f"from {height_text(low)} to below {height_text(high)}" in card
        cut(out, segments=2)
        assert cut(out, height=(low + high) / 2).run.segments["n_segments"] == k


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "cut needs either --segments K or --height H"),
        (["--segments", "3", "--height", "2"], "cut needs either --segments K or --height H"),
        (["--segments", "1"], "1 segments: the tree over"),
        (["--segments", "-3"], "nearest valid: 2"),
        (["--segments", "100000"], "can be cut into 2 to"),
        (["--segments", "many"], "'--segments'"),
        (["--height", "-1"], "height -1.0: must be a number from 0 up"),
        (["--height", "nan"], "height nan: must be a number from 0 up"),
        (["--height", "1e9"], "height 1e+09 leaves 1 segment; from"),
    ],
)
def test_what_cannot_be_cut(out, gpuseg, words, said):
    told = gpuseg("cut", out, *words)
    assert told.code == 2
    assert len(told.lines) == 1
    assert said in told.err
    assert not (out / "v0002").exists()


def test_other_methods_have_no_tree(folder, gpuseg, tmp_path):
    config, out = configured(folder, "plain", method="kmeans", segments=3)
    assert gpuseg("run", config).code == 0
    told = gpuseg("cut", out, "--segments", 2)
    assert (told.code, len(told.lines)) == (2, 1)
    assert "method kmeans, which has one granularity" in told.err


def test_a_damaged_file_is_found(out, gpuseg):
    tree = out / "v0001" / "model" / "tree_merges.npy"
    tree.write_bytes(tree.read_bytes()[:-1] + b"x")
    told = gpuseg("cut", out, "--segments", 3)
    assert (told.code, "tree_merges.npy" in told.err) == (5, True)
    assert not (out / "v0002").exists()


@pytest.mark.parametrize("folder_name", ["totals/figures.npy", "assignments"])
def test_a_missing_file_is_found(out, folder_name):
    path = out / "v0001" / folder_name
    (path if path.is_file() else next(path.glob("*.parquet"))).unlink()
    with pytest.raises(IntegrityError):
        cut(out, segments=3)


def test_nothing_is_left_of_a_cut_that_fails(out, monkeypatch):
    def fails(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("gpuseg.cutting.described_segments", fails)
    with pytest.raises(WorkspaceError):
        cut(out, segments=3)
    assert sorted(path.name for path in out.iterdir() if path.is_dir()) == ["v0001"]
    assert (out / "CURRENT").read_text() == "v0001\n"


def test_heights_that_are_told_cut_where_they_say(out):
    """Rounded up, so that a height copied from the report, the model card or `choice` leaves so many segments."""
    first = cut(out, segments=9).run
    choice = first.segments["choice"]
    places = [(9, choice["height_from"]), *((8 - step, height) for step, (*_, height) in enumerate(choice["merges"]))]
    page = (first.path / "report.html").read_text()
    for k, height in places:
        if height is None or k < 2:
            continue
        for told in (height, float(height_text(height))):
            made = cut(first.path, height=told)
            assert made.run.segments["n_segments"] == k
        assert k == 9 or f">{height_text(height)}<" in page


def test_what_a_killed_cut_left_is_removed(out, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr("gpuseg.workspace.run_directory.RunDirectory.discard", lambda *_: None)
        patched.setattr("gpuseg.cutting.described_segments", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            cut(out, segments=3)
    assert (out / "v0002").exists()
    assert cut(out, segments=4).version.name == "v0002"
    assert open_run(out).segments["n_segments"] == 4


def test_an_unfinished_run_is_not_lost(folder, out, gpuseg, monkeypatch):
    config, _ = configured(folder, "unfinished", run={"out": str(out)})
    with monkeypatch.context() as patched:
        patched.setattr("gpuseg.stages.fit_model", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            package.run(config)
    told = gpuseg("cut", out, "--segments", 3)
    assert (told.code, "v0002 is not finished" in told.err) == (4, True)
    assert (out / "v0002" / ".stages" / "features.json").exists()


def test_a_version_outside_a_run_directory_has_no_place(out, tmp_path):
    lone = tmp_path / "alone" / "v0001"
    shutil.copytree(out / "v0001", lone)
    with pytest.raises(ConfigError, match="lies in no run directory"):
        cut(lone, segments=3)


@pytest.mark.parametrize("buckets", [1, 7])
def test_buckets_do_not_change_a_bit_of_segments(folder, fitted, gpuseg, buckets):
    config, out = configured(folder, f"buckets{buckets}", run={"buckets": buckets})
    assert gpuseg("run", config).code == 0
    names = ("model", "totals", "segments.json", "explanations.json")
    assert files(out / "v0001", names) == files(fitted / "v0001", names)
    mine, theirs = (open_run(path).assignments().sort_values("profile_id") for path in (out, fitted))
    assert mine.to_numpy().astype(str).tolist() == theirs.to_numpy().astype(str).tolist()


@pytest.mark.slow
def test_workers_of_dask_give_the_same(folder, fitted, gpuseg):
    config, out = configured(folder, "dask", run={"executor": "dask"})
    content = yaml.safe_load(Path(config).read_text()) | {"dask": {"workers": 2}}
    Path(config).write_text(yaml.safe_dump(content))
    assert gpuseg("run", config).code == 0
    assert files(out / "v0001") == files(fitted / "v0001")
    assert gpuseg("cut", out, "--segments", 3).code == 0
