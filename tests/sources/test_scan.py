"""Sources are read in parts that depend on the files alone, and parts give what the whole gives."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gpuseg.engine import open_engine
from gpuseg.errors import InvalidValueError
from gpuseg.progress import Meter
from gpuseg.sources import scan
from gpuseg.sources.ingest import ingest
from gpuseg.sources.plan import plan_sources
from gpuseg.sources.scan import Part, parts_of
from gpuseg.workspace.ledger import Ledger

ROWS = 200


@pytest.fixture
def orders(tmp_path, config_of):
    """Writes orders, 200 rows a file in row groups of 20, and plans them."""

    def write(n_files=1, *, group=20, amount=None):
        rng = np.random.default_rng(0)
        for number in range(n_files):
            amounts = rng.integers(1, 999, ROWS).astype(float)
            if amount is not None:
                amounts[150] = amount
            columns = {
                "profile_id": rng.integers(0, 40, ROWS),
                "at": np.datetime64("2017-05-01", "us") + rng.integers(0, 10**12, ROWS).astype("timedelta64[us]"),
                "amount": amounts,
                "category": pa.array(rng.choice(["a", "b", "c"], ROWS)),
            }
            pq.write_table(pa.table(columns), tmp_path / f"orders-{number}.parquet", row_group_size=group)
        source = {"name": "orders", "kind": "purchases", "uri": str(tmp_path / "orders-*.parquet")}
        return plan_sources(config_of(source, buckets=3), {})

    return write


def sizes_of(plans):
    return {file: size for located in plans.located for file, size in zip(located.files, located.sizes, strict=True)}


def state_of(plans, folder):
    with open_engine(engine="cpu") as engine:
        ingest(plans, engine, folder=folder, ledger=Ledger(folder / "ledger", "key"), progress=Meter())
    return {path.relative_to(folder): path.read_bytes() for path in sorted((folder / "state").rglob("*.parquet"))}


def test_small_files_are_read_together_and_large_ones_between_row_groups(orders, monkeypatch):
    plans = orders(3)
    size = max(sizes_of(plans).values())
    assert parts_of(plans.reads, sizes_of(plans)) == [Part(0, 0, 0, 3)]
    monkeypatch.setattr(scan, "PART_BYTES", 2 * size)
    assert parts_of(plans.reads, sizes_of(plans)) == [Part(0, 0, 0, 2), Part(1, 0, 2, 3)]
    monkeypatch.setattr(scan, "PART_BYTES", size // 3)
    parts = parts_of(plans.reads, sizes_of(plans))
    assert [part.number for part in parts] == list(range(len(parts)))
    for file in range(3):
        mine = [part for part in parts if part.low == file]
        groups = [group for part in mine for group in range(*part.row_groups)]
        assert groups == list(range(10))
        assert len(mine) > 1
        assert [part.first_row for part in mine] == [1 + 20 * part.row_groups[0] for part in mine]


def test_unknown_sizes_and_frames_are_one_part(orders):
    plans = orders(2)
    assert parts_of(plans.reads, {}) == [Part(0, 0, 0, 2)]
    attributes = [replace(plan, kind="crm") for plan in plans.reads]
    assert parts_of(attributes, dict.fromkeys(plans.reads[0].files, 2**40)) == [Part(0, 0, 0, 2)]


@pytest.mark.parametrize("part_bytes", [1, 1500, 2**40])
def test_parts_give_the_bytes_of_the_whole(orders, tmp_path, monkeypatch, part_bytes):
    plans = orders(2)
    expected = state_of(plans, tmp_path / "whole")
    monkeypatch.setattr(scan, "PART_BYTES", part_bytes)
    assert state_of(plans, tmp_path / "parts") == expected


def test_a_row_has_its_number_in_the_file_whatever_its_part(orders, tmp_path, monkeypatch):
    plans = orders(amount=float("nan"))
    monkeypatch.setattr(scan, "PART_BYTES", 1)
    with pytest.raises(InvalidValueError, match=r"orders-0\.parquet, row 151, column 'amount'"):
        state_of(plans, tmp_path / "parts")
