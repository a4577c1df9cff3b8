"""The run directory: versions, stage commits, the lock, and `CURRENT`.

A version is a folder that grows stage by stage. A stage's files count only once its record is written, and a version
is visible only once `CURRENT` names it; both happen by an atomic rename after every file is synced.
"""

import fcntl
import json
import os
import re
import shutil
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from hashlib import sha256 as _sha256
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from gpuseg.errors import IntegrityError, WorkspaceError
from gpuseg.workspace.files import read_json, sha256, sync_folder, write_json, write_text

_VERSION = re.compile(r"^v[0-9]{4,}$")
_RECORDS = ".stages"
_SCRATCH = ".work"


@dataclass(frozen=True)
class FileRecord:
    """One committed file.

    Parameters
    ----------
    path : str
        Relative to the version's folder.
    sha256 : str
        Hex digest of the bytes.
    n_bytes : int
    n_rows : int or None
        Rows of a Parquet file.
    """

    path: str
    sha256: str
    n_bytes: int
    n_rows: int | None


@dataclass(frozen=True)
class StageRecord:
    """One committed stage.

    Parameters
    ----------
    stage : str
    key : str
        Hash of everything that decides the stage's output.
    seconds : float
        How long it took, 0 for a stage taken over from another version.
    files : tuple of FileRecord
    facts : mapping
        Small figures for people and for later stages.
    """

    stage: str
    key: str
    seconds: float
    files: tuple[FileRecord, ...]
    facts: Mapping[str, Any]


class Version:
    """One version of a run.

    Parameters
    ----------
    path : Path
        Its folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.name

    @property
    def scratch(self) -> Path:
        """Scratch folder of the running stage; never part of a commit."""
        return self.path / _SCRATCH

    @property
    def is_complete(self) -> bool:
        """Whether its manifest has been written."""
        return (self.path / "manifest.json").exists()

    def stage(self, name: str) -> StageRecord | None:
        """The record of a committed stage, or None."""
        path = self.path / _RECORDS / f"{name}.json"
        if not path.exists():
            return None
        content = read_json(path)
        files = tuple(FileRecord(**file) for file in content.pop("files"))
        return StageRecord(files=files, **content)

    def commit_stage(
        self, name: str, *, key: str, seconds: float, outputs: Sequence[str], facts: Mapping[str, Any]
    ) -> StageRecord:
        """Record a stage whose files are all written and synced.

        Parameters
        ----------
        name : str
        key : str
        seconds : float
        outputs : sequence of str
            Files and folders of the stage, relative to the version.
        facts : mapping
            JSON values.
        """
        paths: list[Path] = []
        for output in outputs:
            path = self.path / output
            paths += sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
        files = tuple(_record_file(path, self.path) for path in paths)
        record = StageRecord(name, key, round(seconds, 3), files, dict(facts))
        write_json(self.path / _RECORDS / f"{name}.json", asdict(record))
        return record

    def adopt_stage(self, record: StageRecord, donor: "Version") -> StageRecord:
        """Take over a committed stage of another version without copying its bytes."""
        for file in record.files:
            target = self.path / file.path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)
            try:
                os.link(donor.path / file.path, target)
            except OSError:
                shutil.copyfile(donor.path / file.path, target)
        taken = StageRecord(record.stage, record.key, 0.0, record.files, record.facts)
        write_json(self.path / _RECORDS / f"{record.stage}.json", asdict(taken))
        return taken

    def drop_stage(self, name: str, outputs: Sequence[str]) -> None:
        """Remove a stage's record first, then its files."""
        (self.path / _RECORDS / f"{name}.json").unlink(missing_ok=True)
        for output in outputs:
            path = self.path / output
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    def manifest(self) -> dict[str, Any]:
        """The manifest, checked against its own digest.

        Raises
        ------
        IntegrityError
            If it is missing or was altered.
        """
        content: dict[str, Any] = read_json(self.path / "manifest.json")
        found = content.pop("sha256", None)
        if found != _digest(content):
            raise IntegrityError(f"{self.path / 'manifest.json'}: does not match its own checksum")
        return content

    def verify(self) -> int:
        """Check every file of the manifest and return how many there are.

        Raises
        ------
        IntegrityError
            Naming the first file that is missing or differs.
        """
        files = self.manifest()["files"]
        for file in files:
            path = self.path / file["path"]
            if not path.is_file():
                raise IntegrityError(f"{path}: the file is missing")
            if path.stat().st_size != file["n_bytes"] or sha256(path) != file["sha256"]:
                raise IntegrityError(f"{path}: differs from the committed file")
        return len(files)


