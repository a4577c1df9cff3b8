"""HDBSCAN over all profiles: exact, or through cells where they are too many for that."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gpuseg.clustering.cost import Cost, check_fits, density_cost, is_exact
from gpuseg.clustering.decision import Choice
from gpuseg.clustering.dense_fit import trusted_or
from gpuseg.clustering.density import Density, fit_density, resolved_density
from gpuseg.clustering.nearest import row_distances
from gpuseg.clustering.neighbourhood import LEAST_SAMPLES, Neighbourhood, inertia_of
from gpuseg.config import Config
from gpuseg.engine import Engine
from gpuseg.errors import ClusteringError
from gpuseg.progress import Meter
from gpuseg.segments.arrays import read_array, write_array
from gpuseg.segments.methods.base import Clusters, Method, Rows, nine_digits
from gpuseg.segments.methods.dense_cells import ThroughCells, placed_through_cells
from gpuseg.segments.placing import Placement, Placer, Profiles, placed_by_means
from gpuseg.workspace.ledger import Ledger

_MUCH_NOISE, _MOST_IN_ONE = 0.5, 0.8
_BY = {"profiles": "", "micro_clusters": " on a sample weighted by micro-clusters"}
_ARRAYS = ("rows", "labels", "strengths", "cores", "reaches")


def density_clusters(config: Config, engine: Engine, rows: Rows, ledger: Ledger, progress: Meter) -> Clusters:
    """Dense groups of all profiles, exact where that takes minutes, else through cells.

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
    options: dict[str, Any] = {"device": engine.device, "min_samples": density.min_samples}
    cost = density_cost(rows.n_profiles, rows.sample.shape[1], **options)
    resolution = section.resolution
    if resolution == "auto":
        resolution = "profiles" if is_exact(cost, **options) else "micro_clusters"
    exact = partial(_exact, rows, density, engine, progress, cost)
    if resolution == "profiles":
        found = exact()
    else:
        instead = exact if section.resolution == "auto" else None
        found = trusted_or(instead, partial(_through_cells, rows, density, engine, progress))
    n, k = rows.n_profiles, len(found.counts)
    if k < 2:
        lower = "them" if density.min_cluster_size > 2 else "min_samples"
        advice = f"lower {lower}, or use" if density.min_cluster_size > 2 or density.min_samples > 1 else "use"
        raise ClusteringError(
            f"hdbscan found {'one dense group' if k else 'no dense groups'} among {n:,} profiles with "
            f"min_cluster_size {density.min_cluster_size} and min_samples {density.min_samples}; {advice} "
            "cluster.method kmeans"
        )
    choice = {
        **Choice(k, "auto", _reason(found, density, n)).as_dict(),
        "min_cluster_size": density.min_cluster_size,
        "min_samples": density.min_samples,
        "selection": density.selection,
        "noise": density.noise,
        "n_noise": found.n_noise,
        **found.told,
    }
    centers = found.means.astype(np.float32)
    warnings = _warnings(found, density, n)
    return Clusters(centers, found.counts, found.means, nine_digits(found.inertia), 0, choice, found.placer, warnings)


@dataclass(frozen=True, eq=False)
class _Found:
    """Dense groups, largest first."""

    counts: npt.NDArray[np.int64]
    means: npt.NDArray[np.float64]
    n_noise: int
    inertia: float
    placer: Placer
    told: Mapping[str, Any]


def _exact(rows: Rows, density: Density, engine: Engine, progress: Meter, cost: Cost) -> _Found:
    """By the exact algorithm, over all profiles in one go."""
    check_fits(rows.n_profiles, cost.n_features, device=engine.device, min_samples=density.min_samples)
    progress.say(cost.text)
    progress.begin("fit", unit="passes")
    everything = np.concatenate([block(engine.device) for block in rows.blocks])
    fit = fit_density(everything, device=engine.device, density=density)
    progress.add(1, rows=rows.n_profiles)
    centers, fitted = fit.means.astype(np.float32), fit.neighbourhood
    inertia = inertia_of(fitted.rows, fitted.labels, centers)
    told = {"resolution": "profiles"}
    return _Found(fit.counts, fit.means, fit.n_noise, inertia, BesideNeighbours(fitted, centers), told)


def _through_cells(rows: Rows, density: Density, engine: Engine, progress: Meter) -> _Found:
    placed, placer = placed_through_cells(rows, density, engine, progress)
    told = {"resolution": "micro_clusters", "agreement": nine_digits(placed.density.agreement)}
    return _Found(placed.counts, placed.means, placed.n_noise, float(placed.squares.sum()), placer, told)


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
        return placed_by_means(rows, labels, strengths, self.centers)

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

    def typical_distance(self, segment: int) -> float:
        """Median over the fitted profiles of a segment."""
        members = self.neighbourhood.rows[self.neighbourhood.labels == segment]
        return float(np.median(row_distances(members, np.broadcast_to(self.centers[segment], members.shape))))

    @property
    def n_micro(self) -> None:
        """None."""


def _read(folder: Path, content: Mapping[str, Any], centers: npt.NDArray[np.float32]) -> Placer:
    choice = content["choice"]
    if choice["resolution"] == "micro_clusters":
        return ThroughCells.read(folder, choice, centers)
    arrays = {name: read_array(folder / f"neighbourhood_{name}.npy") for name in _ARRAYS}
    min_samples = max(choice["min_samples"], LEAST_SAMPLES)
    neighbourhood = Neighbourhood(**arrays, min_samples=min_samples, takes_noise=choice["noise"] == "nearest")
    return BesideNeighbours(neighbourhood, centers)


HDBSCAN = Method(density_clusters, _read, on_host=True)


def _warnings(fit: _Found, density: Density, n: int) -> tuple[str, ...]:
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


def _reason(fit: _Found, density: Density, n: int) -> str:
    found = (
        f"HDBSCAN{_BY[fit.told['resolution']]} found {len(fit.counts)} dense groups of at least "
        f"{density.min_cluster_size:,} profiles, with "
        f"{density.min_samples} neighbours to tell density by"
    )
    if not fit.n_noise:
        return f"{found}; every profile is in one"
    lone = f"{fit.n_noise:,} of {n:,} profiles ({fit.n_noise / n:.1%})"
    if density.noise == "nearest":
        return f"{found}; {lone} are in none of them and were put into the nearest, with confidence 0"
    return f"{found}; {lone} are in none of them"
