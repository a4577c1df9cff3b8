"""A finished run, as a handle on its files."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from gpuseg.errors import ConfigError
from gpuseg.segments.cross import lens_folder
from gpuseg.segments.lenses import lens_contents
from gpuseg.segments.lookup import find_profile
from gpuseg.segments.model import Model
from gpuseg.segments.reasons import noise_reasons, profile_reasons
from gpuseg.sources.reduce import bucket_files
from gpuseg.workspace.files import read_json, read_table
from gpuseg.workspace.run_directory import open_version
from gpuseg.workspace.version import Version


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
    def explanations(self) -> dict[str, Any]:
        """Content of `explanations.json`: the rules of the segments, and a comparison with plain RFM scores.

        Raises
        ------
        ConfigError
            If the run was made without explanations.
        """
        content: dict[str, Any] = read_json(self._explained().path / "explanations.json")
        return content

    @property
    def model(self) -> Model:
        """The model, for `predict`."""
        return Model.read(self.path / "model")

    @property
    def lenses(self) -> dict[str, "Lens"]:
        """The lenses by their names, in the order of the configuration; empty for a run without any."""
        found = lens_contents(self.path)
        return {} if found is None else {name: Lens(self.path, name) for name in found["segments"]}

    @property
    def cross(self) -> dict[str, Any]:
        """Content of `lenses/cross.json`: how the segments of every two segmentations overlap.

        Raises
        ------
        ConfigError
            If the run has no lenses.
        """
        found = lens_contents(self.path)
        if found is None:
            raise ConfigError(f"{self.path}: has no lenses; name some under `lenses` and run its configuration again")
        content: dict[str, Any] = found["cross"]
        return content

    def assignments(self) -> Any:
        """Segment of every profile, as a pandas DataFrame; `IntegrityError` where a file is not the committed one."""
        return _frame(self.path, "assignments")

    def features(self) -> Any:
        """Features of every profile with events, likewise."""
        return _frame(self.path, "features")

    def explain(self, profile_id: int | str) -> dict[str, Any]:
        """Why a profile is in its segment; reads only the bucket that holds it.

        Parameters
        ----------
        profile_id : int or str
            The id; whole-number ids may be given as text.

        Returns
        -------
        dict
            `profile_id`, `status` ("assigned", "noise" for a profile that hdbscan puts into no segment, or "no_data"
            for one without events), `method`, `segment_id`, `segment_name`, `distance`, `confidence`, and what
            `profile_reasons` or, for noise, `noise_reasons` gives. Without a segment that is -1, the others are None
            (the confidence of noise is 0); without events there are no reasons. With method rules also `rule`, the
            condition that the profile matches, None where it matches none.

        Raises
        ------
        ConfigError
            If the run was made without explanations, or the group floor withholds the profile's segment.
        DataError
            If the run knows no such profile.
        IntegrityError
            If a file that the answer needs is not the one that was committed.
        """
        return _profile_explained(self._explained(), self.segments, profile_id)

    def _explained(self) -> Version:
        """The version, if it has the stage that explains."""
        version = Version(self.path)
        if "explain" not in version.manifest()["stages"]:
            raise ConfigError(f"{self.path}: was made without explanations; run its configuration again")
        return version


@dataclass(frozen=True)
class Lens:
    """One lens of a finished run.

    Parameters
    ----------
    version : Path
        The version's folder.
    name : str
    """

    version: Path
    name: str

    @property
    def segments(self) -> dict[str, Any]:
        """Content of its `segments.json`."""
        content: dict[str, Any] = read_json(self.version / lens_folder(self.name) / "segments.json")
        return content

    @property
    def model(self) -> Model:
        """Its model, for `predict`; `IntegrityError` where a file is not the committed one."""
        Version(self.version).verify(f"{lens_folder(self.name)}/model/")
        return Model.read(self.version / lens_folder(self.name) / "model")

    @property
    def explanations(self) -> dict[str, Any]:
        """Content of its `explanations.json`, as of `Run.explanations`.

        Raises
        ------
        ConfigError
            If the run was made without explanations of lenses.
        """
        content: dict[str, Any] = read_json(self._explained().path / lens_folder(self.name) / "explanations.json")
        return content

    def explain(self, profile_id: int | str) -> dict[str, Any]:
        """Why a profile is in its segment of this lens, as of `Run.explain`."""
        return _profile_explained(self._explained(), self.segments, profile_id, below=lens_folder(self.name))

    def _explained(self) -> Version:
        version, path = Version(self.version), f"{lens_folder(self.name)}/explanations.json"
        if not version.files(path):
            raise ConfigError(f"{self.version / path}: was not made; run the configuration again")
        return version

    def assignments(self) -> Any:
        """Its segment of every profile, as a pandas DataFrame, likewise."""
        return _frame(self.version, f"{lens_folder(self.name)}/assignments")


def _profile_explained(
    version: Version, content: Mapping[str, Any], profile_id: int | str, *, below: str = ""
) -> dict[str, Any]:
    """What `Run.explain` says, of the segmentation whose cards are given."""
    found = find_profile(version, profile_id, below=below)
    for name in ("model/", "segments.json"):
        version.verify(f"{below}/{name}" if below else name)
    row, model = found.assignment, Model.read(version.path / below / "model")
    told = {
        "profile_id": row["profile_id"],
        "status": row["segment_status"],
        "method": content["method"],
        **{key: row[key] for key in ("segment_id", "segment_name", "distance", "confidence")},
    }
    if content["method"] == "rules":
        rules = content["choice"]["rules"]["rules"]
        told["rule"] = rules[row["segment_id"]]["where"] if 0 <= row["segment_id"] < len(rules) else None
    if row["segment_status"] == "noise":
        return told | noise_reasons(model, found.features, content)
    if row["segment_status"] != "assigned":
        return told | {"runner_up": None, "margin": None, "reasons": []}
    if row["segment_id"] in content["withheld"]["segment_ids"]:
        floor = content["withheld"]["group_floor"]
        raise ConfigError(f"the profile's segment is not described, so that no group of fewer than {floor} is")
    return told | profile_reasons(model, found.features, row["segment_id"], content)


def _frame(version: Path, folder: str) -> Any:
    """All buckets of a folder, which must be those that were committed."""
    Version(version).verify(f"{folder}/")
    return pa.concat_tables([read_table(file) for file in bucket_files(version / folder)]).to_pandas()


def open_run(path: str | Path) -> Run:
    """The finished run that a path means.

    Raises
    ------
    IntegrityError
        If there is none.
    """
    return Run(open_version(Path(path)).path)
