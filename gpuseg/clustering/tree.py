"""Ward's merge tree over weighted points: one fit, every number of segments.

A point stands for as many rows as its weight says, all at their mean, so the tree over micro-clusters is that which
Ward's method (1963) would go on to make of their rows once each micro-cluster has become one group. It is found by the
chain of nearest neighbours (Murtagh 1983; Müllner, Modern hierarchical, agglomerative clustering algorithms, 2011),
which takes time by the square of the number of points and memory by the number itself.
"""

from dataclasses import dataclass
from typing import Any

import numba as nb
import numpy as np
import numpy.typing as npt

from gpuseg.engine.kernels import compiled

Int64Array = npt.NDArray[np.int64]
Float64Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class MergeTree:
    """Merges from single points to one group, lowest first.

    Parameters
    ----------
    merges : int64 array, shape (n_points - 1, 2)
        The two groups that each merge joins, the lower number first: a point has its place as its number, the group
        that merge i makes is number n_points + i (as in `scipy.cluster.hierarchy.linkage`).
    heights : float64 array, shape (n_points - 1,)
        Ward's distance at each merge, ascending: the root of twice what the merge adds to the sum of squared distances
        of rows to the mean of their group.
    """

    merges: Int64Array
    heights: Float64Array

    @property
    def n_points(self) -> int:
        """Number of points."""
        return len(self.merges) + 1

    def cut(self, n_groups: int) -> npt.NDArray[np.int32]:
        """Group of every point once so many groups are left, numbered by their first points.

        Cuts are nested: a group of a cut into more groups lies within one group of a cut into fewer.

        Raises
        ------
        ValueError
            If there are not as many points, or fewer than one group is asked for.
        """
        if not 1 <= n_groups <= self.n_points:
            raise ValueError(f"{n_groups} groups of {self.n_points} points")
        n = self.n_points
        group = np.arange(2 * n - n_groups)
        # From the top down, so that a group has its own last name when its parts are told it.
        for step in reversed(range(n - n_groups)):
            group[self.merges[step]] = group[n + step]
        _, first, labels = np.unique(group[:n], return_index=True, return_inverse=True)
        places = np.empty(n_groups, np.int32)
        places[first.argsort()] = np.arange(n_groups, dtype=np.int32)
        found: npt.NDArray[np.int32] = places[labels]
        return found

    def merges_among(self, groups: npt.NDArray[np.int32]) -> list[tuple[int, int, float]]:
        """The merges that are left above a cut, lowest first.

        Parameters
        ----------
        groups : int32 array, shape (n_points,)
            Group of every point, as `cut` gives them or numbered otherwise.

        Returns
        -------
        list of (int, int, float)
            The two groups that join, the lower number first, and the height; merge i makes group number n_groups + i.
        """
        n, n_groups = self.n_points, int(groups.max()) + 1
        below = n - n_groups

        def number(node: int) -> int:
            if node >= n + below:
                return node - n - below + n_groups
            while node >= n:
                node = int(self.merges[node - n, 0])
            return int(groups[node])

        found = []
        for pair, height in zip(self.merges[below:].tolist(), self.heights[below:].tolist(), strict=True):
            one, other = sorted(number(node) for node in pair)
            found.append((one, other, height))
        return found

    def heights_of(self, n_groups: int) -> tuple[float, float]:
        """The least height that leaves so many groups, and the one from which there are fewer, infinite for one group.

        Where merges have equal heights the two are equal, and no height leaves so many.
        """
        merged = self.n_points - n_groups
        low = float(self.heights[merged - 1]) if merged else 0.0
        return low, float(self.heights[merged]) if merged < len(self.heights) else float("inf")

    def groups_below(self, height: float) -> int:
        """Number of groups that merges of at most this height leave."""
        return self.n_points - int(np.searchsorted(self.heights, height, side="right"))


