"""The arithmetic of the matrix, one operation at a time, for any array library that has NumPy's names.

Every step but the logarithm is rounded as IEEE 754 says, so a column without it has the same bits on every device. The
logarithm is good to one unit in the last place in the C library and in CUDA, so with it two devices may round a value
to neighbouring steps of the grid: they agree to 2^-20 (to one unit in the last place of float32 where that is more,
from 16 on), for columns whose deviation after the logarithm is more than 2e-8 of their weight. Every value lies on the
grid on every device, so sums over rows are exact on all of them.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gpuseg.engine.arrow import as_numpy
from gpuseg.engine.program import MatrixColumn, MatrixPlan

GRID = 2.0**20


def matrix_rows(table: pa.Table, plan: MatrixPlan) -> npt.NDArray[np.float32]:
    """Matrix of a table in host memory, shape (n_rows, n_columns), C-ordered, on the grid of 2^-20."""
    out = np.empty((table.num_rows, len(plan.columns)), np.float32)
    for position, column in enumerate(plan.columns):
        values = as_numpy(table[column.name]).astype(np.float64)
        values = shaped(np, values, fill=column.fill, log1p=column.log1p)
        scale_into(np, out[:, position], values, column)
    return out


def scale_into(library: Any, out: Any, values: Any, column: MatrixColumn) -> None:
    """Write one column of the matrix.

    Parameters
    ----------
    library : module
        NumPy, or what has its functions for the arrays.
    out : float32 array, shape (n_rows,)
    values : float64 array, shape (n_rows,)
        As `shaped` gives them; overwritten.
    column : MatrixColumn
    """
    values -= column.center
    values *= column.factor
    library.clip(values, -column.bound, column.bound, out=values)
    library.rint(values, out=values)
    library.multiply(values, 1.0 / GRID, out=out, casting="unsafe")


def shaped(library: Any, values: Any, *, fill: float, log1p: bool) -> Any:
    """Values with `fill` for NaN, and sign(x) * log(1 + |x|) of them where asked for; `values` is overwritten."""
    library.copyto(values, fill, where=library.isnan(values))
    if not log1p:
        return values
    found = library.abs(values)
    library.log1p(found, out=found)
    return library.copysign(found, values, out=found)
