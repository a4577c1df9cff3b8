"""Finds the files of a source: a path, a glob or an fsspec URL."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from fsspec.registry import known_implementations
from fsspec.utils import glob_translate

from gpuseg.config import is_glob
from gpuseg.config_sources import SourceSection
from gpuseg.engine.opening import file_system
from gpuseg.engine.places import place_error
from gpuseg.errors import ConfigError, EmptyDataError, IntegrityError, SchemaError, SourceUnavailableError

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
    source : SourceSection
    files : tuple of str
        Paths or URLs in ascending order.
    format : {"parquet", "csv", "jsonl", "arrow"}
    n_bytes : int
        Their size as stored.
    marks : tuple of str
        Size and modification mark of each file; equal while it was not changed.
    """

    source: SourceSection
    files: tuple[str, ...]
    format: FileFormat
    n_bytes: int
    marks: tuple[str, ...]

    @property
    def sizes(self) -> tuple[int, ...]:
        """Bytes of each file as stored; 0 where the place does not tell."""
        known = (mark.partition(":")[0] for mark in self.marks)
        return tuple(int(size) if size.isdigit() else 0 for size in known)

    @property
    def fingerprint(self) -> str:
        """Names, sizes and modification marks; equal while no file was changed."""
        return "\n".join(f"{file}:{mark}" for file, mark in zip(self.files, self.marks, strict=True))


def locate(source: SourceSection) -> Located:
    """Expand a source's `uri`.

    Raises
    ------
    EmptyDataError
        If nothing matches.
    SchemaError
        If the format cannot be told, or the place may not be looked at.
    SourceUnavailableError
        If the place gives no answer.
    ConfigError
        If the package for this kind of URL is not installed.
    """
    uri = source.uri or ""
    system, infos = _listing(source.name, uri)
    infos = sorted((info for info in infos if info["type"] == "file"), key=lambda info: str(info["name"]))
    if not infos:
        raise EmptyDataError(f"{source.name}: no file matches {uri!r}{_hint(uri)}")
    files = tuple(system.unstrip_protocol(info["name"]).removeprefix("file://") for info in infos)
    marks = tuple(f"{info['size']}:{_mark(info)}" for info in infos)
    file_format = source.format if source.format != "auto" else _format_of(source.name, files)
    return Located(source, files, file_format, sum(int(info["size"] or 0) for info in infos), marks)


def check_unchanged(located: Iterable[Located]) -> None:
    """Look again for the files of sources that were read.

    Raises
    ------
    IntegrityError
        If a file was replaced or removed since, or another one matches; names the first.
    SourceUnavailableError
        If the place gives no answer.
    """
    for before in located:
        name, then = before.source.name, dict(zip(before.files, before.marks, strict=True))
        try:
            again = locate(before.source)
        except EmptyDataError:
            raise IntegrityError(f"{name}: {before.files[0]} vanished while it was read; run again") from None
        now = dict(zip(again.files, again.marks, strict=True))
        for file in sorted(then | now):
            if then.get(file) != now.get(file):
                what = "vanished" if file not in now else "changed" if file in then else "appeared"
                while_read = "while it was read" if file in then else "while the others were read"
                raise IntegrityError(f"{name}: {file} {what} {while_read}; run again")


def _listing(source: str, uri: str) -> tuple[Any, list[dict[str, Any]]]:
    """The file system of a `uri`, and what fsspec knows of all that matches it."""
    try:
        system, path = file_system(uri)
        # What an earlier listing found may have changed since.
        system.invalidate_cache()
        if is_glob(uri) and not system.exists(path):
            return system, [_followed(system, info, source) for info in _matches(system, path)]
        info = system.info(path)
    except FileNotFoundError as error:
        # A web server that gives no answer counts as a missing file with fsspec, with the reason behind it.
        outside = error.__cause__ and place_error(error.__cause__, uri, source, found=False)
        if isinstance(outside, SourceUnavailableError):
            raise outside from None
        return None, []
    except ImportError as error:
        raise ConfigError(f"sources.{source}.uri: {uri!r} needs {_missing_package(uri, error)}") from None
    except ValueError as error:
        # Messages of other libraries may quote settings of the environment.
        reason = str(error) if str(error).startswith("Protocol not known") else type(error).__name__
        raise SchemaError(f"{source}: cannot open {uri!r}: {reason}") from None
    except Exception as error:
        if (outside := place_error(error, uri, source, found=False)) is not None:
            raise outside from None
        if not isinstance(error, OSError):
            raise
        raise SchemaError(f"{source}: cannot open {uri!r}: {type(error).__name__}") from None
    if info["type"] == "directory":
        raise SchemaError(f"{source}: {uri!r} is a folder; name its files, such as {uri.rstrip('/')}/*.parquet")
    return system, [info]


def _matches(system: Any, pattern: str) -> list[dict[str, Any]]:
    """What matches a pattern; fsspec's own `glob` leaves out folders that it could not list, without a word."""
    parts = pattern.split("/")
    fixed = next(place for place, part in enumerate(parts) if is_glob(part))
    deep = next((place for place, part in enumerate(parts) if "**" in part), len(parts))
    whole = re.compile(glob_translate(pattern))
    folders, found, level = ["/".join(parts[:fixed])], [], fixed
    while folders:
        level += 1
        infos = [info for folder in folders for info in system.ls(folder, detail=True) if info["name"] != folder]
        found += [info for info in infos if whole.match(info["name"])]
        fits = re.compile(glob_translate("/".join(parts[:level]))) if level <= deep else None
        folders = [
            info["name"]
            for info in infos
            if info["type"] == "directory" and (fits is None or (level < len(parts) and fits.match(info["name"])))
        ]
    return found


def _followed(system: Any, info: dict[str, Any], source: str) -> dict[str, Any]:
    """What a link leads to; a listing only tells that it is one."""
    if info["type"] in ("file", "directory"):
        return info
    try:
        followed: dict[str, Any] = system.info(info["name"])
    except FileNotFoundError:
        raise SchemaError(f"{source}: {info['name']}: a link that leads nowhere") from None
    return followed


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
    for key in (
        "ETag",
        "etag",
        "mtime",
        "LastModified",
        "Last-Modified",
        "last_modified",
        "updated",
        "md5Hash",
        "created",
    ):
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
