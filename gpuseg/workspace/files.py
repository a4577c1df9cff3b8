"""Files that appear whole or not at all."""

import base64
import errno
import hashlib
import json
import os
from collections.abc import Collection, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq

from gpuseg.errors import IntegrityError, WorkspaceError

TEMPORARY = ".tmp"
"""How the names of files end that are not complete; they begin with a dot."""

_MOSTLY_ZERO = ("span_us",)
_HASH_BLOCK_BYTES = 1 << 20
NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
"""Errors of a system that has no room for more."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; on success sync it and move it into place, else remove it.

    Raises
    ------
    WorkspaceError
        If the file system refuses.
    """
    # Two workers may be at the same piece of work at once, on machines that count processes alike.
    temporary = path.with_name(f".{path.name}.{uuid4().hex[:12]}{TEMPORARY}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with temporary.open("rb") as handle:
            os.fsync(handle.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise unwritable(path, error) from None
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def unwritable(path: Path, error: OSError) -> WorkspaceError:
    """What to tell where the file system refuses to take a file."""
    why = error.strerror or str(error) or type(error).__name__
    # NumPy tells a full disk without its number: "210000 requested and 59376 written".
    if error.errno in NO_SPACE or (error.errno is None and " requested and " in why):
        return WorkspaceError(
            f"{path.parent}: no space is left for {path.name} ({why}); make room there, then go on with "
            "`gpuseg run --resume`, or give another command again"
        )
    return WorkspaceError(f"{path}: cannot be written: {why}")


def sync_folder(folder: Path) -> None:
    """Make renames in a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, content: Any) -> None:
    """Write JSON atomically, indented, keys in the order given; NaN and infinity are refused."""
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read JSON.

    Raises
    ------
    IntegrityError
        If the file is missing or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise IntegrityError(f"{path}: the file is missing") from None
    except (OSError, ValueError) as error:
        raise IntegrityError(f"{path}: cannot be read as JSON ({type(error).__name__})") from None


def write_table(
    path: Path,
    table: pa.Table,
    *,
    nullable: Collection[str] | None = None,
    repeating: Collection[str] = (),
    as_text: bool = False,
) -> None:
    """Write a Parquet file atomically, with page checksums.

    Equal tables give equal bytes: no clock, path or host is written.

    Parameters
    ----------
    path : Path
    table : Arrow table
    nullable : collection of str, optional
        The only columns that may hold nulls, here or in files beside this one; by default all but `profile_id`. The
        others are written as required, which spares a level for every value.
    repeating : collection of str, optional
        Columns of floats whose values come again and again.
    as_text : bool, default False
        Whether columns of dictionaries are plain text to readers, as if they had been decoded first.
    """
    required = ["profile_id"] if nullable is None else [name for name in table.column_names if name not in nullable]
    table = table.cast(pa.schema([field.with_nullable(field.name not in required) for field in table.schema]))
    encodings, compression, dictionary = {}, {}, []
    for field in table.schema:
        # Integers pack best as differences, without a second pass; everything else gains from a light compressor.
        packed = pa.types.is_integer(field.type) and field.name not in _MOSTLY_ZERO
        compression[field.name] = "none" if packed else "lz4"
        if packed:
            encodings[field.name] = "DELTA_BINARY_PACKED"
        elif field.name == "profile_id":
            encodings[field.name] = "DELTA_BYTE_ARRAY"
        elif field.name in repeating or not (pa.types.is_floating(field.type) or pa.types.is_integer(field.type)):
            dictionary.append(field.name)
    options: dict[str, Any] = {
        "compression": compression or "none",
        "use_dictionary": dictionary,
        "column_encoding": encodings or None,
        "write_page_checksum": True,
        "store_schema": not as_text,
        "write_statistics": ["profile_id"] if "profile_id" in table.column_names else False,
    }
    with replacing(path) as temporary, pq.ParquetWriter(temporary, table.schema, **options) as writer:
        writer.write_table(table)
        if as_text:
            # What `store_schema` would tell of types, decoded.
            told = pa.schema([_decoded(field) for field in table.schema]).serialize().to_pybytes()
            writer.add_key_value_metadata({"ARROW:schema": base64.b64encode(told).decode()})


def _decoded(field: pa.Field) -> pa.Field:
    return field.with_type(field.type.value_type) if pa.types.is_dictionary(field.type) else field


def read_table(path: Path, columns: list[str] | None = None) -> pa.Table:
    """Read a Parquet file, checking its page checksums.

    Raises
    ------
    IntegrityError
        If the file is missing or damaged.
    """
    try:
        with pq.ParquetFile(path, page_checksum_verification=True, memory_map=True) as file:
            dictionary = [name for name in ("category",) if name in file.schema_arrow.names]
        with pq.ParquetFile(path, page_checksum_verification=True, memory_map=True, read_dictionary=dictionary) as file:
            table = file.read(columns=columns)
            # That a column of this file has no nulls is no property of it elsewhere.
            return pa.Table.from_arrays(table.columns, names=table.column_names)
    except FileNotFoundError:
        raise IntegrityError(f"{path}: the file is missing") from None
    except MemoryError:
        raise
    except (pa.ArrowException, OSError) as error:
        raise IntegrityError(f"{path}: the file is damaged ({type(error).__name__})") from None


def digests(paths: Sequence[Path]) -> Generator[str, None, None]:
    """Hex SHA-256 of the bytes of each file, in order, several files at a time.

    Raises
    ------
    OSError
        If one cannot be read, once its turn has come.
    """
    with ThreadPoolExecutor(thread_name_prefix="gpuseg-sha256") as threads:
        try:
            yield from threads.map(_sha256, paths)
        finally:
            threads.shutdown(wait=True, cancel_futures=True)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as handle:
        while block := handle.read(_HASH_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()
