"""K-means by cuML, with scikit-learn standing in: on one device, over dask workers, and where no answer comes."""

import threading
from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pytest
from distributed import KilledWorker

import gpuseg.engine.solver
from gpuseg.clustering.kmeans import Reached, lloyd
from gpuseg.engine.capabilities import CAPABILITIES
from gpuseg.engine.cpu.device import CpuDevice
from gpuseg.engine.dask import solver
from gpuseg.engine.dask.executor import DaskExecutor
from gpuseg.engine.dask.solver import Watch, solve_on_workers
from gpuseg.engine.gpu.device import GpuDevice
from gpuseg.engine.local import LocalExecutor
from gpuseg.engine.solver import Problem, check_solver
from gpuseg.errors import (
    DeviceMemoryError,
    DeviceUnavailableError,
    EngineError,
    SchemaError,
    UnsupportedOnDeviceError,
)
from tests.rapids.dask_twin import KMeansOverDask
from tests.rapids.played_cluster import Block, blocks_of, played_cluster, problem_of
from tests.rapids.stand_ins import stand_ins

LIBRARIES = stand_ins()
BLOCKS = blocks_of(5)


@pytest.fixture(scope="module")
def client():
    with played_cluster(LIBRARIES) as found:
        yield found


@pytest.fixture
def device():
    return GpuDevice(LIBRARIES)


@pytest.fixture(params=["local", "dask"])
def executor(request):
    if request.param == "dask":
        yield DaskExecutor(request.getfixturevalue("client"), lambda: None)
        return
    workers = LocalExecutor(1)
    yield workers
    workers.close()


def own_fit(problem, executor):
    start = problem.start
    return lloyd(problem.blocks, start, device=CpuDevice(), executor=executor, variance=1.0, tol=problem.tol)


def test_the_centers_are_those_of_lloyd(device, executor):
    problem = problem_of(device, BLOCKS)
    found = executor.solve(problem)
    with_threads = LocalExecutor(1)
    own = own_fit(problem, with_threads)
    assert found.centers.dtype == np.float32
    assert found.n_iter >= 1
    fit = lloyd(
        BLOCKS, Reached(found.centers, found.n_iter, settled=True), device=device, executor=executor, tol=problem.tol
    )
    with_threads.close()
    assert fit.n_iter == found.n_iter
    assert fit.counts.tolist() == own.counts.tolist()
    assert fit.sums.tolist() == own.sums.tolist()
    np.testing.assert_allclose(fit.centers, own.centers, atol=1e-5)


def test_blocks_stay_on_the_workers_one_a_chunk(client, device, monkeypatch):
    seen = []

    def fit(self, X, sample_weight=None):
        seen.append(X)
        return KMeansOverDask_fit(self, X, sample_weight)

    KMeansOverDask_fit = KMeansOverDask.fit
    monkeypatch.setattr(KMeansOverDask, "fit", fit)
    blocks = [*BLOCKS, Block(9, 0)]
    solve_on_workers(client, problem_of(device, blocks))
    (rows,) = seen
    assert rows.chunks == (tuple(block.n for block in blocks), (4,))
    assert rows.dtype == np.float32


def test_what_cuml_is_asked_for(device, monkeypatch):
    made = {}
    fitted = SimpleNamespace(fit=lambda rows: None, cluster_centers_=np.ones((3, 4)), n_iter_=7)
    monkeypatch.setattr(device, "estimator", lambda name, **given: made.update({name: given}) or fitted)
    monkeypatch.setattr(device, "to_host", np.asarray)
    problem = problem_of(device, BLOCKS, max_iter=50)
    assert device.solve(problem).n_iter == 7
    ((name, given),) = made.items()
    assert (name, CAPABILITIES[name, "gpu"].always) == ("solver cuml", {"n_init": 1})
    assert given.pop("init") is problem.start
    assert given == {"n_segments": 3, "tol": 1e-4, "max_iter": 50, "seed": 3}


@pytest.mark.parametrize("centers", [np.full((3, 4), np.nan), np.ones((2, 4))], ids=["not numbers", "too few"])
def test_centers_that_are_none(device, centers):
    with pytest.raises(EngineError, match="gave no usable centers"):
        problem_of(device, BLOCKS).solved(centers, 3)


# --- no answer ---


