"""Runs the GPU device over stand-ins through all that it does, and says which calls were made and which places ran."""

import datetime as dt
import dis
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import CodeType, FrameType
from typing import Any
from unittest.mock import Mock, patch

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from gpuseg.config_parts import MemorySection
from gpuseg.engine import Engine
from gpuseg.engine.cpu.evaluate import evaluate_features
from gpuseg.engine.driver import Gpu
from gpuseg.engine.expression import Reduction
from gpuseg.engine.gpu import lloyd_kernel, spanning, streaming
from gpuseg.engine.gpu.device import GpuDevice
from gpuseg.engine.gpu.libraries import Libraries
from gpuseg.engine.gpu.lloyd_kernel import LloydKernels
from gpuseg.engine.gpu.memory import apply, halving
from gpuseg.engine.gpu.spanning import SpanningTrees
from gpuseg.engine.hardware import Hardware
from gpuseg.engine.local import LocalExecutor
from gpuseg.errors import DeviceMemoryError, EngineError
from tests.kernels.emulated import emulated_libraries
from tests.rapids.dask_twin import KMeansOverDask, LocalCUDACluster
from tests.rapids.played_cluster import blocks_of, played_cluster, problem_of
from tests.rapids.stand_ins import RECORDED, dask_cuda, stand_ins
from tests.rapids.world import PACKAGE, WATCHED, Call

_GPUS = "gpuseg.engine.dask.gpus"

Place = tuple[str, tuple[int, int]]
"""File of the package, and line and column where a call ends."""


@dataclass(frozen=True)
class Exercised:
    """What was seen.

    Parameters
    ----------
    calls : frozenset of Call
        Calls on libraries.
    executed : frozenset of Place
        Calls of any kind in `WATCHED` that ran.
    """

    calls: frozenset[Call]
    executed: frozenset[Place]


class _Watch:
    """Sees every call that code of `WATCHED` makes, whatever is called."""

    def __init__(self) -> None:
        self.executed: set[Place] = set()
        self._files = {str(file) for file in WATCHED}

    def __call__(self, frame: FrameType, event: str, _: Any) -> Callable[..., Any] | None:
        if frame.f_code.co_filename not in self._files:
            return None
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        return self._inside

    def _inside(self, frame: FrameType, event: str, _: Any) -> Callable[..., Any]:
        if event == "opcode":
            end = call_ends(frame.f_code).get(frame.f_lasti)
            if end is not None:
                self.executed.add((frame.f_code.co_filename.removeprefix(f"{PACKAGE}/"), end))
        return self._inside


@cache
def call_ends(code: CodeType) -> dict[int, tuple[int, int]]:
    """Offset of every instruction that calls, and where its call ends in the source."""
    return {
        one.offset: (one.positions.end_lineno, one.positions.end_col_offset)
        for one in dis.get_instructions(code)
        if one.opname.startswith("CALL") and one.positions is not None
    }


@contextmanager
def _watched() -> Iterator[_Watch]:
    watch, before = _Watch(), sys.gettrace()
    sys.settrace(watch)
    threading.settrace(watch)
    try:
        yield watch
    finally:
        sys.settrace(before)
        threading.settrace(before)  # type: ignore[arg-type]


@contextmanager
def gpu_engine(libraries: Libraries) -> Iterator[None]:
    """Every engine that is opened is a GPU device over these libraries."""

    @contextmanager
    def opened(**_: Any) -> Iterator[Engine]:
        workers = LocalExecutor(2)
        try:
            yield Engine(GpuDevice(libraries), workers, "gpu: stand-ins", workers)
        finally:
            workers.close()

    cuml = libraries.cuml
    modules = {"cuml": cuml, "cuml.cluster": cuml.cluster, "cuml.neighbors": cuml.neighbors}
    before = {name: sys.modules.get(name) for name in modules}
    with patch("gpuseg.pipeline.open_engine", opened):
        sys.modules.update(modules)
        try:
            yield
        finally:
            # No more than these: what else was imported meanwhile must not be imported anew.
            for name, module in before.items():
                if module is None:
                    del sys.modules[name]
                else:
                    sys.modules[name] = module


