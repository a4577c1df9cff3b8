"""`gpuseg history` and `gpuseg rollback`: the versions of a run."""

import json
import shutil

import pytest

from gpuseg.cutting import cut
from gpuseg.segments.run import open_run
from gpuseg.versions import history
from gpuseg.workspace.run_directory import RunDirectory
from tests.cli.test_cut import configured, fitted, folder  # noqa: F401


@pytest.fixture
def out(fitted, tmp_path):  # noqa: F811
    """A run with two cuts, the later one current."""
    shutil.copytree(fitted, tmp_path / "run")
    for k in (3, 6):
        cut(tmp_path / "run", segments=k)
    return tmp_path / "run"


def begun(out):
    """A version that is not finished, and that a run could go on with."""
    (out / "v0004" / ".stages").mkdir(parents=True)


def test_history_tells_of_every_version(out, gpuseg):
    begun(out)
    told = gpuseg("--json", "history", out).content["versions"]
    assert [each["version"] for each in told] == ["v0001", "v0002", "v0003", "v0004"]
    assert [each["is_current"] for each in told] == [False, False, True, False]
    assert [each["state"] for each in told] == ["finished"] * 3 + ["unfinished"]
    assert [each["n_segments"] for each in told[1:]] == [3, 6, None]
    assert [each["cut_of"] for each in told] == [None, "v0001", "v0002", None]
    lines = gpuseg("history", out).out.splitlines()
    assert len(lines) == 5
    assert [line[0] for line in lines] == [" ", " ", " ", "*", " "]
    assert "cut of v0002" in lines[3]
    # A version's own folder means the run that it is in.
    assert gpuseg("history", out / "v0001").out.splitlines() == lines


def test_rollback_makes_an_earlier_version_current_and_keeps_all(out, gpuseg):
    assert gpuseg("rollback", out).code == 0
    assert open_run(out).version == "v0002"
    told = gpuseg("--json", "rollback", out, "--to", "v0001")
    assert (told.code, told.content["version"]) == (0, "v0001")
    assert open_run(out).version == "v0001"
    assert gpuseg("rollback", out, "--to", "v0003").code == 0
    assert open_run(out).segments["n_segments"] == 6
    assert len(history(out)) == 3


def test_what_is_made_after_a_rollback_starts_at_the_version_that_is_current(out, gpuseg):
    gpuseg("rollback", out, "--to", "v0001")
    told = gpuseg("--json", "cut", out, "--segments", "4")
    assert told.content["version"] == "v0004"
    assert history(out)[-1].cut_of == "v0001"
    # Going back from the newest leads to the one before it in number.
    gpuseg("rollback", out)
    assert open_run(out).version == "v0003"


def test_a_damaged_version_does_not_become_current(out, gpuseg):
    cards = out / "v0001" / "segments.json"
    cards.write_text(cards.read_text().replace('"n_segments"', '"n_segmentz"', 1))
    told = gpuseg("rollback", out, "--to", "v0001")
    assert (told.code, told.err.count("\n")) == (5, 1)
    assert "segments.json" in told.err
    assert open_run(out).version == "v0003"
    (out / "v0002" / "manifest.json").write_text("{}")
    assert [each.state for each in history(out)] == ["damaged", "damaged", "finished"]
    assert gpuseg("history", out).code == 0


@pytest.mark.parametrize(
    ("version", "code", "words"),
    [("v0009", 2, "versions are v0001, v0002, v0003"), ("v0004", 2, "is not finished"), ("../x", 2, "versions are")],
)
def test_a_version_that_is_not_there_or_not_finished_is_refused(out, gpuseg, version, code, words):
    begun(out)
    told = gpuseg("rollback", out, "--to", version)
    assert (told.code, told.err.count("\n")) == (code, 1)
    assert words in told.err
    assert open_run(out).version == "v0003"


def test_a_damaged_pointer_is_mended_by_name(out, gpuseg):
    (out / "CURRENT").write_text("v9999")
    told = gpuseg("history", out)
    assert (told.code, "*" in told.out, "no version is current" in told.err) == (0, False, True)
    for verb in ("rollback", "describe", "verify"):
        told = gpuseg(verb, out)
        assert (told.code, len(told.lines)) == (5, 1)
        assert f"`gpuseg rollback {out} --to v0003` makes that version current" in told.err
    (out / "CURRENT").unlink()
    told = gpuseg("describe", out)
    assert (told.code, "CURRENT: is missing; `gpuseg rollback" in told.err) == (5, True)
    assert gpuseg("rollback", out, "--to", "v0002").code == 0
    assert open_run(out).version == "v0002"


