"""One version of a run: a folder that grows stage by stage.

A stage's files count only once its record is written, by an atomic rename after every file is synced.
"""

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from hashlib import sha256 as _sha256
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from gpuseg.errors import IntegrityError
from gpuseg.progress import Peak
from gpuseg.workspace.files import TEMPORARY, digests, read_json, write_json

_RECORDS = ".stages"
_SCRATCH = ".work"
_REPAIR = "restore it, or make a new version with `gpuseg run` without --resume"


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
    peak : Peak or None
        Memory, None for a stage taken over from another version.
    """

    stage: str
    key: str
    seconds: float
    files: tuple[FileRecord, ...]
    facts: Mapping[str, Any]
    peak: Peak | None = None


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

    def remove_temporaries(self) -> None:
        """Remove files that a process left half-written when it was killed."""
        for path in self.path.rglob(f".*{TEMPORARY}"):
            path.unlink(missing_ok=True)

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
        try:
            files = tuple(FileRecord(**file) for file in content.pop("files"))
            peak = content.pop("peak", None)
            return StageRecord(files=files, **content, peak=None if peak is None else Peak(**peak))
        except (TypeError, KeyError, AttributeError):
            raise IntegrityError(f"{path}: is no record of a stage") from None

    def commit_stage(
        self,
        name: str,
        *,
        key: str,
        seconds: float,
        outputs: Sequence[str],
        facts: Mapping[str, Any],
        peak: Peak | None = None,
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
        peak : Peak, optional
        """
        paths: list[Path] = []
        # A worker that died left its own half-written, and another one did its work.
        self.remove_temporaries()
        for output in outputs:
            path = self.path / output
            # A folder is made with its first file, so one that is not there holds nothing.
            paths += [path] if path.suffix else sorted(p for p in path.rglob("*") if p.is_file())
        files = tuple(_recorded(paths, self.path))
        record = StageRecord(name, key, round(seconds, 3), files, dict(facts), peak)
        write_json(self.path / _RECORDS / f"{name}.json", asdict(record))
        return record

    def adopt_stage(self, record: StageRecord, donor: "Version", *, unread: bool = False) -> StageRecord:
        """Take over a committed stage of another version without copying its bytes.

        Parameters
        ----------
        record : StageRecord
        donor : Version
        unread : bool, default False
            Whether nothing of it will be read for this version. Then files that are linked, and so stay the donor's
            own, are only checked to be there with their sizes; `verify` compares their bytes as everyone's.

        Raises
        ------
        IntegrityError
            If a file of it is not the one that was committed.
        """
        donor.check(record.files, sizes_only=unread)
        copied = [file for file in record.files if not self._linked(file, donor)]
        if unread:
            self.check(copied)
        taken = StageRecord(record.stage, record.key, 0.0, record.files, record.facts)
        write_json(self.path / _RECORDS / f"{record.stage}.json", asdict(taken))
        return taken

    def adopt_files(self, folder: str, donor: "Version") -> None:
        """Take over the files of a folder of another version, which are checked, into a stage of one's own."""
        for file in donor.files(folder):
            self._linked(file, donor)

    def _linked(self, file: FileRecord, donor: "Version") -> bool:
        """Put a file of another version here too: the same one, or where the file system has no links a copy."""
        target = self.path / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        try:
            os.link(donor.path / file.path, target)
        except OSError:
            shutil.copyfile(donor.path / file.path, target)
            return False
        return True

    def drop_scratch(self, name: str) -> None:
        """Remove what a stage that is done has left of its scratch files."""
        shutil.rmtree(self.scratch / name, ignore_errors=True)
        with suppress(OSError):
            self.scratch.rmdir()

    def drop_stage(self, name: str, outputs: Sequence[str]) -> None:
        """Remove the manifest and the stage's record first, then its files."""
        (self.path / "manifest.json").unlink(missing_ok=True)
        (self.path / _RECORDS / f"{name}.json").unlink(missing_ok=True)
        for output in outputs:
            path = self.path / output
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    def published_stages(self) -> dict[str, StageRecord]:
        """The records of all stages that the manifest of a finished version tells of, in order.

        Raises
        ------
        IntegrityError
            If one is missing, or is not the one of the manifest.
        """
        content, found = self.manifest(), {}
        files = {file["path"]: file for file in content["files"]}
        for name, told in content["stages"].items():
            record = self.stage(name)
            if record is None or record.key != told["key"]:
                raise IntegrityError(
                    f"{self.path / _RECORDS / f'{name}.json'}: is missing or not the one that was committed"
                )
            if any(files.get(file.path) != asdict(file) for file in record.files):
                raise IntegrityError(f"{self.path / _RECORDS / name}.json: differs from the manifest; {_REPAIR}")
            found[name] = record
        return found

    def manifest(self) -> dict[str, Any]:
        """The manifest, checked against its own digest.

        Raises
        ------
        IntegrityError
            If it is missing or was altered.
        """
        content: Any = read_json(self.path / "manifest.json")
        found = content.pop("sha256", None) if isinstance(content, dict) else None
        if not isinstance(content, dict) or found != content_digest(content):
            raise IntegrityError(f"{self.path / 'manifest.json'}: does not match its own checksum")
        return content

    def verify(self, folder: str = "") -> int:
        """Check the files of the manifest below a folder, all by default, and return how many there are.

        Raises
        ------
        IntegrityError
            Naming the first file that is missing or differs.
        """
        files = self.files(folder)
        self.check(files)
        return len(files)

    def files(self, folder: str = "") -> list[FileRecord]:
        """The files of the manifest below a folder, all by default."""
        return [FileRecord(**file) for file in self.manifest()["files"] if file["path"].startswith(folder)]

    def check(self, files: Sequence[FileRecord], *, sizes_only: bool = False) -> None:
        """Compare files with what was recorded of them.

        Parameters
        ----------
        files : sequence of FileRecord
        sizes_only : bool, default False
            Whether to leave their bytes aside.

        Raises
        ------
        IntegrityError
            Naming a file that is missing or differs: the first one, of those of another size or else of other bytes.
        """
        paths = [self.path / file.path for file in files]
        for file, path in zip(files, paths, strict=True):
            if not path.is_file():
                raise IntegrityError(f"{path}: the file is missing; {_REPAIR}")
            if path.stat().st_size != file.n_bytes:
                raise _differs(path)
        if sizes_only:
            return
        with closing(digests(paths)) as found:
            for file, path, digest in zip(files, paths, found, strict=True):
                if digest != file.sha256:
                    raise _differs(path)


def _differs(path: Path) -> IntegrityError:
    return IntegrityError(f"{path}: differs from the committed file; {_REPAIR}")


def _recorded(paths: Sequence[Path], root: Path) -> Iterator[FileRecord]:
    for path, digest in zip(paths, digests(paths), strict=True):
        n_rows = pq.read_metadata(path).num_rows if path.suffix == ".parquet" else None
        yield FileRecord(path.relative_to(root).as_posix(), digest, path.stat().st_size, n_rows)


def content_digest(content: Mapping[str, Any]) -> str:
    """Hex SHA-256 of JSON content, whatever the order of its keys."""
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return _sha256(canonical.encode()).hexdigest()
