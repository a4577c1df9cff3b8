"""What only the real wheels of RAPIDS can tell; run by `make test-rapids`, without a GPU."""

import json

import numpy as np
import pytest

from gpuseg.config_dask import DaskSection
from gpuseg.engine.capabilities import CAPABILITIES, construct
from gpuseg.engine.cpu.device import CpuDevice
from gpuseg.engine.dask.gpus import gpu_cluster
from gpuseg.engine.driver import Gpu
from gpuseg.engine.hardware import Hardware
from gpuseg.engine.solver import Problem
from gpuseg.errors import EngineError
from tests.rapids.cuda_sources import ARCHITECTURES, compile_source, cuda_strings, programs
from tests.rapids.stand_ins import TABLE

pytestmark = [pytest.mark.rapids, pytest.mark.filterwarnings("default")]


@pytest.fixture(scope="module")
def collect():
    from tests.rapids import collect

    return collect


def test_the_table_is_what_the_wheels_say(collect):
    table = json.loads(TABLE.read_text("utf-8"))
    told = {name: ", ".join(collect.parameters_of(name)[0]) for name in table["callables"]}
    assert told == {name: entry["parameters"] for name, entry in table["callables"].items()}


def test_the_libraries_load():
    from gpuseg.engine.gpu.libraries import load

    libraries = load()
    assert {libraries.cupy.__name__, libraries.cudf.__name__, libraries.cuml.__name__, libraries.rmm.__name__} == {
        "cupy",
        "cudf",
        "cuml",
        "rmm",
    }
    assert issubclass(libraries.cupy.cuda.memory.OutOfMemoryError, MemoryError)
    assert callable(libraries.rmm.allocators.cupy.rmm_cupy_allocator)


def test_what_counts_the_use_of_a_pool():
    from rmm.statistics import Statistics

    assert {"current_bytes", "peak_bytes"} <= set(Statistics.__dataclass_fields__)


START = np.eye(3, 4, dtype=np.float32)
PROBLEM = Problem("cuml", CpuDevice(), [], START, n_rows=9, seed=7, tol=0.5)
SOLVED_WITH = {"n_clusters": 3, "init": START, "tol": 0.5, "max_iter": 300, "random_state": 7, "n_init": 1}
PARAMETERS = {
    "solver cuml": (PROBLEM.parameters, SOLVED_WITH),
    "solver cuml over dask": (PROBLEM.parameters | {"client": object()}, SOLVED_WITH),
    "kmeans": ({"n_segments": 3, "seed": 7}, {"n_clusters": 3, "random_state": 7, "n_init": 1}),
    "hdbscan": ({"min_cluster_size": 30, "min_samples": 10}, {"min_cluster_size": 30, "min_samples": 9}),
    "neighbors": ({"n_neighbors": 4}, {"n_neighbors": 4}),
}


@pytest.mark.parametrize("name", [name for name, device in CAPABILITIES if device == "gpu"])
def test_estimators_are_made_as_asked(name):
    given, expected = PARAMETERS[name]
    estimator = construct(name, "gpu", given)
    # Over dask they are kept for the workers.
    told = getattr(estimator, "kwargs", None) if name.endswith("over dask") else estimator.get_params()
    assert {key: told[key] for key in expected} == expected


def test_what_workers_are_handed_fits_what_they_make():
    from cuml.cluster.kmeans_mg import KMeansMG

    handed = construct("solver cuml over dask", "gpu", PARAMETERS["solver cuml over dask"][0]).kwargs
    made = KMeansMG(handle=None, output_type="cupy", **handed)
    made._validate_fit_params()
    assert {key: made.get_params()[key] for key in SOLVED_WITH} == SOLVED_WITH


def test_gpu_workers_without_a_gpu_are_one_line(monkeypatch, tmp_path):
    import cupy

    if cupy.cuda.is_available():
        pytest.skip("there is a GPU")
    played = Hardware(gpus=(Gpu("NVIDIA Test", 80 << 30, None, "9.0"),))
    monkeypatch.setattr("gpuseg.engine.dask.gpus.find_gpus", lambda: played)
    with pytest.raises(EngineError) as caught:
        gpu_cluster(DaskSection(memory_bytes=2**30, protocol="tcp"), str(tmp_path))
    assert str(caught.value).startswith("dask: the GPU workers could not be started: NVML Shared Library Not Found (")
    assert "\n" not in str(caught.value)


def test_cuda_sources_compile():
    assert [
        problem
        for name, text, options in programs()
        for architecture in ARCHITECTURES
        if (problem := compile_source(name, text, architecture, options)) is not None
    ] == []


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_compiler_itself(tmp_path, architecture):
    good = 'extern "C" __global__ void twice(float* x, int n) { if (threadIdx.x < n) x[threadIdx.x] *= 2; }'
    bad = good.replace("threadIdx.x] *=", "nothing] *=")
    (tmp_path / "kernels.py").write_text(f"GOOD = {good!r}\nBAD = {bad!r}\n", encoding="utf-8")
    (good_name, good_text), (bad_name, bad_text) = cuda_strings(tmp_path)
    assert (good_name, bad_name) == ("kernels.py:1", "kernels.py:2")
    assert compile_source(good_name, good_text, architecture) is None
    assert 'identifier "nothing" is undefined' in compile_source(bad_name, bad_text, architecture)


def test_what_kernels_are_launched_with():
    import cupy
    from cupy_backends.cuda.api import runtime

    assert {"num_regs", "max_dynamic_shared_size_bytes"} <= set(dir(cupy.RawKernel))
    assert "get_function" in dir(cupy.RawModule)
    assert "compute_capability" in dir(cupy.cuda.Device)
    for name in ("MultiProcessorCount", "MaxSharedMemoryPerBlockOptin", "MaxSharedMemoryPerMultiprocessor"):
        assert isinstance(getattr(runtime, f"cudaDevAttr{name}"), int)
