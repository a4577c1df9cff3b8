"""HDBSCAN's hierarchy over points that have weights: minimum spanning tree, condensed tree, clusters.

As in Campello, Moulavi and Sander (2013) and McInnes and Healy (2017), but a point counts as often as its weight says:
against `min_cluster_size` and in the excess of mass. With weights of 1 the result is that of scikit-learn.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numba as nb
import numpy as np
import numpy.typing as npt

from gpuseg.engine.base import Device
from gpuseg.engine.kernels import compiled

Float64Array = npt.NDArray[np.float64]
_HAIR = 1e-9
"""Share of the least weight that sums of weights may fall short of by rounding."""


@dataclass(frozen=True, eq=False)
class DenseGroups:
    """Clusters among weighted points.

    Parameters
    ----------
    labels : int32 array, shape (n_points,)
        Cluster of each point, -1 for noise.
    strengths : float64 array, shape (n_points,)
        Density at which a point leaves its cluster as a share of the cluster's highest; 0 for noise.
    births : float64 array, shape (n_clusters,)
        Distance at which each cluster parts from the rest: its members are connected at less.
    """

    labels: npt.NDArray[np.int32]
    strengths: Float64Array
    births: Float64Array


@dataclass(frozen=True, eq=False)
class Hierarchy:
    """A condensed tree of weighted points.

    Parameters
    ----------
    cluster : int64 array, shape (n_points,)
        Finest group of the tree that each point is in.
    density : float64 array, shape (n_points,)
        Density (one over a distance) at which it leaves that group.
    parents : int64 array, shape (n_groups,)
        The group that each one parts from, before it in order; -1 for the first, which is everything.
    births : float64 array, shape (n_groups,)
        Density at which it does.
    weights : float64 array, shape (n_points,)
    """

    cluster: npt.NDArray[np.int64]
    density: Float64Array
    parents: npt.NDArray[np.int64]
    births: Float64Array
    weights: Float64Array

    def groups(self, selection: Literal["eom", "leaf"], *, favour: float = 1.0) -> DenseGroups:
        """Clusters of most excess of mass, or the finest, and what is in them; the first group is none.

        Parameters
        ----------
        selection : {"eom", "leaf"}
            As in `gpuseg.clustering.density.Density`.
        favour : float
            What the excess of mass of finer groups is multiplied by before it is held against that of their parent.
        """
        n, below = len(self.parents), np.zeros(len(self.parents))
        excess, highest = self._excess()
        kept, is_leaf = np.zeros(n, np.bool_), np.ones(n, np.bool_)
        is_leaf[self.parents[1:]] = False
        for own in range(n - 1, 0, -1):
            coarse = selection == "eom" and favour * below[own] <= excess[own]
            kept[own] = is_leaf[own] or coarse
            below[self.parents[own]] += excess[own] if kept[own] else below[own]
        chosen = np.full(n, -1)
        for own in range(1, n):
            above = chosen[self.parents[own]]
            chosen[own] = above if above >= 0 or not kept[own] else own
        picked, place = np.unique(chosen[chosen >= 0]), chosen[self.cluster]
        labels = np.where(place >= 0, np.searchsorted(picked, place), -1).astype(np.int32)
        # What never leaves is at the height of density, and everything else nowhere near it.
        top, endless = highest[place], ~np.isfinite(self.density)
        ratio = np.divide(
            np.minimum(self.density, top), top, out=endless.astype(np.float64), where=np.isfinite(top) & (top > 0)
        )
        return DenseGroups(labels, np.where(labels >= 0, ratio, 0.0), 1 / self.births[picked])

    def _excess(self) -> tuple[Float64Array, Float64Array]:
        """Excess of mass and highest density of every group."""
        n = len(self.parents)
        excess = np.bincount(self.cluster, self.weights * (self.density - self.births[self.cluster]), n)
        mass, highest = np.bincount(self.cluster, self.weights, n), np.zeros(n)
        np.maximum.at(highest, self.cluster, self.density)
        for own in range(n - 1, 0, -1):
            up = self.parents[own]
            mass[up] += mass[own]
            highest[up] = max(highest[up], self.births[own])
            excess[up] += mass[own] * (self.births[own] - self.births[up])
        return excess.astype(np.float64), highest


def hierarchy_of(
    points: npt.NDArray[Any], weights: Float64Array, cores: Float64Array, *, least: float, device: Device
) -> Hierarchy:
    """The condensed tree of weighted points by their mutual reachability distances.

    Parameters
    ----------
    points : float array, shape (n_points, n_features)
        Distinct, in an order that does not depend on anything but them.
    weights : float64 array, shape (n_points,)
        Rows that each stands for, above zero.
    cores : float64 array, shape (n_points,)
        Core distance of each.
    least : float
        Least weight of a group.
    device : Device
    """
    weights = np.asarray(weights, np.float64)
    if len(points) < 2:
        return Hierarchy(np.zeros(len(points), np.int64), np.zeros(len(points)), np.full(1, -1), np.zeros(1), weights)
    ends, heights = spanning_tree(points, cores, device=device)
    order = np.argsort(heights, kind="stable")
    merges, sizes = _linkage(ends[order], weights)
    cluster, density, parents, births = _condensed(merges, heights[order], sizes, least * (1 - _HAIR))
    return Hierarchy(cluster, density, parents, births, weights)


def spanning_tree(
    points: npt.NDArray[Any], cores: Float64Array, *, device: Device
) -> tuple[npt.NDArray[np.int64], Float64Array]:
    """Minimum spanning tree of mutual reachability distances: ends (n - 1, 2) and lengths (n - 1,)."""
    # By a power of two, which rounds nothing, so that no square overflows.
    length = int(np.frexp(max(np.abs(points).max(), cores.max()))[1])
    columns = np.array(np.ldexp(points, -length).T, order="C")
    ends, _ = device.prim(columns, np.ldexp(cores, -length).astype(points.dtype))
    # Single precision chose the edges; lengths and ties do not depend on it.
    gaps = np.zeros(len(ends))
    for column in points.T:
        gap = column[ends[:, 0]].astype(np.float64) - column[ends[:, 1]]
        gaps += gap * gap
    return ends, np.maximum(np.sqrt(gaps), cores[ends].max(axis=1))


@compiled
def _linkage(ends, weights):  # type: ignore[no-untyped-def]
    """Merges of groups along edges in order, as in `scipy.cluster.hierarchy.linkage`, and the weight of every group."""
    n = len(weights)
    above, number = np.arange(n), np.arange(n)
    merges, sizes = np.empty((n - 1, 2), np.int64), np.empty(2 * n - 1)
    sizes[:n] = weights
    for step in range(n - 1):
        low, high = _root(above, ends[step, 0]), _root(above, ends[step, 1])
        merges[step, 0], merges[step, 1] = number[low], number[high]
        total = sizes[number[low]] + sizes[number[high]]
        above[high], number[low] = low, n + step
        sizes[n + step] = total
    return merges, sizes


@nb.njit(nogil=True)
def _root(above, point):  # type: ignore[no-untyped-def]
    while above[point] != point:
        above[point] = above[above[point]]
        point = above[point]
    return point


@compiled
def _condensed(merges, heights, sizes, least):  # type: ignore[no-untyped-def]
    """Cluster and density at which every point leaves it; parent and density of birth of every cluster, from the root.

    A group of less than `least` leaves its cluster; where both groups of a merge are larger, two clusters are born.
    """
    n = len(merges) + 1
    cluster, density = np.full(2 * n - 1, -1), np.zeros(2 * n - 1)
    alive = np.zeros(2 * n - 1, np.bool_)
    # Heavy points may each be a cluster, so there may be as many as groups.
    parents, births = np.full(2 * n - 1, -1), np.zeros(2 * n - 1)
    cluster[2 * n - 2], alive[2 * n - 2], n_clusters = 0, True, 1
    for node in range(2 * n - 2, n - 1, -1):
        one, other = merges[node - n, 0], merges[node - n, 1]
        if not alive[node]:
            for child in (one, other):
                cluster[child], density[child] = cluster[node], density[node]
            continue
        height = heights[node - n]
        level = 1 / height if height > 0 else np.inf
        splits = sizes[one] >= least and sizes[other] >= least
        for child in (one, other):
            alive[child] = sizes[child] >= least
            cluster[child], density[child] = cluster[node], level
            if splits:
                cluster[child], parents[n_clusters], births[n_clusters] = n_clusters, cluster[node], level
                n_clusters += 1
    # A single point that is a cluster never parts.
    for node in range(n):
        if alive[node]:
            density[node] = np.inf
    return cluster[:n], density[:n], parents[:n_clusters], births[:n_clusters]
