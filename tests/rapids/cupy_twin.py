"""What NumPy lacks, or does otherwise, to stand for CuPy."""

import types
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.rapids.world import OnHost

FREE_BYTES, TOTAL_BYTES = 60 << 30, 80 << 30

CUPY_TYPES: dict[type, str] = {np.ndarray: "cupy.ndarray"}


class OutOfMemoryError(MemoryError):
    """As `cupy.cuda.memory.OutOfMemoryError`."""


def _copied(array: Any, dtype: Any = None, order: Any = None, *, copy: Any = None, blocking: bool = False) -> Any:
    """Memory of its own, which is writable: nothing of the host is shared with a device."""
    return np.array(array, dtype=dtype, order=order or "K", copy=True)


def _to_host(array: Any, stream: Any = None, order: str = "C", out: Any = None, *, blocking: bool = True) -> Any:
    return OnHost(np.array(array, order=order))  # type: ignore[arg-type]


class CompileException(Exception):
    """As `cupy.cuda.compiler.CompileException`."""


class _Device:
    """As `cupy.cuda.Device`: one whose capability none of gpuseg's own kernels is made for."""

    compute_capability = "75"
    mem_info = (FREE_BYTES, TOTAL_BYTES)

    def __init__(self, device: Any = None) -> None:
        self.attributes = {
            "MultiProcessorCount": 2,
            "MaxSharedMemoryPerBlockOptin": 232_448,
            "MaxSharedMemoryPerMultiprocessor": 233_472,
        }

    def synchronize(self) -> None:
        """Nothing is under way."""


def _raw_module(*_: Any, **__: Any) -> Any:
    raise NotImplementedError("a CUDA source runs on no stand-in")


class _Stream:
    """As `cupy.cuda.Stream`. What a stream of one's own is given is done as late as it may; all else at once."""

    def __init__(self, *_: Any, non_blocking: bool = False, **__: Any) -> None:
        self._late, self._waiting = non_blocking, deque[Callable[[], None]]()
        self.n_given = self.n_done = 0

    def give(self, work: Callable[[], None]) -> None:
        """Take on some work."""
        self._waiting.append(work)
        self.n_given += 1
        if not self._late:
            self.finish(self.n_given)

    def finish(self, n: int) -> None:
        """Do the first n pieces of work."""
        while self.n_done < n:
            self.n_done += 1
            self._waiting.popleft()()

    def wait_event(self, event: "_Event") -> None:
        """Go on once an event has come."""
        self.give(event.synchronize)

    def synchronize(self) -> None:
        """Wait for all."""
        self.finish(self.n_given)

    def __enter__(self) -> "_Stream":
        return self

    def __exit__(self, *_: Any) -> None:
        pass


class _Event:
    """As `cupy.cuda.Event`."""

    def __init__(self, block: bool = False, disable_timing: bool = False) -> None:
        self._stream, self._n = _Stream(), 0

    def record(self, stream: Any = None) -> None:
        """Come once a stream has done what it was given so far."""
        self._stream, self._n = stream, stream.n_given

    def synchronize(self) -> None:
        """Wait for it."""
        self._stream.finish(self._n)


def _set(array: Any, values: Any, stream: Any = None) -> None:
    (stream or _Stream()).give(lambda: array.__setitem__(..., values))


class _Pool:
    """As `cupy.get_default_memory_pool()`."""

    def free_all_blocks(self, stream: Any = None) -> None:
        """Nothing is held."""

    def used_bytes(self) -> int:
        """Nothing is held."""
        return 0


def _runtime() -> types.SimpleNamespace:
    return types.SimpleNamespace(
        memGetInfo=lambda: (FREE_BYTES, TOTAL_BYTES),
        runtimeGetVersion=lambda: 13020,
        getDeviceCount=lambda: 1,
        deviceSynchronize=lambda: None,
        getDeviceProperties=lambda device: {"name": b"stand-in", "totalGlobalMem": TOTAL_BYTES},
    )


def cupy_module() -> types.SimpleNamespace:
    """NumPy's public names, and what CuPy has besides."""
    names = {name: getattr(np, name) for name in dir(np) if not name.startswith("_")}
    cuda = types.SimpleNamespace(
        is_available=lambda: True,
        runtime=_runtime(),
        memory=types.SimpleNamespace(OutOfMemoryError=OutOfMemoryError),
        set_allocator=lambda allocator=None: None,
        Stream=_Stream,
        Event=_Event,
        alloc_pinned_memory=bytearray,
        Device=_Device,
        compiler=types.SimpleNamespace(CompileException=CompileException),
        get_current_stream=lambda: _Stream(),
    )
    return types.SimpleNamespace(**names | {"cuda": cuda, "get_default_memory_pool": _Pool, "RawModule": _raw_module})


CUPY: dict[str, Any] = {
    "cupy.ndarray.set": _set,
    "cupy.ndarray.data": property(lambda array: types.SimpleNamespace(ptr=array.ctypes.data)),
    "cupy.asarray": _copied,
    "cupy.array": _copied,
    "cupy.asnumpy": _to_host,
    "cupy.ndarray.get": lambda array, stream=None, order="C", out=None, blocking=True: _to_host(array),
}
