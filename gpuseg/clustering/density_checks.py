"""Whether dense groups that were found on a sample, and are told by cells, are to be trusted for all rows.

Nothing is known of the rows that are not in the sample, so what half of it finds is held against what all of it finds:
where twice as many rows change the groups, more would change them again. The cells of one half also
tell the other, as they tell rows that were not sampled.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from gpuseg.clustering.condensed import DenseGroups
from gpuseg.clustering.density import Density
from gpuseg.clustering.density_cells import density_cells, nearest_cells
from gpuseg.clustering.passes import Mapper
from gpuseg.clustering.sampled_density import SampledGroups, SampledRows
from gpuseg.engine.base import Device
from gpuseg.errors import ClusteringError

Float64Array = npt.NDArray[np.float64]

LEAST_SAMPLED = 50
"""Sampled rows of the smallest cluster, so that half of them still make one."""

LEAST_AGREEMENT = 0.95
"""Adjusted Rand index, noise taken as a group, of cells with the hierarchy, below which a result is refused."""

LEAST_OF_HALVES = 0.97
"""The same of half of the sample with all of it: 40,000 and 100,000 rows cost two to three times as much as half of
5,000 to 8,000 sampled ones."""

MOST_NOISE_DRIFT = 0.02
"""Share of the rows by which half of the sample may find more or less noise."""

CLEAR_CHOICE = 2.0
"""Times as much excess of mass as the other choice, below which groups may be one or several in all rows: two touching
groups in 6,000 to 12,000 sampled rows were one by a factor of up to 1.9, and two in 24,000 rows."""

LEAST_OF_ORDERS = 0.98
"""The same of points whose equal distances are taken in other orders: where it was .966 to .975, exact HDBSCAN found
other groups (.94), and from .994 on the same (.99)."""

_ORDERS = 3
_FEW_DISTANCES = 0.3
"""Distinct core distances for each point: 0.5 and more where values are continuous, as few of two points are equal."""


def check_sampled(density: Density, n_sample: int, n_rows: int) -> None:
    """Refuse clusters so small that too few of their rows are in the sample.

    Raises
    ------
    ClusteringError
        With the least `min_cluster_size` for so many rows.
    """
    thinning = n_rows / n_sample
    least = int(np.ceil(LEAST_SAMPLED * thinning))
    if thinning > 1 and density.min_cluster_size < least:
        raise ClusteringError(
            f"min_cluster_size {density.min_cluster_size:,} is too small for density clustering of {n_rows:,} profiles "
            f"by a sample of {n_sample:,}; nearest valid: {least:,}"
        )


def check_groups(
    rows: SampledRows,
    sampled: SampledGroups,
    density: Density,
    centers: npt.NDArray[Any],
    *,
    device: Device,
    executor: Mapper,
) -> float:
    """How well groups hold where equal distances are taken in another order, and where the sample is half as large.

    Parameters
    ----------
    rows : SampledRows
    sampled : SampledGroups
        Of these rows.
    density : Density
    centers : float array, shape (m, n_features)
        Those that cells begin with.
    device, executor

    Returns
    -------
    float
        The least adjusted Rand index of these; 1 where all rows were sampled and their distances differ.

    Raises
    ------
    ClusteringError
        If it is too low, or the share of noise changes.
    """
    agreement = 1.0
    if len(np.unique(sampled.cores)) < _FEW_DISTANCES * len(rows.points):
        agreement = _check_ties(rows, sampled, density, device)
    if rows.thinning > 1:
        _check_choice(rows, sampled, density)
        agreement = min(agreement, _check_halves(rows, sampled.found, density, centers, device, executor))
    return agreement


def check_cells(rows: SampledRows, groups: DenseGroups, told: npt.NDArray[np.int32], n_cells: int) -> float:
    """The adjusted Rand index of what cells tell of the sampled rows with their groups.

    Raises
    ------
    ClusteringError
        If it is too low.
    """
    agreement = same_groups(groups.labels, told, rows.weights)
    if agreement < LEAST_AGREEMENT:
        raise ClusteringError(
            f"{n_cells:,} cells cannot keep the dense groups of {rows.weights.sum():,.0f} profiles apart (agreement "
            f"{agreement:.2f}, at least {LEAST_AGREEMENT} wanted): too thin, too close, or none; raise min_samples or "
            "min_cluster_size, or use method kmeans"
        )
    return agreement


def same_groups(one: npt.NDArray[np.int32], other: npt.NDArray[np.int32], weights: Float64Array) -> float:
    """Adjusted Rand index (Hubert and Arabie 1985) of two labellings of weighted points; -1 is a group too.

    Pairs are counted as though the points were many, whatever they weigh.
    """
    share = weights / weights.sum()
    _, first = np.unique(one, return_inverse=True)
    _, second = np.unique(other, return_inverse=True)
    both = first * (int(second.max()) + 1) + second
    together, left, right = (float((np.bincount(groups, share) ** 2).sum()) for groups in (both, first, second))
    most, chance = (left + right) / 2, left * right
    return 1.0 if most == chance else (together - chance) / (most - chance)


def _check_ties(rows: SampledRows, sampled: SampledGroups, density: Density, device: Device) -> float:
    """Least agreement with the groups of the same points in other orders."""
    if density.selection == "leaf" or not len(sampled.found.births):
        # Leaves of a tree of ties are which of equal neighbours came first, and so is whether there are any.
        found = (
            "no dense group is found" if density.selection != "leaf" else "the finest dense groups (leaf) are chance"
        )
        raise ClusteringError(f"values are so coarse that {found}; add features of finer values, or use method kmeans")
    agreement = 1.0
    n = len(rows.points)
    for order in (np.arange(n)[::-1], *(np.random.default_rng(seed).permutation(n) for seed in range(_ORDERS))):
        turned = SampledRows(np.ascontiguousarray(rows.points[order]), rows.weights[order].copy(), rows.thinning)
        tree = turned.hierarchy(sampled.cores[order].copy(), density, device=device)
        labels = tree.groups(density.selection).labels
        agreement = min(agreement, same_groups(sampled.found.labels[order], labels, turned.weights))
    if agreement < LEAST_OF_ORDERS:
        raise ClusteringError(
            "values are so coarse that most profiles lie equally near to each other, and dense groups depend on which "
            f"comes first (agreement {agreement:.3f}, at least {LEAST_OF_ORDERS} wanted); add features of finer "
            "values, or use method kmeans"
        )
    return agreement


def _check_choice(rows: SampledRows, sampled: SampledGroups, density: Density) -> None:
    """Finer groups must not be as good as the ones they are parts of."""
    for favour in (1 / CLEAR_CHOICE, CLEAR_CHOICE):
        labels = sampled.tree.groups(density.selection, favour=favour).labels
        if same_groups(sampled.found.labels, labels, rows.weights) < LEAST_AGREEMENT:
            raise ClusteringError(
                f"one in {rows.thinning:,.1f} profiles does not tell whether some dense groups are one or several: "
                f"one choice has less than {CLEAR_CHOICE:g} times the excess of mass of the other; take selection "
                "leaf, raise min_cluster_size or min_samples, or use method kmeans"
            )


def _check_halves(
    rows: SampledRows,
    groups: DenseGroups,
    density: Density,
    centers: npt.NDArray[Any],
    device: Device,
    executor: Mapper,
) -> float:
    """The least agreement with all of the sample of either half, and of what its cells tell of the other half."""
    agreements, unseen, drifts = [], [], []
    for number in range(2):
        (half, own), (other, outside) = rows.half(number), rows.half(1 - number)
        found = half.groups(density, device=device).found
        cells = density_cells(half, found, centers, device=device, executor=executor)
        told = cells.told(*nearest_cells(other.points, cells.centers, device))
        agreements.append(same_groups(found.labels, groups.labels[own], half.weights))
        unseen.append(same_groups(told, groups.labels[outside], other.weights))
        drifts.append(_drift(found.labels, groups.labels[own], half.weights))
        drifts.append(_drift(told, groups.labels[outside], other.weights))
    if min(agreements) < LEAST_OF_HALVES or min(unseen) < LEAST_AGREEMENT or max(drifts) > MOST_NOISE_DRIFT:
        raise ClusteringError(
            f"dense groups are not clear enough to be found by one in {rows.thinning:,.1f} profiles: half of the "
            f"sample finds others (agreement {min(agreements):.3f}, at least {LEAST_OF_HALVES} wanted; "
            f"{min(unseen):.3f} for profiles outside it, at least {LEAST_AGREEMENT} wanted; noise differs by "
            f"{max(drifts):.1%}); raise min_cluster_size or min_samples, or use method kmeans"
        )
    return min(*agreements, *unseen)


def _drift(one: npt.NDArray[np.int32], other: npt.NDArray[np.int32], weights: Float64Array) -> float:
    """By which share of the weight there is more noise in one than in the other."""
    return float(abs(weights @ ((one < 0).astype(np.float64) - (other < 0))) / weights.sum())
