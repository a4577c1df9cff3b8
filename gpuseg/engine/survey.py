"""What this machine has, for `gpuseg doctor`. It only looks, and never fails."""

import os
import platform
import shutil
from collections.abc import Mapping
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
_DASK = ("dask", "distributed")


def survey() -> dict[str, Any]:
    """Facts about this machine.

    Returns
    -------
    dict
        `gpuseg`, `python`, `platform`, `n_cores`, `memory_bytes`, `disk_free_bytes`, `libraries`; `gpus` (`name`,
        `total_bytes`, `free_bytes`, `compute_capability`), `driver`, `driver_cuda`, `cuda_runtime`, `gpu_libraries` (by
        name: `package`, `found`, `supported`, `is_supported`); `dask_libraries`; `executor_dask` (what `executor: dask`
        would start here with `engine: auto`: `n_workers`, None where it cannot, `device` and `reason`); `engine` (what
        `auto` uses) and `reason`.
    """
    hardware = find_gpus()
    dask_libraries = library_versions(_DASK)
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
        "dask_libraries": dask_libraries,
        "executor_dask": _dask_workers(hardware, dask_libraries),
        "engine": "gpu" if hardware.usable else "cpu",
        "reason": hardware.problem or f"{hardware.gpus[0].name} and RAPIDS can be used",
    }


def _dask_workers(hardware: Hardware, libraries: Mapping[str, str | None]) -> dict[str, Any]:
    """What `executor: dask` would start, or why it cannot."""
    device = "gpu" if hardware.usable else "cpu"
    missing = [name for name, found in libraries.items() if found is None]
    if missing:
        reason = f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing: pip install 'gpuseg[dask]'"
        return {"n_workers": None, "device": device, "reason": reason}
    if not hardware.usable:
        return {"n_workers": len(os.sched_getaffinity(0)), "device": device, "reason": "one a processor"}
    cuda = hardware.libraries.get("dask-cuda")
    if cuda is None or not cuda.is_supported:
        told = "is missing" if cuda is None else f"{cuda.version} is not supported"
        reason = f"dask-cuda {told}: install gpuseg with its extra gpu-cu13 or gpu-cu12"
        return {"n_workers": None, "device": device, "reason": reason}
    return {"n_workers": len(hardware.gpus), "device": device, "reason": "one a GPU"}


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
    return "\n".join(
        [
            f"gpuseg        {facts['gpuseg']}",
            f"Python        {facts['python']} on {facts['platform']}",
            f"Processor     {facts['n_cores']} cores, {facts['memory_bytes'] / _GIB:.1f} GiB of memory",
            f"Disk          {facts['disk_free_bytes'] / _GIB:.1f} GiB free here",
            f"Libraries     {_versions_text(facts['libraries'])}",
            f"GPUs          {'; '.join(map(_gpu_text, facts['gpus'])) or 'none'}",
            f"NVIDIA driver {_driver_text(facts)}",
            f"RAPIDS        {_libraries_text(facts['gpu_libraries'])}",
            f"dask          {_versions_text(facts['dask_libraries'])}",
            f"executor: dask {_dask_text(facts['executor_dask'])}",
            f"engine: auto  uses the {facts['engine']}: {facts['reason']}",
        ]
    )


def _versions_text(libraries: Mapping[str, str | None]) -> str:
    return ", ".join(f"{name} {found or 'missing'}" for name, found in libraries.items())


def _dask_text(found: Mapping[str, Any]) -> str:
    if found["n_workers"] is None:
        return f"cannot start workers: {found['reason']}"
    workers = "worker" if found["n_workers"] == 1 else "workers"
    return f"starts {found['n_workers']} {workers} on the {found['device']}, {found['reason']}"


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
