"""K-means by cuML on one GPU. Written against RAPIDS 26.10; not yet run on a GPU."""

from typing import TYPE_CHECKING

import numpy as np

from gpuseg.engine.gpu.libraries import Libraries
from gpuseg.engine.gpu.memory import fitting
from gpuseg.engine.solver import Problem, Solved, estimator_name

if TYPE_CHECKING:
    from gpuseg.engine.gpu.device import GpuDevice

_FLOAT32_BYTES = 4


def solve_on_device(libraries: Libraries, device: "GpuDevice", problem: Problem) -> Solved:
    """Fit all rows at once, which lie on the device a second time for as long.

    Raises
    ------
    DeviceMemoryError
        If they do not fit.
    """
    shape = (problem.n_rows, problem.start.shape[1])
    instead = "use cluster.solver: lloyd, which takes rows in parts"
    with fitting(libraries, "all rows at once", _FLOAT32_BYTES * shape[0] * shape[1], instead=instead):
        rows = libraries.cupy.empty(shape, np.float32)
        low = 0
        for block in problem.blocks:
            part = block(device)
            rows[low : low + len(part)] = part
            low += len(part)
        model = device.estimator(estimator_name(problem.solver, "local"), **problem.parameters)
        model.fit(rows)
        return problem.solved(device.to_host(model.cluster_centers_), model.n_iter_)
