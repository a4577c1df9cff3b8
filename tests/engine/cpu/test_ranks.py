import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuseg.engine.cpu.ranks import rank_ids, sorted_runs
from tests.twins import id_order

IDS = st.lists(st.integers(-(2**63), 2**63 - 1), max_size=40) | st.lists(st.text(max_size=3), max_size=40)


def arrow(ids):
    return pa.array(ids, pa.large_string() if ids and isinstance(ids[0], str) else pa.int64())


@given(ids=IDS, cut=st.integers(0, 40))
def test_ranks_are_places_among_the_distinct_ids(ids, cut):
    array = arrow(ids)
    expected = sorted(set(ids), key=id_order)
    for given_ids in (array, pa.chunked_array([array.slice(0, cut), array.slice(cut)])):
        ranks, distinct = rank_ids(given_ids)
        assert distinct.to_pylist() == expected
        assert [expected[rank] for rank in ranks] == ids
        assert ranks.dtype == np.int32


@given(ids=IDS, cut=st.integers(0, 40))
def test_runs_of_a_sorted_column(ids, cut):
    ids = sorted(ids * 2, key=id_order)
    array = arrow(ids)
    expected = sorted(set(ids), key=id_order)
    for given_ids in (array, pa.chunked_array([array.slice(0, cut), array.slice(cut)])):
        offsets, distinct = sorted_runs(given_ids)
        assert distinct.to_pylist() == expected
        assert offsets.tolist() == [*(ids.index(value) for value in expected), len(ids)]


def test_text_sorts_by_bytes_not_by_letters():
    ids = ["\uffff", "\U0001f642", "z", "Z", "é", "e\u0301", "10", "9"]
    assert rank_ids(pa.array(ids, pa.large_string()))[1].to_pylist() == sorted(ids, key=str.encode)


@pytest.mark.parametrize("step", [1, -1, 2**20, 2**53, 2**40 + 1, 0x9E3779B97F4A7C15 - 2**64], ids=hex)
@pytest.mark.parametrize("n", [1_023, 1_024, 1_025, 5_000])
def test_many_integers_also_such_that_hash_alike(n, step):
    ids = np.arange(n, dtype=np.int64) * np.int64(step)
    distinct = np.unique(ids)
    shuffled = np.random.default_rng(n).choice(np.concatenate([distinct, ids]), 3 * n)
    ranks, found = rank_ids(pa.array(shuffled))
    assert found.to_pylist() == sorted(set(shuffled.tolist()))
    assert found.to_numpy()[ranks].tolist() == shuffled.tolist()


@pytest.mark.parametrize("low", [-(2**63), -5, 2**63 - 64])
def test_a_dense_range_anywhere_among_the_integers(low):
    ids = [low + step for step in (63, 0, 7, 7, 62, 0)] * 4
    ranks, found = rank_ids(pa.array(ids, pa.int64()))
    assert found.to_pylist() == sorted(set(ids))
    assert [found[int(rank)].as_py() for rank in ranks] == ids