def exercise(attributes: Mapping[str, set[str]] | None = None) -> Exercised:
    """Run everything once.

    Parameters
    ----------
    attributes : mapping of str to set of str, optional
        What RAPIDS has; the committed table by default.
    """
    libraries = stand_ins(attributes)
    before = set(RECORDED)
    RECORDED.clear()
    with tempfile.TemporaryDirectory() as folder, _watched() as watch, gpu_engine(libraries):
        for number, config in enumerate(_configs(Path(folder))):
            _run(config | {"run": config["run"] | {"out": f"{folder}/run{number}"}})
        _kernels(libraries)
        _cuda(attributes)
        _memory(libraries)
        _over_dask(libraries, attributes)
    calls = frozenset(RECORDED)
    RECORDED.update(before)
    return Exercised(calls, frozenset(watch.executed))


def _run(config: dict[str, Any]) -> None:
    from gpuseg.pipeline import execute, read_config

    execute(read_config(config), until="assign")


def _configs(folder: Path) -> Iterator[dict[str, Any]]:
    """Runs that go through every way of reading, reducing and clustering."""
    rng = np.random.default_rng(0)
    n = 400
    wall = np.datetime64("2017-10-28T00:00") + rng.integers(0, 20 * 24 * 60, n).astype("timedelta64[m]")
    numbers = rng.integers(0, 60, n)
    columns = {
        "profile_id": pa.array(numbers),
        "at": pa.array(wall.astype("datetime64[us]")),
        "amount": pa.array(np.round(rng.normal(20, 9, n), 2)),
        "order_id": pa.array(rng.integers(0, 90, n)),
        "category": pa.array([word or None for word in rng.choice(["a", "b", "c", ""], n).tolist()]),
    }
    named = columns | {
        "profile_id": pa.array([f"p{number:03}" for number in numbers]),
        "at": pa.array(wall.astype("datetime64[ns]")).cast(pa.timestamp("ns", "UTC")),
        "amount": pa.array(rng.integers(1, 90, n).astype(np.int32)),
    }
    asked = columns | {"ok": pa.array(rng.random(n) < 0.9)}
    damaged = columns | {"amount": pa.array([None if row == 390 else 1.5 for row in range(n)], pa.float64())}
    for name, found in {"lines": columns, "named": named, "damaged": damaged, "asked": asked}.items():
        pq.write_table(pa.table(found), folder / f"{name}.parquet", row_group_size=90)
    lines = pa.table(columns)
    for name, table in {"lines": lines, "named": pa.table(named)}.items():
        with pa.ipc.new_file(str(folder / f"{name}.arrow"), table.schema) as writer:
            writer.write_table(table)
    people = {"profile_id": np.arange(70), "ok": rng.choice(["yes", "no"], 70), "age": rng.integers(20, 60, 70)}
    pq.write_table(pa.table(people), folder / "people.parquet")
    crm = {"name": "people", "kind": "crm", "uri": f"{folder}/people.parquet", "consent_column": "ok"}
    crm["columns"] = {"age": "age"}
    for consent in ({}, {"consent_unknown": "use"}):
        yield _config(_shop(folder, "lines.parquet", retention_days=60), crm | consent, buckets=3, chunk_rows=200)
    yield _config(_shop(folder, "named.parquet", "UTC"), buckets=2, chunk_rows=64)
    yield _config(_shop(folder, "asked.parquet", consent_column="ok"))
    yield _config(_shop(folder, "lines.arrow"), buckets=1, chunk_rows=128)
    yield _config(_shop(folder, "named.arrow", "UTC"))
    yield _config(_shop(folder, "damaged.parquet"), quality={"on_bad": "quarantine"}, chunk_rows=90)
    dense = {"method": "hdbscan", "min_cluster_size": 2, "min_samples": 2}
    yield _config(_shop(folder, "lines.parquet"), cluster=dense)
    yield _every_kind(folder / "synth")


def _every_kind(folder: Path) -> dict[str, Any]:
    """All kinds of sources and all families."""
    import yaml

    from gpuseg.synth import SynthSpec, synthesize

    written = synthesize(SynthSpec(60, 1_500, seed=0), folder)
    config: dict[str, Any] = yaml.safe_load((folder / str(written.config)).read_text("utf-8"))
    for source in config["sources"]:
        source["uri"] = f"{folder}/{source['uri']}"
    return config | {"cluster": {"segments": 3}}


