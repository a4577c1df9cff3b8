"""Takes frames from Python as Arrow tables: anything that speaks the Arrow C stream interface."""

import hashlib
from typing import Any

import pyarrow as pa

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
