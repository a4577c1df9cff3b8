"""What this machine has, for `gpuseg doctor`. It only looks, and never fails."""

import os
import platform
import shutil
import subprocess
from pathlib import Path
from typing import Any

from gpuseg import __version__
from gpuseg.provenance import LIBRARIES, library_versions

_GPU_LIBRARIES = ("cudf-cu12", "cudf-cu13", "cuml-cu12", "cuml-cu13", "cupy-cuda12x", "cupy-cuda13x", "dask-cuda")


def survey() -> dict[str, Any]:
    """Facts about this machine.

    Returns
    -------
    dict
        `python`, `platform`, `n_cores`, `memory_bytes`, `disk_free_bytes`, `libraries`, `gpus`, `gpu_libraries`,
        `engine` (what `auto` uses) and `reason`.
    """
    gpus = _gpus()
    seen = f"{len(gpus)} NVIDIA GPU{'s' if len(gpus) != 1 else ''} found" if gpus else "no NVIDIA GPU found"
    return {
        "gpuseg": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "n_cores": len(os.sched_getaffinity(0)),
        "memory_bytes": _memory_bytes(),
        "disk_free_bytes": shutil.disk_usage(Path.cwd()).free,
        "libraries": library_versions(LIBRARIES),
        "gpus": gpus,
        "gpu_libraries": {name: found for name, found in library_versions(_GPU_LIBRARIES).items() if found},
        "engine": "cpu",
        "reason": f"{seen}; this version of gpuseg has no GPU device yet",
    }


def survey_text(facts: dict[str, Any]) -> str:
    """The facts for people."""
    libraries = ", ".join(f"{name} {found or 'missing'}" for name, found in facts["libraries"].items())
    gpu_libraries = ", ".join(f"{name} {found}" for name, found in facts["gpu_libraries"].items()) or "none"
    gpus = "; ".join(facts["gpus"]) or "none"
    return "\n".join(
        [
            f"gpuseg        {facts['gpuseg']}",
            f"Python        {facts['python']} on {facts['platform']}",
            f"Processor     {facts['n_cores']} cores, {facts['memory_bytes'] / 2**30:.1f} GiB of memory",
            f"Disk          {facts['disk_free_bytes'] / 2**30:.1f} GiB free here",
            f"Libraries     {libraries}",
            f"GPUs          {gpus}",
            f"GPU libraries {gpu_libraries}",
            f"engine: auto  uses the {facts['engine']} ({facts['reason']})",
        ]
    )


def _memory_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _gpus() -> list[str]:
    """Name, memory and driver of each GPU, as the driver's own tool tells."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    query = [tool, "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        found = subprocess.run(query, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [line.strip() for line in found.stdout.splitlines() if line.strip()] if found.returncode == 0 else []
