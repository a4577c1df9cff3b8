"""Every call on RAPIDS, from `engine/gpu` and for dask workers with GPUs, fits its signatures; none goes unseen."""

import json
import re

import pytest

from gpuseg.engine.capabilities import CAPABILITIES
from gpuseg.engine.hardware import CUPY_LEAST, RAPIDS_RELEASE
from tests.rapids.binding import call_sites, problem_of, signature_of, signatures, uncovered
from tests.rapids.exercise import exercise
from tests.rapids.stand_ins import TABLE
from tests.rapids.world import WATCHED, Call

FILES = list(WATCHED)
SITE = ("engine/gpu/somewhere.py", 7, (7, 40))


@pytest.fixture(scope="module")
def seen():
    return exercise()


def test_every_call_fits_rapids(seen):
    assert len(seen.calls) > 100
    assert [problem for call in sorted(seen.calls) if (problem := problem_of(call))] == []


def test_every_call_is_seen(seen):
    files = {site.file for file in FILES for site in call_sites(file)}
    assert files >= {f"engine/{n}.py" for n in ("gpu/lloyd", "gpu/device", "gpu/solver", "dask/gpus", "dask/solver")}
    assert uncovered(FILES, seen.executed) == []


def test_the_table_has_no_leftovers(seen):
    assert set(signatures()) == {call.name for call in seen.calls}


def test_the_table_is_of_the_supported_release():
    versions = json.loads(TABLE.read_text("utf-8"))["versions"]
    majors = {package: re.match(r"\d+\.\d+", told)[0] for package, told in versions.items()}
    assert int(majors.pop("cupy-cuda13x").partition(".")[0]) >= int(CUPY_LEAST)
    assert set(majors.values()) == {RAPIDS_RELEASE}


@pytest.mark.parametrize("name", [name for name, device in CAPABILITIES if device == "gpu"])
def test_estimators_take_what_the_table_of_capabilities_says(name):
    row = CAPABILITIES[name, "gpu"]
    known = signature_of(signatures()[row.path.replace(":", ".")]).parameters
    assert {*row.rename.values(), *row.always} <= set(known)


# --- the rules themselves ---


@pytest.mark.parametrize(
    ("name", "n_positional", "keywords", "wrong"),
    [
        ("cudf.DataFrame.groupby", 1, ("sort",), None),
        ("cudf.DataFrame.groupby", 1, ("srt",), "got an unexpected keyword argument 'srt'"),
        ("cudf.DataFrame.groupby", 9, (), "too many positional arguments"),
        ("cudf.read_parquet", 1, ("columns",), None),
        # It takes any keyword without a word.
        ("cudf.read_parquet", 1, ("colums",), "got an unexpected keyword argument 'colums'"),
        ("cudf.read_parquet", 0, (), "missing a required argument: 'filepath_or_buffer'"),
        ("cupy.ndarray.astype", 1, (), None),
        ("cupy.ndarray.astype", 0, (), "missing a required argument: 'dtype'"),
        ("cupy.minimum", 2, (), None),
        ("cupy.minimum", 0, ("x1", "x2"), "'x1' parameter is positional only, but was passed as a keyword"),
        ("cuml.cluster.HDBSCAN", 0, ("min_samples",), None),
        # Their **keywords go on to classes that would refuse these, on a worker.
        ("cuml.dask.cluster.KMeans", 0, ("client", "n_clusters", "init", "n_init"), None),
        ("cuml.dask.cluster.KMeans", 0, ("n_segments",), "got an unexpected keyword argument 'n_segments'"),
        ("dask_cuda.LocalCUDACluster", 0, ("n_workers", "host", "silence_logs"), None),
        ("dask_cuda.LocalCUDACluster", 0, ("jit_unspill",), "got an unexpected keyword argument 'jit_unspill'"),
        ("cuml.cluster.HDBSCAN", 1, (), "too many positional arguments"),
        ("cupy.ndarray.reshape", 3, (), None),
        ("cupy.cuda.runtime.memGetInfo", 0, (), None),
        ("cupy.nothing", 0, (), "not in signatures.json; run make test-rapids"),
    ],
)
def test_the_rule_of_binding_itself(name, n_positional, keywords, wrong):
    problem = problem_of(Call(name, n_positional, keywords, *SITE))
    if wrong is None:
        assert problem is None
    else:
        assert problem.startswith(f"engine/gpu/somewhere.py:7: {name}")
        assert wrong in problem


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("def f(x): return x.sum()", ["x.sum()"]),
        ("def f(self): return self.libraries.cudf.read_csv('a')", ["self.libraries.cudf.read_csv('a')"]),
        ("def f(take): return take(1)", ["take(1)"]),
        ("import numpy as np\ndef f(x): return np.sum(x), len(x), ', '.join(x)", []),
        ("class A:\n def g(self): return self.h()\n def h(self): return g()\ndef g(): pass", []),
        ("import cupy\nx = cupy.zeros(1)", ["cupy.zeros(1)"]),
        ("def f(x): raise ValueError(x.name())", []),
        ("def f(x): return x[0].sum().max()", ["x[0].sum().max()", "x[0].sum()"]),
    ],
)
def test_the_rule_of_call_sites_itself(tmp_path, source, expected):
    file = tmp_path / "one.py"
    file.write_text(source, encoding="utf-8")
    sites = call_sites(file)
    assert [site.text for site in sites] == expected
    assert len(uncovered([file], frozenset())) == len(expected)
    assert uncovered([file], frozenset(("one.py", site.end) for site in sites)) == []
