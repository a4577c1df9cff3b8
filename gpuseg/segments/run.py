"""A finished run, as a handle on its files."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from gpuseg.errors import IntegrityError
from gpuseg.segments.model import Model
from gpuseg.sources.ingest import bucket_files
from gpuseg.workspace.files import read_json, read_table
from gpuseg.workspace.run_directory import open_version


@dataclass(frozen=True)
class Run:
    """A finished version of a run.

    Parameters
    ----------
    path : Path
        The version's folder.
    """

    path: Path

    @property
    def version(self) -> str:
        """Name of the version, such as "v0001"."""
        return self.path.name

    @property
    def segments(self) -> dict[str, Any]:
        """Content of `segments.json`."""
        content: dict[str, Any] = read_json(self.path / "segments.json")
        return content

    @property
    def quality(self) -> dict[str, Any]:
        """Content of `quality.json`."""
        content: dict[str, Any] = read_json(self.path / "quality.json")
        return content

    @property
    def model(self) -> Model:
        """The model, for `predict`."""
        return Model.read(self.path / "model")

    def assignments(self) -> Any:
        """Segment of every profile, as a pandas DataFrame."""
        return self._frame("assignments")

    def features(self) -> Any:
        """Features of every profile with events, as a pandas DataFrame."""
        return self._frame("features")

    def _frame(self, folder: str) -> Any:
        files = bucket_files(self.path / folder)
        if not files:
            raise IntegrityError(f"{self.path / folder}: holds no tables")
        return pa.concat_tables([read_table(file) for file in files]).to_pandas()


def open_run(path: str | Path) -> Run:
    """The finished run that a path means.

    Raises
    ------
    IntegrityError
        If there is none.
    """
    return Run(open_version(Path(path)).path)
