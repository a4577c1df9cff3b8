"""The cases of `gpu_kernels.py`, in the order of their worth."""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
from gpu_kernels_check import KINDS, TINY, check
from gpu_kernels_sides import FITS, LABELS, PASSES, iterations, one_pass, tensor
from gpu_kernels_tuning import FORMS, LEFT_OUT, part, size
from gpu_kernels_world import Sizes, World

from gpuseg.engine.gpu.lloyd import Lloyd
from gpuseg.engine.gpu.lloyd_kernel import Wanted

_READ = """
extern "C" __global__ void __launch_bounds__(512) read_all(const uint4* from, long long n, unsigned* to) {
    unsigned seen = 0;
    long long step = static_cast<long long>(gridDim.x) * blockDim.x;
#pragma unroll 8
    for (long long i = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x; i < n; i += step) {
        uint4 found = from[i];
        seen |= found.x | found.y | found.z | found.w;
    }
    // All is zero, which the compiler cannot know.
    if (seen) *to = seen;
}
"""
_LIMITS = ("MultiProcessorCount", "ClockRate", "MemoryClockRate", "GlobalMemoryBusWidth", "L2CacheSize")
_SHARED = ("MaxSharedMemoryPerBlockOptin", "MaxSharedMemoryPerMultiprocessor")
_PACKAGES = ("torch", "triton", "flashlib", "flash-kmeans")
SIDES = ("ours", *PASSES, *(side for side in FITS if side != "ours"))
GIVEN = ("labels, distances and sums", "labels, distances", "labels")
ASSIGNERS = ("ours", "ours with sums", "flashlib", "flash-kmeans", "cuml")
_WIDTH = 16


@dataclass(frozen=True)
class Case:
    """One thing to measure.

    Parameters
    ----------
    name : str
    parameters : mapping of str to object
    work : callable
        World to what is told.
    most_seconds : float
    """

    name: str
    parameters: Mapping[str, Any]
    work: Callable[[World], dict[str, Any]]
    most_seconds: float = 75.0


def device(world: World) -> dict[str, Any]:
    """What the device and the libraries are."""
    attributes, runtime = dict(world.cupy.cuda.Device().attributes), world.cupy.cuda.runtime
    told = {name: int(attributes[name]) for name in (*_LIMITS, *_SHARED) if name in attributes}
    found: dict[str, str | None] = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    name = runtime.getDeviceProperties(0)["name"].decode()
    return {"gpu": name, "attributes": told, "cuda_of_cupy": runtime.runtimeGetVersion(), "packages": found}