def test_a_version_folder_means_that_version(out, gpuseg):
    assert gpuseg("rollback", out / "v0001").code == 0
    assert open_run(out).version == "v0001"
    told = gpuseg("cut", out / "v0002", "--segments", "3")
    assert "v0002 has 3 segments already" in told.out
    assert f"gpuseg rollback {out} --to v0002" in told.out


def test_records_of_stages_are_verified(out, gpuseg):
    shutil.rmtree(out / "v0003" / ".stages")
    told = gpuseg("verify", out)
    assert (told.code, len(told.lines), ".stages" in told.err) == (5, 1, True)


# --- what kill -9 leaves ---

READY = ".work/publish/ready.json"


def marked(version, name):
    (version / name).parent.mkdir(parents=True, exist_ok=True)
    (version / name).write_text("{}")


@pytest.mark.parametrize("verb", ["cut", "run"])
def test_a_version_with_its_manifest_becomes_current_and_is_never_made_again(folder, out, gpuseg, verb):  # noqa: F811
    """Killed after the manifest was written and before `CURRENT` was."""
    (out / "CURRENT").write_text("v0002\n")
    marked(out / "v0003", READY)
    before = (out / "v0003" / "manifest.json").read_bytes()
    config, _ = configured(folder, "again", run={"out": str(out)})
    words = ["cut", out, "--segments", "4"] if verb == "cut" else ["run", config, "--resume"]
    told = gpuseg("--json", *words)
    assert (told.code, told.content["version"]) == (0, "v0004")
    assert (out / "v0003" / "manifest.json").read_bytes() == before
    assert not (out / "v0003" / ".work").exists()
    assert [each.version for each in history(out)] == ["v0001", "v0002", "v0003", "v0004"]
    assert gpuseg("verify", out / "v0003").code == 0


def test_a_version_that_was_current_is_kept_whatever_mark_it_has(out, gpuseg):
    """Killed after `CURRENT` was written and before the mark was removed."""
    marked(out / "v0003", READY)
    gpuseg("rollback", out, "--to", "v0001")
    assert open_run(out).version == "v0001"
    assert gpuseg("cut", out, "--segments", "4").code == 0
    assert [each.n_segments for each in history(out)][2:] == [6, 4]


@pytest.mark.parametrize("left", ["", "run.jsonl", ".work/passing/of.json"])
def test_what_is_left_of_a_cut_that_was_killed_is_no_obstacle(folder, out, gpuseg, left):  # noqa: F811
    (out / "v0004").mkdir()
    if left:
        marked(out / "v0004", left)
    told = gpuseg("--json", "cut", out, "--segments", "4")
    assert (told.code, told.content["version"]) == (0, "v0004")
    if left == ".work/passing/of.json":
        # A run does not go on with it either.
        (out / "v0005" / ".stages").mkdir(parents=True)
        marked(out / "v0005", left)
        config, _ = configured(folder, "on", run={"out": str(out)})
        assert gpuseg("validate", config).code == 0
        assert not (out / "v0005" / left).exists()


def test_there_is_nothing_before_the_first(out, gpuseg):
    gpuseg("rollback", out, "--to", "v0001")
    told = gpuseg("rollback", out)
    assert (told.code, told.err.count("\n")) == (2, 1)
    assert "no version is before it" in told.err


def test_a_folder_without_a_run_is_refused(tmp_path, gpuseg):
    for verb in ("history", "rollback"):
        told = gpuseg(verb, tmp_path)
        assert (told.code, told.err.count("\n")) == (5, 1)
        assert "no run is kept here" in told.err
    (tmp_path / "v0001").mkdir()
    assert gpuseg("history", tmp_path).code == 0
    assert gpuseg("rollback", tmp_path).code == 5


def test_whoever_writes_to_the_run_is_waited_for(out, gpuseg):
    with RunDirectory(out).locked():
        told = gpuseg("rollback", out)
    assert (told.code, told.err.count("\n")) == (4, 1)
    assert json.loads((out / "v0003" / "manifest.json").read_text())["version"] == open_run(out).version