def ward_tree(points: npt.NDArray[Any], weights: npt.NDArray[Any]) -> MergeTree:
    """Ward's tree over weighted points.

    Of equally near groups the one that was there first is taken, so the tree follows the order of the points where
    distances are equal, and nothing else.

    Parameters
    ----------
    points : float array, shape (n_points, n_features)
    weights : array, shape (n_points,)
        Rows that each point stands for, above zero.

    Returns
    -------
    MergeTree

    Raises
    ------
    ValueError
        If there are no points, a weight is not above zero, or a number is not finite.
    """
    exact, mass = np.asarray(points, np.float64), np.asarray(weights, np.float64)
    if exact.ndim != 2 or not len(exact) or mass.shape != (len(exact),):
        raise ValueError(f"points of shape {exact.shape}, weights of shape {mass.shape}")
    if not (np.isfinite(exact).all() and np.isfinite(mass).all() and (mass > 0).all()):
        raise ValueError("points must be finite, weights finite and above zero")
    n = len(exact)
    pairs, squares = np.empty((n - 1, 2), np.int64), np.empty(n - 1)
    # By powers of two, which round nothing, so that no square overflows or vanishes.
    length, weight = _power_of(np.abs(exact).max(initial=0.0)), _power_of(mass.max())
    scaled, mass = np.ldexp(exact, -length), np.ldexp(mass, -weight)
    # Less their mean, so that little is lost to rounding; by column, so that distances to all are found at once.
    _chain(np.ascontiguousarray((scaled - scaled.mean(axis=0)).T), mass, pairs, squares)
    order = np.argsort(squares, kind="stable")
    # An even power has a whole root.
    heights = np.ldexp(np.sqrt(np.ldexp(squares[order], weight % 2)), length + weight // 2)
    return MergeTree(_numbered(pairs[order]), heights)


def _power_of(number: float) -> int:
    """Exponent of the power of two above a number."""
    return int(np.frexp(number)[1])


def _numbered(pairs: Int64Array) -> Int64Array:
    """Merges of the groups that hold two points each, with the groups' numbers instead of points."""
    n = len(pairs) + 1
    above, number = np.arange(n), np.arange(n)
    merges = np.empty_like(pairs)
    for step, (one, other) in enumerate(pairs):
        low, high = _root(above, one), _root(above, other)
        merges[step] = sorted((number[low], number[high]))
        above[high] = low
        number[low] = n + step
    return merges


def _root(above: Int64Array, point: int) -> int:
    root = point
    while above[root] != root:
        root = int(above[root])
    while above[point] != root:
        above[point], point = root, int(above[point])
    return root


@compiled
def _chain(columns, mass, pairs, squares):  # type: ignore[no-untyped-def]
    """Fill in two points of both groups of every merge, and twice what it adds to the sum of squares."""
    d, n = columns.shape
    point = np.arange(n)
    gaps, chain = np.empty(n), np.empty(n, np.int64)
    n_slots, n_alive, length, step = n, n, 0, 0
    while n_alive > 1:
        if length == 0:
            chain[0], length = 0, 1
            while mass[chain[0]] == 0:
                chain[0] += 1
        top = chain[length - 1]
        gaps[:n_slots] = 0.0
        for feature in range(d):
            own = columns[feature, top]
            for slot in range(n_slots):
                gap = columns[feature, slot] - own
                gaps[slot] += gap * gap
        # The one before it in the chain wins a tie, or the chain would go round in circles.
        best, nearest = np.inf, -1
        if length > 1:
            nearest = chain[length - 2]
            best = 2 * mass[top] * mass[nearest] / (mass[top] + mass[nearest]) * gaps[nearest]
        for slot in range(n_slots):
            if mass[slot] > 0 and slot != top:
                found = 2 * mass[top] * mass[slot] / (mass[top] + mass[slot]) * gaps[slot]
                if found < best:
                    best, nearest = found, slot
        if length > 1 and nearest == chain[length - 2]:
            kept, gone = min(top, nearest), max(top, nearest)
            pairs[step, 0], pairs[step, 1], squares[step] = point[kept], point[gone], best
            total = mass[kept] + mass[gone]
            for feature in range(d):
                sums = mass[kept] * columns[feature, kept] + mass[gone] * columns[feature, gone]
                columns[feature, kept] = sums / total
            mass[kept], mass[gone] = total, 0.0
            n_alive, step, length = n_alive - 1, step + 1, length - 2
            if n_alive < n_slots // 2:
                n_slots = _close_up(columns, mass, point, chain, length, n_slots)
        else:
            chain[length] = nearest
            length += 1


@nb.njit(nogil=True)
def _close_up(columns, mass, point, chain, length, n_slots):  # type: ignore[no-untyped-def]
    """Leave out the slots without mass, and give the number of those left."""
    places, n_left = np.empty(n_slots, np.int64), 0
    for slot in range(n_slots):
        if mass[slot] > 0:
            places[slot] = n_left
            for feature in range(columns.shape[0]):
                columns[feature, n_left] = columns[feature, slot]
            mass[n_left], point[n_left] = mass[slot], point[slot]
            n_left += 1
    for link in range(length):
        chain[link] = places[chain[link]]
    return n_left
