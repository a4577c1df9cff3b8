"""How much memory a process may still take, and how it keeps what it has."""

import ctypes
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_MEMINFO = Path("/proc/meminfo")
_CGROUP = Path("/sys/fs/cgroup")
UNKNOWN = 2**62
"""Where nothing can be read, nothing is refused."""
# Names of mallopt(3): when free memory at the top goes back, and from which size on arrays are mapped apart.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_KEPT_BYTES, _USUAL_BYTES = 2**30, 2**17
_COLLECTED_AFTER = 100_000


def free_bytes(*, meminfo: Path = _MEMINFO, cgroup: Path = _CGROUP) -> int:
    """Bytes that can be taken without swapping; `UNKNOWN` where the system does not say.

    Parameters
    ----------
    meminfo : Path
        As Linux writes it.
    cgroup : Path
        Folder of a version 2 control group.
    """
    found = [_available(meminfo), _below_limit(cgroup)]
    return min((number for number in found if number is not None), default=UNKNOWN)


def _available(meminfo: Path) -> int | None:
    try:
        lines = meminfo.read_text(encoding="ascii").splitlines()
    except (OSError, ValueError):
        return None
    sizes = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return int(sizes[0]) * 1024 if sizes else None


def _below_limit(cgroup: Path) -> int | None:
    try:
        limit = (cgroup / "memory.max").read_text(encoding="ascii").strip()
        used = (cgroup / "memory.current").read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return None
    return max(int(limit) - int(used), 0) if limit.isdigit() and used.isdigit() else None


@contextmanager
def kept_memory() -> Iterator[None]:
    """Reuse the memory of large arrays within a run instead of handing it back and asking for it anew.

    A run makes and drops arrays of the same sizes bucket by bucket, and the system clears every page that it gives.
    At the end what is free goes back. Only glibc's allocator has these settings (mallopt(3)); elsewhere it stays as it
    is. The collector of cycles looks less often meanwhile: compiled kernels are loaded as many small objects.
    """
    collected_after = gc.get_threshold()
    gc.set_threshold(_COLLECTED_AFTER, *collected_after[1:])
    try:
        with _large_arrays_kept():
            yield
    finally:
        gc.set_threshold(*collected_after)


@contextmanager
def _large_arrays_kept() -> Iterator[None]:
    try:
        library = ctypes.CDLL(None)
        mallopt, malloc_trim = library.mallopt, library.malloc_trim
    except (AttributeError, OSError):
        yield
        return
    for setting in (_TRIM_THRESHOLD, _MMAP_THRESHOLD):
        mallopt(ctypes.c_int(setting), ctypes.c_int(_KEPT_BYTES))
    try:
        yield
    finally:
        for setting in (_TRIM_THRESHOLD, _MMAP_THRESHOLD):
            mallopt(ctypes.c_int(setting), ctypes.c_int(_USUAL_BYTES))
        malloc_trim(ctypes.c_size_t(0))
