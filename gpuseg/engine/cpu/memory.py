"""How much memory a process may still take, by the machine and by the limit of its container."""

from pathlib import Path

_MEMINFO = Path("/proc/meminfo")
_CGROUP = Path("/sys/fs/cgroup")
UNKNOWN = 2**62
"""Where nothing can be read, nothing is refused."""


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
