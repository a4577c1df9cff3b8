"""Peak memory: of this process without touching what others read, and of workers."""

import resource
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from gpuseg.engine import peaks
from gpuseg.engine.cpu.device import CpuDevice
from gpuseg.engine.local import LocalExecutor
from gpuseg.engine.peaks import Measured, highest_bytes, peaks_of_worker, resident_bytes
from gpuseg.progress import Peak

MANY = 64 * 2**20
LINUX = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")


class Workers:
    """An executor whose workers took what it is told."""

    def __init__(self, *told):
        self.told = list(told)
        self.n_asked = 0

    def peaks(self, _device):
        self.n_asked += 1
        return self.told


class WithMemory(CpuDevice):
    def peak_bytes(self):
        return 50


def test_what_a_stage_takes_is_seen():
    before = resident_bytes()
    with Measured(CpuDevice(), Workers()) as used:
        rows = np.ones(MANY, np.uint8)
    assert used.peak.host_bytes >= before + MANY * 0.9
    assert used.seconds > 0
    assert (used.peak.workers_bytes, used.peak.largest_worker_bytes, used.peak.device_bytes) == (None, None, None)
    del rows


@LINUX
def test_a_stage_below_an_earlier_peak_has_its_own(monkeypatch):
    monkeypatch.setattr(peaks, "highest_bytes", lambda: 2**50)
    with Measured(CpuDevice(), Workers()) as used:
        pass
    assert 2**20 < used.peak.host_bytes < 2**40


def test_a_stage_that_reaches_the_highest_has_that(monkeypatch):
    marks = iter([2**49, 2**50])
    monkeypatch.setattr(peaks, "highest_bytes", lambda: next(marks))
    with Measured(CpuDevice(), Workers()) as used:
        pass
    assert used.peak.host_bytes == 2**50


def test_the_mark_that_others_read_stays():
    """`time -v` and benchmarks read the peak of a whole run from it."""
    with Measured(CpuDevice(), Workers()):
        rows = np.ones(MANY, np.uint8)
    del rows
    high = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with Measured(CpuDevice(), Workers()):
        pass
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >= high


def test_workers_are_added_up_and_the_largest_is_told():
    workers = Workers((10, None), (30, 7), (20, 9))
    with Measured(WithMemory(), workers) as used:
        assert workers.n_asked == 1
    assert workers.n_asked == 2
    assert used.peak == Peak(used.peak.host_bytes, 60, 30, 50)


def test_workers_are_not_asked_after_a_failure():
    workers = Workers()
    with pytest.raises(KeyError), Measured(CpuDevice(), workers) as used:
        raise KeyError
    assert workers.n_asked == 1
    assert used.peak is None
    assert used.seconds >= 0


def test_the_local_executor_has_no_workers_but_threads():
    executor = LocalExecutor(3)
    assert (executor.n_workers, executor.peaks(CpuDevice())) == (3, ())
    executor.close()


@LINUX
def test_a_worker_tells_its_peak_since_it_was_last_asked():
    code = (
        "from gpuseg.engine.peaks import peaks_of_worker; from gpuseg.engine.cpu.device import CpuDevice\n"
        f"rows = bytearray({4 * MANY}); rows[::4096] = b'x' * len(rows[::4096]); del rows\n"
        "print(*(peaks_of_worker(CpuDevice())[0] for _ in range(2)))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    first, second = map(int, told.stdout.split())
    assert first >= 4 * MANY
    if second == first:
        pytest.skip("the kernel does not let the mark be reset here")
    assert second < first - 3 * MANY


def test_a_mark_that_cannot_be_reset_is_told_as_it_is(monkeypatch, tmp_path):
    monkeypatch.setattr(peaks, "_CLEAR", tmp_path / "no" / "such")
    assert peaks_of_worker(WithMemory()) == (highest_bytes(), 50)


def test_without_proc_the_system_is_asked(monkeypatch, tmp_path):
    monkeypatch.setattr(peaks, "_STATUS", tmp_path / "status")
    monkeypatch.setattr(peaks, "_STATM", tmp_path / "statm")
    assert highest_bytes() == resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (
        1 if sys.platform == "darwin" else 1024
    )
    assert resident_bytes() == 0


# --- workers of a cluster ---


class Cluster:
    """A client whose workers answer as the test says."""

    def __init__(self, answer):
        self.answer = answer
        self.n_asked = 0

    def run(self, function, *arguments, on_error):
        assert on_error == "ignore"
        self.n_asked += 1
        return self.answer(function, *arguments)


@pytest.fixture
def workers(monkeypatch):
    """Makes a dask executor over workers that answer as the test says, and soon enough or not at all."""
    executor = pytest.importorskip("gpuseg.engine.dask.executor")
    monkeypatch.setattr(executor, "Slots", lambda *_: None)
    monkeypatch.setattr(executor, "_ANSWER_SECONDS", 0.05)

    def over(answer):
        client = Cluster(answer)
        return executor.DaskExecutor(client, lambda: None), client

    return over


def test_every_worker_of_a_cluster_is_asked(workers):
    executor, client = workers(lambda function, device: {"a": function(device), "b": (7, None)})
    first, second = executor.peaks(WithMemory())
    assert (first[1], second) == (50, (7, None))
    assert first[0] > 2**20
    assert client.n_asked == 1


def test_a_cluster_that_cannot_answer_costs_no_run(workers):
    def gone(*_):
        raise OSError("the scheduler is gone")

    executor, client = workers(gone)
    assert list(executor.peaks(CpuDevice())) == []
    assert list(executor.peaks(CpuDevice())) == []
    assert client.n_asked == 2


def test_a_cluster_that_does_not_answer_is_not_asked_again(workers):
    answered = threading.Event()
    executor, client = workers(lambda *_: answered.wait(30) and {})
    assert list(executor.peaks(CpuDevice())) == []
    assert list(executor.peaks(CpuDevice())) == []
    assert client.n_asked == 1
    answered.set()
