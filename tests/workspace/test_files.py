import hashlib
import json
import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gpuseg.errors import IntegrityError, WorkspaceError
from gpuseg.workspace.files import digests, read_json, read_table, replacing, write_json, write_table, write_text


@pytest.fixture
def table():
    """Rows as the state holds them: text ids, days, a category and sums."""
    n = 500
    random = np.random.default_rng(3)
    return pa.table(
        {
            "profile_id": pa.array([f"id-{i:05d}" for i in range(n)], pa.large_string()),
            "day": pa.array(np.sort(random.integers(17_000, 17_400, n)).astype(np.int32)),
            "category": pa.DictionaryArray.from_arrays(
                pa.array(random.integers(0, 3, n).astype(np.int32)), pa.array(["Bread", "Käse", "other"])
            ),
            "amount_minor": pa.array(random.integers(-(2**62), 2**62, n)),
            "amount_sum": pa.array(random.normal(size=n), mask=random.random(n) < 0.1),
        }
    )


def names(folder):
    return sorted(path.name for path in folder.iterdir())


class Stop(Exception):
    """What a test raises in the middle of writing."""


@pytest.mark.parametrize("stop", [Stop, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("existing", [None, "before"])
def test_an_exception_while_writing_leaves_what_was_there(tmp_path, stop, existing):
    path = tmp_path / "file.json"
    if existing is not None:
        path.write_text(existing, encoding="utf-8")

    def write():
        with replacing(path) as temporary:
            temporary.write_text("half", encoding="utf-8")
            raise stop

    with pytest.raises(stop):
        write()
    assert names(tmp_path) == ([] if existing is None else ["file.json"])
    assert existing is None or path.read_text(encoding="utf-8") == existing


def test_nothing_is_seen_until_the_file_is_whole(tmp_path):
    path = tmp_path / "a" / "b" / "file.txt"
    with replacing(path) as temporary:
        temporary.write_text("whole", encoding="utf-8")
        assert not path.exists()
        assert temporary.parent == path.parent
    assert path.read_text(encoding="utf-8") == "whole"
    assert names(path.parent) == ["file.txt"]


def test_an_error_of_the_file_system_names_the_file(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "inside").touch()
    with pytest.raises(WorkspaceError, match=re.escape(f"{tmp_path / 'folder'}: cannot be written")):
        write_text(tmp_path / "folder", "text")
    assert names(tmp_path) == ["folder"]


def test_a_file_in_place_of_the_folder_is_an_error_of_the_workspace(tmp_path):
    (tmp_path / "blocked").touch()
    with pytest.raises(WorkspaceError, match="cannot be written"):
        write_text(tmp_path / "blocked" / "file.txt", "text")


def test_text_is_written_with_bare_newlines_in_utf8(tmp_path):
    write_text(tmp_path / "t", "ä\nb\n")
    assert (tmp_path / "t").read_bytes() == b"\xc3\xa4\nb\n"


def test_json_comes_back(tmp_path):
    content = {"b": [1, 2.5, None, True], "a": {"ä": "🛒"}, "tiny": 5e-324, "third": 1 / 3}
    write_json(tmp_path / "c.json", content)
    assert read_json(tmp_path / "c.json") == content
    assert list(read_json(tmp_path / "c.json")) == list(content)
    assert (tmp_path / "c.json").read_text(encoding="utf-8").endswith("}\n")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_json_without_nan_or_infinity(tmp_path, value):
    write_json(tmp_path / "c.json", {"old": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "c.json", {"new": value})
    assert read_json(tmp_path / "c.json") == {"old": 1}


@pytest.mark.parametrize("content", [b"", b"{", b'{"a": 1}}', b"\xff\xfe", None])
def test_a_damaged_or_missing_json_file_is_named(tmp_path, content):
    path = tmp_path / "c.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(IntegrityError, match=re.escape(str(path))):
        read_json(path)


def test_a_folder_in_place_of_json_is_named(tmp_path):
    with pytest.raises(IntegrityError, match=re.escape(str(tmp_path))):
        read_json(tmp_path)


def test_a_table_comes_back(tmp_path, table):
    write_table(tmp_path / "t.parquet", table)
    found = read_table(tmp_path / "t.parquet")
    assert found.column_names == table.column_names
    assert found.to_pydict() == table.to_pydict()
    assert read_table(tmp_path / "t.parquet", ["day"]).to_pydict() == table.select(["day"]).to_pydict()


def test_integer_ids_come_back(tmp_path):
    ids = pa.array([-(2**63), -1, 0, 2**63 - 1])
    write_table(tmp_path / "t.parquet", pa.table({"profile_id": ids, "x": pa.array([1, 2, 3, 4])}))
    assert read_table(tmp_path / "t.parquet")["profile_id"].to_pylist() == ids.to_pylist()


def test_equal_tables_give_equal_bytes(tmp_path, table):
    """However the table came about: whole, in chunks, or with its columns copied."""
    chunked = pa.concat_tables([table.slice(0, 7), table.slice(7, 193), table.slice(200)])
    copied = pa.table({name: table[name] for name in table.column_names})
    for name, one in {"a": table, "b/b": chunked, "c": copied}.items():
        write_table(tmp_path / name, one)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b/b").read_bytes() == (tmp_path / "c").read_bytes()


def test_different_tables_give_different_bytes(tmp_path, table):
    write_table(tmp_path / "a", table)
    write_table(tmp_path / "b", table.slice(0, table.num_rows - 1))
    assert (tmp_path / "a").read_bytes() != (tmp_path / "b").read_bytes()


def test_digests_of_many_files_come_in_their_order(tmp_path):
    paths = [tmp_path / f"{number}" for number in range(40)]
    for number, path in enumerate(paths):
        path.write_bytes(bytes([number]) * (3_000_000 if number % 7 == 0 else number))
    assert list(digests(paths)) == [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
    assert list(digests([])) == []
    with pytest.raises(FileNotFoundError):
        list(digests([*paths, tmp_path / "none"]))


def test_a_column_that_repeats_takes_less_room_and_reads_back_alike(tmp_path):
    distances = np.random.default_rng(0).random(40)[np.random.default_rng(1).integers(0, 40, 50_000)]
    repeated = pa.table({"profile_id": range(50_000), "distance": distances})
    write_table(tmp_path / "a", repeated)
    write_table(tmp_path / "b", repeated, repeating=("distance",))
    assert (tmp_path / "b").stat().st_size < (tmp_path / "a").stat().st_size / 2
    assert read_table(tmp_path / "b").equals(read_table(tmp_path / "a"))


def test_dictionaries_may_be_plain_text_to_readers(tmp_path):
    words = pa.array(["a", "b", None, "a"]).dictionary_encode()
    ids = pa.array(["x", "y", "z", "zz"], pa.large_string())
    coded = pa.table({"profile_id": ids, "segment_name": words, "confidence": [0.1, None, 0.3, 0.4]})
    plain = coded.set_column(1, "segment_name", words.cast(pa.string()))
    write_table(tmp_path / "a", coded, as_text=True)
    write_table(tmp_path / "b", plain)
    for read in (pq.read_table, read_table):
        found, expected = read(tmp_path / "a"), read(tmp_path / "b")
        assert found.equals(expected)
        assert found.schema.equals(expected.schema, check_metadata=True)
    assert pq.read_schema(tmp_path / "a").equals(pq.read_schema(tmp_path / "b"), check_metadata=True)


def test_every_data_page_notices_a_flipped_bit(tmp_path, table):
    path = tmp_path / "t.parquet"
    write_table(path, table)
    good = path.read_bytes()
    group = pq.read_metadata(path).row_group(0)
    ends = {}
    for column in range(group.num_columns):
        chunk = group.column(column)
        start = chunk.dictionary_page_offset or chunk.data_page_offset
        ends[chunk.path_in_schema] = start + chunk.total_compressed_size - 1
    assert set(ends) == set(table.column_names)
    for end in ends.values():
        spoilt = bytearray(good)
        spoilt[end] ^= 1
        path.write_bytes(spoilt)
        with pytest.raises(IntegrityError, match=re.escape(f"{path}: the file is damaged")):
            read_table(path)


@pytest.mark.parametrize("spoil", [lambda b: b"", lambda b: b[:-1], lambda b: b[: len(b) // 2], lambda b: b"PAR1" * 9])
def test_a_damaged_table_is_named(tmp_path, table, spoil):
    path = tmp_path / "t.parquet"
    write_table(path, table)
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(IntegrityError, match=re.escape(str(path))):
        read_table(path)


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(IntegrityError, match=r"gone\.parquet: the file is missing"):
        read_table(tmp_path / "gone.parquet")


@pytest.mark.parametrize("n_bytes", [0, 1, (1 << 20) - 1, (1 << 20) + 1])
def test_sha256_is_that_of_the_bytes(tmp_path, n_bytes):
    content = np.random.default_rng(1).bytes(n_bytes)
    (tmp_path / "f").write_bytes(content)
    assert next(digests([tmp_path / "f"])) == hashlib.sha256(content).hexdigest()


def test_json_is_readable_by_anything(tmp_path):
    write_json(tmp_path / "c.json", {"a": [1]})
    assert json.loads((tmp_path / "c.json").read_bytes()) == {"a": [1]}


def test_a_full_disk_that_numpy_tells_without_its_number_is_one(tmp_path):
    told = r"no space is left for a\.npy \(210000 requested and 59376 written\)"
    with pytest.raises(WorkspaceError, match=told), replacing(tmp_path / "a.npy"):
        raise OSError("210000 requested and 59376 written")
