"""The model artefact: JSON and `.npy` files, never pickle."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from gpuseg.clustering.hierarchy import Hierarchy
from gpuseg.clustering.neighbourhood import Neighbourhood
from gpuseg.engine import open_engine
from gpuseg.engine.arrow import as_arrow
from gpuseg.engine.base import Device
from gpuseg.errors import IntegrityError, SchemaError
from gpuseg.matrix.transform import MatrixTransform
from gpuseg.segments.arrays import read_array, write_array
from gpuseg.segments.methods import METHODS
from gpuseg.segments.placing import Placement, Placer, Profiles
from gpuseg.sources.frames import frame_table
from gpuseg.workspace.files import read_json, write_json
from gpuseg.workspace.run_directory import open_version

FORMAT = 1


@dataclass(frozen=True, eq=False, repr=False)
class Model:
    """What is needed to put a profile's features into a segment.

    Parameters
    ----------
    transform : MatrixTransform
        Features to matrix.
    centers : float32 array, shape (n_segments, n_features)
        Center of each segment, in order of `segment_id`; its mean where the method is not kmeans.
    counts : int64 array, shape (n_segments,)
        Profiles of each segment in the fit.
    means : float64 array, shape (n_segments, n_features)
        Mean matrix row of each segment.
    inertia : float
        Sum of squared distances in the fit.
    n_iter : int
        Updates made; 0 without kmeans.
    choice : mapping
        How the number of segments came about.
    features : tuple of mapping
        Name, family, label and unit of every feature.
    method : str
    seed : int
    placer : Placer
        The method's own way to put profiles into segments.
    names : tuple of str
        Name of each segment.
    """

    transform: MatrixTransform
    centers: npt.NDArray[np.float32]
    counts: npt.NDArray[np.int64]
    means: npt.NDArray[np.float64]
    inertia: float
    n_iter: int
    choice: Mapping[str, Any]
    features: tuple[Mapping[str, Any], ...]
    method: str
    seed: int
    placer: Placer
    names: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Model(method={self.method!r}, n_segments={self.n_segments}, names={list(self.names)!r})"

    @property
    def published(self) -> tuple[Mapping[str, Any], ...]:
        """The features that reports may name: not those of a category that fewer profiles than the floor have."""
        return tuple(item for item in self.features if item.get("published", True))

    @property
    def n_segments(self) -> int:
        """Number of segments."""
        return len(self.centers)

    def groups(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """Size and mean matrix row of the segments and, where there is noise, of it as the last group."""
        noise = self.placer.noise()
        if noise is None:
            return self.counts, self.means
        count, mean = noise
        return np.append(self.counts, count), np.vstack([self.means, mean])

    @property
    def neighbourhood(self) -> Neighbourhood | None:
        """The matrix rows of the fit with their segments, where profiles are placed by these."""
        return getattr(self.placer, "neighbourhood", None)

    @property
    def segment_of_micro_clusters(self) -> npt.NDArray[np.int32]:
        """Segment of each micro-cluster, where there is a hierarchy."""
        found: npt.NDArray[np.int32] = self.placer.groups  # type: ignore[attr-defined]
        return found

    @property
    def hierarchy(self) -> Hierarchy | None:
        """The merge tree over micro-clusters, where segments are a cut of one."""
        return getattr(self.placer, "hierarchy", None)

    def save(self, folder: Path) -> None:
        """Write the model's files."""
        for name in ("centers", "counts", "means"):
            write_array(folder / f"{name}.npy", getattr(self, name))
        self.placer.save(folder)
        write_json(
            folder / "model.json",
            {
                "format": FORMAT,
                "method": self.method,
                "seed": self.seed,
                "inertia": self.inertia,
                "n_iter": self.n_iter,
                "names": list(self.names),
                "choice": dict(self.choice),
                "features": [dict(feature) for feature in self.features],
                "matrix": self.transform.as_dict(),
            },
        )

    @classmethod
    def read(cls, folder: Path) -> "Model":
        """Read the files that `save` wrote.

        Raises
        ------
        IntegrityError
            If a file is missing, damaged or of another format.
        """
        content = read_json(folder / "model.json")
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise IntegrityError(f"{folder / 'model.json'}: is no model of format {FORMAT}")
        arrays: dict[str, Any] = {name: read_array(folder / f"{name}.npy") for name in ("centers", "counts", "means")}
        try:
            placer = METHODS[content["method"]].read(folder, content, arrays["centers"])
            return cls._assembled(content, arrays | {"placer": placer})
        except (KeyError, TypeError, AttributeError, ValueError, IndexError):
            raise IntegrityError(f"{folder / 'model.json'}: is no whole model") from None

    @classmethod
    def _assembled(cls, content: Mapping[str, Any], arrays: Mapping[str, Any]) -> "Model":
        return cls(
            transform=MatrixTransform.from_dict(content["matrix"]),
            inertia=content["inertia"],
            n_iter=content["n_iter"],
            choice=content["choice"],
            features=tuple(content["features"]),
            method=content["method"],
            seed=content["seed"],
            names=tuple(content["names"]),
            **arrays,
        )

    def place(self, features: pa.Table, device: Device, rows: Any = None) -> Placement:
        """Put feature rows into segments.

        Parameters
        ----------
        features : Arrow table
            Every feature of the matrix.
        device : Device
        rows : array, shape (n_profiles, n_features), optional
            The matrix of these features, where it is at hand: on the device, or for hdbscan in host memory.

        Returns
        -------
        Placement
        """
        return self.placer.place(Profiles(features, self.transform, device, rows))

    def predict(self, features: Any, *, engine: str = "auto") -> Any:
        """Segments of profiles whose features are already built.

        With hdbscan a profile of the fit has the segment that it has there; another one joins that of the nearest
        profile of the fit, if it lies as dense as the segment's thinnest place, and is noise otherwise; see
        `gpuseg.clustering.neighbourhood`.

        Parameters
        ----------
        features : pandas, Polars or Arrow table, shape (n_profiles, …)
            Every feature of the model; other columns are ignored, `profile_id` is passed through.
        engine : {"auto", "cpu", "gpu"}, default "auto"

        Returns
        -------
        pandas.DataFrame
            `profile_id` where given, `segment_id`, `segment_name`, `distance`, `confidence`; noise has segment -1, no
            name and no distance.

        Raises
        ------
        SchemaError
            If a feature is missing or holds no numbers.
        """
        table = frame_table(features, "features")
        needed = list(dict.fromkeys([*self.transform.features, *getattr(self.placer, "features", ())]))
        missing = [name for name in needed if name not in table.column_names]
        if missing:
            raise SchemaError(f"features: {len(missing)} columns are missing, first {missing[0]!r}")
        for name in needed:
            kind = table.schema.field(name).type
            if pa.types.is_floating(kind) and pc.any(pc.is_inf(table[name])).as_py():
                raise SchemaError(f"features: column {name!r} holds infinite values")
            if pa.types.is_null(kind):
                place = table.column_names.index(name)
                table = table.set_column(place, name, table[name].cast(pa.float64()))
            elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
                raise SchemaError(f"features: column {name!r} is {kind}, but must hold numbers")
        with open_engine(engine=engine) as opened:
            placed = self.place(table, opened.device)
        columns = {"profile_id": table["profile_id"]} if "profile_id" in table.column_names else {}
        columns |= {
            "segment_id": as_arrow(placed.segment_id),
            "segment_name": pa.array([self.names[i] if i >= 0 else None for i in placed.segment_id], pa.string()),
            "distance": as_arrow(placed.distance),
            "confidence": as_arrow(placed.confidence),
        }
        return pa.table(columns).to_pandas()


def load(path: str | Path) -> Model:
    """The model of a run.

    Parameters
    ----------
    path : str or Path
        A run directory (its current version) or one version's folder.

    Raises
    ------
    IntegrityError
        If there is no finished run, or a file of it is damaged.
    """
    version = open_version(Path(path))
    version.verify("model/")
    return Model.read(version.path / "model")
