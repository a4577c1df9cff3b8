"""Takes frames from Python as Arrow tables: anything that speaks the Arrow C stream interface."""

import hashlib
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from gpuseg.errors import SchemaError


def frame_table(frame: Any, source: str) -> pa.Table:
    """Arrow table of a pandas, Polars or Arrow frame.

    Parameters
    ----------
    frame : object
        With `__arrow_c_stream__`, or a mapping of column name to array.
    source : str
        Name of the source, for messages.

    Raises
    ------
    SchemaError
        If the object is no frame, or a column mixes types.
    """
    if type(frame).__module__.startswith("pandas"):
        _refuse_doubles([str(name) for name in frame.columns], source)
    try:
        table = _taken(frame)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise SchemaError(
            f"{source}: the frame cannot be taken as Arrow ({type(error).__name__}); a column may hold only one type"
        ) from None
    if table is None:
        raise SchemaError(f"{source}: {type(frame).__name__} is no frame; give a pandas, Polars or Arrow table")
    _refuse_doubles(table.column_names, source)
    return _without_types_of_nothing(table)


def _without_types_of_nothing(table: pa.Table) -> pa.Table:
    """Columns of nothing but nulls and NaN without their type: pandas calls missing words float64."""
    for place, name in enumerate(table.column_names):
        column = table[name]
        n_missing = column.null_count
        if pa.types.is_floating(column.type) and (not len(column) or n_missing or pc.is_nan(column[0]).as_py()):
            n_missing = pc.sum(pc.is_null(column, nan_is_null=True)).as_py() or 0
        if table.num_rows and n_missing == table.num_rows:
            table = table.set_column(place, name, pa.nulls(table.num_rows))
    return table


def _refuse_doubles(names: list[str], source: str) -> None:
    doubles = sorted({name for name in names if names.count(name) > 1})
    if doubles:
        raise SchemaError(f"{source}: the frame has more than one column {doubles[0]!r}")


def _taken(frame: Any) -> pa.Table | None:
    if isinstance(frame, pa.Table):
        return frame
    if isinstance(frame, pa.RecordBatch):
        return pa.Table.from_batches([frame])
    if hasattr(frame, "__arrow_c_stream__") or isinstance(frame, dict):
        return pa.table(frame)
    return None


def frame_fingerprint(table: pa.Table) -> str:
    """Digest of a frame's content."""
    digest = hashlib.sha256(str(table.schema).encode())
    for batch in table.combine_chunks().to_batches():
        digest.update(batch.serialize())
    return digest.hexdigest()
