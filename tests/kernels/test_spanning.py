"""The CUDA kernel for spanning trees, emulated: the CPU's edges and heights, ties included."""

import logging
from unittest.mock import patch

import numpy as np
import pytest

from gpuseg.engine.cpu.spanning import prim
from gpuseg.engine.gpu import spanning
from gpuseg.engine.gpu.device import GpuDevice
from gpuseg.engine.gpu.spanning import SpanningTrees
from tests.kernels.emulated import COMPILER, EmulatedKernel, emulated_libraries

pytestmark = pytest.mark.skipif(COMPILER is None, reason="no C++ compiler")

REAL_THREADS = spanning.THREADS
THREADS = 64
"""Of a block, so that few points take several blocks."""

SIZES = [(2, 1), (3, 2), (31, 4), (64, 20), (65, 3), (129, 16), (300, 7), (600, 2)]


@pytest.fixture(scope="module")
def libraries():
    return emulated_libraries()


@pytest.fixture(scope="module", autouse=True)
def _blocks_of_few_threads():
    with patch.object(spanning, "THREADS", THREADS):
        yield


@pytest.fixture(scope="module")
def trees(libraries):
    return SpanningTrees(libraries)


def drawn(n, d, seed=0):
    rng = np.random.default_rng([seed, n, d])
    return rng.normal(size=(d, n)).astype(np.float32), rng.exponential(size=n).astype(np.float32)


def on_lattice(n, d, seed=0):
    """Few distances, each of many pairs, and core distances that are equal."""
    columns, _ = drawn(n, d, seed)
    return np.rint(columns), np.full(n, 0.5, np.float32)


def repeated(n, d, seed=0):
    """Points four times each, at no distance from each other."""
    columns, _ = drawn(-(-n // 4), d, seed)
    order = np.random.default_rng(seed).permutation(n)
    return np.ascontiguousarray(np.repeat(columns, 4, axis=1)[:, order]), np.zeros(n, np.float32)


def cores_decide(n, d, seed=0):
    """Core distances above all others, of few values."""
    columns, cores = drawn(n, d, seed)
    return columns, np.rint(cores) + np.float32(100)


def tiny(n, d, seed=0):
    """Squares below the least normal number."""
    columns, cores = drawn(n, d, seed)
    return columns * np.float32(2**-66), cores * np.float32(2**-67)


def check(trees, columns, cores, n_blocks):
    ends, heights = trees.run(columns, cores, n_blocks)
    expected = prim(columns, cores)
    assert ends.dtype == np.int64
    assert heights.dtype == np.float64
    assert ends.tolist() == expected[0].tolist()
    assert heights.tolist() == expected[1].tolist()


@pytest.mark.parametrize("kind", [drawn, on_lattice, repeated, cores_decide, tiny])
@pytest.mark.parametrize(("n", "d"), SIZES)
def test_the_tree_of_the_cpu(trees, n, d, kind):
    check(trees, *kind(n, d), -(-n // THREADS))


@pytest.mark.parametrize("n_blocks", [1, 2, 5])
def test_several_points_a_thread_and_blocks_without_any(trees, n_blocks):
    check(trees, *on_lattice(230, 3), n_blocks)


def test_blocks_as_large_as_on_a_gpu(libraries, monkeypatch):
    monkeypatch.setattr(spanning, "THREADS", REAL_THREADS)
    check(SpanningTrees(libraries), *on_lattice(REAL_THREADS + 20, 2), 2)


@pytest.fixture
def few_points(monkeypatch):
    monkeypatch.setattr(spanning, "LEAST_POINTS", 20)
    monkeypatch.setattr(spanning, "_COMPARED_POINTS", 40)


@pytest.mark.usefixtures("few_points")
def test_what_the_kernel_is_made_for(libraries, caplog):
    trees = SpanningTrees(libraries)
    columns, cores = on_lattice(150, 3)
    with caplog.at_level(logging.WARNING):
        ends, heights = trees.prim(columns, cores)
    expected = prim(columns, cores)
    assert (ends.tolist(), heights.tolist()) == (expected[0].tolist(), expected[1].tolist())
    assert trees.prim(columns.astype(np.float64), cores.astype(np.float64)) is None
    assert trees.prim(np.ascontiguousarray(columns[:, :19]), cores[:19]) is None
    assert not caplog.records


def refused(*_, **__):
    raise RuntimeError


@pytest.mark.usefixtures("few_points")
@pytest.mark.parametrize("broken", ["ties", "launch"])
def test_a_wrong_kernel_is_not_believed(libraries, monkeypatch, caplog, broken):
    text = spanning.source()
    wrong = text.replace("gap < nearest", "gap <= nearest")
    assert wrong != text
    if broken == "ties":
        monkeypatch.setattr(spanning, "source", lambda: wrong)
    else:
        monkeypatch.setattr(EmulatedKernel, "__call__", refused)
    trees = SpanningTrees(libraries)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert trees.prim(*on_lattice(150, 3)) is None
    (record,) = caplog.records
    assert "the CPU makes them" in record.getMessage()


@pytest.mark.usefixtures("few_points")
def test_the_device_hands_on_what_the_kernel_is_not_made_for(libraries):
    device = GpuDevice(libraries)
    for dtype in (np.float32, np.float64):
        columns, cores = (values.astype(dtype) for values in drawn(100, 3))
        for mine, plain in zip(device.prim(columns, cores), prim(columns, cores), strict=True):
            assert mine.tolist() == plain.tolist()


@pytest.mark.usefixtures("few_points")
def test_where_memory_ends_the_cpu_goes_on(libraries, monkeypatch, caplog):
    def full(*_, **__):
        raise MemoryError

    trees = SpanningTrees(libraries)
    monkeypatch.setattr(EmulatedKernel, "__call__", full)
    with caplog.at_level(logging.WARNING):
        assert trees.prim(*on_lattice(150, 3)) is None
    (record,) = caplog.records
    assert "no memory" in record.getMessage()
