"""A full disk: exit 4, one line that names the folder, nothing committed is lost, and room lets the run go on."""

import errno
import os
import shutil
import subprocess

import pytest

from gpuseg.cli import main
from gpuseg.errors import EngineError, WorkspaceError
from gpuseg.workspace import files
from tests.resume import worlds
from tests.resume.worlds import config, go_on, litter, owner_of, promised

DONE = 6
"""With rows set apart."""
FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
PLACES = [
    ("gpuseg.engine.spill:_one_batch", 5),
    ("gpuseg.workspace.ledger:pa.ipc.new_file", 2),
    ("gpuseg.workspace.files:pq.ParquetWriter", 1),
    ("gpuseg.workspace.files:pq.ParquetWriter", 12),
    ("gpuseg.segments.blocks:np.save", 2),
    ("gpuseg.workspace.files:Path.write_text", 1),
    ("gpuseg.workspace.files:Path.write_text", 6),
    ("gpuseg.workspace.files:os.fsync", 9),
]


@pytest.mark.parametrize(("place", "nth"), PLACES, ids=[f"{place.partition(':')[2]}-{nth}" for place, nth in PLACES])
def test_no_space_is_one_line_and_the_run_goes_on(sources, expected, out, small, place, nth):
    owner, name = owner_of(place)
    original, left = getattr(owner, name), [nth]

    def full(*arguments, **options):
        left[0] -= 1
        if left[0] <= 0:
            raise FULL
        return original(*arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, full)
        with pytest.raises(WorkspaceError, match=r"^/.*no space is left.*make room there.*--resume") as told:
            go_on(config(sources, out))
    assert "\n" not in str(told.value)
    version = go_on(config(sources, out)).version
    found = promised(version.path)
    assert found == {name: content for name, content in expected["kmeans"].items() if name in found}
    assert litter(version.path) == []


@pytest.mark.parametrize("name", ["manifest.json", "CURRENT"])
def test_no_space_at_the_very_end(sources, expected, out, small, monkeypatch, name):
    original = files.Path.write_text

    def full(self, *arguments, **options):
        if self.name.startswith(f".{name}."):
            raise FULL
        return original(self, *arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files.Path, "write_text", full)
        with pytest.raises(WorkspaceError, match=f"no space is left for {name}"):
            go_on(config(sources, out), "report")
    outcome = go_on(config(sources, out), "report")
    assert outcome.executed == ()
    assert promised(outcome.version.path) == expected["kmeans"]
    assert litter(outcome.version.path) == []


def test_what_is_written_outside_of_files_that_replace(sources, out, small, monkeypatch):
    """A folder that cannot be made is told alike."""
    original = files.Path.mkdir

    def full(self, *arguments, **options):
        if self.name.startswith("v0"):
            raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT), str(self))
        return original(self, *arguments, **options)

    monkeypatch.setattr(files.Path, "mkdir", full)
    with pytest.raises(WorkspaceError, match=r"no space is left for v0001 \(Disk quota exceeded\)"):
        go_on(config(sources, out))


def test_other_refusals_are_told_as_they_are(sources, out, small, monkeypatch):
    def refuse(*_, **__):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(files.pq, "ParquetWriter", refuse)
    with pytest.raises(WorkspaceError, match=r"cannot be written: Input/output error$"):
        go_on(config(sources, out))


@pytest.fixture
def little_disk(tmp_path):
    """A file system of 600 KB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if shutil.which("mount") is None or os.geteuid():
        pytest.skip("mounting needs root")
    options = ["-t", "tmpfs", "-o", "size=600k", "tmpfs", str(folder)]
    if subprocess.run(["mount", *options], check=False, capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_is_really_full(sources, expected, small, little_disk, capsys):
    """Filled a little less each time, so that every part of a run meets the end of it."""
    path = little_disk.parent / "gpuseg.json"
    out = str(little_disk / "out")
    path.write_text(worlds.json.dumps(worlds.settings(sources, out)))
    ballast = little_disk / "ballast"
    n_full = 0
    for n_bytes in range(580_000, 0, -60_000):
        ballast.write_bytes(b"")
        room = shutil.disk_usage(little_disk).free
        ballast.write_bytes(b"x" * min(n_bytes, room))
        code = main(["assign", str(path)])
        told = capsys.readouterr().err
        if code == DONE:
            break
        assert (code, told.count("error[workspace]")) == (4, 1), told
        assert str(little_disk) in told
        n_full += 1
    assert n_full > 2
    ballast.unlink()
    version = go_on(config(sources, out)).version
    found = promised(version.path)
    assert found == {name: content for name, content in expected["kmeans"].items() if name in found}
    assert len(found) > 30


def test_no_room_for_the_scratch_of_workers(sources, out, monkeypatch):
    pytest.importorskip("distributed")

    def full(*_, **__):
        raise FULL

    monkeypatch.setattr("gpuseg.engine.dask.scratch.tempfile.mkdtemp", full)
    with pytest.raises(EngineError, match="no scratch folder can be made"):
        go_on(config(sources, out, run={"executor": "dask"}))
