"""Takes a matrix in whatever container it comes, and gives results back in the same kind.

The table goes by the name of the library that the object comes from, so that no library is imported to ask.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Container:
    """How one library's tables turn into arrays and back.

    Parameters
    ----------
    to_array : callable
        Table to something scikit-learn validates: an array, or a frame whose column names it reads.
    labels : callable
        (array of shape (n,), original table) to the library's column.
    matrix : callable
        (array of shape (n, k), column names, original table) to the library's table.
    """

    to_array: Callable[[Any], Any]
    labels: Callable[[Any, Any], Any]
    matrix: Callable[[Any, Any, Any], Any]


def container_of(table: Any) -> Container:
    """The row of the table for an object; plain arrays and lists stay arrays."""
    library = type(table).__module__.partition(".")[0]
    return _CONTAINERS.get(library, _ARRAYS)


def _pandas_labels(labels: Any, table: Any) -> Any:
    import pandas as pd

    return pd.Series(labels, index=table.index, name="segment_id")


def _pandas_matrix(values: Any, names: Any, table: Any) -> Any:
    import pandas as pd

    return pd.DataFrame(values, index=table.index, columns=names)


def _arrow_array(table: Any) -> Any:
    return table.to_pandas()


def _arrow_labels(labels: Any, _: Any) -> Any:
    import pyarrow as pa

    return pa.array(labels)


def _arrow_matrix(values: Any, names: Any, _: Any) -> Any:
    import pyarrow as pa

    return pa.table({name: pa.array(np.ascontiguousarray(values[:, i])) for i, name in enumerate(names)})


def _polars_array(table: Any) -> Any:
    return table.to_pandas() if hasattr(table, "columns") else table


def _polars_labels(labels: Any, _: Any) -> Any:
    import polars as pl

    return pl.Series("segment_id", labels)


def _polars_matrix(values: Any, names: Any, _: Any) -> Any:
    import polars as pl

    return pl.DataFrame({name: np.ascontiguousarray(values[:, i]) for i, name in enumerate(names)})


_ARRAYS = Container(lambda table: table, lambda labels, _: labels, lambda values, _names, _table: values)

_CONTAINERS: dict[str, Container] = {
    "pandas": Container(lambda table: table, _pandas_labels, _pandas_matrix),
    "pyarrow": Container(_arrow_array, _arrow_labels, _arrow_matrix),
    "polars": Container(_polars_array, _polars_labels, _polars_matrix),
}
