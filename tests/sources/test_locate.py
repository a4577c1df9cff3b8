import os

import pytest

from gpuseg.config import SourceSection
from gpuseg.errors import EmptyDataError, SchemaError
from gpuseg.sources.locate import locate


@pytest.fixture
def folder(tmp_path):
    for name in ("b.csv", "a.csv", "c.csv.gz", "d.parquet", "e.pq", "f.PARQ", "notes.txt"):
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a.csv").write_bytes(b"deep one")
    (tmp_path / "shelf.csv").mkdir()
    return tmp_path


def find(uri, **settings):
    return locate(SourceSection(name="orders", kind="purchases", uri=str(uri), **settings))


def names(located):
    return [os.path.basename(file) for file in located.files]  # noqa: PTH119


def test_one_file(folder):
    located = find(folder / "a.csv")
    assert located.files == (str(folder / "a.csv"),)
    assert (located.format, located.n_bytes) == ("csv", 5)


@pytest.mark.parametrize(
    ("pattern", "expected", "kind"),
    [
        ("*.csv", ["a.csv", "b.csv"], "csv"),
        ("*.csv*", ["a.csv", "b.csv", "c.csv.gz"], "csv"),
        ("[ab].csv", ["a.csv", "b.csv"], "csv"),
        ("?.pq", ["e.pq"], "parquet"),
        ("f.*", ["f.PARQ"], "parquet"),
        ("**/a.csv", ["a.csv", "a.csv"], "csv"),
    ],
)
def test_globs_give_files_in_order_without_folders(folder, pattern, expected, kind):
    located = find(folder / pattern)
    assert names(located) == expected
    assert located.files == tuple(sorted(located.files))
    assert located.format == kind


def test_a_file_url_is_a_path(folder):
    assert find(f"file://{folder}/a.csv").files == find(folder / "a.csv").files
    assert names(find(f"file://{folder}/*.csv")) == ["a.csv", "b.csv"]


def test_a_url_of_another_file_system_stays_a_url():
    import fsspec

    with fsspec.open("memory://gpuseg-test/a.csv", "wb") as handle:
        handle.write(b"x")
    assert find("memory://gpuseg-test/*.csv").files == ("memory:///gpuseg-test/a.csv",)


def test_the_format_may_be_said(folder):
    assert find(folder / "notes.txt", format="csv").format == "csv"
    assert find(folder / "a.csv", format="parquet").format == "parquet"


@pytest.mark.parametrize("pattern", ["notes.txt", "*.[cp]*"])
def test_formats_that_cannot_be_told(folder, pattern):
    with pytest.raises(SchemaError, match=r"^orders: cannot tell the format .*known are \.parquet, .*set format"):
        find(folder / pattern)


@pytest.mark.parametrize("name", ["nothing.csv", "nothing*.csv", "nowhere/a.csv", "shelf*.csv"])
def test_nothing_matches(folder, name):
    with pytest.raises(EmptyDataError, match=r"^orders: no file matches ") as caught:
        find(folder / name)
    assert name in str(caught.value)
    assert ("does not exist" in str(caught.value)) == ("nowhere" in name)
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_folder_is_not_a_file(folder, slash):
    with pytest.raises(SchemaError, match=r"orders: .* is a folder; name its files, such as .*/deep/\*\.parquet"):
        find(f"{folder}/deep{slash}")


@pytest.mark.parametrize("uri", ["nosuchprotocol://a/b.csv", "nosuchprotocol://a/*.csv"])
def test_a_protocol_that_nobody_knows(uri):
    with pytest.raises(SchemaError, match=r"^orders: cannot open 'nosuchprotocol://"):
        find(uri)


def test_the_fingerprint_follows_names_sizes_and_times(folder):
    first = find(folder / "*.csv").fingerprint
    assert find(folder / "*.csv").fingerprint == first
    os.utime(folder / "a.csv", ns=(1, 1))
    touched = find(folder / "*.csv").fingerprint
    assert touched != first
    (folder / "b.csv").rename(folder / "c.csv")
    assert find(folder / "*.csv").fingerprint not in (first, touched)


@pytest.mark.parametrize("name", ["with space.csv", "ünï.csv", "50%.csv", "a#b.csv", "a+b&c.csv"])
def test_names_with_odd_characters(tmp_path, name):
    (tmp_path / name).write_bytes(b"x")
    assert find(tmp_path / name).files == (str(tmp_path / name),)
    assert find(tmp_path / "*.csv").files == (str(tmp_path / name),)


def test_a_file_changed_behind_an_old_time_is_another(folder):
    before, path = find(folder / "a.csv"), folder / "a.csv"
    times = path.stat()
    path.write_bytes(b"b.csv")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert path.stat().st_mtime_ns == times.st_mtime_ns
    assert find(path).fingerprint != before.fingerprint
    assert find(path).fingerprint == find(path).fingerprint
