"""Density clustering of more rows than exact HDBSCAN can take: on a sample with the weights of micro-clusters.

Micro-clusters of all rows say how many of them each sampled row stands for. HDBSCAN's hierarchy is built over the
sampled rows with these weights (`sampled_density`), cells around the centers of micro-clusters learn which places are
in which group (`density_cells`), and any row is placed by its nearest center and its distance from it, at the cost of
an assignment. Two checks say whether to trust that: the cells must tell the sampled rows as the hierarchy does, and,
where the sample is not all rows, half of it must find what all of it finds.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from gpuseg.clustering.condensed import DenseGroups
from gpuseg.clustering.density import Density
from gpuseg.clustering.density_cells import Cells, density_cells, nearest_cells
from gpuseg.clustering.density_checks import check_cells, check_groups, check_sampled
from gpuseg.clustering.density_places import MicroDensity
from gpuseg.clustering.micro import MicroClusters
from gpuseg.clustering.passes import Mapper
from gpuseg.clustering.sampled_density import SampledRows, sampled_rows
from gpuseg.engine.base import Device
from gpuseg.errors import ClusteringError
from gpuseg.vocabulary import NO_SEGMENT

Float64Array = npt.NDArray[np.float64]

_LEAST_STRENGTH = 1e-9


def fit_micro_density(
    micro: MicroClusters,
    sample: npt.NDArray[Any],
    *,
    n_rows: int,
    device: Device,
    executor: Mapper,
    density: Density,
) -> MicroDensity:
    """Dense groups of all rows, from their micro-clusters and a sample of them.

    Parameters
    ----------
    micro : MicroClusters
        Of all rows.
    sample : float array, shape (n_sample, n_features)
        Some of these rows, taken at random, or all of them; finite, in any order.
    n_rows : int
        Number of all rows.
    device : Device
        Runs the estimator "neighbors".
    executor : Mapper
    density : Density
        Sizes in rows.

    Returns
    -------
    MicroDensity
        Without any cluster where nothing is dense enough; all rows are noise then, and stay so.

    Raises
    ------
    ClusteringError
        If all rows are equal, clusters may be too small for the sample, or a check fails.
    """
    check_sampled(density, len(sample), n_rows)
    rows = sampled_rows(micro, sample, n_rows, device=device)
    if len(rows.points) == 1:
        raise ClusteringError(
            f"all {n_rows:,} profiles are equal, so there are no dense groups to find; check features"
        )
    sampled = rows.groups(density, device=device)
    groups = sampled.found
    agreement = check_groups(rows, sampled, density, micro.centers, device=device, executor=executor)
    if not len(groups.births):
        return _without_clusters(micro.centers[:1], agreement)
    cells = density_cells(rows, groups, micro.centers, device=device, executor=executor)
    own, gaps = nearest_cells(rows.points, cells.centers, device)
    told = check_cells(rows, groups, cells.told(own, gaps), len(cells.centers))
    return _with_clusters(rows, groups, cells, own, gaps, density, min(agreement, told))


def _with_clusters(
    rows: SampledRows,
    groups: DenseGroups,
    cells: Cells,
    own: npt.NDArray[Any],
    gaps: Float64Array,
    density: Density,
    agreement: float,
) -> MicroDensity:
    strengths, taken = _strengths(rows, groups, cells, own, gaps), density.noise == "nearest"
    found = MicroDensity(cells.centers, cells.labels, cells.reaches, strengths, groups.births, taken, agreement)
    return found.reordered(np.unique(cells.labels[cells.labels >= 0]).astype(np.int64))


def _strengths(
    rows: SampledRows, groups: DenseGroups, cells: Cells, own: npt.NDArray[Any], gaps: Float64Array
) -> Float64Array:
    """For each cell the line of least squares through its members' strengths over their distances, and its bounds."""
    m, told = len(cells.labels), cells.told(own, gaps)
    inside = (told >= 0) & (told == groups.labels)
    cell, gap, strength, mass = own[inside], gaps[inside], groups.strengths[inside], rows.weights[inside]

    def added(values: Float64Array) -> Float64Array:
        return np.bincount(cell, mass * values, m).astype(np.float64)

    total = np.maximum(added(np.ones_like(gap)), np.finfo(np.float64).tiny)
    gap_mean, strength_mean = added(gap) / total, added(strength) / total
    off = gap - gap_mean[cell]
    variance, covariance = added(off * off), added(off * (strength - strength_mean[cell]))
    slope = np.divide(covariance, variance, out=np.zeros(m), where=variance > 0)
    low, high = np.ones(m), np.zeros(m)
    np.minimum.at(low, cell, strength)
    np.maximum.at(high, cell, strength)
    low = np.maximum(np.minimum(low, high), _LEAST_STRENGTH)
    return np.stack([strength_mean - slope * gap_mean, slope, low, np.maximum(high, low)], axis=1)


def _without_clusters(centers: npt.NDArray[Any], agreement: float) -> MicroDensity:
    """Everything is noise."""
    none = np.full(len(centers), NO_SEGMENT, np.int32)
    reaches, strengths = np.full(len(centers), -1.0), np.zeros((len(centers), 4))
    return MicroDensity(centers, none, reaches, strengths, np.empty(0), takes_noise=False, agreement=agreement)
