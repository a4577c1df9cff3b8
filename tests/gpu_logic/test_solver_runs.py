"""Whole runs with `cluster.solver: cuml`, on the GPU's code with stand-ins, and where it cannot be had."""

import json
import threading
from contextlib import contextmanager
from functools import partial
from unittest.mock import Mock

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import gpuseg.pipeline
from gpuseg.config import parse_config
from gpuseg.engine import Engine, solver
from gpuseg.engine.cpu.device import CpuDevice
from gpuseg.engine.dask import solver as dask_solver
from gpuseg.engine.dask.executor import DaskExecutor
from gpuseg.engine.gpu.device import GpuDevice
from gpuseg.engine.local import LocalExecutor
from gpuseg.errors import EngineError, UnsupportedOnDeviceError
from tests.gpu_logic.test_equal_bits import MAPPED
from tests.gpu_logic.test_whole_run import digests, two_groups
from tests.rapids import cuml_twin
from tests.rapids.dask_twin import KMeansOverDask
from tests.rapids.played_cluster import played_cluster
from tests.rapids.stand_ins import stand_ins

LIBRARIES = stand_ins()


@pytest.fixture(scope="module")
def client():
    with played_cluster(LIBRARIES) as found:
        yield found


@pytest.fixture(autouse=True)
def _libraries_over_dask(monkeypatch):
    monkeypatch.setattr(solver, "installed_libraries", lambda: dict.fromkeys(("dask-cudf", "raft-dask")))


@pytest.fixture
def config_for(tmp_path):
    """A configuration; what it writes lies in a folder of that name."""
    pq.write_table(two_groups(90), tmp_path / "rows.parquet")
    source = {"name": "shop", "kind": "purchases", "uri": str(tmp_path / "rows.parquet"), "columns": MAPPED}

    def build(out, solver, executor="local", **run):
        run |= {
            "out": str(tmp_path / out),
            "as_of": "2018-01-01",
            "timezone": "UTC",
            "buckets": 3,
            "executor": executor,
        }
        return parse_config({"run": run, "sources": [source], "cluster": {"segments": 2, "solver": solver}})

    return build


@pytest.fixture
def run(monkeypatch, client):
    """Executes on the stand-ins."""

    @contextmanager
    def opened(executor="local", **_):
        threads = LocalExecutor(2)
        workers = threads if executor == "local" else DaskExecutor(client, lambda: None)
        try:
            yield Engine(GpuDevice(LIBRARIES), workers, "gpu: stand-ins", threads)
        finally:
            threads.close()

    monkeypatch.setattr(gpuseg.pipeline, "open_engine", opened)
    return partial(gpuseg.pipeline.execute, until="assign")


def assigned(outcome):
    """The segment of each profile; distances may differ in their last digits."""
    files = sorted((outcome.version.path / "assignments").glob("*.parquet"))
    return pa.concat_tables([pq.read_table(file, columns=["profile_id", "segment_id"]) for file in files])


def choice_of(outcome):
    return json.loads((outcome.version.path / "segments.json").read_text())["choice"]


@pytest.mark.parametrize("executor", ["local", "dask"])
def test_the_same_segments_whoever_finds_them(config_for, run, executor):
    own, theirs = (run(config_for(word, word, executor)) for word in ("lloyd", "cuml"))
    assert assigned(theirs).num_rows == 90
    assert assigned(theirs).equals(assigned(own))
    assert choice_of(theirs) == choice_of(own) | {"solver": "cuml"}
    again = run(config_for("auto", "auto", executor))
    assert digests(again.version.path) == digests(own.version.path)


def test_what_cuml_found_is_kept(config_for, run, monkeypatch):
    config = config_for("kept", "cuml")
    fits = []
    fit = cuml_twin.KMeans.fit
    monkeypatch.setattr(cuml_twin.KMeans, "fit", lambda self, X: fits.append(1) or fit(self, X))
    with monkeypatch.context() as patched:
        patched.setattr("gpuseg.segments.methods.kmeans.lloyd", Mock(side_effect=OSError("the power is gone")))
        with pytest.raises(OSError, match="power"):
            run(config)
    assert fits == [1]
    run(config, fresh=False)
    assert fits == [1]


def test_after_no_answer_the_run_goes_on_from_the_start_of_the_fit(config_for, run, client, monkeypatch):
    config, whole = config_for("hung", "cuml", "dask"), config_for("whole", "cuml", "dask")
    released = threading.Event()
    chosen = []
    choose = gpuseg.segments.methods.kmeans.seed_centers
    monkeypatch.setattr(
        "gpuseg.segments.methods.kmeans.seed_centers", lambda *args, **more: chosen.append(1) or choose(*args, **more)
    )
    with monkeypatch.context() as patched:
        patched.setattr(KMeansOverDask, "fit", lambda self, X: released.wait())
        patched.setattr(client, "restart_workers", Mock())
        soon = dask_solver.Watch(start_seconds=0, products_per_second=1e18, poll_seconds=0.001)
        patched.setattr(dask_solver, "Watch", lambda: soon)
        with pytest.raises(EngineError, match="cuML gave no answer within 0 seconds") as caught:
            run(config)
        client.restart_workers.assert_called_once()
    released.set()
    assert caught.value.exit_code == 4
    assert len(chosen) == 1
    resumed = run(config, fresh=False)
    assert len(chosen) == 1
    assert digests(resumed.version.path) == digests(run(whole).version.path)


@pytest.mark.parametrize("executor", ["local", "dask"])
def test_on_the_processor_nothing_is_read(config_for, tmp_path, monkeypatch, executor):
    @contextmanager
    def opened(**_):
        yield Engine(CpuDevice(), None, "cpu", None)

    monkeypatch.setattr(gpuseg.pipeline, "open_engine", opened)
    config = config_for("none", "cuml", executor, engine="cpu")
    for work in (gpuseg.pipeline.execute, gpuseg.pipeline.preview):
        with pytest.raises(UnsupportedOnDeviceError, match=r"^cluster\.solver: .* not available on cpu"):
            work(config)
    assert not (tmp_path / "none").exists()
