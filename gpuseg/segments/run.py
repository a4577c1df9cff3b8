"""A finished run, as a handle on its files."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from gpuseg.errors import ConfigError
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

    def assignments(self) -> Any:
        """Segment of every profile, as a pandas DataFrame; `IntegrityError` where a file is not the committed one."""
        return self._frame("assignments")

    def features(self) -> Any:
        """Features of every profile with events, likewise."""
        return self._frame("features")

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
        version = self._explained()
        found = find_profile(version, profile_id)
        version.verify("model/")
        version.verify("segments.json")
        row, content = found.assignment, self.segments
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
            return told | noise_reasons(self.model, found.features, content)
        if row["segment_status"] != "assigned":
            return told | {"runner_up": None, "margin": None, "reasons": []}
        if row["segment_id"] in content["withheld"]["segment_ids"]:
            floor = content["withheld"]["group_floor"]
            raise ConfigError(f"the profile's segment is not described, so that no group of fewer than {floor} is")
        return told | profile_reasons(self.model, found.features, row["segment_id"], content)

    def _explained(self) -> Version:
        """The version, if it has the stage that explains."""
        version = Version(self.path)
        if "explain" not in version.manifest()["stages"]:
            raise ConfigError(f"{self.path}: was made without explanations; run its configuration again")
        return version

    def _frame(self, folder: str) -> Any:
        """All buckets of a folder, which must be those that were committed."""
        Version(self.path).verify(f"{folder}/")
        return pa.concat_tables([read_table(file) for file in bucket_files(self.path / folder)]).to_pandas()


def open_run(path: str | Path) -> Run:
    """The finished run that a path means.

    Raises
    ------
    IntegrityError
        If there is none.
    """
    return Run(open_version(Path(path)).path)