def _shop(folder: Path, name: str, zone: str = "America/New_York", **more: Any) -> dict[str, Any]:
    return {"name": "shop", "kind": "purchases", "uri": f"{folder}/{name}", "timezone": zone, **more}


def _config(*sources: Mapping[str, Any], quality: Any = None, cluster: Any = None, **run: Any) -> dict[str, Any]:
    families = ["rfm", "tempo", "interests"]
    return {
        "run": {"as_of": dt.date(2017, 11, 16), "timezone": "America/New_York", **run},
        "sources": list(sources),
        "quality": {"max_null_share": 0.5, "min_coverage": 0.0} | (quality or {}),
        "features": {"windows_days": [3, 10], "families": families},
        "cluster": cluster or {"segments": 3},
    }


def _kernels(libraries: Libraries) -> None:
    """What no run asks for."""
    device = GpuDevice(libraries)
    rng = np.random.default_rng(1)
    for dtype in (np.float32, np.float64):
        rows = rng.normal(size=(200, 3)).astype(dtype)
        found = device.assign_accumulate(device.asarray(rows), rows[:4], want_labels=True)
        device.to_host(found.labels)
        device.assign_accumulate(device.asarray(rows[:0]), rows[:4], want_labels=True)
        device.assign_accumulate(device.asarray(rows), rows[:4], weights=np.arange(200))
        with patch.object(streaming, "PIECE_BYTES", 1):
            many = np.tile(rows, (400, 1))
            device.assign_accumulate(many, rows[:4], weights=np.ones(len(many)))
            device.nearest(many, rows[:4])
        device.to_host(device.coarse(device.hold(rows), rows[0]))
        device.assign_accumulate(device.coarse(device.hold(rows), rows[0]), rows[:4])
        with patch.object(GpuDevice, "free_bytes", lambda self: 0):
            device.to_host(device.coarse(device.hold(rows), rows[0]))
    device.hash_ids(np.arange(5), 3)
    device.hash_ids(pa.array([1, 2]), 0)
    device.hash_ids(pa.array(["a"]), 0)
    device.free_bytes()
    device.estimator("kmeans", n_segments=2, seed=0).fit(device.asarray(rows)).predict(device.asarray(rows))


def _cuda(attributes: Mapping[str, set[str]] | None) -> None:
    """CUDA sources, emulated: centers whole and part by part, rows likewise, and sums that they cannot give."""
    lloyd_kernel.source.cache_clear()
    device = GpuDevice(emulated_libraries(attributes))
    rows = np.random.default_rng(1).integers(-9, 9, (200, 3)).astype(np.float32)
    for centers in (rows[:4], device.asarray(rows[:4]), np.repeat(rows, 40, axis=0)):
        device.assign_accumulate(device.asarray(rows), centers, want_labels=True)
        device.nearest(device.asarray(rows), centers)
        device.assign_accumulate(device.coarse(device.asarray(rows), rows[0]), centers)
    with patch.object(LloydKernels, "run", _out_of_memory(LloydKernels.run)):
        device.assign_accumulate(device.asarray(rows), rows[:4], want_labels=True)
    # More bits than the integers have; and a value far above those of the rows that are looked at first.
    rows[-1], rows[0] = 1_500, 2**-20
    device.assign_accumulate(device.asarray(rows), rows[1:4])
    many = np.tile(rows[1:199], (13, 1))
    many[1] = 1_000
    device.assign_accumulate(device.asarray(many), rows[1:4])
    broken = patch.object(LloydKernels, "run", Mock(side_effect=RuntimeError))
    with broken:
        GpuDevice(emulated_libraries(attributes)).nearest(device.asarray(rows), rows[:4])
    _trees(attributes, np.ascontiguousarray(rows.T))


