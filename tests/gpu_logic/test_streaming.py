"""Rows in host memory that are too many for the device: the same pass, piece by piece."""

import numpy as np
import pytest

from gpuseg.clustering.segmenter import Segmenter
from gpuseg.engine.gpu import streaming
from gpuseg.engine.gpu.device import GpuDevice
from tests.rapids.stand_ins import stand_ins

N_ROWS = 200_000


@pytest.fixture
def device(monkeypatch):
    """A device to which 65,536 rows go at a time."""
    monkeypatch.setattr(streaming, "PIECE_BYTES", 1)
    return GpuDevice(stand_ins())


def draw(n=N_ROWS, d=3, k=4):
    rng = np.random.default_rng(1)
    rows = (np.rint(rng.normal(size=(n, d)) * 2**20) / 2**20).astype(np.float32)
    return rows, rows[:k] + np.float32(0.25)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n", [65_537, 131_072, N_ROWS])
def test_a_pass_over_rows_of_the_host(device, n, weighted):
    rows, centers = draw(n)
    weights = np.random.default_rng(2).integers(0, 9, n) if weighted else None
    for want_labels in (False, True):
        whole = device.assign_accumulate(device.asarray(rows), centers, weights=weights, want_labels=want_labels)
        found = device.assign_accumulate(rows, centers, weights=weights, want_labels=want_labels)
        assert found.sums.tolist() == whole.sums.tolist()
        assert found.counts.tolist() == whole.counts.tolist()
        assert found.inertia == whole.inertia
        for name in ("labels", "nearest", "second") if want_labels else ():
            assert np.array_equal(*(device.to_host(getattr(each, name)) for each in (found, whole)))


def test_labels_alone(device):
    rows, centers = draw()
    expected = device.to_host(device.nearest(device.asarray(rows), centers))
    assert np.array_equal(device.to_host(device.nearest(rows, centers)), expected)


def test_rows_of_another_order_in_memory(device):
    rows, centers = draw()
    found = device.assign_accumulate(np.asfortranarray(rows), centers)
    assert found.sums.tolist() == device.assign_accumulate(device.asarray(rows), centers).sums.tolist()


def test_pieces_of_many_bytes_are_whole_blocks():
    assert streaming.piece_rows(np.zeros((10, 32), np.float32)) == 2**20
    assert streaming.piece_rows(np.zeros((10, 1_000))) == 65_536
    assert streaming.piece_rows(np.zeros((0, 3))) % 65_536 == 0


@pytest.mark.parametrize(("n_free", "held"), [(1 << 20, False), (1 << 30, True)])
def test_rows_stay_in_host_memory_where_the_device_is_full(device, monkeypatch, n_free, held):
    monkeypatch.setattr(GpuDevice, "free_bytes", lambda self: n_free)
    rows, _ = draw()
    found = device.hold(rows)
    assert isinstance(found, np.ndarray) is not held
    assert np.array_equal(device.to_host(found), rows)


def test_a_fit_of_more_rows_than_the_device_holds(device, monkeypatch):
    from contextlib import contextmanager

    from gpuseg.clustering import segmenter
    from gpuseg.engine import Engine
    from gpuseg.engine.local import LocalExecutor

    rows, _ = draw()
    expected = Segmenter(n_segments=4, n_init=1, engine="cpu").fit(rows)
    threads = LocalExecutor(2)
    opened = contextmanager(lambda **_: iter([Engine(device, threads, "gpu: stand-ins", threads)]))
    monkeypatch.setattr(segmenter, "open_engine", opened)
    monkeypatch.setattr(GpuDevice, "free_bytes", lambda self: 1 << 20)
    seen = []
    inner = streaming.streamed
    monkeypatch.setattr("gpuseg.engine.gpu.lloyd.streamed", lambda *given: seen.append(1) or inner(*given))
    found = Segmenter(n_segments=4, n_init=1, engine="gpu").fit(rows)
    threads.close()
    assert seen
    assert found.cluster_centers_.tolist() == expected.cluster_centers_.tolist()
    assert np.array_equal(found.labels_, expected.labels_)
    assert found.inertia_ == pytest.approx(expected.inertia_, rel=1e-12)


def test_the_stand_in_copies_as_late_as_it_may():
    cupy = stand_ins().cupy
    stream, event = cupy.cuda.Stream(non_blocking=True), cupy.cuda.Event(disable_timing=True)
    there, here = cupy.zeros(2), np.ones(2)
    there.set(here, stream=stream)
    event.record(stream)
    here[:] = 5
    assert cupy.asnumpy(there).tolist() == [0, 0]
    event.synchronize()
    assert cupy.asnumpy(there).tolist() == [5, 5]
