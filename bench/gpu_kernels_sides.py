"""Who makes passes of Lloyd's algorithm and looks for nearest centers: gpuseg's kernels and others, on the same rows.

FlashLib and flash-kmeans are called as their sources say (0.4.0: `flashlib/primitives/kmeans/impl.py`; 0.3.1:
`flash_kmeans/kmeans_triton_impl.py`): after `max_iters` iterations with `tol=0` both return the centers that so many
updates give, and never end early. They multiply float32 rows as Triton's `tl.dot` does by default, in TF32.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from gpu_kernels_launches import Watched
from gpu_kernels_world import SUMS, Centers, World

from gpuseg.engine.coarse import coarse_rows
from gpuseg.engine.gpu.lloyd import plain_pass
from gpuseg.engine.gpu.lloyd_kernel import Wanted, source
from gpuseg.engine.program import LloydPass

Fit = Callable[[int], tuple[Any, int]]
"""Centers in host memory after so many updates, and how many there were."""

_NEVER = 1e-12
"""A tolerance that ends no fit early; cuML may refuse 0."""

_MANY_SAMPLES = 1 << 20
_JUDGED_ROWS = 1 << 20
LABELS = Wanted(labels=True)


def updated(found: LloydPass, centers: Centers) -> Centers:
    """Means, and the old centers where there are no rows."""
    counts = found.counts[:, None]
    return np.where(counts > 0, found.sums / np.maximum(counts, 1), centers).astype(np.float32)


def one_pass(world: World, rows: Any, centers: Centers, wanted: Wanted = SUMS) -> LloydPass:
    """By gpuseg's kernels."""
    found = world.kernels.run(rows, centers, *world.form(rows, len(centers), wanted), wanted)
    if found is None:
        raise RuntimeError("the kernels refuse these rows")
    return found


def ours(world: World, d: int, k: int) -> Fit:
    def fit(n: int) -> tuple[Any, int]:
        centers = world.start(d, k)
        for _ in range(n):
            centers = updated(one_pass(world, world.rows(d), centers), centers)
        return centers, n

    return fit


def coarse(world: World, d: int, k: int) -> Fit:
    """By gpuseg's kernels over rows rounded to bfloat16; the centers are judged by the rows themselves."""
    rows = coarse_rows(world.cupy, world.rows(d), np.float32(0))

    def fit(n: int) -> tuple[Any, int]:
        centers = world.start(d, k)
        for _ in range(n):
            centers = updated(one_pass(world, rows, centers), centers)
        return centers, n

    return fit


def cuml(world: World, d: int, k: int, **options: Any) -> Fit:
    if world.libraries.cuml is None:
        raise ImportError("cuml is not installed")

    def fit(n: int) -> tuple[Any, int]:
        start = world.cupy.asarray(world.start(d, k))
        model = world.libraries.cuml.cluster.KMeans(
            n_clusters=k, init=start, n_init=1, max_iter=n, tol=_NEVER, random_state=0, **options
        )
        model.fit(world.rows(d))
        return np.asarray(world.cupy.asnumpy(model.cluster_centers_)), int(model.n_iter_)

    return fit


def large_batches(world: World, d: int, k: int) -> Fit:
    """CuML with as many rows at a time as make it fast, in place of its default of 32,768."""
    return cuml(world, d, k, max_samples_per_batch=_MANY_SAMPLES)


def tensor(world: World, array: Any) -> Any:
    """The same memory as a tensor of torch."""
    return world.module("torch").from_dlpack(array)


def flashlib(world: World, d: int, k: int) -> Fit:
    work, rows = world.module("flashlib").flash_kmeans, tensor(world, world.rows(d))

    def fit(n: int) -> tuple[Any, int]:
        # It writes to what it is given to start from.
        start = tensor(world, world.cupy.asarray(world.start(d, k)))[None].clone()
        _, centers, done = work(rows, k, max_iters=n, tol=0.0, init_centroids=start)
        return centers.cpu().numpy(), done

    return fit


