"""The run directory: its versions, the lock, and `CURRENT`.

A version is visible only once `CURRENT` names it, by an atomic rename after every file of it is synced.
"""

import fcntl
import os
import re
import shutil
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gpuseg.errors import IntegrityError, WorkspaceError
from gpuseg.workspace.files import NO_SPACE, sync_folder, unwritable, write_json, write_text
from gpuseg.workspace.version import StageRecord, Version, content_digest

_PUBLISH = "publish/ready.json"
"""Scratch that is there while a version has its manifest but is not yet the current one."""
PASSING = "passing/of.json"
"""Scratch of a version that nobody can go on with but the process that began it."""
_LOG = "run.jsonl"
_VERSION = re.compile(r"^v[0-9]{4,}$")


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
        """Hold the only writer's place, once what a killed one has left is settled.

        Raises
        ------
        WorkspaceError
            If another process holds it, the directory cannot be made, or there is no space left for what is written.
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
            with suppress(OSError):
                # Only a courtesy to whoever finds the place taken: a full disk has no room even for this.
                os.pwrite(handle, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)
            try:
                self._settle()
                yield
            except OSError as error:
                if error.errno not in NO_SPACE:
                    raise
                raise unwritable(Path(error.filename or self.root / "its files"), error) from None
        finally:
            os.close(handle)

    def _settle(self) -> None:
        """Finish what was all but finished when its process was killed; remove what nobody can go on with."""
        versions = self.versions()
        if not versions:
            return
        newest = versions[-1]
        if newest.is_complete:
            if (newest.scratch / _PUBLISH).exists():
                self.point_to(newest)
                shutil.rmtree(newest.scratch, ignore_errors=True)
        elif (newest.scratch / PASSING).exists() or all(path.name == _LOG for path in newest.path.iterdir()):
            self.discard(newest)

    @staticmethod
    def is_version(name: str) -> bool:
        """Whether a folder of this name is a version's."""
        return _VERSION.match(name) is not None

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
        try:
            name = pointer.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            raise IntegrityError(f"{pointer}: cannot be read; {self.cure()}") from None
        version = Version(self.root / name)
        if not _VERSION.match(name) or not version.is_complete:
            raise IntegrityError(f"{pointer}: names no finished version; {self.cure()}")
        return version

    def cure(self) -> str:
        """What makes a version current where none is."""
        finished = [version.name for version in self.versions() if version.is_complete]
        if not finished:
            return "remove it and run again"
        return f"`gpuseg rollback {self.root} --to {finished[-1]}` makes that version current"

    def unfinished(self) -> Version | None:
        """The newest version, where it is not finished."""
        versions = self.versions()
        return None if not versions or versions[-1].is_complete else versions[-1]

    def begin(self) -> Version:
        """Make the folder of the next version."""
        versions = self.versions()
        number = int(versions[-1].name[1:]) + 1 if versions else 1
        version = Version(self.root / f"v{number:04d}")
        try:
            version.path.mkdir()
        except FileExistsError:
            raise WorkspaceError(f"{version.path}: is in the way of the next version; move it away") from None
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
            "stages": {record.stage: _timed(record) for record in stages},
            "files": [asdict(file) for record in stages for file in record.files],
        }
        write_json(version.scratch / _PUBLISH, {})
        write_json(version.path / "manifest.json", content | {"sha256": content_digest(content)})
        self.point_to(version)
        shutil.rmtree(version.scratch, ignore_errors=True)

    def point_to(self, version: Version) -> None:
        """Make a finished version the current one."""
        write_text(self.root / "CURRENT", version.name + "\n")

    def discard(self, version: Version) -> None:
        """Remove an unfinished version."""
        if not version.is_complete:
            shutil.rmtree(version.path, ignore_errors=True)


def _timed(record: StageRecord) -> dict[str, Any]:
    memory = {f"peak_{name}": n for name, n in asdict(record.peak).items()} if record.peak else {}
    return {"key": record.key, "seconds": record.seconds, **memory}


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
    if any(version.is_complete for version in directory.versions()):
        raise IntegrityError(f"{path / 'CURRENT'}: is missing; {directory.cure()}")
    unfinished = directory.unfinished()
    if unfinished is not None:
        raise IntegrityError(f"{path}: {unfinished.name} is not finished; `gpuseg run --resume` finishes it")
    raise IntegrityError(f"{path}: no run is kept here")
