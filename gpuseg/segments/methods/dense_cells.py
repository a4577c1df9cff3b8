"""Density clustering of more profiles than exact HDBSCAN can take: through cells around micro-clusters."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gpuseg.clustering.density import Density
from gpuseg.clustering.density_places import MicroDensity, Placed, place_all
from gpuseg.clustering.micro import micro_clusters, n_micro_of
from gpuseg.clustering.micro_density import fit_micro_density
from gpuseg.engine import Engine
from gpuseg.progress import Meter
from gpuseg.segments.arrays import read_array, write_array
from gpuseg.segments.methods.base import Rows, Telling, nine_digits
from gpuseg.segments.placing import Placement, Profiles, placed_by_means

_ARRAYS = ("centers", "labels", "reaches", "strengths", "births")


@dataclass(frozen=True, eq=False)
class ThroughCells:
    """Puts a profile into the segment of its cell if it lies within the cell's reach.

    Parameters
    ----------
    density : MicroDensity
    centers : float32 array, shape (n_segments, n_features)
        Means of the segments.
    spread : float64 array, shape (n_segments,)
        Root of the mean squared distance of the fitted profiles of each segment to its mean.
    n_noise : int
        Fitted profiles in no segment.
    noise_mean : float64 array, shape (n_features,)
        Their mean matrix row; zeros where there are none.
    """

    density: MicroDensity
    centers: npt.NDArray[np.float32]
    spread: npt.NDArray[np.float64]
    n_noise: int
    noise_mean: npt.NDArray[np.float64]

    def place(self, profiles: Profiles) -> Placement:
        """See `Placer`."""
        device = profiles.device
        labels, strengths = self.density.place(profiles.rows, device=device)
        return placed_by_means(device.to_host(profiles.rows), labels, strengths, self.centers)

    def save(self, folder: Path) -> None:
        """Write the cells, `cells_centers.npy` and so on."""
        for name in _ARRAYS:
            write_array(folder / f"cells_{name}.npy", getattr(self.density, name))
        write_array(folder / "cells_spread.npy", self.spread)
        write_array(folder / "cells_noise.npy", np.append(self.noise_mean, self.n_noise))

    @classmethod
    def read(cls, folder: Path, choice: Mapping[str, Any], centers: npt.NDArray[np.float32]) -> "ThroughCells":
        """Read what `save` wrote."""
        arrays = {name: read_array(folder / f"cells_{name}.npy") for name in _ARRAYS}
        density = MicroDensity(**arrays, takes_noise=choice["noise"] == "nearest", agreement=choice["agreement"])
        *mean, count = read_array(folder / "cells_noise.npy")
        return cls(density, centers, read_array(folder / "cells_spread.npy"), int(count), np.array(mean))

    def noise(self) -> tuple[int, npt.NDArray[np.float64]] | None:
        """See `Placer`."""
        return (self.n_noise, self.noise_mean) if self.n_noise else None

    def typical_distance(self, segment: int) -> float:
        """See `Placer`."""
        return float(self.spread[segment])

    @property
    def n_micro(self) -> None:
        """None: whether a profile is noise is told by its distance, not by its cell."""


def placed_through_cells(rows: Rows, density: Density, engine: Engine, progress: Meter) -> tuple[Placed, ThroughCells]:
    """Dense groups of all profiles: a pass for micro-clusters, the hierarchy over the sample, a pass that places.

    Raises
    ------
    ClusteringError
        If what would come out cannot be trusted.
    """
    progress.begin("fit", unit="passes")
    where: dict[str, Any] = {"device": engine.device, "executor": Telling(engine.executor, progress)}
    micro = micro_clusters(rows.blocks, rows.sample, n_micro_of(rows.n_profiles), **where)
    found = fit_micro_density(
        micro, rows.sample, n_rows=rows.n_profiles, device=engine.device, executor=engine.threads, density=density
    )
    placed = place_all(rows.blocks, found, **where)
    centers, k = placed.means.astype(np.float32), len(placed.counts)
    n_noise = 0 if density.noise == "nearest" and k else placed.n_noise
    mean = np.zeros(micro.sums.shape[1])
    if n_noise:
        mean = (micro.sums.sum(axis=0) - placed.sums.sum(axis=0)) / n_noise
    spread = np.array([nine_digits(sqrt(square / n)) for square, n in zip(placed.squares, placed.counts, strict=True)])
    return placed, ThroughCells(placed.density, centers, spread, n_noise, mean)
