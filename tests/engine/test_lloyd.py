"""What is the processor's own about `assign_accumulate`: vectors of any length, threads, memory, and compiling."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gpuseg.engine.cpu import lloyd_kernel
from gpuseg.engine.cpu.lloyd import lloyd_pass
from gpuseg.engine.local import LocalExecutor

NARROW = {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}
DIGEST = """
import hashlib, numpy as np
from gpuseg.engine.cpu.lloyd import lloyd_pass
draw, digest = np.random.default_rng(0), hashlib.sha256()
for n, d, k in [(300, 5, 7), (1, 1, 1), (129, 17, 4), (257, 33, 130), (1000, 5, 64)]:
    for kind in (np.float32, np.float64):
        rows, centers = draw.normal(size=(n, d)).astype(kind), draw.normal(size=(k, d)).astype(kind)
        for want in (True, False):
            for found in vars(lloyd_pass(rows, centers, want_labels=want)).values():
                digest.update(np.ascontiguousarray(found).tobytes() if found is not None else b"")
print(digest.hexdigest())
"""


def rows_and_centers(n=3_000, d=11, k=9, dtype=np.float32):
    rows = np.random.default_rng(n).normal(size=(n, d)).astype(dtype)
    return rows, rows[:k].copy()


def equal(one, other):
    pairs = zip(vars(one).values(), vars(other).values(), strict=True)
    return all(np.array_equal(left, right) for left, right in pairs)


@pytest.mark.slow
def test_the_length_of_a_vector_changes_no_bit(tmp_path):
    found = set()
    for settings in ({}, NARROW):
        environment = {**os.environ, **settings, "NUMBA_CACHE_DIR": str(tmp_path)}
        command = [sys.executable, "-c", DIGEST]
        found.add(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)
    assert len(found) == 1


@pytest.mark.parametrize(
    "change",
    [
        np.asfortranarray,
        lambda rows: np.repeat(rows, 2, axis=0)[::2],
        lambda rows: np.concatenate([rows, rows], axis=1)[:, : rows.shape[1]],
    ],
    ids=["column by column", "every other row", "some columns"],
)
def test_rows_that_are_not_in_order_are_copied(change):
    rows, centers = rows_and_centers()
    assert not change(rows).flags.c_contiguous
    found = lloyd_pass(change(rows), centers, want_labels=True)
    assert equal(found, lloyd_pass(rows, centers, want_labels=True))


def test_rows_may_be_anywhere_in_memory_and_are_only_read():
    rows, centers = rows_and_centers()
    odd = np.zeros(rows.nbytes + 1, np.uint8)[1:].view(np.float32).reshape(rows.shape)
    odd[:] = rows
    odd.flags.writeable = False
    assert equal(lloyd_pass(odd, centers, want_labels=True), lloyd_pass(rows, centers, want_labels=True))


@pytest.mark.parametrize(
    ("rows", "centers"),
    [
        (np.zeros((4, 3), np.float32), np.zeros((2, 4), np.float32)),
        (np.zeros((4, 3), np.float32), np.zeros((2, 2), np.float32)),
        (np.zeros((4, 3), np.int64), np.zeros((2, 3), np.float32)),
        (np.zeros((4, 3), np.float16), np.zeros((2, 3), np.float32)),
    ],
)
def test_what_the_kernel_cannot_read_is_refused(rows, centers):
    with pytest.raises(ValueError, match="centers of shape"):
        lloyd_pass(rows, centers, want_labels=False)


@pytest.mark.parametrize("n_threads", [2, 3])
def test_threads_change_no_bit(n_threads):
    rows, centers = rows_and_centers(n=20_000)
    blocks = np.array_split(rows, 7)

    def passes(n):
        executor = LocalExecutor(n)
        try:
            return list(executor.map(lambda block: lloyd_pass(block, centers, want_labels=True), blocks))
        finally:
            executor.close()

    assert all(equal(one, other) for one, other in zip(passes(1), passes(n_threads), strict=True))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("d", [1, 8, 33])
@pytest.mark.parametrize(
    "shape",
    ["spread", "half-way", "tight and far apart", "far from zero", "twins", "lattice", "tiny", "huge", "overflowing"],
)
def test_products_choose_the_centers_that_distances_choose(dtype, d, shape):
    """Passes with many centers and without labels rank by products; those with labels never do."""
    draw = np.random.default_rng(d)
    rows, k = draw.normal(size=(5_000, d)), 70
    centers = rows[:k] + 0.01
    if shape == "half-way":
        gaps = ((centers[:, None] - centers) ** 2).sum(axis=2) + np.diag(np.full(k, np.inf))
        # Few in a tile, which distances decide alone where there are many.
        rows[:: 5_000 // k + 1] = ((centers + centers[gaps.argmin(axis=1)]) / 2)[: len(rows[:: 5_000 // k + 1])]
    elif shape == "tight and far apart":
        centers = draw.normal(size=(k, d)) * 1e4
        rows = np.repeat(centers, 80, axis=0) + draw.normal(size=(80 * k, d)) * 1e-3
    elif shape == "far from zero":
        rows, centers = rows + 1e4, centers + 1e4
    elif shape == "twins":
        centers = np.repeat(centers[: k // 2], 2, axis=0)
    elif shape == "lattice":
        rows, centers = np.rint(rows * 2), np.rint(centers * 2)
    elif shape != "spread":
        scale = {"tiny": 1e-21, "huge": 1e17, "overflowing": 1e25 if dtype == np.float32 else 1e160}[shape]
        rows, centers = rows * scale, centers * scale
    rows, centers = rows.astype(dtype), centers.astype(dtype)
    bare = lloyd_pass(rows, centers, want_labels=False)
    full = lloyd_pass(rows, centers, want_labels=True)
    assert bare.counts.tolist() == full.counts.tolist()
    assert bare.sums.tolist() == full.sums.tolist()
    assert bare.inertia == full.inertia


def test_kernels_kept_from_before_are_not_used_where_their_parts_changed():
    """numba looks at the file of the compiled function alone."""
    folder = Path(lloyd_kernel.__file__).parent
    parts = b"".join((folder / f"{name}.py").read_bytes() for name in ("lloyd_tiles", "vectors"))
    assert hashlib.sha256(parts).hexdigest()[:12] == lloyd_kernel.TILES_DIGEST


def test_it_is_compiled_once_a_type():
    for dtype in (np.float32, np.float64):
        for d in (1, 8, 13, 40):
            lloyd_pass(*rows_and_centers(n=200, d=d, dtype=dtype), want_labels=False)
    assert len(lloyd_kernel.pass_over.signatures) == 2
