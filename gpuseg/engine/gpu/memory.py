"""Device memory: set up once a process, and work that is cut in halves until it fits."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import Any, TypeVar

from gpuseg.config_parts import MemorySection
from gpuseg.engine.gpu.libraries import Libraries
from gpuseg.errors import DeviceMemoryError

Part = TypeVar("Part")

_LOG = logging.getLogger(__name__)
_LOCK = Lock()
_ALIGNMENT = 256
_SET_UP: list[MemorySection] = []


@dataclass(frozen=True)
class _Pool:
    """The pool that all allocations of this process go through.

    Parameters
    ----------
    counter : rmm.mr.StatisticsResourceAdaptor
    source : rmm.mr.PoolMemoryResource or rmm.mr.CudaAsyncMemoryResource
    first_bytes : int
        What it was told to take at first.
    tells_size : bool
    """

    counter: Any
    source: Any
    first_bytes: int
    tells_size: bool

    def unused_bytes(self) -> int:
        """Memory that lies free in the pool, in blocks of any size; at least so much where it tells no size.

        The driver's pool gives nothing back to the device, so it holds at least what was in use at its peak.
        """
        counts = self.counter.allocation_counts
        held = self.source.pool_size() if self.tells_size else max(counts.peak_bytes, self.first_bytes)
        return max(int(held) - int(counts.current_bytes), 0)


_POOL: list[_Pool] = []
"""The one in use, if any."""


def set_up(libraries: Libraries, settings: MemorySection) -> None:
    """Let cuDF and CuPy allocate from one place.

    Notes
    -----
    Memory that is in use cannot change its allocator, so the first settings of a process hold.
    """
    with _LOCK:
        if _SET_UP:
            if _SET_UP[0] != settings:
                _LOG.warning("device memory was set up before in this process; `memory` of this run is not applied")
            return
        try:
            apply(libraries, settings)
        except (MemoryError, RuntimeError, ValueError) as error:
            needed = settings.pool_bytes or 0
            raise DeviceMemoryError(
                f"{_refusal(libraries, f'the pool of memory.pool {settings.pool}', needed)} ({type(error).__name__})"
            ) from None
        _SET_UP.append(settings)


def apply(libraries: Libraries, settings: MemorySection) -> None:
    """Hand the settings to the libraries."""
    rmm = libraries.rmm
    # RMM takes whole multiples of its alignment.
    size = None if settings.pool_bytes is None else settings.pool_bytes // _ALIGNMENT * _ALIGNMENT
    if settings.pool == "async":
        source = rmm.mr.CudaAsyncMemoryResource(initial_pool_size=size)
    else:
        source = rmm.mr.CudaMemoryResource()
    if settings.pool == "pool":
        source = rmm.mr.PoolMemoryResource(source, initial_pool_size=size)
    pools = []
    if settings.pool != "none":
        counter = rmm.mr.StatisticsResourceAdaptor(source)
        pools = [_Pool(counter, source, size or 0, tells_size=settings.pool == "pool")]
        source = counter
    _POOL[:] = pools
    rmm.mr.set_current_device_resource(source)
    libraries.cupy.cuda.set_allocator(rmm.allocators.cupy.rmm_cupy_allocator)
    libraries.cudf.set_option("spill", settings.spill)


def free_bytes(libraries: Libraries) -> int:
    """Device memory that nobody has taken, and what lies unused in the pool of this process."""
    free, _ = libraries.cupy.cuda.runtime.memGetInfo()
    return int(free) + sum(pool.unused_bytes() for pool in _POOL)


def peak_bytes() -> int | None:
    """The most that this process ever had in use of its pool; None without a pool."""
    return max((int(pool.counter.allocation_counts.peak_bytes) for pool in _POOL), default=None)


def halving(
    function: Callable[[int, int], Part], n: int, *, libraries: Libraries, what: str, unit_bytes: int
) -> Iterator[Part]:
    """Results of `function(low, high)` over [0, n) in order; where memory ends, the step is halved and tried again.

    Parameters
    ----------
    function : callable
        Works on items low to high; called once with (0, 0) where there are none.
    n : int
    libraries : Libraries
    what : str
        What items are, in the plural, for messages.
    unit_bytes : int
        About how much device memory one item takes.

    Raises
    ------
    DeviceMemoryError
        If even one item does not fit; names the bytes needed and free.
    """
    step, low = max(n, 1), 0
    while low < n or n == 0:
        high = min(low + step, n)
        try:
            part = function(low, high)
        except MemoryError:
            if high - low <= 1:
                raise DeviceMemoryError(_refusal(libraries, f"one of the {what}", unit_bytes)) from None
            step = (high - low + 1) // 2
            _LOG.warning("device memory is full: going on with %d %s at a time", step, what)
            continue
        yield part
        if n == 0:
            return
        low = high


@contextmanager
def fitting(libraries: Libraries, what: str, needed_bytes: int, *, instead: str | None = None) -> Iterator[None]:
    """Work that cannot be cut: where memory ends, so does it, with a word on what to do instead.

    Raises
    ------
    DeviceMemoryError
        Names `what` for, the bytes needed and those free.
    """
    try:
        yield
    except MemoryError:
        raise DeviceMemoryError(_refusal(libraries, what, needed_bytes, instead)) from None


def _refusal(libraries: Libraries, what: str, needed_bytes: int, instead: str | None = None) -> str:
    _, total = libraries.cupy.cuda.runtime.memGetInfo()
    free = free_bytes(libraries)
    return (
        f"the device has no memory for {what}: about {needed_bytes:,} bytes needed, {free:,} of {total:,} free; "
        f"{instead or 'lower run.chunk_rows, raise run.buckets, or use engine: cpu'}"
    )
