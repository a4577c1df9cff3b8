"""A cluster of the GPUs of this machine. Written against dask-cuda 26.10; not yet run on a GPU."""

import logging
from typing import Any

from gpuseg.config_dask import DaskSection
from gpuseg.engine.hardware import RAPIDS_RELEASE, find_gpus
from gpuseg.errors import DeviceUnavailableError, EngineError


def gpu_cluster(section: DaskSection, scratch: str) -> Any:
    """One worker a GPU; each sees its own GPU first.

    Pools and cuDF's spilling are set up by the device that a worker opens, as in a process without dask and on a
    cluster that others started. dask-cuda, told of them too, would set up a second pool before it, and its own limit
    would move arrays to the host that a pass is about to use.

    Raises
    ------
    DeviceUnavailableError
        If dask-cuda is missing, or there are fewer GPUs than workers.
    EngineError
        If it cannot start them.
    """
    try:
        import dask_cuda
    except ImportError as error:
        raise DeviceUnavailableError(
            f"run.executor: dask on GPUs needs dask-cuda {RAPIDS_RELEASE} ({error.name or 'it'} cannot be loaded): "
            "install gpuseg with its extra gpu-cu13 or gpu-cu12, or use executor: local"
        ) from None
    n_gpus = len(find_gpus().gpus)
    n_workers = n_gpus if section.workers == "auto" else section.workers
    if n_workers > n_gpus:
        raise DeviceUnavailableError(
            f"dask.workers: {n_workers} are more than the {'one GPU' if n_gpus == 1 else f'{n_gpus} GPUs'} here; each "
            "takes one"
        )
    try:
        return dask_cuda.LocalCUDACluster(
            n_workers=n_workers,
            threads_per_worker=1,
            memory_limit="auto" if section.memory_bytes is None else section.memory_bytes,
            device_memory_limit=None,
            protocol=None if section.protocol == "auto" else section.protocol,
            host="127.0.0.1",
            # Not 8787, which another run may have; only this machine sees it.
            dashboard_address="127.0.0.1:0",
            scheduler_kwargs={"dashboard": False},
            local_directory=scratch,
            silence_logs=logging.CRITICAL,
        )
    # NVML, CUDA and UCX have errors of their own, all of which mean that there will be no workers.
    except Exception as error:  # noqa: BLE001
        told = str(error).partition("\n")[0] or type(error).__name__
        raise EngineError(
            f"dask: the GPU workers could not be started: {told} ({type(error).__name__}); `gpuseg doctor` shows "
            "what is here, executor: local needs no workers"
        ) from None
