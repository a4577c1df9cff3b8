"""How dense the rows lie around each sampled one: core distances by mass, and the dense groups among the sample.

A sampled row stands for as many rows as its micro-cluster has for each one sampled there. Its core distance is that to
the unit of weight that makes the mass asked for. A sample in which one row stands for t has no distance to the
`min_samples`-th row, so t times the mass is taken, which leaves core distances as uncertain as they are with all rows;
radii are then corrected to the mass that was asked for, by the dimension in which mass grows with the radius. That
scales every distance alike, so it changes no group.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gpuseg.clustering.condensed import DenseGroups, Hierarchy, hierarchy_of
from gpuseg.clustering.density import Density
from gpuseg.clustering.micro import MicroClusters
from gpuseg.clustering.nearest import NearestRows, as_keys
from gpuseg.engine.base import Device

Float64Array = npt.NDArray[np.float64]

ENOUGH_NEIGHBOURS = 16
"""Sampled rows that tell a density well: more are taken only where the mass asked for holds more."""

_CHUNK_ROWS = 8_192
_SPARE, _MANY = 4, 4
_HAIR = 1e-9


@dataclass(frozen=True, eq=False)
class SampledRows:
    """Distinct sampled rows with their weights.

    Parameters
    ----------
    points : float array, shape (n_points, n_features)
        Ordered by `row_keys`, C-ordered, without minus zero.
    weights : float64 array, shape (n_points,)
        Rows that each stands for; they add up to all rows.
    thinning : float
        Rows for each sampled one, 1 where the sample is all rows.
    """

    points: npt.NDArray[Any]
    weights: Float64Array
    thinning: float

    def half(self, number: int) -> "tuple[SampledRows, npt.NDArray[np.int64]]":
        """Every second point, from the first or the second on, standing for all rows, and its place among all points.

        Points that stand for many sampled rows are in both halves, as these rows would be.
        """
        many = self.weights > _MANY * self.thinning
        alternate = np.arange(len(self.points)) % 2 == number
        chosen = np.flatnonzero(alternate | many)
        weights = np.where(many, 0.5, 1.0)[chosen] * self.weights[chosen]
        points = np.ascontiguousarray(self.points[chosen])
        return SampledRows(points, weights * (self.weights.sum() / weights.sum()), 2 * self.thinning), chosen

    def groups(self, density: Density, *, device: Device) -> "SampledGroups":
        """The dense groups, births of clusters as distances between all rows."""
        n_neighbours = density.min_samples
        if self.thinning > 1:
            n_neighbours = max(min(n_neighbours, ENOUGH_NEIGHBOURS), int(np.ceil(n_neighbours / self.thinning)))
        mass = n_neighbours * self.thinning
        cores, dimension = self._cores(mass, n_neighbours, device)
        correction = (density.min_samples / mass) ** (1 / dimension)
        tree = self.hierarchy(cores, density, device=device)
        found = tree.groups(density.selection)
        return SampledGroups(DenseGroups(found.labels, found.strengths, found.births * correction), tree, cores)

    def hierarchy(self, cores: Float64Array, density: Density, *, device: Device) -> Hierarchy:
        """The hierarchy for these core distances, shape (n_points,)."""
        return hierarchy_of(self.points, self.weights, cores, least=density.min_cluster_size, device=device)

    def _cores(self, mass: float, n_neighbours: int, device: Device) -> tuple[Float64Array, float]:
        """Distance of each point within which there is so much mass, and the dimension in which mass grows."""
        search, n = NearestRows(self.points, device), len(self.points)
        cores, growth, left = np.empty(n), np.zeros(n), np.arange(n)
        wanted = min(n_neighbours + (_SPARE if self.thinning > 1 else 0), n)
        while left.size:
            lacking = []
            for part in (left[start : start + _CHUNK_ROWS] for start in range(0, len(left), _CHUNK_ROWS)):
                near, gaps = search.nearest(self.points[part], wanted)
                held = np.cumsum(self.weights[near], axis=1)
                place = np.minimum((held < mass * (1 - _HAIR)).sum(axis=1), wanted - 1)
                cores[part] = gaps[np.arange(len(part)), place]
                growth[part] = _growth(gaps, place)
                lacking.append(part[held[:, -1] < mass * (1 - _HAIR)])
            left = np.concatenate(lacking) if wanted < n else left[:0]
            wanted = min(2 * wanted, n)
        known = growth[growth > 0]
        # The harmonic mean of Levina and Bickel's estimates (MacKay and Ghahramani 2005).
        return cores, max(1.0, 1 / float(known.mean())) if known.size else 1.0


@dataclass(frozen=True, eq=False)
class SampledGroups:
    """Dense groups among sampled rows, and what they were told by.

    Parameters
    ----------
    found : DenseGroups
    tree : Hierarchy
    cores : float64 array, shape (n_points,)
        Core distances in the sample, not corrected.
    """

    found: DenseGroups
    tree: Hierarchy
    cores: Float64Array


def sampled_rows(micro: MicroClusters, sample: npt.NDArray[Any], n_rows: int, *, device: Device) -> SampledRows:
    """The distinct rows of a sample with the weights that micro-clusters of all rows give them.

    Parameters
    ----------
    micro : MicroClusters
        Of all rows.
    sample : float array, shape (n_sample, n_features)
        Some of these rows, or all, in any order.
    n_rows : int
        Number of all rows.
    device : Device
    """
    ordered = np.ascontiguousarray(sample + sample.dtype.type(0))
    keys = as_keys(ordered)
    _, first, copies = np.unique(keys, return_index=True, return_counts=True)
    points = np.ascontiguousarray(ordered[first])
    own = device.to_host(device.nearest(device.asarray(points), micro.centers))
    sampled = np.bincount(own, copies, len(micro.counts))
    weights = copies * (micro.counts / np.maximum(sampled, 1))[own]
    empty = sampled == 0
    if empty.any():
        # Rows that no sampled one is near to lie at their mean.
        added = (micro.means[empty] + 0.0).astype(points.dtype)
        points, weights = np.concatenate([points, added]), np.concatenate([weights, micro.counts[empty]])
        _, first, group = np.unique(as_keys(np.ascontiguousarray(points)), return_index=True, return_inverse=True)
        points, weights = np.ascontiguousarray(points[first]), np.bincount(group, weights)
    return SampledRows(points, weights.astype(np.float64), max(n_rows / len(sample), 1.0))


def _growth(gaps: Float64Array, place: npt.NDArray[np.int64]) -> Float64Array:
    """Mean logarithm of the last neighbour's distance over that of each other one, 0 where there is none."""
    last = np.take_along_axis(gaps, place[:, None], axis=1)
    counted = (np.arange(gaps.shape[1]) < place[:, None]) & (gaps > 0) & (last > 0)
    logs = np.log(np.divide(last, gaps, out=np.ones_like(gaps), where=counted))
    found: Float64Array = logs.sum(axis=1) / np.maximum(counted.sum(axis=1), 1)
    return found
