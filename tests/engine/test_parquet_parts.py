"""Row groups are fetched together up to a bound, and parted up to another, in their order and each once."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gpuseg.engine import parquet_parts
from gpuseg.engine.parquet_parts import fetch_plan, row_group_parts

N_GROUPS, GROUP_ROWS = 6, 100


@pytest.fixture
def metadata(tmp_path):
    """Six row groups of equal size, the last one of half the rows."""
    numbers = np.random.default_rng(0).integers(0, 2**62, (4, N_GROUPS * GROUP_ROWS - GROUP_ROWS // 2))
    table = pa.table({"a": numbers[0], "ab": numbers[1], "c": pa.array([{"x": int(n)} for n in numbers[2]])})
    pq.write_table(table, tmp_path / "rows.parquet", row_group_size=GROUP_ROWS, compression="none")
    return pq.read_metadata(tmp_path / "rows.parquet")


def bytes_of(metadata, *places):
    return sum(metadata.row_group(0).column(place).total_compressed_size for place in places)


@pytest.mark.parametrize(
    ("columns", "places"), [(["a"], [0]), (["a", "c"], [0, 2]), (["a", "ab", "c"], [0, 1, 2])], ids=str
)
def test_neighbours_are_fetched_together_as_far_as_they_fit(metadata, monkeypatch, columns, places):
    """Only columns that are read count, nested ones whole."""
    one = bytes_of(metadata, *places)
    monkeypatch.setattr(parquet_parts, "_FETCHED_BYTES", 2 * one)
    together = {"pre_buffer": True}
    assert fetch_plan(metadata, columns, range(5)) == [([0, 1], together), ([2, 3], together), ([4], together)]
    monkeypatch.setattr(parquet_parts, "_FETCHED_BYTES", 2 * one - 1)
    assert fetch_plan(metadata, columns, range(1, 4)) == [([number], together) for number in (1, 2, 3)]


def test_what_is_larger_is_read_page_by_page(metadata, monkeypatch):
    monkeypatch.setattr(parquet_parts, "_FETCHED_BYTES", bytes_of(metadata, 0) - 1)
    plan = fetch_plan(metadata, ["a"], range(N_GROUPS))
    paged = {"buffer_size": parquet_parts._BUFFER_BYTES}
    assert plan == [([number], paged) for number in range(5)] + [([5], {"pre_buffer": True})]


def test_parts_have_their_first_rows(metadata):
    size = bytes_of(metadata, 0, 1, 2)
    assert row_group_parts(metadata, 2 * size) == [(0, 2, 1), (2, 4, 201), (4, 6, 401)]
    assert row_group_parts(metadata, 1) == [(n, n + 1, 1 + n * GROUP_ROWS) for n in range(N_GROUPS)]
    assert row_group_parts(metadata, 2**40) == [(0, N_GROUPS, 1)]


def test_a_file_without_rows_is_one_part(tmp_path):
    pq.write_table(pa.table({"a": pa.array([], pa.int64())}), tmp_path / "none.parquet")
    metadata = pq.read_metadata(tmp_path / "none.parquet")
    assert row_group_parts(metadata, 1) == [(0, metadata.num_row_groups, 1)]
