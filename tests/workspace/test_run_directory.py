import json
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

import gpuseg
from gpuseg.errors import IntegrityError, WorkspaceError
from gpuseg.workspace.files import digests, write_json, write_table
from gpuseg.workspace.run_directory import RunDirectory, Version, open_version

ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(gpuseg.__file__).parents[1])}

HOLDER = """\
import sys
from pathlib import Path
from gpuseg.workspace.run_directory import RunDirectory
with RunDirectory(Path(sys.argv[1])).locked():
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def directory(tmp_path):
    root = tmp_path / "run"
    root.mkdir()
    return RunDirectory(root)


def made(version, *, text="one"):
    """Write the outputs of a small stage and commit it."""
    write_json(version.path / "notes.json", {"text": text})
    write_table(version.path / "data" / "0000.parquet", pa.table({"profile_id": pa.array([1, 2, 3])}))
    return version.commit_stage("make", key=f"key of {text}", seconds=1.23456, outputs=OUTPUTS, facts={"n": 3})


OUTPUTS = ("notes.json", "data")


@pytest.fixture
def published(directory):
    version = directory.begin()
    directory.publish(version, {"name": "x"}, [made(version)])
    return version


def test_versions_count_up(directory):
    assert directory.versions() == []
    assert directory.current() is None
    assert [directory.begin().name for _ in range(3)] == ["v0001", "v0002", "v0003"]
    assert [version.name for version in directory.versions()] == ["v0001", "v0002", "v0003"]


def test_versions_count_on_past_9999(directory):
    for name in ("v9999", "v0002", "v10", "version", "v00x1"):
        (directory.root / name).mkdir()
    assert directory.begin().name == "v10000"
    assert directory.begin().name == "v10001"
    assert [version.name for version in directory.versions()] == ["v0002", "v9999", "v10000", "v10001"]
    directory.publish(directory.versions()[-1], {}, [])
    assert directory.current().name == "v10001"


def test_a_directory_that_is_not_there_has_no_versions(tmp_path):
    assert RunDirectory(tmp_path / "nowhere").versions() == []
    assert RunDirectory(tmp_path / "nowhere").unfinished() is None


def test_a_stage_counts_once_its_record_is_written(directory):
    version = directory.begin()
    assert version.stage("make") is None
    record = made(version)
    assert Version(version.path).stage("make") == record
    assert (record.key, record.seconds, record.facts) == ("key of one", 1.235, {"n": 3})
    assert [(file.path, file.n_rows) for file in record.files] == [("notes.json", None), ("data/0000.parquet", 3)]
    for file in record.files:
        path = version.path / file.path
        assert (file.sha256, file.n_bytes) == (next(digests([path])), path.stat().st_size)


def test_a_dropped_stage_leaves_nothing(directory):
    version = directory.begin()
    made(version)
    version.drop_stage("make", OUTPUTS)
    assert version.stage("make") is None
    assert [path.name for path in version.path.iterdir()] == [".stages"]
    version.drop_stage("make", OUTPUTS)


@pytest.mark.parametrize("linking", [True, False], ids=["linked", "copied"])
def test_a_stage_is_taken_over(directory, published, monkeypatch, linking):
    if not linking:
        monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError("no links here")))
    version = directory.begin()
    record = published.stage("make")
    taken = version.adopt_stage(record, published)
    assert version.stage("make") == taken
    assert (taken.key, taken.seconds, taken.files, taken.facts) == (record.key, 0.0, record.files, record.facts)
    for file in record.files:
        mine, theirs = version.path / file.path, published.path / file.path
        assert mine.read_bytes() == theirs.read_bytes()
        assert mine.samefile(theirs) is linking


def test_dropping_a_stage_that_was_taken_over_spares_the_donor(directory, published):
    version = directory.begin()
    version.adopt_stage(published.stage("make"), published)
    version.drop_stage("make", OUTPUTS)
    made(version, text="two")
    assert published.verify() == 2


@pytest.mark.parametrize("damage", ["missing", "altered"])
def test_a_damaged_stage_is_not_taken_over(directory, published, damage):
    victim = published.path / "notes.json"
    if damage == "missing":
        victim.unlink()
    else:
        victim.write_bytes(victim.read_bytes().replace(b"one", b"two"))
    with pytest.raises(IntegrityError, match=re.escape(str(victim))):
        directory.begin().adopt_stage(published.stage("make"), published)


@pytest.mark.parametrize("linking", [True, False], ids=["linked", "copied"])
def test_what_will_not_be_read_is_compared_only_where_it_is_copied(directory, published, monkeypatch, linking):
    victim = published.path / "notes.json"
    victim.write_bytes(victim.read_bytes().replace(b"one", b"two"))
    version, record = directory.begin(), published.stage("make")
    if linking:
        version.adopt_stage(record, published, unread=True)
        with pytest.raises(IntegrityError, match=re.escape(str(version.path / "notes.json"))):
            version.check(record.files)
    else:
        monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError("no links here")))
        with pytest.raises(IntegrityError, match=re.escape(str(version.path / "notes.json"))):
            version.adopt_stage(record, published, unread=True)
    victim.write_bytes(b"longer than it was")
    with pytest.raises(IntegrityError, match=re.escape(str(victim))):
        version.adopt_stage(record, published, unread=True)
    victim.unlink()
    with pytest.raises(IntegrityError, match=re.escape(str(victim))):
        version.adopt_stage(record, published, unread=True)


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"files": [{}]}'])
def test_a_damaged_stage_record_is_named(directory, content):
    version = directory.begin()
    made(version)
    path = version.path / ".stages" / "make.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(IntegrityError, match=re.escape(str(path))):
        version.stage("make")


def test_a_version_is_current_once_published(directory):
    version = directory.begin()
    record = made(version)
    assert directory.current() is None
    assert directory.unfinished().name == "v0001"
    version.scratch.mkdir()
    directory.publish(version, {"name": "x"}, [record])
    assert directory.current().name == "v0001"
    assert directory.unfinished() is None
    assert (directory.root / "CURRENT").read_text(encoding="utf-8") == "v0001\n"
    assert not version.scratch.exists()
    manifest = version.manifest()
    assert manifest["name"] == "x"
    assert manifest["stages"] == {"make": {"key": "key of one", "seconds": 1.235}}
    assert {file["path"]: file["n_rows"] for file in manifest["files"]} == {"notes.json": None, "data/0000.parquet": 3}
    assert version.verify() == 2


def test_a_failure_before_current_is_replaced_leaves_the_last_version(directory, published, monkeypatch):
    version = directory.begin()
    record = made(version, text="two")
    monkeypatch.setattr("gpuseg.workspace.run_directory.write_text", lambda *_: (_ for _ in ()).throw(WorkspaceError()))
    with pytest.raises(WorkspaceError):
        directory.publish(version, {}, [record])
    assert directory.current().name == published.name


def test_only_an_unfinished_version_is_discarded(directory, published):
    other = directory.begin()
    made(other)
    directory.discard(other)
    directory.discard(published)
    assert [version.name for version in directory.versions()] == ["v0001"]
    assert published.verify() == 2


@pytest.mark.parametrize(
    "content",
    [b"", b"v0002\n", b"v1\n", b"../run/v0001\n", b"v0001/../v0001\n", b"\xff\xfe\n"],
    ids=["empty", "no such version", "no version's name", "a path", "a longer path", "no text"],
)
def test_current_that_points_to_nowhere(directory, published, content):
    (directory.root / "CURRENT").write_bytes(content)
    with pytest.raises(IntegrityError, match="CURRENT"):
        directory.current()
    with pytest.raises(IntegrityError, match="CURRENT"):
        open_version(directory.root)


def test_current_that_is_a_folder(directory, published):
    (directory.root / "CURRENT").unlink()
    (directory.root / "CURRENT").mkdir()
    with pytest.raises(IntegrityError, match="CURRENT"):
        directory.current()


def test_current_that_points_to_an_unfinished_version(directory, published):
    directory.begin()
    (directory.root / "CURRENT").write_text("v0002\n", encoding="utf-8")
    with pytest.raises(IntegrityError, match="no finished version"):
        directory.current()


def test_a_version_is_opened_by_its_run_or_by_itself(directory, published):
    assert open_version(directory.root).path == published.path
    assert open_version(published.path).path == published.path


@pytest.mark.parametrize(
    "edit",
    [
        lambda m: m["files"][0].update(n_bytes=1),
        lambda m: m["files"][0].update(sha256="0" * 64),
        lambda m: m["files"].pop(),
        lambda m: m.update(name="y"),
        lambda m: m.update(extra=1),
        lambda m: m.pop("sha256"),
        lambda m: m.update(sha256=None),
    ],
)
def test_an_altered_manifest_is_noticed(published, edit):
    path = published.path / "manifest.json"
    content = json.loads(path.read_bytes())
    edit(content)
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(IntegrityError, match=r"manifest\.json: does not match its own checksum"):
        published.verify()


@pytest.mark.parametrize("content", ["", "[]", "null", '"text"', "{}", '{"sha256": ""}'])
def test_a_manifest_that_is_none_is_named(published, content):
    path = published.path / "manifest.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(IntegrityError, match=re.escape(str(path))):
        published.verify()


@pytest.mark.parametrize("damage", ["missing", "flipped", "longer", "empty", "folder"])
def test_the_first_file_that_differs_is_named(published, damage):
    for name in ("data/0000.parquet", "notes.json"):
        path = published.path / name
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.unlink()
        if damage == "folder":
            path.mkdir()
        elif damage != "missing":
            path.write_bytes({"flipped": content, "longer": content + b"\n", "empty": b""}[damage])
    first = published.path / "notes.json"
    told = "is missing" if damage in ("missing", "folder") else "differs from the committed file"
    with pytest.raises(IntegrityError, match=f"{re.escape(str(first))}: .*{told}"):
        published.verify()


def test_a_second_writer_is_told_who_the_first_is(directory):
    with (
        directory.locked(),
        pytest.raises(WorkspaceError, match=f"process {os.getpid()} on {re.escape(socket.gethostname())} is writing"),
        RunDirectory(directory.root).locked(),
    ):
        pytest.fail("two writers at once")
    with directory.locked():
        pass


def test_the_lock_is_released_by_an_exception(directory):
    with pytest.raises(ZeroDivisionError), directory.locked():
        raise ZeroDivisionError
    with directory.locked():
        pass


def test_the_lock_of_another_process_holds_until_it_is_killed(copied, gpuseg):
    """What `gpuseg run` says while another process writes, and that a killed writer leaves no lock behind."""
    config = copied.write()
    before = copied.tree()
    command = [sys.executable, "-c", HOLDER, str(copied.out)]
    with subprocess.Popen(command, env=ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        try:
            assert holder.stdout.readline() == b"held\n"
            told = gpuseg("run", config)
            assert told.code == 4
            assert told.err == (
                f"gpuseg: error[workspace] {copied.out}: process {holder.pid} on {socket.gethostname()} "
                "is writing to this run; wait for it\n"
            )
            assert copied.tree() == before
            assert gpuseg("verify", copied.out).code == 0
            assert gpuseg("describe", copied.out).code == 0
        finally:
            holder.kill()
    assert gpuseg("run", config).code == 0


def test_a_directory_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(WorkspaceError, match="cannot be written"), RunDirectory(tmp_path / "file" / "run").locked():
        pytest.fail("locked a file")


def test_a_run_can_be_moved(published, tmp_path):
    shutil.move(published.path.parent, tmp_path / "elsewhere")
    assert open_version(tmp_path / "elsewhere").verify() == 2
