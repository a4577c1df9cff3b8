"""How far reading is: rows and stored bytes of parts, whoever reads them."""

import gzip
import pickle

import pytest

from gpuseg.engine import open_engine
from gpuseg.engine.opening import opened, streamed_bytes
from gpuseg.progress import Meter
from gpuseg.sources.plan import plan_sources
from gpuseg.sources.pulse import Pulse, Stopped
from gpuseg.sources.scan import part_sizes, parts_of


class Told(Meter):
    def __init__(self):
        self.begun, self.added = [], []

    def begin(self, step, total=None, *, unit="buckets"):
        self.begun.append((step, total, unit))

    def add(self, n=1, *, rows=0, anew=True):
        self.added.append((n, rows, anew))


def test_beats_and_the_end_of_a_part_add_up_to_its_size():
    told = Told()
    pulse = Pulse(told, [100, 50])
    pulse.beat(0, 10, 40)
    pulse.beat(0, 20, 130)
    pulse.end(1, 7, anew=False)
    pulse.end(0, 25, anew=True)
    assert told.begun == [("read", 150, "bytes")]
    assert told.added == [(40, 10, True), (60, 10, True), (50, 7, False), (0, 5, True)]


def test_a_part_that_is_read_again_counts_once():
    told = Told()
    pulse = Pulse(told, [100])
    for rows, n_bytes in ((10, 40), (20, 80), (10, 40), (20, 80), (30, 100)):
        pulse.beat(0, rows, n_bytes)
    pulse.end(0, 30, anew=True)
    assert [sum(column) for column in zip(*told.added, strict=True)][:2] == [100, 30]


def test_without_every_size_rows_are_counted():
    told = Told()
    pulse = Pulse(told, [100, 0])
    pulse.beat(1, 3, 999)
    pulse.end(0, 4, anew=True)
    assert told.begun == [("read", None, "rows")]
    assert told.added == [(3, 3, True), (4, 4, True)]


def test_a_stopped_part_ends_at_its_next_chunk():
    told = Told()
    pulse = Pulse(told, [10])
    pulse.stop()
    with pytest.raises(Stopped):
        pulse.beat(0, 1, 1)
    assert told.added == []


def test_in_another_process_it_tells_nobody():
    pulse = pickle.loads(pickle.dumps(Pulse(Told(), [10])))
    pulse.beat(0, 1, 1)
    pulse.end(0, 1, anew=True)


def test_parts_of_one_file_share_its_size(config_of, tmp_path, monkeypatch):
    import pyarrow as pa
    import pyarrow.parquet as pq

    from tests.sources.test_ingest import ORDERS, events

    path = tmp_path / "orders.parquet"
    pq.write_table(events(pa.array(range(400))), path, row_group_size=100)
    monkeypatch.setattr("gpuseg.sources.scan.PART_BYTES", 1)
    config = config_of({**ORDERS, "uri": str(path)})
    plans = plan_sources(config)
    size = path.stat().st_size
    parts = parts_of(plans.reads, {str(path): size})
    assert len(parts) == 4
    assert part_sizes(parts, plans.reads, {str(path): size}) == [size // 4] * 4
    assert part_sizes(parts, plans.reads, {}) == [0] * 4
    frames = plan_sources(config_of(ORDERS), {"orders": events(pa.array(range(5)))})
    assert part_sizes(parts_of(frames.reads, {}), frames.reads, {}) == [frames.n_bytes]


@pytest.mark.parametrize("packed", [False, True])
def test_stored_bytes_are_counted_as_a_file_is_read(tmp_path, packed):
    data = b"0123456789" * 100_000
    path = tmp_path / "data"
    path.write_bytes(gzip.compress(data) if packed else data)
    before = streamed_bytes()
    with opened(str(path)) as file:
        assert len(file.read(500_000)) == 500_000
        half = streamed_bytes() - before
        assert file.read() == data[500_000:]
    size = path.stat().st_size
    assert 0 < half <= size
    assert packed or half == 500_000
    assert streamed_bytes() - before == size


@pytest.mark.parametrize("ending", ["parquet", "csv", "jsonl"])
def test_reading_tells_of_a_file_before_its_end(tmp_path, config_of, ending):
    import pyarrow as pa
    import pyarrow.parquet as pq

    from tests.sources.test_ingest import ORDERS, events

    table, path = events(pa.array(range(3_000))), tmp_path / f"orders.{ending}"
    rows = [{name: str(value) for name, value in row.items()} for row in table.to_pylist()]
    if ending == "parquet":
        pq.write_table(table, path)
    elif ending == "csv":
        lines = [",".join(table.column_names), *(",".join(row.values()) for row in rows)]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    else:
        import json

        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    plans = plan_sources(config_of({**ORDERS, "uri": str(path)}, chunk_rows=1_000))
    before, seen = streamed_bytes(), []
    with open_engine(engine="cpu") as engine:
        for _ in engine.device.scan(plans.reads[0]):
            seen.append(streamed_bytes() - before)
    assert len(seen) == 3
    assert 0 < seen[0] <= seen[1] <= seen[2]
    assert seen[2] == pytest.approx(path.stat().st_size, abs=3)
    assert ending != "parquet" or seen[0] == pytest.approx(path.stat().st_size / 3, abs=2)