def flash_kmeans(world: World, d: int, k: int) -> Fit:
    # The package itself falls back to plain torch without a word where Triton fails.
    work = world.module("flash_kmeans.kmeans_triton_impl").batch_kmeans_Euclid
    rows = tensor(world, world.rows(d))[None]

    def fit(n: int) -> tuple[Any, int]:
        start = tensor(world, world.cupy.asarray(world.start(d, k)))[None].clone()
        _, centers, done = work(rows, k, max_iters=n, tol=0.0, init_centroids=start)
        return centers[0].cpu().numpy(), done

    return fit


FITS: dict[str, Callable[[World, int, int], Fit]] = {
    "ours": ours,
    "ours, coarse": coarse,
    "flashlib": flashlib,
    "flash-kmeans": flash_kmeans,
    "cuml": cuml,
    "cuml, large batches": large_batches,
}


def iterations(world: World, d: int, k: int, side: str) -> dict[str, Any]:
    """Milliseconds of an iteration, by the difference of a long and a short fit, and how good the short fit is."""
    few, many, fit = world.sizes.few, world.sizes.many, FITS[side](world, d, k)
    centers, n_few = fit(few)
    _, n_many = fit(many)
    told = {"iterations": [n_few, n_many], "inertia": inertia(world, d, centers), "inertia_after": few}
    if n_many <= n_few:
        return told | {"error": f"ended after {n_few} and {n_many} iterations: no difference to time"}
    short, long = (world.timed(partial(fit, n), warm=False)["ms"] for n in (few, many))
    ms = (long - short) / (n_many - n_few)
    return told | {"ms": round(ms, 5), "fits_ms": [short, long], "bytes": world.sizes.rows * d * 4}


def inertia(world: World, d: int, centers: Any) -> float:
    """Of the first rows, by the same plain CuPy for all sides."""
    return plain_pass(world.libraries, world.rows(d)[:_JUDGED_ROWS], centers, want_labels=False).inertia


def single_pass(world: World, d: int, k: int) -> dict[str, Any]:
    """Our pass as the package makes it: launch, sums and inertia fetched."""
    rows, start = world.rows(d), world.start(d, k)
    return world.timed(lambda: one_pass(world, rows, start)) | {"bytes": world.sizes.rows * d * 4}


def coarse_pass(world: World, d: int, k: int) -> dict[str, Any]:
    """The same over rows rounded to bfloat16, which lie on the device beforehand; bytes as of float32 rows."""
    rows, start = coarse_rows(world.cupy, world.rows(d), np.float32(0)), world.start(d, k)
    return world.timed(lambda: one_pass(world, rows, start)) | {"bytes": world.sizes.rows * d * 4}


def plain(world: World, d: int, k: int) -> dict[str, Any]:
    """A pass in plain CuPy, and whether ours gives the same bits."""
    rows, start = world.rows(d), world.start(d, k)
    mine, theirs = one_pass(world, rows, start), plain_pass(world.libraries, rows, start, want_labels=False)
    told = world.timed(lambda: plain_pass(world.libraries, rows, start, want_labels=False))
    different = int((mine.sums != theirs.sums).sum() + (mine.counts != theirs.counts).sum())
    off = abs(mine.inertia - theirs.inertia) / theirs.inertia
    return told | {"bytes": world.sizes.rows * d * 4, "different": different, "inertia_off": off}


def alone(world: World, d: int, k: int) -> dict[str, Any]:
    """The kernel that makes the pass, and nothing else."""
    shape, n_groups = world.form(world.rows(d), k, SUMS)
    if n_groups:
        raise RuntimeError("centers go part by part here")
    again, made = Watched(world, source()).again(world.rows(d), world.start(d, k), shape)
    return world.timed(again) | {"bytes": world.sizes.rows * d * 4} | made


PASSES: dict[str, Callable[[World, int, int], dict[str, Any]]] = {
    "ours, one pass": single_pass,
    "ours, one coarse pass": coarse_pass,
    "ours, kernel alone": alone,
    "plain, one pass": plain,
}
