"""The kernels of `assign_accumulate` against the CPU's: what differs, counted."""

from typing import Any

import numpy as np
import numpy.typing as npt
from gpu_kernels_world import SUMS, Centers, World

from gpuseg.engine.cpu.lloyd import lloyd_pass
from gpuseg.engine.gpu.lloyd_kernel import Wanted
from gpuseg.engine.program import LloydPass

GRID = 2.0**20
KINDS = ("on the grid", "any float32")
TINY = "about 1e-20"
"""Squares have fewer bits there, or none where a compiler is told to flush them, as CuPy tells it."""

_TINY = np.float32(1e-20)
FORMS = {"all": Wanted(sums=True, second=True), "sums": SUMS, "labels": Wanted(labels=True)}
"""What is asked for at a time; each is a kernel, or a way through one, of its own."""

_PER_ROW = ("labels", "nearest", "second")


def drawn(n: int, d: int, k: int, kind: str) -> tuple[npt.NDArray[np.float32], Centers]:
    """Rows, and centers a little off some of them."""
    rng = np.random.default_rng([n, d, k, (*KINDS, TINY).index(kind)])
    rows = rng.standard_normal((n, d), np.float32)
    if kind == KINDS[0]:
        rows = np.asarray(np.rint(np.clip(rows, -6, 6) * np.float64(GRID)) / GRID, np.float32)
    centers = rows[rng.integers(0, n, k)] + np.float32(0.25)
    return (rows * _TINY, centers * _TINY) if kind == TINY else (rows, centers)


def check(world: World, d: int, k: int, kind: str) -> dict[str, Any]:
    """Every form against the CPU, and against itself."""
    sizes = world.sizes
    n = min(sizes.checked_rows, sizes.checked_numbers // d + 7, sizes.checked_products // (d * k) + 7)
    rows, centers = drawn(n, d, k, kind)
    expected = lloyd_pass(rows, centers, want_labels=True)
    there = world.cupy.asarray(rows)
    forms = {name: world.form(there, k, wanted) for name, wanted in FORMS.items()}
    entries = ((shape, "rank_rows" if n_groups else "assign") for shape, n_groups in forms.values())
    world.compile_ahead((world.kernels, *entry) for entry in entries)
    told: dict[str, Any] = {"rows": n, "in_parts": bool(forms["all"][1]), "forms": {}}
    for name, wanted in FORMS.items():
        found = [world.kernels.run(there, centers, *forms[name], wanted) for _ in range(2)]
        first, second = (None if one is None else host(world, one, wanted) for one in found)
        if first is None or second is None:
            told["forms"][name] = {"refused": 1}
            continue
        largest = 0.0 if kind == KINDS[0] else float(_TINY) if kind == TINY else 1.0
        differs = differences(first, expected, wanted, largest=largest, inertia_off=1e-10)
        again = differences(second, first, wanted, largest=0.0, inertia_off=0.0)
        told["forms"][name] = differs | {f"{what}, from run to run": count for what, count in again.items()}
    told["different"] = sum(sum(counts.values()) for counts in told["forms"].values())
    labels = [counts.get("labels", 0) for counts in told["forms"].values()]
    return told | {"labels_off": max(labels) / n}


def host(world: World, found: LloydPass, wanted: Wanted) -> LloydPass:
    """With what was asked for in host memory."""
    names = _PER_ROW[: 3 if wanted.second else 1 if wanted.labels else 0]
    columns = {name: np.asarray(world.cupy.asnumpy(getattr(found, name))) for name in names}
    return LloydPass(found.sums, found.counts, found.inertia, **columns)


def differences(
    found: LloydPass, expected: LloydPass, wanted: Wanted, *, largest: float, inertia_off: float
) -> dict[str, int]:
    """How many numbers of each result have other bits than they should; sums and inertia off the grid: are further off.

    Off the grid a sum may differ by as much as rounding each value to 2^-28 of the column's largest can make, and by
    what the CPU's own order of adding does, which is less.
    """
    pairs = [(name, getattr(found, name), getattr(expected, name)) for name in _PER_ROW[: 3 if wanted.second else 1]]
    told = {name: unequal(mine, theirs) for name, mine, theirs in pairs if mine is not None}
    if wanted.sums:
        told["counts"] = unequal(found.counts, expected.counts)
        told["inertia"] = int(not abs(found.inertia - expected.inertia) <= inertia_off * abs(expected.inertia))
        told["sums"] = far_off(found, expected, largest) if largest else unequal(found.sums, expected.sums)
    return told


def unequal(mine: Any, theirs: Any) -> int:
    """Numbers with other bits, zeros of both signs alike."""
    if mine.shape != theirs.shape or mine.dtype != theirs.dtype:
        return int(max(mine.size, theirs.size, 1))
    return int(np.count_nonzero((mine != theirs) & ~((mine != mine) & (theirs != theirs))))


def far_off(found: LloydPass, expected: LloydPass, largest: float) -> int:
    """Sums that are further off than rounding allows, of values that are hardly more than 8 times `largest`."""
    most = 8.0 * 2.0**-28 * largest * np.maximum(expected.counts, 1)[:, None]
    return int(np.count_nonzero(~(np.abs(found.sums - expected.sums) <= most)))
