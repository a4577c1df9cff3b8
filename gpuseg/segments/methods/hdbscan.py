"""HDBSCAN over all profiles at once."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gpuseg.clustering.cost import check_fits, density_cost
from gpuseg.clustering.decision import Choice
from gpuseg.clustering.density import Density, DensityFit, fit_density, resolved_density
from gpuseg.clustering.nearest import row_distances
from gpuseg.clustering.neighbourhood import LEAST_SAMPLES, Neighbourhood, inertia_of
from gpuseg.config import Config
from gpuseg.engine import Engine
from gpuseg.errors import ClusteringError
from gpuseg.progress import Meter
from gpuseg.segments.arrays import read_array, write_array
from gpuseg.segments.methods.base import Clusters, Method, Rows, nine_digits
from gpuseg.segments.placing import Placement, Profiles
from gpuseg.vocabulary import NO_SEGMENT
from gpuseg.workspace.ledger import Ledger

_MUCH_NOISE, _MOST_IN_ONE = 0.5, 0.8
_ARRAYS = ("rows", "labels", "strengths", "cores", "reaches")


def density_clusters(config: Config, engine: Engine, rows: Rows, ledger: Ledger, progress: Meter) -> Clusters:
    """HDBSCAN over all profiles at once, in one go.

    A profile of the fit is known again by the bytes of its row, so rows are those of the host on every device.

    Raises
    ------
    ConfigError
        If a setting is more than there are profiles.
    DeviceMemoryError, UnsupportedOnDeviceError
        If the exact algorithm does not fit on the device.
    ClusteringError
        If it finds fewer than two dense groups.
    """
    section = config.cluster
    density = resolved_density(
        rows.n_profiles,
        min_cluster_size=section.min_cluster_size,
        min_samples=section.min_samples,
        noise=section.noise,
        selection=section.selection,
        min_share=section.min_segment_share,
        section="cluster.",
    )
    size = (rows.n_profiles, rows.sample.shape[1])
    check_fits(*size, device=engine.device, min_samples=density.min_samples)
    progress.say(density_cost(*size, device=engine.device, min_samples=density.min_samples).text)
    progress.begin("fit", unit="passes")
    everything = np.concatenate([block(engine.device) for block in rows.blocks])
    fit = fit_density(everything, device=engine.device, density=density)
    progress.add(1, rows=rows.n_profiles)
    n, k = rows.n_profiles, len(fit.counts)
    if k < 2:
        lower = "them" if density.min_cluster_size > 2 else "min_samples"
        raise ClusteringError(
            f"hdbscan found {'one dense group' if k else 'no dense groups'} among {n:,} profiles with "
            f"min_cluster_size {density.min_cluster_size} and min_samples {density.min_samples}; lower {lower}, or use "
            "cluster.method kmeans"
        )
    means, fitted = fit.means.astype(np.float32), fit.neighbourhood
    inertia = nine_digits(inertia_of(fitted.rows, fitted.labels, means))
    choice = {
        **Choice(k, "auto", _reason(fit, density, n)).as_dict(),
        "min_cluster_size": density.min_cluster_size,
        "min_samples": density.min_samples,
        "selection": density.selection,
        "noise": density.noise,
        "n_noise": fit.n_noise,
    }
    placer = BesideNeighbours(fitted, means)
    return Clusters(means, fit.counts, fit.means, inertia, 0, choice, placer, _warnings(fit, density, n))


@dataclass(frozen=True, eq=False)
class BesideNeighbours:
    """Puts a profile into the segment of its dense neighbours among the profiles of the fit.

    Parameters
    ----------
    neighbourhood : Neighbourhood
        The matrix rows of the fit with their segments.
    centers : float32 array, shape (n_segments, n_features)
        Means of the segments.
    """

    neighbourhood: Neighbourhood
    centers: npt.NDArray[np.float32]

    def place(self, profiles: Profiles) -> Placement:
        """See `Placer`; the fitted rows are found by their bytes, which are the host's."""
        rows = profiles.host_rows
        labels, strengths = self.neighbourhood.place(rows, device=profiles.device)
        distance = np.full(len(rows), np.nan)
        inside = labels != NO_SEGMENT
        distance[inside] = row_distances(rows[inside], self.centers[labels[inside]])
        return Placement(labels, distance, strengths)

    def save(self, folder: Path) -> None:
        """Write the arrays of the neighbourhood, `neighbourhood_rows.npy` and so on."""
        for name in _ARRAYS:
            write_array(folder / f"neighbourhood_{name}.npy", getattr(self.neighbourhood, name))

    def noise(self) -> tuple[int, npt.NDArray[np.float64]] | None:
        """See `Placer`."""
        outside = self.neighbourhood.labels < 0
        if not outside.any():
            return None
        return int(outside.sum()), self.neighbourhood.rows[outside].mean(axis=0, dtype=np.float64)

    @property
    def n_micro(self) -> None:
        """None."""


def _read(folder: Path, content: Mapping[str, Any], centers: npt.NDArray[np.float32]) -> BesideNeighbours:
    choice = content["choice"]
    arrays = {name: read_array(folder / f"neighbourhood_{name}.npy") for name in _ARRAYS}
    min_samples = max(choice["min_samples"], LEAST_SAMPLES)
    neighbourhood = Neighbourhood(**arrays, min_samples=min_samples, takes_noise=choice["noise"] == "nearest")
    return BesideNeighbours(neighbourhood, centers)


HDBSCAN = Method(density_clusters, _read, on_host=True)


def _warnings(fit: DensityFit, density: Density, n: int) -> tuple[str, ...]:
    share, largest = fit.n_noise / n, fit.counts[0] / n
    found = []
    if share > _MUCH_NOISE and density.noise == "keep":
        found.append(
            f"hdbscan leaves {share:.0%} of the profiles in no segment; lower cluster.min_samples, "
            "set cluster.noise: nearest, or use cluster.method kmeans"
        )
    if largest > _MOST_IN_ONE and density.selection == "eom":
        found.append(
            f"hdbscan puts {largest:.0%} of the profiles into one segment; cluster.selection: leaf looks for "
            "finer ones, or use cluster.method kmeans"
        )
    return tuple(found)


def _reason(fit: DensityFit, density: Density, n: int) -> str:
    found = (
        f"HDBSCAN found {len(fit.counts)} dense groups of at least {density.min_cluster_size:,} profiles, with "
        f"{density.min_samples} neighbours to tell density by"
    )
    if not fit.n_noise:
        return f"{found}; every profile is in one"
    lone = f"{fit.n_noise:,} of {n:,} profiles ({fit.n_noise / n:.1%})"
    if density.noise == "nearest":
        return f"{found}; {lone} are in none of them and were put into the nearest, with confidence 0"
    return f"{found}; {lone} are in none of them"
