"""What the cases of `gpu_kernels.py` work with: libraries, a clock, rows on the device, and how large everything is."""

import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt

from gpuseg.engine.gpu.libraries import Libraries
from gpuseg.engine.gpu.lloyd_kernel import LloydKernels, Wanted
from gpuseg.engine.gpu.shapes import _SIZES, Shape

Centers = npt.NDArray[np.float32]
SUMS = Wanted(sums=True)
_LEAST_RUNS, _ENOUGH_MS = 2, 1_500.0
_GROUPS, _BLOCK_ROWS, _GRID = 12, 1 << 17, 2.0**20


@dataclass(frozen=True)
class Sizes:
    """How much is done.

    Parameters
    ----------
    rows, repeats : int
        Rows of all that is timed, which no cache holds, and the most runs of each.
    few, many : int
        Iterations of a short and of a long fit, whose difference is told.
    copied_bytes : int
    anchors, tuned, scored : tuple of (features, centers)
    blocks : tuple of (warps, stages)
    checked_features, checked_centers : tuple of int
    checked_rows, checked_numbers, checked_products : int
        Most rows that are compared with the CPU, most rows times features, and most of these times centers.
    many_centers, fitted_rows : int
        Of the case with more centers than shared memory holds, and the rows that cuML is fitted on there.
    dense_rows, sampled_rows : int
    compilers : int
        Kernels that are compiled at a time.
    """

    rows: int = 10_000_000
    repeats: int = 9
    few: int = 5
    many: int = 25
    copied_bytes: int = 4 << 30
    anchors: tuple[tuple[int, int], ...] = tuple((d, k) for k in (64, 8, 256, 16) for d in (32, 16))
    tuned: tuple[tuple[int, int], ...] = ((32, 64), (16, 8))
    blocks: tuple[tuple[int, int], ...] = _SIZES
    scored: tuple[tuple[int, int], ...] = tuple((d, k) for d in (16, 32) for k in (8, 64))
    checked_features: tuple[int, ...] = (16, 32, 7, 64, 128, 1)
    checked_centers: tuple[int, ...] = (64, 8, 1, 256, 3_000)
    checked_rows: int = 300_007
    checked_numbers: int = 1 << 23
    checked_products: int = 1 << 32
    many_centers: int = 5_000
    fitted_rows: int = 1 << 20
    dense_rows: int = 10_000_000
    sampled_rows: int = 100_000
    compilers: int = 8


REHEARSED = Sizes(
    rows=1_450,
    repeats=1,
    few=2,
    many=4,
    copied_bytes=1 << 16,
    anchors=((16, 8),),
    tuned=((16, 8),),
    blocks=((16, 2), (4, 2)),
    scored=((16, 8),),
    checked_features=(7,),
    checked_centers=(8, 3_000),
    checked_rows=71,
    many_centers=1_450,
    fitted_rows=1_450,
    dense_rows=3_000,
    sampled_rows=3_000,
    compilers=0,
)


def grouped(n: int, d: int) -> Centers:
    """Rows on the grid around some centers, drawn by as many threads as there are processors."""
    centers = np.random.default_rng(d).normal(scale=2.0, size=(_GROUPS, d)).astype(np.float32)
    rows = np.empty((n, d), np.float32)

    def draw(first: int) -> None:
        rng, part = np.random.default_rng([d, first]), rows[first : first + _BLOCK_ROWS]
        rng.standard_normal(dtype=np.float32, out=part)
        part += centers[rng.integers(_GROUPS, size=len(part))]
        np.clip(part, -8, 8, out=part)
        # 8 times the grid's steps is 2^23, so that nothing is rounded but here.
        np.rint(part * np.float32(_GRID), out=part)
        part /= np.float32(_GRID)

    with ThreadPoolExecutor() as pool:
        list(pool.map(draw, range(0, n, _BLOCK_ROWS)))
    return rows


class EventClock:
    """Milliseconds by the device's own events, everything that a call waits for included.

    Parameters
    ----------
    cupy : module
    """

    def __init__(self, cupy: Any) -> None:
        self._cuda = cupy.cuda

    def __call__(self, work: Callable[[], Any]) -> float:
        """Do it once."""
        begin, end = self._cuda.Event(), self._cuda.Event()
        self._cuda.Device().synchronize()
        begin.record()
        work()
        # On the default stream, which waits for what other streams of the process were given before.
        end.record()
        end.synchronize()
        return float(self._cuda.get_elapsed_time(begin, end))


def wall_clock(work: Callable[[], Any]) -> float:
    """Milliseconds where no device has events."""
    begun = time.perf_counter()
    work()
    return 1e3 * (time.perf_counter() - begun)


@dataclass(eq=False)
class World:
    """Where cases run.

    Parameters
    ----------
    libraries : Libraries
        None in place of those that are missing, CuPy excepted.
    sizes : Sizes
    clock : callable
        Milliseconds of a call.
    engine : str
        Of whole fits.
    played : mapping of str to module
        In place of modules to import.
    """

    libraries: Libraries
    sizes: Sizes
    clock: Callable[[Callable[[], Any]], float]
    engine: str = "gpu"
    played: Mapping[str, Any] = field(default_factory=dict)
    _kept: dict[Any, Any] = field(default_factory=dict)

    @property
    def cupy(self) -> Any:
        """CuPy."""
        return self.libraries.cupy

    @cached_property
    def kernels(self) -> LloydKernels:
        """Those of the package."""
        return LloydKernels(self.libraries)

    def module(self, name: str) -> Any:
        """A module that need not be installed."""
        return self.played[name] if name in self.played else import_module(name)

    def rows(self, n_features: int) -> Any:
        """Rows on the grid of a run's matrix, the same for all sides."""
        return self.kept(n_features, lambda: self.cupy.asarray(grouped(self.sizes.rows, n_features)))

    def kept(self, name: Any, make: Callable[[], Any]) -> Any:
        """What was made before, or is made now."""
        if name not in self._kept:
            self._kept[name] = make()
        return self._kept[name]

    def start(self, n_features: int, k: int) -> Centers:
        """The centers that all sides start from, in host memory."""
        return np.array(self.cupy.asnumpy(self.rows(n_features)[:k]), np.float32)

    def form(self, rows: Any, k: int, wanted: Wanted) -> tuple[Shape, int]:
        """The form of the kernels, which the device must have."""
        found = self.kernels.shape_for(rows, k, wanted)
        if found is None:
            raise RuntimeError("the kernels are not made for these rows on this device")
        return found

    def timed(self, work: Callable[[], Any], *, warm: bool = True) -> dict[str, Any]:
        """Median and least milliseconds, by default after one run that compiles and warms up."""
        if warm and self.sizes.repeats > 1:
            work()
        found: list[float] = []
        while len(found) < self.sizes.repeats and (len(found) < _LEAST_RUNS or sum(found) < _ENOUGH_MS):
            found.append(self.clock(work))
        return {"ms": round(median(found), 5), "least_ms": round(min(found), 5), "runs": len(found)}

    def compile_ahead(self, asked: Iterable[tuple[LloydKernels, Shape, str]]) -> None:
        """Compile several kernels at a time; whoever needs one that fails will say so."""
        if not self.sizes.compilers:
            return

        def one(kernels: LloydKernels, shape: Shape, name: str) -> None:
            with suppress(Exception):
                kernels._kernel(shape, name)

        # A thread of its own has no device yet.
        with ThreadPoolExecutor(self.sizes.compilers, initializer=lambda: self.cupy.cuda.Device(0).use()) as pool:
            list(pool.map(lambda which: one(*which), dict.fromkeys(asked)))