class RunDirectory:
    """A run directory, created on first use.

    Parameters
    ----------
    root : Path
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the only writer's place.

        Raises
        ------
        WorkspaceError
            If another process holds it, or the directory cannot be made.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.root / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise WorkspaceError(f"{self.root}: cannot be written: {error.strerror}") from None
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                holder = os.pread(handle, 200, 0).decode("utf-8", "replace").strip() or "another process"
                raise WorkspaceError(f"{self.root}: {holder} is writing to this run; wait for it") from None
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)
            yield
        finally:
            os.close(handle)

    def versions(self) -> list[Version]:
        """Every version's folder, oldest first, finished or not."""
        if not self.root.is_dir():
            return []
        names = [path for path in self.root.iterdir() if path.is_dir() and _VERSION.match(path.name)]
        return [Version(path) for path in sorted(names, key=lambda path: int(path.name[1:]))]

    def current(self) -> Version | None:
        """The committed version, or None before the first.

        Raises
        ------
        IntegrityError
            If `CURRENT` names a version that is not there.
        """
        pointer = self.root / "CURRENT"
        if not pointer.exists():
            return None
        name = pointer.read_text(encoding="utf-8").strip()
        version = Version(self.root / name)
        if not _VERSION.match(name) or not version.is_complete:
            raise IntegrityError(f"{pointer}: names no finished version; restore it or run again")
        return version

    def unfinished(self) -> Version | None:
        """The newest version, where it is not finished."""
        versions = self.versions()
        return versions[-1] if versions and not versions[-1].is_complete else None

    def begin(self) -> Version:
        """Make the folder of the next version."""
        versions = self.versions()
        number = int(versions[-1].name[1:]) + 1 if versions else 1
        version = Version(self.root / f"v{number:04d}")
        version.path.mkdir()
        sync_folder(self.root)
        return version

    def publish(self, version: Version, facts: Mapping[str, Any], stages: Sequence[StageRecord]) -> None:
        """Write the manifest, then make the version the current one.

        Parameters
        ----------
        version : Version
            Every stage of it committed.
        facts : mapping
            What the manifest says besides files and stages.
        stages : sequence of StageRecord
        """
        content = {
            **facts,
            "stages": {record.stage: {"key": record.key, "seconds": record.seconds} for record in stages},
            "files": [asdict(file) for record in stages for file in record.files],
        }
        shutil.rmtree(version.scratch, ignore_errors=True)
        write_json(version.path / "manifest.json", content | {"sha256": _digest(content)})
        write_text(self.root / "CURRENT", version.name + "\n")

    def discard(self, version: Version) -> None:
        """Remove an unfinished version."""
        if not version.is_complete:
            shutil.rmtree(version.path, ignore_errors=True)


def open_version(path: Path) -> Version:
    """The finished version that a path means: a run directory's current one, or a version's own folder.

    Raises
    ------
    IntegrityError
        If there is none.
    """
    if (path / "manifest.json").exists():
        return Version(path)
    directory = RunDirectory(path)
    version = directory.current()
    if version is not None:
        return version
    unfinished = directory.unfinished()
    if unfinished is not None:
        raise IntegrityError(f"{path}: {unfinished.name} is not finished; `gpuseg run --resume` finishes it")
    raise IntegrityError(f"{path}: no run is kept here")


def _record_file(path: Path, root: Path) -> FileRecord:
    n_rows = pq.read_metadata(path).num_rows if path.suffix == ".parquet" else None
    return FileRecord(path.relative_to(root).as_posix(), sha256(path), path.stat().st_size, n_rows)


def _digest(content: Mapping[str, Any]) -> str:
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return _sha256(canonical.encode()).hexdigest()
