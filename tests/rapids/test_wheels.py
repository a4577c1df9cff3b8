"""What only the real wheels of RAPIDS can tell; run by `make test-rapids`, without a GPU."""

import json

import pytest

from gpuseg.engine.capabilities import CAPABILITIES, construct
from tests.rapids.cuda_sources import ARCHITECTURES, compile_source, cuda_sources
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


PARAMETERS = {
    "kmeans": ({"n_segments": 3, "seed": 7}, {"n_clusters": 3, "random_state": 7, "n_init": 1}),
    "hdbscan": ({"min_cluster_size": 30, "min_samples": 10}, {"min_cluster_size": 30, "min_samples": 9}),
    "neighbors": ({"n_neighbors": 4}, {"n_neighbors": 4}),
}


@pytest.mark.parametrize("name", [name for name, device in CAPABILITIES if device == "gpu"])
def test_estimators_are_made_as_asked(name):
    given, expected = PARAMETERS[name]
    estimator = construct(name, "gpu", given)
    assert {key: estimator.get_params()[key] for key in expected} == expected


def test_cuda_sources_compile():
    assert [
        problem
        for name, text in cuda_sources()
        for architecture in ARCHITECTURES
        if (problem := compile_source(name, text, architecture)) is not None
    ] == []


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_compiler_itself(tmp_path, architecture):
    good = 'extern "C" __global__ void twice(float* x, int n) { if (threadIdx.x < n) x[threadIdx.x] *= 2; }'
    (tmp_path / "good.cu").write_text(good, encoding="utf-8")
    (tmp_path / "kernels.py").write_text(
        f"BAD = {good.replace('threadIdx.x] *=', 'nothing] *=')!r}\n", encoding="utf-8"
    )
    (good_name, good_text), (bad_name, bad_text) = cuda_sources(tmp_path)
    assert (good_name, bad_name) == ("good.cu", "kernels.py:1")
    assert compile_source(good_name, good_text, architecture) is None
    assert 'identifier "nothing" is undefined' in compile_source(bad_name, bad_text, architecture)
