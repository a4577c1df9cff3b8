"""The matrix on the device: features go there column by column, and the arithmetic is that of `engine.matrix`."""

from typing import Any

import numpy as np
import pyarrow as pa

from gpuseg.engine.arrow import as_numpy
from gpuseg.engine.gpu.libraries import Libraries
from gpuseg.engine.gpu.memory import fitting, halving
from gpuseg.engine.matrix import scale_into, shaped
from gpuseg.engine.program import MatrixPlan

_FLOAT32_BYTES, _FLOAT64_BYTES = 4, 8
_COPIES = 4
"""Values as stored and in float64, their logarithm, and which of them are missing."""


def matrix_on_device(libraries: Libraries, table: pa.Table, plan: MatrixPlan) -> Any:
    """Matrix of a table of features; where memory for a column ends, as many rows at a time as fit.

    Parameters
    ----------
    libraries : Libraries
    table : Arrow table
        In host memory, with every column of the plan.
    plan : MatrixPlan

    Returns
    -------
    float32 array of the device, shape (n_rows, n_columns), C-ordered, on the grid of 2^-20

    Raises
    ------
    DeviceMemoryError
        If the matrix does not fit.
    """
    cupy = libraries.cupy
    shape = (table.num_rows, len(plan.columns))
    with fitting(libraries, "the matrix", _FLOAT32_BYTES * shape[0] * shape[1]):
        out = cupy.empty(shape, np.float32)
    for position, column in enumerate(plan.columns):
        stored = as_numpy(table[column.name])

        def scale(low: int, high: int, stored: Any = stored, place: int = position) -> None:
            column = plan.columns[place]
            values = cupy.asarray(stored[low:high]).astype(np.float64)
            values = shaped(cupy, values, fill=column.fill, log1p=column.log1p)
            scale_into(cupy, out[low:high, place], values, column)

        unit = _COPIES * _FLOAT64_BYTES
        for _ in halving(scale, shape[0], libraries=libraries, what="rows of the matrix", unit_bytes=unit):
            pass
    return out
