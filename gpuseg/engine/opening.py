"""Opens data files and says in one line what is wrong with one, without quoting a value of it."""

import gzip
import os
import re
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Literal
from urllib.parse import unquote

import fsspec
import pyarrow as pa

from gpuseg.engine.places import is_remote, place_error
from gpuseg.errors import GpusegError, SchemaError, SourceUnavailableError

Access = Literal["start", "parts", "batches", "stream"]

_READ_ERRORS = (pa.ArrowException, OSError, EOFError, zlib.error, ValueError)
_MAGIC = {
    b"PAR1": ("a Parquet file", "; set format: parquet"),
    b"ARROW1": ("an Arrow file", "; set format: arrow"),
    b"\xff\xff\xff\xff": ("an Arrow stream", "; set format: arrow"),
    b"FEA1": ("a Feather file of version 1", "; write it anew as version 2"),
    b"\x28\xb5\x2f\xfd": ("packed with zstd", "; unpack it, or pack it with gzip"),
    b"BZh": ("packed with bzip2", "; unpack it, or pack it with gzip"),
    b"PK\x03\x04": ("a zip archive", "; unpack it, or pack it with gzip"),
}
_CACHES: dict[Access, dict[str, Any]] = {
    "start": {"block_size": 64 << 10, "cache_type": "readahead"},
    # A block that holds a small file whole, so that its head, footer and columns come in one request.
    "parts": {"block_size": 256 << 10, "cache_type": "readahead"},
    "batches": {"block_size": 8 << 20, "cache_type": "readahead"},
    # The next block is fetched while one is read. Whoever reads more than the four at once has them fetched twice.
    "stream": {"block_size": 8 << 20, "cache_type": "background", "cache_options": {"maxblocks": 4}},
}
# botocore waits a minute for a host, and s3fs tries five times what botocore tried five times.
_S3_LIMITS = {"connect_timeout": 10, "retries": {"mode": "standard", "total_max_attempts": 3}}
_S3_OWN = ("AWS_MAX_ATTEMPTS", "AWS_RETRY_MODE")
START_BYTES = max(len(magic) for magic in _MAGIC)
_FOLDER = re.compile(r"([^=/]+)=([^/]*)")
_NO_VALUE = "__HIVE_DEFAULT_PARTITION__"


def refuse_other_format(start: bytes, wanted: str, path: str, source: str) -> None:
    """Refuse a file whose first bytes are those of another format than `wanted`, such as "CSV".

    Raises
    ------
    SchemaError
        Names the format to set.
    """
    for magic, (name, hint) in _MAGIC.items():
        if start.startswith(magic) and wanted not in name:
            raise SchemaError(f"{source}: {path}: is {name}, not {wanted}{hint}")


def folder_values(path: str) -> dict[str, str | None]:
    """Columns that the folders of a path name, as in `month=2017-03/rows.parquet`.

    Returns
    -------
    dict of str to str or None
        None for a value that the folder says is missing. The innermost folder of a name holds.
    """
    found: dict[str, str | None] = {}
    for folder in path.split("/")[:-1]:
        if match := _FOLDER.fullmatch(folder):
            value = unquote(match[2])
            found[unquote(match[1])] = None if value in ("", _NO_VALUE) else value
    return found


def file_system(url: str) -> tuple[Any, str]:
    """The fsspec file system of a path or URL, with few and bounded retries, and the path in it.

    Raises
    ------
    ImportError
        If the package of the file system is not installed.
    ValueError
        If there is no such file system.
    """
    options: dict[str, Any] = {}
    own = "config_kwargs" in fsspec.config.conf.get("s3", {}) or any(name in os.environ for name in _S3_OWN)
    if url.startswith(("s3://", "s3a://")) and not own:
        options["config_kwargs"] = _S3_LIMITS
    found: tuple[Any, str] = fsspec.core.url_to_fs(url, **options)
    return found


@contextmanager
def opened(path: str, access: Access = "stream") -> Iterator[Any]:
    """Open a path or URL for reading; gzip is recognised by its first bytes, whatever the name.

    Parameters
    ----------
    path : str
    access : {"start", "parts", "batches", "stream"}
        What of a file elsewhere will be read: its first bytes, some of its parts, all of it in pieces of any size, or
        all of it in blocks of at most 8 MiB. Besides what is read at most 32 MiB of it are held in memory.
    """
    with _raw(path, access) as raw:
        magic = raw.read(2)
        raw.seek(0)
        with _followed(raw if access == "stream" else None):
            if magic == b"\x1f\x8b":
                with gzip.open(raw) as unpacked:
                    yield unpacked
            else:
                yield raw


class _Streamed(threading.local):
    """The file that a thread reads from its start to its end, and what it has read before."""

    raw: Any = None
    n_bytes: int = 0


_streamed = _Streamed()


def streamed_bytes() -> int:
    """Stored bytes of files that this thread has read so far, as far as is seen."""
    with suppress(OSError, ValueError):
        return _streamed.n_bytes + (0 if _streamed.raw is None else int(_streamed.raw.tell()))
    return _streamed.n_bytes


def count_streamed(n_bytes: int) -> None:
    """Say that this thread has read so many stored bytes of a file that is not read from its start to its end."""
    _streamed.n_bytes += n_bytes


@contextmanager
def _followed(raw: Any) -> Iterator[None]:
    if raw is not None:
        _streamed.raw = raw
    try:
        yield
    finally:
        if raw is not None:
            _streamed.n_bytes, _streamed.raw = streamed_bytes(), None


def _raw(path: str, access: Access) -> Any:
    if not is_remote(path):
        # Arrow reads local files without coming back to Python for every block.
        return pa.OSFile(path)
    system, inside = file_system(path)
    return system.open(inside, "rb", **_CACHES[access])


@contextmanager
def readable(path: str, what: str, source: str) -> Iterator[None]:
    """Turn a reader's error into one line that holds no value of the file."""
    try:
        yield
    except (GpusegError, MemoryError):
        raise
    except UnicodeDecodeError:
        raise SchemaError(f"{source}: {path}: not UTF-8 text; convert the file to UTF-8") from None
    except Exception as error:
        if (outside := place_error(error, path, source, found=True)) is not None:
            raise outside from None
        if isinstance(error, PermissionError):
            raise SourceUnavailableError(f"{source}: {path}: permission denied") from None
        if not isinstance(error, _READ_ERRORS):
            raise
        raise SchemaError(f"{source}: {path}: not readable as {what}: {_safe_reason(error)}") from None


def _safe_reason(error: BaseException) -> str:
    """Only reasons known to hold no cell of the file are passed on."""
    text = str(error).lower()
    for sign, reason in _REASONS.items():
        if sign in text:
            return reason
    return f"the file is damaged or of another format ({type(error).__name__})"


_WHOLE = "its server gives files only whole; download it"
_REASONS = {
    "magic bytes": "it does not end as a Parquet file does (truncated, or another format; for CSV set format: csv)",
    "0 bytes": "the file is empty",
    "not an arrow file": "it does not end as an Arrow file does (truncated?)",
    "expected to": "it ends early (truncated?)",
    "smaller than": "it ends early (truncated?)",
    "footer": "its footer is damaged (truncated?)",
    "invalid utf8": "not UTF-8 text; convert the file to UTF-8",
    "end-of-stream": "its compressed data ends early (truncated?)",
    "crc check failed": "its compressed data fails its checksum",
    "checksum": "a page fails its checksum",
    "range requests": _WHOLE,
    "cannot seek": _WHOLE,
    "straddling object": "a row is longer than a block (an unclosed quote?)",
}
