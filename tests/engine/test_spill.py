"""Rows that go into a spill come out of it, bucket by bucket and source by source."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuseg.engine import spill as spill_module
from gpuseg.engine.spill import Spill


def batch(values, texts=None):
    columns = {"value": pa.array(values, pa.int64())}
    if texts is not None:
        columns["category"] = pa.array(texts, pa.string()).dictionary_encode()
    return pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))


def texts_of(spill, table):
    return [None if code < 0 else spill.categories[code] for code in table["category"].to_pylist()]


@given(
    batches=st.lists(
        st.tuples(
            st.sampled_from(["web", "shop"]),
            st.lists(st.tuples(st.integers(0, 3), st.sampled_from([None, "b", "a", "é", "", "🙂"])), max_size=12),
        ),
        max_size=6,
    ),
    held_bytes=st.sampled_from([0, 100, 2**20]),
)
def test_round_trip(tmp_path_factory, batches, held_bytes):
    n_buckets, number = 4, 0
    expected = {}
    with Spill(tmp_path_factory.mktemp("spill"), n_buckets, held_bytes) as spill:
        for source, rows in batches:
            rows = sorted(rows, key=lambda row: row[0])
            values = list(range(number, number + len(rows)))
            number += len(rows)
            offsets = [sum(bucket < at for bucket, _ in rows) for at in range(n_buckets + 1)]
            spill.append(source, batch(values, [text for _, text in rows]), offsets)
            for value, (bucket, text) in zip(values, rows, strict=True):
                expected.setdefault((source, bucket), []).append((value, text))
    for bucket in range(n_buckets):
        found = spill.read(bucket, ["web", "shop", "nobody"])
        assert set(found) == {source for source, at in expected if at == bucket}
        for source, table in found.items():
            assert (
                list(zip(table["value"].to_pylist(), texts_of(spill, table), strict=True)) == expected[source, bucket]
            )
    assert len(set(spill.categories)) == len(spill.categories)


def test_more_buckets_than_files_are_open_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(spill_module, "_MOST_OPEN", 2)
    n_buckets = 7
    with Spill(tmp_path, n_buckets, held_bytes=0) as spill:
        for turn in range(5):
            values = [100 * turn + bucket for bucket in range(n_buckets)]
            spill.append("web", batch(values, [f"c{value}" for value in values]), list(range(n_buckets + 1)))
    for bucket in range(n_buckets):
        found = spill.read(bucket, ["web"])["web"]
        assert found["value"].to_pylist() == [100 * turn + bucket for turn in range(5)]
        assert texts_of(spill, found) == [f"c{100 * turn + bucket}" for turn in range(5)]


def test_categories_first_seen_late_and_by_another_source(tmp_path):
    with Spill(tmp_path, 1) as spill:
        spill.append("web", batch([1, 2], ["b", None]), [0, 2])
        spill.append("shop", batch([3], ["a"]), [0, 1])
        spill.append("web", batch([4, 5, 6], ["a", "c", "b"]), [0, 3])
        spill.append("bare", batch([7]), [0, 1])
    found = spill.read(0, ["web", "shop", "bare"])
    assert texts_of(spill, found["web"]) == ["b", None, "a", "c", "b"]
    assert texts_of(spill, found["shop"]) == ["a"]
    assert found["bare"].column_names == ["value"]


def test_a_slice_of_a_dictionary_column(tmp_path):
    with Spill(tmp_path, 1) as spill:
        spill.append("web", batch(range(4), ["a", None, "c", "a"]).slice(1, 3), [0, 3])
    assert texts_of(spill, spill.read(0, ["web"])["web"]) == [None, "c", "a"]


@pytest.mark.parametrize("held_bytes", [0, 2**20])
def test_discard_removes_one_bucket_only(tmp_path, held_bytes):
    with Spill(tmp_path, 2, held_bytes) as spill:
        spill.append("web", batch([1, 2]), [0, 1, 2])
    spill.discard(0, ["web", "nobody"])
    assert spill.read(0, ["web"]) == {}
    assert spill.read(1, ["web"])["web"]["value"].to_pylist() == [2]


def append_and_fail(folder):
    with Spill(folder, 1, held_bytes=0) as spill:
        spill.append("web", batch([1]), [0, 1])
        raise RuntimeError("half-way")


def test_files_are_closed_when_scanning_fails(tmp_path):
    with pytest.raises(RuntimeError, match="half-way"):
        append_and_fail(tmp_path)
    assert Spill(tmp_path, 1).read(0, ["web"])["web"]["value"].to_pylist() == [1]
