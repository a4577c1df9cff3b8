"""Executes the reading part of a plan: plain Parquet by cuDF on the device, everything else on the host.

cuDF reads row groups, as many at a time as make up `plan.chunk_rows`, so a file may be larger than the device. What it
would read otherwise than Arrow does (other types, folders' columns, URLs, compressed files) is left to the host; so is
the rest of a file from the first chunk on in which anything is wrong. CSV always is: cuDF's reader fills up short lines
without a word.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from gpuseg.engine.arrow import as_numpy, codes_of
from gpuseg.engine.cpu.checks import Rows, is_text, one_array
from gpuseg.engine.cpu.keys import categories
from gpuseg.engine.cpu.reading import Chunk, read_chunks
from gpuseg.engine.file_schemas import plain_type
from gpuseg.engine.gpu.libraries import Libraries
from gpuseg.engine.gpu.memory import halving
from gpuseg.engine.program import CONSENT, ReadPlan

_UNREADABLE = (pa.ArrowException, OSError, RuntimeError, ValueError, NotImplementedError)
_BYTES_PER_VALUE = 8


@dataclass(frozen=True)
class Column:
    """One raw column without nulls, but for words.

    Parameters
    ----------
    type : Arrow type
        As stored; that of the values under a dictionary.
    values : array of the device, or Arrow array
        Integers, floats, booleans and ticks of times on the device; codes of words too, -1 for null. Text as Arrow
        array in host memory.
    words : Arrow array or None
        What codes stand for.
    """

    type: pa.DataType
    values: Any
    words: pa.Array | None = None

    def __getitem__(self, rows: slice) -> "Column":
        return replace(self, values=self.values[rows])


def chunks_by_cudf(plan: ReadPlan, file: str, libraries: Libraries) -> Iterator[dict[str, Column] | None]:
    """Raw columns of one file under canonical names, at most `plan.chunk_rows` rows at a time.

    Parameters
    ----------
    plan : ReadPlan
        Of format "parquet".
    file : str
    libraries : Libraries

    Yields
    ------
    dict of str to Column, or None
        None, once, where the host must go on.
    """
    opened = _opened(plan, file)
    if opened is None:
        yield None
        return
    sizes, schema = opened
    low, high = plan.row_groups or (0, len(sizes))
    for groups in _batches(sizes[low:high], plan.chunk_rows):

        def read(start: int, stop: int, first: int = low + groups[0]) -> Any:
            return _frame(plan, file, schema, list(range(first + start, first + stop)), libraries)

        unit = max(sizes[low + group] for group in groups) * _BYTES_PER_VALUE * len(plan.columns)
        frames = halving(read, len(groups), libraries=libraries, what=f"row groups of {file}", unit_bytes=unit)
        try:
            for columns in frames:
                if columns is None:
                    yield None
                    return
                for start in range(0, _height(columns), plan.chunk_rows):
                    yield {name: column[start : start + plan.chunk_rows] for name, column in columns.items()}
        except _UNREADABLE:
            yield None
            return


def chunks_by_arrow(plan: ReadPlan, file: str, first_row: int) -> Iterator[Chunk]:
    """Chunks of one file from a row on, in host memory, as the CPU reads them."""
    for chunk in read_chunks(replace(plan, files=(file,))):
        skipped = max(first_row - chunk.first_row, 0)
        if skipped < chunk.table.num_rows:
            yield replace(chunk, table=chunk.table.slice(skipped), first_row=chunk.first_row + skipped)


def moved(chunk: Chunk, plan: ReadPlan, libraries: Libraries) -> dict[str, Column] | None:
    """A chunk of the host on the device; None where it is not plain."""
    found = {}
    for canonical in chunk.table.column_names:
        if canonical not in plan.columns or not _is_plain(canonical, chunk.table[canonical].type, plan):
            return None
        kind = plain_type(chunk.table[canonical].type)
        if canonical == "category":
            coded = categories(Rows(chunk, chunk.table), canonical)
            found[canonical] = Column(kind, libraries.cupy.asarray(codes_of(coded)), coded.dictionary)
            continue
        array = one_array(chunk.table[canonical])
        if array.null_count:
            return None
        if is_text(array.type):
            found[canonical] = Column(kind, array.cast(pa.large_string()))
        else:
            ticks = array.cast(pa.int64()) if pa.types.is_timestamp(kind) else array
            found[canonical] = Column(kind, libraries.cupy.asarray(as_numpy(ticks)))
    return found


def _opened(plan: ReadPlan, file: str) -> tuple[list[int], pa.Schema] | None:
    """Rows of each row group, and the schema, of a local file whose columns are all plain; None for any other."""
    # cuDF hands paths to fsspec, which would look for other files by marks of globs and chains.
    if "://" in file or any(mark in file for mark in ("*", "?", "[", "]", "::", "~")):
        return None
    try:
        metadata = pq.read_metadata(file)
        schema = metadata.schema.to_arrow_schema()
    except _UNREADABLE:
        return None
    for canonical, name in plan.columns.items():
        if schema.names.count(name) != 1 or not _is_plain(canonical, schema.field(name).type, plan):
            return None
    return [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)], schema


def _is_plain(canonical: str, kind: pa.DataType, plan: ReadPlan) -> bool:
    """Whether cuDF and Arrow agree on a column of this type, and the device has exact arithmetic for it."""
    is_integer = pa.types.is_signed_integer(kind) or kind in (pa.uint8(), pa.uint16(), pa.uint32())
    match canonical:
        case "category":
            return bool(pa.types.is_string(plain_type(kind)))
        case "at":
            return bool(pa.types.is_timestamp(kind))
        case "amount":
            return is_integer or kind in (pa.float32(), pa.float64())
        case "profile_id" | "order_id":
            wanted = plan.key_type if canonical == "profile_id" else plan.order_type
            is_string = pa.types.is_string(kind) or pa.types.is_large_string(kind)
            return bool(is_integer if wanted == "int64" else is_string)
        case _:
            return canonical == CONSENT and bool(pa.types.is_boolean(kind))


def _batches(sizes: list[int], chunk_rows: int) -> Iterator[list[int]]:
    """Numbers of successive row groups that hold at most `chunk_rows` rows together, or one alone."""
    batch: list[int] = []
    held = 0
    for group, size in enumerate(sizes):
        if batch and held + size > chunk_rows:
            yield batch
            batch, held = [], 0
        batch.append(group)
        held += size
    if batch:
        yield batch


def _frame(
    plan: ReadPlan, file: str, schema: pa.Schema, groups: list[int], libraries: Libraries
) -> dict[str, Column] | None:
    """Columns of row groups; None where a value is missing that may not be."""
    physical = list(dict.fromkeys(plan.columns.values()))
    frame = libraries.cudf.read_parquet(file, columns=physical, row_groups=groups, use_pandas_metadata=False)
    found = {}
    for canonical, name in plan.columns.items():
        column = _from_cudf(frame[name], canonical, plain_type(schema.field(name).type))
        if column is None:
            return None
        found[canonical] = column
    return found


def _from_cudf(series: Any, canonical: str, kind: pa.DataType) -> Column | None:
    if canonical == "category":
        coded = series.astype("category")
        words = coded.cat.categories.to_arrow().cast(pa.string())
        return None if _has_empty(words) else Column(kind, coded.cat.codes.fillna(-1).values.astype(np.int32), words)
    if bool(series.isna().any()):
        return None
    if pa.types.is_string(kind):
        text = series.to_arrow().cast(pa.large_string())
        return None if _has_empty(text) else Column(kind, text)
    if not pa.types.is_timestamp(kind):
        return Column(kind, series.values)
    # Ticks of another unit than the file's would be other instants.
    same_unit = str(series.dtype).startswith(f"datetime64[{kind.unit}")
    return Column(kind, series.astype("int64").values) if same_unit else None


def _height(columns: dict[str, Column]) -> int:
    return len(columns["profile_id"].values)


def _has_empty(text: pa.Array) -> bool:
    """Whether a text is empty: such a value counts as missing."""
    return bool(pc.min(pc.binary_length(text)).as_py() == 0)
