"""What this machine has, for `gpuseg doctor`. It only looks, and never fails."""

import os
import platform
import shutil
from pathlib import Path
from typing import Any

from gpuseg import __version__
from gpuseg.engine.hardware import (
    CUPY_LEAST,
    MULTI_GPU,
    NEEDED,
    RAPIDS_RELEASE,
    Hardware,
    find_gpus,
    supported_versions,
)
from gpuseg.provenance import LIBRARIES, library_versions

_GIB = 2**30


def survey() -> dict[str, Any]:
    """Facts about this machine.

    Returns
    -------
    dict
        `gpuseg`, `python`, `platform`, `n_cores`, `memory_bytes`, `disk_free_bytes`, `libraries`; `gpus` (`name`,
        `total_bytes`, `free_bytes`, `compute_capability`), `driver`, `driver_cuda`, `cuda_runtime`, `gpu_libraries` (by
        name: `package`, `found`, `supported`, `is_supported`); `engine` (what `auto` uses) and `reason`.
    """
    hardware = find_gpus()
    return {
        "gpuseg": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "n_cores": len(os.sched_getaffinity(0)),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "disk_free_bytes": shutil.disk_usage(Path.cwd()).free,
        "libraries": library_versions(LIBRARIES),
        "gpus": [vars(gpu) for gpu in hardware.gpus],
        "driver": hardware.driver,
        "driver_cuda": hardware.driver_cuda,
        "cuda_runtime": hardware.cuda_runtime,
        "gpu_libraries": {name: _library(hardware, name) for name in (*NEEDED, *MULTI_GPU)},
        "engine": "gpu" if hardware.usable else "cpu",
        "reason": hardware.problem or f"{hardware.gpus[0].name} and RAPIDS can be used",
    }


def _library(hardware: Hardware, name: str) -> dict[str, Any]:
    found = hardware.libraries.get(name)
    return {
        "package": found.package if found else None,
        "found": found.version if found else None,
        "supported": supported_versions(name),
        "is_supported": found.is_supported if found else False,
    }


def survey_text(facts: dict[str, Any]) -> str:
    """The facts for people."""
    libraries = ", ".join(f"{name} {found or 'missing'}" for name, found in facts["libraries"].items())
    return "\n".join(
        [
            f"gpuseg        {facts['gpuseg']}",
            f"Python        {facts['python']} on {facts['platform']}",
            f"Processor     {facts['n_cores']} cores, {facts['memory_bytes'] / _GIB:.1f} GiB of memory",
            f"Disk          {facts['disk_free_bytes'] / _GIB:.1f} GiB free here",
            f"Libraries     {libraries}",
            f"GPUs          {'; '.join(map(_gpu_text, facts['gpus'])) or 'none'}",
            f"NVIDIA driver {_driver_text(facts)}",
            f"RAPIDS        {_libraries_text(facts['gpu_libraries'])}",
            f"engine: auto  uses the {facts['engine']}: {facts['reason']}",
        ]
    )


def _gpu_text(gpu: dict[str, Any]) -> str:
    free = "unknown" if gpu["free_bytes"] is None else f"{gpu['free_bytes'] / _GIB:.1f} GiB"
    total = f"{gpu['total_bytes'] / _GIB:.1f} GiB"
    return f"{gpu['name']}, {total} of memory ({free} free), compute capability {gpu['compute_capability']}"


def _driver_text(facts: dict[str, Any]) -> str:
    if facts["driver_cuda"] is None:
        return "none"
    runtime = f", CuPy uses CUDA {facts['cuda_runtime']}" if facts["cuda_runtime"] else ""
    return f"{facts['driver'] or 'of unknown version'}, runs CUDA {facts['driver_cuda']}{runtime}"


def _libraries_text(libraries: dict[str, dict[str, Any]]) -> str:
    if all(library["found"] is None for library in libraries.values()):
        return f"none; supported: RAPIDS {RAPIDS_RELEASE} with CuPy {CUPY_LEAST} or newer"
    return ", ".join(_library_text(*item) for item in libraries.items())


def _library_text(name: str, library: dict[str, Any]) -> str:
    if library["found"] is None:
        return f"{name} missing (needs {library['supported']})"
    wrong = "" if library["is_supported"] else f" (not supported, needs {library['supported']})"
    return f"{name} {library['found']}{wrong}"
