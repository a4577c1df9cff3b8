"""The least that gpuseg asks of RAPIDS, one check after another, on a GPU: `python bench/gpu_smoke.py`.

Every check says ok or how it failed, and the rest go on; exit 1 if any failed.
"""

import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import script

from gpuseg.clustering.nearest import NearestRows
from gpuseg.engine import open_engine
from gpuseg.engine.hardware import find_gpus
from gpuseg.engine.matrix import GRID
from gpuseg.engine.program import MatrixColumn, MatrixPlan


def hardware() -> str:
    """A GPU that can be used."""
    found = find_gpus()
    if not found.usable:
        raise RuntimeError(found.problem)
    return f"{found.gpus[0].name}, driver {found.driver}, CUDA {found.cuda_runtime}"


def memory() -> str:
    """RMM's pools, one in place of another."""
    from gpuseg.config_parts import MemorySection
    from gpuseg.engine.gpu.libraries import load
    from gpuseg.engine.gpu.memory import apply, free_bytes

    libraries, told = load(), []
    for pool in ("none", "pool", "async"):
        apply(libraries, MemorySection(pool=pool, pool_bytes=None if pool == "none" else 1 << 28))
        assert int(libraries.cupy.arange(10).sum()) == 45, pool
        free, total = free_bytes(libraries), libraries.cupy.cuda.runtime.memGetInfo()[1]
        assert 0 < free <= total, f"{pool}: {free:,} of {total:,} bytes free"
        told.append(f"{pool} {free:,}")
    return f"bytes free by pool: {', '.join(told)}"


def group_by() -> str:
    """A sorted group-by of integers in cuDF."""
    from gpuseg.engine.gpu.libraries import load

    cudf = load().cudf
    frame = cudf.DataFrame({"key": np.array([2, 1, 2]), "n": np.array([1, 5, 2**60])})
    found = frame.groupby(["key"], sort=True).agg({"n": "sum"}).reset_index().to_arrow()
    assert found["n"].to_pylist() == [5, 2**60 + 1], found
    return "int64 sums are exact"


def parquet() -> str:
    """Row groups of a Parquet file by cuDF."""
    from gpuseg.engine.gpu.libraries import load

    cudf = load().cudf
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "t.parquet")
        at = pa.array(range(6), pa.timestamp("us", "UTC"))
        pq.write_table(pa.table({"id": range(6), "at": at, "word": list("abcabc")}), path, row_group_size=2)
        frame = cudf.read_parquet(path, columns=["id", "at"], row_groups=[1, 2], use_pandas_metadata=False)
    assert frame["id"].to_arrow().to_pylist() == [2, 3, 4, 5]
    return f"instants come as {frame['at'].dtype}"


def kernels() -> str:
    """One pass of K-means, with the bits of the CPU's."""
    rng = np.random.default_rng(0)
    rows = (np.rint(rng.normal(size=(100_000, 16)) * 2**20) / 2**20).astype(np.float32)
    found = []
    for name in ("cpu", "gpu"):
        with open_engine(engine=name) as engine:
            one = engine.device.assign_accumulate(engine.device.asarray(rows), rows[:8], want_labels=True)
            found.append((one.sums, one.counts, engine.device.to_host(one.labels)))
            if name == "gpu":
                believed = list(engine.device._lloyd._believed.values())  # type: ignore[attr-defined]
    equal = [bool(np.array_equal(left, right)) for left, right in zip(*found, strict=True)]
    assert all(equal), f"sums, counts, labels equal: {equal}"
    by = "gpuseg's kernels" if believed == [True] else "plain CuPy"
    return f"sums, counts and labels are the CPU's; made by {by}"