def _trees(attributes: Mapping[str, set[str]] | None, columns: Any) -> None:
    """Spanning trees by the kernel, by one that does not run or is wrong, and where memory ends."""
    cores, wrong = columns[0] * 0, (np.zeros((0, 2), np.int64), np.zeros(0))
    few = patch.multiple(spanning, LEAST_POINTS=20, THREADS=64, _COMPARED_POINTS=40)
    spanning.source.cache_clear()
    with few:
        GpuDevice(emulated_libraries(attributes)).prim(columns, cores)
        for run in (Mock(side_effect=RuntimeError), Mock(return_value=wrong), Mock(side_effect=MemoryError)):
            with patch.object(SpanningTrees, "run", run):
                GpuDevice(emulated_libraries(attributes)).prim(columns, cores)


def _out_of_memory(run: Callable[..., Any]) -> Callable[..., Any]:
    def most(self: Any, rows: Any, *arguments: Any) -> Any:
        if len(rows) > 150:
            raise MemoryError
        return run(self, rows, *arguments)

    return most


def _memory(libraries: Libraries) -> None:
    """Every pool, and memory that ends."""
    for pool in ("none", "pool", "async"):
        apply(libraries, MemorySection(pool=pool, pool_bytes=1 << 20 if pool == "pool" else None))  # type: ignore[arg-type]
        GpuDevice(libraries).free_bytes()
    with patch("gpuseg.engine.gpu.memory._SET_UP", []):
        for spill in (True, False):
            GpuDevice(libraries, memory=MemorySection(spill=spill))
    _evaluate_in_parts(libraries)

    def full(low: int, high: int) -> None:
        raise MemoryError

    try:
        list(halving(full, 2, libraries=libraries, what="rows", unit_bytes=8))
    except DeviceMemoryError:
        return
    raise AssertionError("memory that is full was enough")


def _evaluate_in_parts(libraries: Libraries) -> None:
    """Features of few profiles at a time, as the first try finds no memory."""
    day = pa.array(np.arange(6, dtype=np.int32))
    table = pa.table({"profile_id": [1, 1, 2, 2, 3, 4], "day": day, "n": np.arange(6)})
    features = {
        operation: Reduction("t", operation, "n" if operation == "sum" else "day", since_day=2)
        for operation in ("sum", "count", "count_distinct", "min", "max")
    }
    device = GpuDevice(libraries)
    whole = device.evaluate({"t": table}, features)
    tries = iter([MemoryError()])

    def once(*args: Any, **keywords: Any) -> Any:
        for error in tries:
            raise error
        return evaluate_features(*args, **keywords)

    with patch("gpuseg.engine.gpu.evaluate.evaluate_features", once):
        assert device.evaluate({"t": table}, features).equals(whole)


def _over_dask(libraries: Libraries, attributes: Mapping[str, set[str]] | None) -> None:
    """GPU workers, and a fit over them that answers or does not."""
    from gpuseg.config_dask import DaskSection
    from gpuseg.engine.dask.gpus import gpu_cluster
    from gpuseg.engine.dask.solver import Watch, solve_on_workers

    played = Hardware(gpus=(Gpu("NVIDIA Test", 80 << 30, None, "9.0"),))
    broken = Mock(side_effect=RuntimeError)
    with patch.dict(sys.modules, {"dask_cuda": dask_cuda(attributes)}), patch(f"{_GPUS}.find_gpus", lambda: played):
        gpu_cluster(DaskSection(), "scratch")
        with patch.object(LocalCUDACluster, "__init__", broken):
            _refused(lambda: gpu_cluster(DaskSection(), "scratch"))
    problem = problem_of(GpuDevice(libraries), blocks_of(2))
    GpuDevice(libraries).solve(problem)
    with played_cluster(libraries) as client:
        solve_on_workers(client, problem)
        with patch.object(KMeansOverDask, "fit", broken):
            _refused(lambda: solve_on_workers(client, problem))
        never, client.restart_workers = threading.Event(), Mock()
        soon = Watch(start_seconds=0, poll_seconds=0.001, products_per_second=1e18)
        with patch.object(KMeansOverDask, "fit", lambda *_: never.wait()):
            _refused(lambda: solve_on_workers(client, problem, soon))
        never.set()


def _refused(work: Callable[[], Any]) -> None:
    try:
        work()
    except EngineError:
        return
    raise AssertionError("what cannot work did")