def copy(world: World) -> dict[str, Any]:
    """A copy inside the device; its bytes are those read and those written."""
    source = world.cupy.ones(world.sizes.copied_bytes // 8, np.int64)
    target = world.cupy.zeros_like(source)
    return world.timed(lambda: world.cupy.copyto(target, source)) | {"bytes": 2 * int(source.nbytes)}


def read(world: World) -> dict[str, Any]:
    """Reading alone."""
    cupy = world.cupy
    source, to = cupy.zeros(world.sizes.copied_bytes // 8, np.int64), cupy.zeros(1, np.uint32)
    kernel = cupy.RawModule(code=_READ, options=("-std=c++17",)).get_function("read_all")
    blocks = 4 * int(cupy.cuda.Device().attributes["MultiProcessorCount"])
    arguments = (source, np.int64(source.nbytes // 16), to)
    told = world.timed(lambda: kernel((blocks,), (512,), arguments, shared_mem=0))
    return told | {"bytes": int(source.nbytes)}


def score(world: World, d: int, k: int, gives: str) -> dict[str, Any]:
    """Rows that lie on the device, scored where they lie."""
    rows, start, n = world.rows(d), world.start(d, k), world.sizes.rows
    if gives == "labels":
        return world.timed(lambda: one_pass(world, rows, start, LABELS)) | {"bytes": n * (4 * d + 4)}
    told = {"bytes": n * (4 * d + 12)}
    if gives == "labels, distances":
        return told | world.timed(lambda: one_pass(world, rows, start, Wanted(second=True)))
    lloyd = Lloyd(world.libraries)
    lloyd.pass_over(rows, start, want_labels=True)
    if False in lloyd._believed.values():
        raise RuntimeError("the kernels were not believed: plain CuPy would be timed")
    return told | world.timed(lambda: lloyd.pass_over(rows, start, want_labels=True))


def nearest(world: World, k: int, side: str) -> dict[str, Any]:
    """More centers than shared memory holds, and the share of rows to which others give another label than we do."""
    rows, start, n_bytes = world.rows(_WIDTH), world.start(_WIDTH, k), world.sizes.rows * 4 * (_WIDTH + 1)
    if side == "cuml":
        if world.libraries.cuml is None:
            raise ImportError("cuml is not installed")
        model = world.libraries.cuml.cluster.KMeans(
            n_clusters=k, init=world.cupy.asarray(start), n_init=1, max_iter=1, tol=1e-12, random_state=0
        )
        model.fit(rows[: world.sizes.fitted_rows])
        start = np.asarray(world.cupy.asnumpy(model.cluster_centers_), np.float32)
        work: Callable[[], Any] = partial(model.predict, rows)
    elif side in {"flashlib", "flash-kmeans"}:
        x, c = tensor(world, rows)[None], tensor(world, world.cupy.asarray(start))[None]
        if side == "flashlib":
            work = partial(world.module("flashlib.primitives.kmeans").euclid_assign_triton, x, c)
        else:
            assign = world.module("flash_kmeans.assign_euclid_triton").euclid_assign_triton
            work = partial(assign, x, c, (x * x).sum(-1))
    else:
        wanted = LABELS if side == "ours" else Wanted(sums=True, labels=True)
        return world.timed(lambda: one_pass(world, rows, start, wanted)) | {"bytes": n_bytes}
    theirs = work()
    labels = theirs[0].cpu().numpy() if side != "cuml" else np.asarray(world.cupy.asnumpy(theirs))
    mine = np.asarray(
        world.kept(("labels", start.tobytes()), lambda: world.cupy.asnumpy(one_pass(world, rows, start, LABELS).labels))
    )
    off = float(np.mean(labels.astype(np.int64) != mine))
    return world.timed(work) | {"bytes": n_bytes, "labels_off": off}


def dense(world: World) -> dict[str, Any]:
    """What `density.py` times: density on micro-clusters, against the groups that the rows were made from."""
    from density import Comparison

    from gpuseg.engine import open_engine

    with open_engine(engine=world.engine) as engine:
        return Comparison(engine, 0).micro_time(world.sizes.dense_rows, world.sizes.sampled_rows)


def all_cases(sizes: Sizes) -> list[Case]:
    """Each with a name and parameters of its own; nothing is timed that was not compared before."""
    halfway = -(-len(sizes.anchors) // 2)
    timed = {d for d, _ in sizes.anchors}
    return [
        *(Case(work.__name__, {}, work) for work in (device, copy, read)),
        *_checks(sizes, [d for d in sizes.checked_features if d in timed]),
        *_passes(sizes.anchors[:halfway]),
        *_tuning(sizes),
        *_checks(sizes, [d for d in sizes.checked_features if d not in timed]),
        _case("correctness", check, features=_WIDTH, k=8, kind=TINY),
        *(_case("scoring", score, features=d, k=k, gives=gives) for d, k in sizes.scored for gives in GIVEN),
        *(_case("many centers", nearest, k=sizes.many_centers, side=side) for side in ASSIGNERS),
        *_passes(sizes.anchors[halfway:]),
        Case("density", {"rows": sizes.dense_rows}, dense, most_seconds=150.0),
    ]


def _checks(sizes: Sizes, features: Sequence[int]) -> Iterator[Case]:
    for k in sizes.checked_centers:
        for d in features:
            for kind in KINDS:
                yield _case("correctness", check, features=d, k=k, kind=kind)


def _passes(anchors: Sequence[tuple[int, int]]) -> Iterator[Case]:
    for d, k in anchors:
        for side in SIDES:
            yield _case("pass", _single if side in PASSES else iterations, features=d, k=k, side=side)


def _single(world: World, d: int, k: int, side: str) -> dict[str, Any]:
    return PASSES[side](world, d, k)


def _tuning(sizes: Sizes) -> Iterator[Case]:
    for d, k in sizes.tuned:
        for left_out in LEFT_OUT:
            yield _case("part", part, features=d, k=k, left_out=left_out)
        for gives in FORMS:
            for warps, stages in sizes.blocks:
                yield _case("size", size, features=d, k=k, warps=warps, stages=stages, gives=gives)


def _case(name: str, work: Callable[..., dict[str, Any]], **parameters: Any) -> Case:
    return Case(name, parameters, lambda world: work(world, *parameters.values()))


def run_cases(
    world: World,
    cases: Sequence[Case],
    tell: Callable[[dict[str, Any]], None],
    *,
    first: int = 0,
    most_seconds: float = math.inf,
) -> bool:
    """Tell before each case that it begins, and what became of it; False where the device answers no more.

    Parameters
    ----------
    world : World
    cases : sequence of Case
    tell : callable
        Takes `{"begun": place}` and `{"row": ...}`.
    first : int
        Place of the first one to run.
    most_seconds : float
        No case begins later; those that do not are told.
    """
    end = time.perf_counter() + most_seconds
    for place, case in enumerate(cases[first:], start=first):
        if time.perf_counter() > end:
            tell({"row": {"not_run": "the time was over"}})
            continue
        tell({"begun": place})
        begun = time.perf_counter()
        try:
            found = case.work(world)
        except ImportError as error:
            found = {"skipped": f"{error}"}
        # One case that fails must not cost the machine's time of all others; it is told.
        except Exception as error:  # noqa: BLE001
            found = {"error": f"{type(error).__name__}: {error}"[:1_000]}
        tell({"row": found | {"seconds": round(time.perf_counter() - begun, 2)}})
        if "error" in found and not answers(world):
            return False
    return True


def answers(world: World) -> bool:
    """Whether the device still does anything: after some errors it refuses all work of a process."""
    try:
        world.cupy.cuda.Device().synchronize()
    except Exception:  # noqa: BLE001
        return False
    return True