def matrix() -> str:
    """The matrix of features: the CPU's bits without a logarithm, at most a step of the grid beside it with one."""
    rng = np.random.default_rng(0)
    n = 200_000
    table = pa.table(
        {
            "money": pa.array(np.round(rng.lognormal(3, 2, n), 2), mask=rng.random(n) < 0.1),
            "days": pa.array(rng.integers(0, 400, n), mask=rng.random(n) < 0.1),
        }
    )
    plain, logged = (
        MatrixPlan(tuple(MatrixColumn(name, log1p, 5.0, 3.0, GRID / 1.7, 6 * GRID) for name in table.column_names))
        for log1p in (False, True)
    )
    found = []
    for name in ("cpu", "gpu"):
        with open_engine(engine=name) as engine:
            device = engine.device
            found.append([device.to_host(device.matrix(table, plan)) for plan in (plain, logged)])
    (exact, near), (mine, other) = found
    assert np.array_equal(exact, mine), f"{np.mean(exact != mine):.2%} of the values without a logarithm differ"
    steps = np.abs(near.astype(np.float64) - other) * GRID
    assert steps.max() <= 1, f"values with a logarithm are up to {steps.max():.1f} steps apart"
    return f"{np.mean(steps > 0):.1e} of the logarithms are a step of the grid apart, the rest is equal"


def neighbours() -> str:
    """The nearest of rows that lie close together and far from zero, those of the CPU."""
    rng = np.random.default_rng(0)
    rows = np.unique((rng.integers(-9, 10, (5_000, 6)) * 1e-3 + 20).astype(np.float32), axis=0)
    found = []
    for name in ("cpu", "gpu"):
        with open_engine(engine=name) as engine:
            search = NearestRows(rows, engine.device)
            found.append((*search.nearest(rows, 5), search.rounding))
    (places, distances, _), (mine, gaps, rounding) = found
    assert np.array_equal(distances, gaps), "distances differ"
    assert np.array_equal(places, mine), f"{np.mean(places != mine):.2%} of the neighbours differ"
    return f"neighbours and distances are the CPU's; {rounding:.1e} was allowed for rounding"


def spanning_tree() -> str:
    """A minimum spanning tree, its edges those of the CPU."""
    rng = np.random.default_rng(0)
    columns = np.ascontiguousarray(rng.normal(size=(8, 20_000)), np.float32)
    cores = rng.uniform(0, 1, 20_000).astype(np.float32)
    found, seconds = [], []
    for name in ("cpu", "gpu"):
        with open_engine(engine=name) as engine:
            # The first time compiles, and compares some points.
            engine.device.prim(columns, cores)
            begun = time.perf_counter()
            found.append(engine.device.prim(columns, cores))
            seconds.append(time.perf_counter() - begun)
    (ends, heights), (mine, lengths) = found
    assert np.array_equal(ends, mine), f"{np.mean((ends != mine).any(axis=1)):.2%} of the edges differ"
    assert np.array_equal(heights, lengths), "lengths differ"
    return f"edges are the CPU's; {seconds[0]:.2f} s there, {seconds[1]:.2f} s here"


def estimators() -> str:
    """K-means and HDBSCAN of cuML."""
    rng = np.random.default_rng(0)
    rows = np.concatenate([rng.normal(center, 0.2, (500, 4)) for center in (0, 4, 8)]).astype(np.float32)
    told = []
    with open_engine(engine="gpu") as engine:
        device = engine.device
        for name, options in (
            ("kmeans", {"n_segments": 3, "init": device.asarray(rows[::500].copy()), "max_iter": 20}),
            ("hdbscan", {"min_cluster_size": 50, "min_samples": 10}),
        ):
            labels = device.to_host(device.estimator(name, **options).fit(device.asarray(rows)).labels_)
            n_found = len(set(labels[labels >= 0].tolist()))
            assert n_found == 3, f"{name} found {n_found} clusters of 3"
            told.append(name)
    return f"{' and '.join(told)} find three clusters"


CHECKS: tuple[Callable[[], str], ...] = (
    hardware,
    memory,
    group_by,
    parquet,
    kernels,
    matrix,
    neighbours,
    spanning_tree,
    estimators,
)


def main(checks: tuple[Callable[[], str], ...] = CHECKS, arguments: Sequence[str] = ()) -> int:
    script.Parser("gpu_smoke", "Check the least that gpuseg asks of RAPIDS, on a GPU.").parse_args(arguments)
    failed = 0
    for check in checks:
        begun = time.perf_counter()
        said: Any
        try:
            said, word = check(), "ok"
        # Whatever a library raises is what the check has to tell.
        except Exception as error:  # noqa: BLE001
            said, word = f"{type(error).__name__}: {error}", "FAILED"
            failed += 1
        print(f"{word:6} {check.__name__:13} {time.perf_counter() - begun:6.1f} s  {said}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(arguments=sys.argv[1:]))
