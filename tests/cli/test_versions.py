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


def test_history_tells_of_every_version(out, gpuseg):
    (out / "v0004").mkdir()
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
    (out / "v0004").mkdir()
    told = gpuseg("rollback", out, "--to", version)
    assert (told.code, told.err.count("\n")) == (code, 1)
    assert words in told.err
    assert open_run(out).version == "v0003"


def test_a_damaged_pointer_is_mended_by_name(out, gpuseg):
    (out / "CURRENT").write_text("v9999")
    assert (gpuseg("history", out).code, gpuseg("rollback", out).code) == (5, 5)
    assert gpuseg("rollback", out, "--to", "v0002").code == 0
    assert open_run(out).version == "v0002"


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
    assert gpuseg("rollback", tmp_path).code == 5
    assert gpuseg("history", tmp_path).code == 0


def test_whoever_writes_to_the_run_is_waited_for(out, gpuseg):
    with RunDirectory(out).locked():
        told = gpuseg("rollback", out)
    assert (told.code, told.err.count("\n")) == (4, 1)
    assert json.loads((out / "v0003" / "manifest.json").read_text())["version"] == open_run(out).version
