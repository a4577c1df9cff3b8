"""Where memory ends work is done in smaller pieces, with the same bytes; with nothing left to cut, one line says so."""

import logging
import re

import numpy as np
import pyarrow as pa
import pytest

from gpuseg.engine.cpu.device import CpuDevice
from gpuseg.engine.spill import Spill
from gpuseg.errors import DeviceMemoryError
from gpuseg.progress import Tracker
from gpuseg.sources import reduce, scan
from gpuseg.sources.reduce import Lot, Reducer, together
from tests.resume.worlds import config, go_on, promised

SHORTAGES = [
    (pa.ArrowMemoryError("malloc of size 123456 failed"), "123,456 bytes more needed, "),
    (np._core._exceptions._ArrayMemoryError((1000, 3), np.dtype(np.float64)), "24,000 bytes more needed, "),
    (MemoryError(), ""),
]


def equal_to(expected, found):
    assert found == {name: content for name, content in expected["kmeans"].items() if name in found}
    assert len(found) > 30


@pytest.fixture
def chunks(monkeypatch):
    """A device that has memory for chunks of at most so many rows, and the sizes that it was asked for."""
    monkeypatch.setattr(scan, "LEAST_CHUNK_ROWS", 10)
    original, asked = CpuDevice.scan, []

    def limit(most_rows, error):
        def read(self, plan):
            asked.append(plan.chunk_rows)
            for number, batch in enumerate(original(self, plan)):
                if plan.chunk_rows > most_rows and number == 1:
                    raise error
                yield batch

        monkeypatch.setattr(CpuDevice, "scan", read)
        return asked

    return limit


@pytest.mark.parametrize("stored", [True, False])
@pytest.mark.parametrize("error", [shortage for shortage, _ in SHORTAGES[:2]])
def test_chunks_are_halved(sources, expected, out, monkeypatch, chunks, caplog, error, stored):
    asked = chunks(20, error)
    if stored:
        monkeypatch.setattr("gpuseg.engine.spill.HELD_BYTES", 0)
    told, original = [], Tracker.add

    def add(self, n=1, *, rows=0, anew=True):
        if self._step.name == "read":
            told.append(rows)
        original(self, n, rows=rows, anew=anew)

    monkeypatch.setattr(Tracker, "add", add)
    with caplog.at_level(logging.WARNING):
        outcome = go_on(config(sources, out))
    equal_to(expected, promised(outcome.version.path))
    assert set(asked) == {50, 25, 12}
    lines = [record.getMessage() for record in caplog.records]
    line = r"memory is full: reading part 0 \(source orders, .+\) anew, 25 rows at a time"
    assert any(re.fullmatch(line, each) for each in lines)
    # Progress counts a row once, however often it was read.
    assert sum(told) == outcome.records[0].facts["rows_read"]


@pytest.mark.parametrize(("error", "needed"), SHORTAGES)
def test_chunks_have_a_least_size(sources, out, chunks, error, needed):
    chunks(1, error)
    line = rf"^there is no memory to read \w+ 10 rows at a time: {needed}[0-9,]+ free; give this process more$"
    with pytest.raises(DeviceMemoryError, match=line):
        go_on(config(sources, out))


@pytest.fixture
def buckets(monkeypatch):
    """A device that has memory for so many rows of a bucket, and how many it was asked for."""
    original, asked = Reducer._state, []

    def limit(most_rows, error):
        def state(self, events):
            n_rows = sum(table.num_rows for table in events.values())
            asked.append(n_rows)
            if n_rows > most_rows:
                raise error
            return original(self, events)

        monkeypatch.setattr(Reducer, "_state", state)
        return asked

    return limit


@pytest.mark.parametrize("most_rows", [150, 70, 30])
@pytest.mark.parametrize("quality", [{}, {"dedupe": True}], ids=["all", "distinct"])
def test_buckets_are_halved(sources, out, buckets, caplog, most_rows, quality):
    whole = promised(go_on(config(sources, f"{out}-whole", quality=quality)).version.path)
    asked = buckets(most_rows, SHORTAGES[0][0])
    with caplog.at_level(logging.WARNING):
        found = promised(go_on(config(sources, out, quality=quality)).version.path)
    assert found == whole
    assert max(asked) > most_rows
    lines = [record.getMessage() for record in caplog.records]
    assert any(re.fullmatch(r"memory is full: reducing bucket [0-3] in 2 pieces", line) for line in lines)


def test_memory_that_ends_while_a_bucket_is_read(sources, expected, out, monkeypatch):
    original = Spill.read

    def read(self, bucket, only=None):
        if only is None:
            raise MemoryError
        return original(self, bucket, only)

    monkeypatch.setattr(Spill, "read", read)
    equal_to(expected, promised(go_on(config(sources, out)).version.path))


@pytest.mark.parametrize(("error", "needed"), SHORTAGES)
def test_buckets_have_a_least_piece(sources, out, buckets, error, needed):
    asked = buckets(-1, error)
    line = rf"^there is no memory to reduce bucket [0-3] even in 64 pieces: {needed}[0-9,]+ free; raise run.buckets"
    with pytest.raises(DeviceMemoryError, match=line):
        go_on(config(sources, out))
    assert len(asked) <= 2 * (reduce.MOST_HALVINGS + 1)


@pytest.mark.parametrize(
    ("place", "stage"),
    [
        ("gpuseg.feature_build.BucketFeatures.__call__", "features"),
        ("gpuseg.segments.fit.sample_profiles", "fit"),
        ("gpuseg.segments.assign._Assigner.__call__", "assign"),
    ],
)
def test_what_cannot_be_cut_is_one_line(sources, out, monkeypatch, place, stage):
    def short(*_, **__):
        raise SHORTAGES[0][0]

    monkeypatch.setattr(place, short)
    with pytest.raises(DeviceMemoryError, match=f"^there is no memory to go on with {stage}: 123,456 bytes") as told:
        go_on(config(sources, out))
    assert told.value.exit_code == 4


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_lots_part_all_rows(depth):
    rows = pa.table({"profile_id": pa.array([f"p{n % 97}" for n in range(1000)]), "n": range(1000)})
    lots = [Lot(CpuDevice())]
    for _ in range(depth):
        lots = [half for lot in lots for half in lot.halves()]
    parts = [lot.pick(rows) for lot in lots]
    assert sorted(n for part in parts for n in part["n"].to_pylist()) == list(range(1000))
    ids = [set(part["profile_id"].to_pylist()) for part in parts]
    assert sum(map(len, ids)) == 97
    assert all(ids)


def test_tables_of_lots_come_together_in_the_order_of_ids():
    """Bytes of UTF-8 decide; words of one lot alone come to their place; a column without values takes its type."""
    words = [pa.array(["b", "b", "a"]).dictionary_encode(), pa.array(["c", None]).dictionary_encode()]
    left = pa.table({"profile_id": ["a", "a", "é"], "source": words[0], "x": [3, 1, 2], "order_id": pa.nulls(3)})
    right = pa.table({"profile_id": ["Z", "z"], "source": words[1], "x": [9, 8], "order_id": ["7", None]})
    found = together([left, right])
    assert found["profile_id"].to_pylist() == ["Z", "a", "a", "z", "é"]
    assert found["x"].to_pylist() == [9, 3, 1, 8, 2]
    assert found["source"].to_pylist() == ["c", "b", "b", None, "a"]
    assert found["source"].chunk(0).dictionary.to_pylist() == ["a", "b", "c"]
    assert found["order_id"].to_pylist() == ["7", None, None, None, None]
