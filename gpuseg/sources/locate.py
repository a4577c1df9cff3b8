"""Finds the files of a source: a path, a glob or an fsspec URL."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import fsspec
from fsspec.registry import known_implementations

from gpuseg.config import is_glob
from gpuseg.config_sources import SourceSection
from gpuseg.errors import ConfigError, EmptyDataError, SchemaError

FileFormat = Literal["parquet", "csv", "jsonl", "arrow"]

_ENDINGS: dict[FileFormat, tuple[str, ...]] = {
    "parquet": (".parquet", ".pq", ".parq"),
    "csv": (".csv",),
    "jsonl": (".jsonl", ".ndjson", ".json"),
    "arrow": (".arrow", ".feather", ".arrows", ".ipc"),
}
_MAY_BE_PACKED = ("csv", "jsonl", "arrow")


@dataclass(frozen=True)
class Located:
    """The files of one source.

    Parameters
    ----------
    files : tuple of str
        Paths or URLs in ascending order.
    format : {"parquet", "csv", "jsonl", "arrow"}
    n_bytes : int
        Their size as stored.
    fingerprint : str
        Names, sizes and modification marks; equal while no file was changed.
    """

    files: tuple[str, ...]
    format: FileFormat
    n_bytes: int
    fingerprint: str


def locate(source: SourceSection) -> Located:
    """Expand a source's `uri`.

    Raises
    ------
    EmptyDataError
        If nothing matches.
    SchemaError
        If the format cannot be told, or the place cannot be reached.
    ConfigError
        If the package for this kind of URL is not installed.
    """
    uri = source.uri or ""
    try:
        system, _ = fsspec.core.url_to_fs(uri)
        whole = not is_glob(uri) or system.exists(uri)
        matched = [_plain(system, uri)] if whole else system.expand_path(uri, recursive=False)
        infos = [system.info(path) for path in sorted(matched)]
    except FileNotFoundError:
        raise EmptyDataError(f"{source.name}: no file matches {uri!r}{_hint(uri)}") from None
    except ImportError as error:
        raise ConfigError(f"sources.{source.name}.uri: {uri!r} needs {_missing_package(uri, error)}") from None
    except ValueError as error:
        raise SchemaError(f"{source.name}: cannot open {uri!r}: {error}") from None
    except OSError as error:
        raise SchemaError(f"{source.name}: cannot open {uri!r}: {type(error).__name__}") from None
    infos = [info for info in infos if info["type"] == "file"]
    if not infos:
        raise EmptyDataError(f"{source.name}: no file matches {uri!r}{_hint(uri)}")
    files = tuple(system.unstrip_protocol(info["name"]).removeprefix("file://") for info in infos)
    marks = [f"{name}:{info['size']}:{_mark(info)}" for name, info in zip(files, infos, strict=True)]
    file_format = source.format if source.format != "auto" else _format_of(source.name, files)
    return Located(files, file_format, sum(int(info["size"] or 0) for info in infos), "\n".join(marks))


def _plain(system: Any, uri: str) -> str:
    path: str = system._strip_protocol(uri)
    if system.isdir(path):
        raise SchemaError(f"{uri!r} is a folder; name its files, such as {uri.rstrip('/')}/*.parquet")
    return path


def _missing_package(uri: str, error: ImportError) -> str:
    """Words that name what to install, as far as fsspec knows it."""
    protocol = uri.partition("://")[0].rpartition("::")[2]
    module = str(known_implementations.get(protocol, {}).get("class", "")).partition(".")[0]
    packages = [module] if module not in ("", "fsspec") else re.findall(r'"([\w-]+)"', str(error))
    if not packages:
        return f"a package that is not installed: {error}"
    return f"a package that is not installed; pip install {' '.join(packages).replace('_', '-')}"


def _hint(uri: str) -> str:
    if "://" in uri:
        return ""
    folder = Path(uri).parent
    if not folder.is_dir() and not is_glob(str(folder)):
        return f"; the folder {str(folder)!r} does not exist"
    return "; relative paths start at the configuration file's folder"


def _mark(info: dict[str, Any]) -> str:
    """When a file was changed; of a local one also when its inode was, which no tool that copies times can set."""
    if "created" in info and "ino" in info:
        return f"{info.get('mtime')}:{info['created']}:{info['ino']}"
    for key in ("mtime", "ETag", "etag", "LastModified", "last_modified", "updated", "md5Hash"):
        if info.get(key) is not None:
            return str(info[key])
    return ""


def _format_of(source: str, files: tuple[str, ...]) -> FileFormat:
    formats = {_by_name(file) for file in files}
    if len(formats) == 1 and (only := formats.pop()) is not None:
        return only
    known = ", ".join(ending for endings in _ENDINGS.values() for ending in endings)
    raise SchemaError(
        f"{source}: cannot tell the format of its files by their names; known are {known}, "
        f"or set format: {', '.join(list(_ENDINGS)[:-1])} or {list(_ENDINGS)[-1]}"
    )


def _by_name(file: str) -> FileFormat | None:
    name = file.lower()
    plain = name.removesuffix(".gz")
    for file_format, endings in _ENDINGS.items():
        if (plain if file_format in _MAY_BE_PACKED else name).endswith(endings):
            return file_format
    return None
