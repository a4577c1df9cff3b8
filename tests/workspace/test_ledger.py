"""Entries of a stage: taken over only whole, with their files as they were, and by the same work."""

import os

import pyarrow as pa
import pytest

from gpuseg.workspace.ledger import Entry, Ledger, Once, Plain

ROWS = pa.table({"n": [3, 1, 2]})
CONTENT = {"n": 1, "share": 0.1, "names": ["a", "é"]}


@pytest.fixture
def ledger(tmp_path):
    return Ledger(tmp_path / "work" / "fit", "key")


@pytest.fixture
def written(ledger, tmp_path):
    """A ledger with an entry that has a table and a file elsewhere."""
    (tmp_path / "rows.bin").write_bytes(b"rows")
    ledger.write("part-1", Entry(CONTENT, {"rows": ROWS}), [tmp_path / "rows.bin"])
    return ledger


def test_an_entry_comes_back(written):
    found = Ledger(written.folder, "key").read("part-1")
    assert found.content == CONTENT
    assert found.tables == {"rows": ROWS}
    assert written.holds("part-1")


def test_what_was_never_written_is_not_there(written):
    assert written.read("part-2") is None
    assert not written.holds("part-2")


def test_another_key_begins_anew(written):
    other = Ledger(written.folder, "other")
    assert other.read("part-1") is None
    assert not other.holds("part-1")
    assert Ledger.is_of(written.folder, "other")


def test_an_entry_of_another_key_does_not_count(ledger):
    """A worker of an earlier attempt may write it later than the folder was made anew."""
    ledger.write("part-1", Entry(CONTENT, {}))
    entry = (ledger.folder / "part-1.json").read_bytes()
    other = Ledger(ledger.folder, "other")
    (other.folder / "part-1.json").write_bytes(entry)
    assert other.read("part-1") is None


def later(path):
    found = path.stat()
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns + 1_000_000))


def longer(path):
    times = path.stat()
    path.write_bytes(path.read_bytes() + b"x")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


@pytest.mark.parametrize("change", [later, longer, os.unlink])
@pytest.mark.parametrize("name", ["rows.bin", "work/fit/part-1.rows.arrow"])
def test_files_must_be_as_they_were(written, tmp_path, name, change):
    change(tmp_path / name)
    assert written.read("part-1") is None


@pytest.mark.parametrize(("old", "new"), [('"n": 1', '"n": 2'), ('"parts"', '"spare"'), ("{", "[")])
def test_a_damaged_entry_is_none(written, old, new):
    path = written.folder / "part-1.json"
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")
    assert written.read("part-1") is None


def test_nothing_is_left_at_the_end(written):
    written.close()
    assert not written.folder.parent.exists()


def test_work_is_done_once(ledger):
    done = []
    work = Once(lambda item: done.append(item) or item * 2, ledger, Plain(), "bucket")
    assert [work(item) for item in (1, 2, 1)] == [2, 4, 2]
    assert done == [1, 2]


def test_what_cannot_be_stored_is_done_again(ledger):
    class Never(Plain):
        def store(self, result):
            return None

    done = []
    work = Once(done.append, ledger, Never(), "bucket")
    work(1)
    work(1)
    assert done == [1, 1]
    assert not ledger.holds("bucket-1")