class Clock:
    """Moves on by a minute whenever it is looked at."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        self.now += 60
        return self.now


@pytest.fixture
def hanging(monkeypatch):
    """A fit that ends only with the test."""
    released = threading.Event()
    monkeypatch.setattr(KMeansOverDask, "fit", lambda self, X: released.wait())
    yield
    released.set()


def played(workers=("a", "b"), later=None, **attributes):
    """A client whose workers become others once a fit runs."""
    told = [{"workers": dict.fromkeys(found)} for found in (workers, later or workers)]
    infos = iter(told)
    return Mock(scheduler_info=Mock(side_effect=lambda n_workers: next(infos, told[-1])), **attributes)


@pytest.fixture
def loaded(monkeypatch):
    monkeypatch.setattr(solver, "_sizes", lambda client, parts: [])
    monkeypatch.setattr(solver, "_dask_array", lambda *_: None)


def test_the_time_follows_from_the_work(device):
    blocks = [Block(0, 100_000_000)]
    problem = problem_of(device, blocks)
    assert problem.n_products == 100_000_000 * 4 * 3 * 300
    assert Watch().limit_seconds(problem, 4) == 300 + 0.9
    assert Watch(10, 1e6).limit_seconds(problem, 1) == 10 + 360_000


def test_no_answer_ends_the_run_and_restarts_the_workers(device, hanging, loaded):
    client = played()
    with pytest.raises(EngineError) as caught:
        solve_on_workers(client, problem_of(device, BLOCKS), Watch(poll_seconds=0.001, clock=Clock()))
    assert str(caught.value) == (
        "cluster.solver: cuml: cuML gave no answer within 300 seconds (270 x 4 x 3 rows, features and segments, at "
        "most 300 passes, 1e+11 products a second and worker); the workers were restarted; `gpuseg run --resume` goes "
        "on with the fit; cluster.solver: lloyd does not wait for all workers at once"
    )
    assert caught.value.exit_code == 4
    client.restart_workers.assert_called_once_with(["a", "b"], timeout=60)


def test_a_worker_that_is_gone_is_not_waited_for(device, hanging, loaded):
    client = played(later=("b", "c"))
    with pytest.raises(EngineError, match=r"1 of 2 workers ended while cuML fitted .*; the workers were restarted; "):
        solve_on_workers(client, problem_of(device, BLOCKS), Watch(poll_seconds=0.001))
    # One that came later takes no part.
    client.restart_workers.assert_called_once_with(["b"], timeout=60)


def test_workers_that_cannot_be_restarted_do_not_hide_why(device, hanging, loaded):
    client = played(restart_workers=Mock(side_effect=TimeoutError))
    told = r"no answer within .* could not be restarted \(TimeoutError\), restart them; `gpuseg run --resume`"
    with pytest.raises(EngineError, match=told):
        solve_on_workers(client, problem_of(device, BLOCKS), Watch(poll_seconds=0.001, clock=Clock()))


def test_a_cluster_that_is_gone(device, loaded):
    client = Mock(scheduler_info=Mock(side_effect=OSError))
    with pytest.raises(EngineError, match="the cluster has no workers, or cannot be reached"):
        solve_on_workers(client, problem_of(device, BLOCKS))


@pytest.mark.parametrize(
    ("raised", "kind", "told"),
    [
        (MemoryError("x"), DeviceMemoryError, "no memory for the fit; use more workers"),
        (RuntimeError("1 of 2 worker jobs failed: std::bad_alloc: out"), DeviceMemoryError, "no memory for the fit"),
        (
            RuntimeError("NCCL error\nat line 3"),
            EngineError,
            "failed on the workers: NCCL error; `gpuseg run --resume`",
        ),
        (KilledWorker("t", SimpleNamespace(address="tcp://a"), 3), EngineError, "the fit failed on the workers: "),
        (ModuleNotFoundError("No module named 'raft_dask'"), EngineError, "library is missing .*raft_dask"),
        (KeyError("a bug"), KeyError, "a bug"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_what_fails_on_the_workers(client, device, monkeypatch, raised, kind, told):
    monkeypatch.setattr(KMeansOverDask, "fit", Mock(side_effect=raised))
    with pytest.raises(kind, match=told) as caught:
        solve_on_workers(client, problem_of(device, BLOCKS))
    assert "\n" not in str(caught.value)


class Broken(Block):
    """A block that cannot be had."""

    def __call__(self, device):
        raise ERRORS[self.seed]


ERRORS = [SchemaError("a file is not what it was"), DeviceMemoryError("the device has no memory for an array")]


@pytest.mark.parametrize(("place", "told"), [(0, "is not what it was$"), (1, "an array; or cluster.solver: lloyd, ")])
def test_blocks_that_cannot_be_loaded(client, device, place, told):
    with pytest.raises(type(ERRORS[place]), match=told):
        solve_on_workers(client, problem_of(device, [*BLOCKS, Broken(place)]))


def test_rows_that_do_not_fit_on_one_device(monkeypatch):
    class Full:
        def __getattr__(self, name):
            return Mock(side_effect=MemoryError) if name == "empty" else getattr(LIBRARIES.cupy, name)

    libraries = SimpleNamespace(**{**vars(LIBRARIES), "cupy": Full()})
    with pytest.raises(DeviceMemoryError, match=r"all rows at once: about 4,320 bytes needed, .* takes rows in parts$"):
        GpuDevice(libraries).solve(problem_of(CpuDevice(), BLOCKS))


# --- whether it can be had ---


@pytest.mark.parametrize("executor", ["local", "dask"])
@pytest.mark.parametrize("word", ["auto", "lloyd"])
def test_own_iterations_need_nothing(executor, word, device):
    for each in (CpuDevice(), device):
        check_solver(word, each, executor)


@pytest.mark.parametrize(
    ("executor", "told"),
    [
        ("local", "cluster.solver: solver cuml is not available on cpu, which has: hdbscan, kmeans, neighbors; "),
        ("dask", "cluster.solver: solver cuml over dask is not available on cpu, which has: "),
    ],
)
def test_the_processor_has_no_cuml(executor, told):
    with pytest.raises(UnsupportedOnDeviceError, match=f"^{told}") as caught:
        check_solver("cuml", CpuDevice(), executor)
    assert str(caught.value).endswith("runs on: gpu; or use cluster.solver: lloyd")
    assert caught.value.exit_code == 4
    with pytest.raises(UnsupportedOnDeviceError, match="not available on cpu"):
        CpuDevice().solve(Problem("cuml", CpuDevice(), [], np.ones((1, 1), np.float32), n_rows=0, seed=0, tol=0))


def test_what_is_needed_over_workers(device, monkeypatch):
    monkeypatch.setattr(gpuseg.engine.solver, "installed_libraries", lambda: {"cuml": None, "dask-cudf": None})
    check_solver("cuml", device, "local")
    with pytest.raises(DeviceUnavailableError, match=r"cuml over dask needs raft-dask 26\.10: install gpuseg with its"):
        check_solver("cuml", device, "dask")
    monkeypatch.setattr(gpuseg.engine.solver, "installed_libraries", lambda: {"raft-dask": None, "dask-cudf": None})
    check_solver("cuml", device, "dask")
