"""Rows that go into the runs of a spill come out of it, bucket by bucket and source by source."""

import json
import pickle

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuseg.engine import spill as spill_module
from gpuseg.engine.spill import Room, Run, RunWriter, Spill


def batch(values, texts=None):
    columns = {"value": pa.array(values, pa.int64())}
    if texts is not None:
        columns["category"] = pa.array(texts, pa.string()).dictionary_encode()
    return pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))


def texts_of(spill, table):
    return [None if code < 0 else spill.categories[code] for code in table["category"].to_pylist()]


def run_of(folder, source, n_buckets, room, batches):
    """A run of (rows, offsets)."""
    writer = RunWriter(folder / source, source, n_buckets, room)
    for rows, offsets in batches:
        writer.append(rows, offsets)
    return writer.finish()


@pytest.fixture(params=[1, 100, 2**26], ids=["a piece a batch", "small pieces", "one piece"])
def piece_bytes(request, monkeypatch):
    monkeypatch.setattr(spill_module, "_PIECE_BYTES", request.param)
    monkeypatch.setattr(spill_module, "_PIECE_BYTES_PER_BUCKET", 1)
    return request.param


@given(
    runs=st.lists(
        st.tuples(
            st.sampled_from(["web", "shop"]),
            st.lists(
                st.lists(st.tuples(st.integers(0, 3), st.sampled_from([None, "b", "a", "é", "", "🙂"])), max_size=12),
                max_size=4,
            ),
        ),
        max_size=4,
    ),
    held_bytes=st.sampled_from([0, 300, 2**20]),
    piece_bytes=st.sampled_from([1, 200, 2**26]),
    stored=st.booleans(),
)
def test_round_trip(tmp_path_factory, runs, held_bytes, piece_bytes, stored):
    n_buckets, number, expected = 4, 0, {}
    spill, room = Spill(n_buckets), Room(0 if stored else held_bytes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spill_module, "_PIECE_BYTES", piece_bytes)
        patch.setattr(spill_module, "_PIECE_BYTES_PER_BUCKET", 0)
        for source, batches in runs:
            folder, given = tmp_path_factory.mktemp("run"), []
            for rows in batches:
                rows = sorted(rows, key=lambda row: row[0])
                values = list(range(number, number + len(rows)))
                number += len(rows)
                offsets = [sum(bucket < at for bucket, _ in rows) for at in range(n_buckets + 1)]
                given.append((batch(values, [text for _, text in rows]), offsets))
                for value, (bucket, text) in zip(values, rows, strict=True):
                    expected.setdefault((source, bucket), []).append((value, text))
            run = run_of(folder, source, n_buckets, room, given)
            if stored:
                assert run.is_stored
                run = Run.restored(json.loads(json.dumps(run.saved())), folder)
            spill.add(run)
    for bucket in range(n_buckets):
        found = spill.read(bucket)
        assert set(found) == {source for source, at in expected if at == bucket}
        for source, table in found.items():
            pairs = list(zip(table["value"].to_pylist(), texts_of(spill, table), strict=True))
            assert pairs == expected[source, bucket]
    assert len(set(spill.categories)) == len(spill.categories)


def test_a_run_goes_to_files_once_memory_is_taken(tmp_path, piece_bytes):
    rows = [(batch(range(8 * turn, 8 * turn + 8)), [0, 3, 8]) for turn in range(3)]
    room = Room(rows[0][0].nbytes)
    first, second = (run_of(tmp_path, name, 2, room, rows[:1]) for name in ("first", "second"))
    assert (first.is_stored, second.is_stored) == (False, True)
    third = run_of(tmp_path, "third", 2, Room(0), rows)
    assert len(third.pieces) == (1 if piece_bytes == 2**26 else 3 if piece_bytes == 1 else 2)


def test_another_process_holds_nothing(tmp_path):
    room = pickle.loads(pickle.dumps(Room(2**30)))
    assert not room.take(1)
    assert Room(1).take(1)


def test_categories_first_seen_late_and_by_another_source(tmp_path):
    spill, room = Spill(1), Room()
    spill.add(
        run_of(tmp_path, "web", 1, room, [(batch([1, 2], ["b", None]), [0, 2]), (batch([4, 5], ["a", "b"]), [0, 2])])
    )
    spill.add(run_of(tmp_path, "shop", 1, Room(0), [(batch([3], ["a"]), [0, 1])]))
    spill.add(run_of(tmp_path, "web", 1, Room(0), [(batch([6, 7], ["c", "b"]), [0, 2])]))
    spill.add(run_of(tmp_path, "bare", 1, room, [(batch([8]), [0, 1])]))
    found = spill.read(0)
    assert texts_of(spill, found["web"]) == ["b", None, "a", "b", "c", "b"]
    assert texts_of(spill, found["shop"]) == ["a"]
    assert found["bare"].column_names == ["value"]


@pytest.mark.parametrize("held_bytes", [0, 2**20])
def test_a_slice_of_a_dictionary_column(tmp_path, held_bytes):
    spill = Spill(1)
    rows = batch(range(4), ["a", None, "c", "a"]).slice(1, 3)
    spill.add(run_of(tmp_path, "web", 1, Room(held_bytes), [(rows, [0, 3])]))
    assert texts_of(spill, spill.read(0)["web"]) == [None, "c", "a"]


@pytest.mark.parametrize("held_bytes", [0, 2**20])
def test_an_attribute_called_category_is_no_code(tmp_path, held_bytes):
    columns = {"category": pa.array([7, None], pa.int32())}
    writer = RunWriter(tmp_path / "crm", "crm", 1, Room(held_bytes), coded=False)
    writer.append(pa.RecordBatch.from_pydict(columns), [0, 2])
    spill = Spill(1)
    spill.add(writer.finish())
    assert spill.read(0)["crm"]["category"].to_pylist() == [7, None]


def test_discard_lets_go_of_one_bucket_only(tmp_path):
    spill = Spill(2)
    spill.add(run_of(tmp_path, "web", 2, Room(), [(batch([1, 2]), [0, 1, 2])]))
    spill.discard(0)
    assert spill.read(0) == {}
    assert spill.read(1)["web"]["value"].to_pylist() == [2]


def test_nothing_is_no_piece(tmp_path):
    run = run_of(tmp_path, "web", 3, Room(0), [(batch([]), [0, 0, 0, 0])])
    assert run.pieces == ()
    assert run.is_stored
    assert not list(tmp_path.iterdir())
