"""A cluster of the GPUs of this machine. Written against dask-cuda 26.10; not yet run on a GPU."""

from typing import Any

from dask_cuda import LocalCUDACluster

from gpuseg.config_dask import DaskSection
from gpuseg.config_parts import MemorySection


def gpu_cluster(section: DaskSection, memory: MemorySection, scratch: str) -> Any:
    """One worker a GPU, with memory as the configuration says; each worker sees its own GPU first.

    RMM is set up by the device that a worker opens, as it is in a process without dask.
    """
    return LocalCUDACluster(
        n_workers=None if section.workers == "auto" else section.workers,
        threads_per_worker=1,
        memory_limit="auto" if section.memory_bytes is None else section.memory_bytes,
        device_memory_limit=None,
        enable_cudf_spill=memory.spill,
        protocol=None if section.protocol == "auto" else section.protocol,
        dashboard_address=None,
        local_directory=scratch,
    )
