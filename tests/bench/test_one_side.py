import numpy as np
import pytest

MIB = 1 << 20


@pytest.fixture
def one_side(load):
    return load("one_side")


def test_first_use_is_what_the_first_call_takes_more(one_side, monkeypatch):
    clock = iter([0.0, 10.0, 20.0, 23.0])
    monkeypatch.setattr(one_side.time, "perf_counter", lambda: next(clock))
    assert one_side.first_use_seconds(lambda: None) == 7.0


def test_memory_is_that_above_what_was_there(one_side):
    held = np.ones(32 * MIB, np.uint8)
    found, told = one_side.costs(lambda: int(np.ones(64 * MIB, np.uint8).sum()) + len(held))
    assert found == 96 * MIB
    assert 60 * MIB < told["extra_bytes"] < 96 * MIB
    assert told["cpu_seconds"] >= told["system_seconds"] >= 0
    # A peak of before does not count.
    assert one_side.costs(lambda: None)[1]["extra_bytes"] < 16 * MIB


def test_the_seconds_of_a_pass_are_told(load, monkeypatch, tmp_path):
    worker, passed = load("scoring_worker"), []
    told = {"cpu_seconds": 6.0, "system_seconds": 3.0, "wall_seconds": 9.0, "extra_bytes": 12}
    monkeypatch.setattr(worker, "costs", lambda call: (call(), dict(told)))
    monkeypatch.setattr(worker, "settle", lambda threads: None)

    def placing_of(centers):
        return lambda rows: (passed.append(len(rows)), np.zeros(len(rows), np.int32))[1]

    monkeypatch.setitem(worker.SIDES, "gpuseg", ("gpuseg", "gpuseg", placing_of))
    np.save(tmp_path / "rows.npy", np.zeros((1800, 2), np.float32))
    words = ["--data", str(tmp_path / "rows.npy"), "--centers", str(tmp_path / "rows.npy"), "--side", "gpuseg"]
    out = tmp_path / "out.json"
    worker.main(["score", *words, "--passes", "3", "--calls", "1", "--threads", "1", "--out", str(out)])
    found = worker.json.loads(out.read_text())
    assert (found["cpu_seconds"], found["system_seconds"], found["wall_seconds"]) == (2.0, 1.0, 3.0)
    assert found["extra_bytes"] == 12
    assert found["rows_per_second"] == 600.0
    # Twice for the first use, once more to warm up, then what is measured.
    assert passed[:6] == [1800] * 6
    assert set(passed[6:]) == {1, 1000}
