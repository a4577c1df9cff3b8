"""What pandas lacks, or does otherwise, to stand for cuDF.

Frames that are read or come from Arrow keep Arrow's types, so that integers may be null as they may in cuDF.
"""

import types
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pandas.api.typing import DataFrameGroupBy, SeriesGroupBy

CUDF_TYPES: dict[type, str] = {
    pd.DataFrame: "cudf.DataFrame",
    pd.Series: "cudf.Series",
    pd.MultiIndex: "cudf.MultiIndex",
    pd.Index: "cudf.Index",
    DataFrameGroupBy: "cudf.core.groupby.groupby.DataFrameGroupBy",
    SeriesGroupBy: "cudf.core.groupby.groupby.SeriesGroupBy",
    type(pd.Series(["a"]).str): "cudf.core.accessors.string.StringMethods",
    type(pd.Series(["a"], dtype="category").cat): "cudf.core.accessors.categorical.CategoricalAccessor",
}

OPTIONS: dict[str, Any] = {}
"""What `set_option` was told last."""


def from_arrow(table: Any) -> Any:
    """A frame, or a series for an array."""
    if isinstance(table, (pa.Array, pa.ChunkedArray)):
        return table.to_pandas() if _type_of(table.type) is None else pd.Series(table, dtype=pd.ArrowDtype(table.type))
    return table.to_pandas(types_mapper=_type_of)


def _type_of(kind: pa.DataType) -> Any:
    # Instants are NumPy's in both libraries.
    return None if pa.types.is_timestamp(kind) else pd.ArrowDtype(kind)


def _read_parquet(files: Any, *, columns: Any = None, row_groups: Any = None, **_: Any) -> Any:
    paths = [files] if isinstance(files, str) else list(files)
    groups = row_groups if row_groups is None or isinstance(row_groups[0], list) else [row_groups]
    tables = []
    for place, path in enumerate(paths):
        with pq.ParquetFile(path) as file:
            chosen = None if groups is None else groups[place]
            tables.append(file.read(columns) if chosen is None else file.read_row_groups(chosen, columns))
    return from_arrow(pa.concat_tables(tables))


def _read_csv(file: Any, *, dtype: Any = None, **keywords: Any) -> Any:
    return pd.read_csv(file, dtype=dtype, dtype_backend="pyarrow", **keywords)


def _values(series: Any) -> Any:
    """As cuDF: an array of the device; integers with nulls come as float64 with NaN, without a word."""
    kind, has_nulls = series.dtype, _null_count(series) > 0
    kind = kind.numpy_dtype if isinstance(kind, pd.ArrowDtype) else kind
    if not isinstance(kind, np.dtype) or kind.kind in "OUT":
        raise TypeError(f"cupy does not support {series.dtype}")
    if kind.kind in "mM" and (has_nulls or series.isna().any()):
        raise ValueError("cupy does not support NaT.")
    if kind.kind == "b" and has_nulls:
        raise ValueError(f"Column must have no nulls for dtype={series.dtype}")
    if kind.kind in "iu" and has_nulls:
        return series.to_numpy(np.float64, na_value=np.nan)
    return np.array(series.to_numpy(kind))


def _to_arrow(data: Any, preserve_index: Any = None) -> Any:
    if isinstance(data, pd.DataFrame):
        return pa.Table.from_pandas(data, preserve_index=bool(preserve_index)).replace_schema_metadata(None)
    found = pa.array(data)
    return found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found


def _series_to_arrow(data: Any) -> Any:
    return _to_arrow(data)


def _null_count(series: Any) -> int:
    # cuDF counts nulls alone; NaN is a value.
    if isinstance(series.dtype, pd.ArrowDtype):
        return int(pa.array(series).null_count)
    return 0 if series.dtype.kind == "f" else int(series.isna().sum())


def cudf_module() -> types.SimpleNamespace:
    """Pandas' public names, and what cuDF has besides."""
    names = {name: getattr(pd, name) for name in dir(pd) if not name.startswith("_")}
    return types.SimpleNamespace(
        **names
        | {
            "set_option": lambda name, value: OPTIONS.__setitem__(name, value),
            "get_option": OPTIONS.get,
            "read_parquet": _read_parquet,
            "read_csv": _read_csv,
            "io": types.SimpleNamespace(),
        }
    )


CUDF: dict[str, Any] = {
    "cudf.DataFrame.from_arrow": from_arrow,
    "cudf.Series.from_arrow": from_arrow,
    "cudf.DataFrame.to_arrow": _to_arrow,
    "cudf.Series.to_arrow": _series_to_arrow,
    "cudf.Index.to_arrow": _series_to_arrow,
    "cudf.Series.values": property(_values),
    "cudf.Index.values": property(_values),
    "cudf.Series.to_cupy": lambda series, dtype=None, copy=False, na_value=None: _values(series),
    "cudf.Series.null_count": property(_null_count),
    "cudf.Series.has_nulls": property(lambda series: _null_count(series) > 0),
}
