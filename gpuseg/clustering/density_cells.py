"""Cells that tell for any row which dense group it is in: the nearest center, and how far from it the group reaches.

Micro-clusters are the first cells. One in which several groups meet, or a group and noise that no sphere around the
center keeps apart, is divided until the cells tell the sampled rows as their hierarchy does.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gpuseg.clustering.condensed import DenseGroups
from gpuseg.clustering.kmeans import lloyd
from gpuseg.clustering.micro import MOST
from gpuseg.clustering.passes import Mapper
from gpuseg.clustering.sampled_density import SampledRows
from gpuseg.engine.base import Device
from gpuseg.vocabulary import NO_SEGMENT

Float64Array = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]

_ENOUGH = 0.002
"""Share of the mass that cells may tell wrongly before any is divided."""

_ROUNDS, _UPDATES = 8, 3
_LEAST_POINTS, _MOST_PARTS = 4, 8
_LEAST_SAMPLED = 16
"""Points of a part where they stand for rows that were not sampled."""

_SAMPLED_EACH = 25
"""Points for each cell to begin with, likewise: of rows around five sampled ones, a sixth lie further out than all."""


@dataclass(frozen=True, eq=False)
class Cells:
    """Spheres around centers.

    Parameters
    ----------
    centers : float array, shape (m, n_features)
    labels : int32 array, shape (m,)
        Cluster of what lies within reach, -1 for none.
    reaches : float64 array, shape (m,)
        Distance from the center up to which a row is in the cluster; below 0 where there is none.
    """

    centers: npt.NDArray[Any]
    labels: npt.NDArray[np.int32]
    reaches: Float64Array

    def told(self, own: npt.NDArray[Any], gaps: Float64Array) -> npt.NDArray[np.int32]:
        """Cluster of rows by their cells and their distances to the center."""
        found: npt.NDArray[np.int32] = np.where(gaps <= self.reaches[own], self.labels[own], NO_SEGMENT)
        return found


def nearest_cells(
    points: npt.NDArray[Any], centers: npt.NDArray[Any], device: Device
) -> tuple[npt.NDArray[Any], Float64Array]:
    """Nearest center of each point, and the distance."""
    found = device.assign_accumulate(device.asarray(points), centers, want_labels=True)
    return device.to_host(found.labels), np.sqrt(device.to_host(found.nearest).astype(np.float64))


def density_cells(
    rows: SampledRows, groups: DenseGroups, centers: npt.NDArray[Any], *, device: Device, executor: Mapper
) -> Cells:
    """Cells that tell sampled rows as their dense groups do, as well as cells can.

    Parameters
    ----------
    rows : SampledRows
    groups : DenseGroups
        Of these rows.
    centers : float array, shape (m, n_features)
        To begin with.
    device, executor
    """
    total, least = rows.weights.sum(), _LEAST_POINTS
    if rows.thinning > 1:
        least, most = _LEAST_SAMPLED, max(len(rows.points) // _SAMPLED_EACH, 1)
        if len(centers) > most:
            start = np.ascontiguousarray(centers[np.arange(most) * len(centers) // most])
            centers = _fitted(rows.points, start, device, executor)
    for _ in range(_ROUNDS):
        own, gaps = nearest_cells(rows.points, centers, device)
        cells = _spheres(rows, groups, centers, own, gaps, device)
        wrong = rows.weights * (cells.told(own, gaps) != groups.labels)
        divided = _to_divide(own, wrong, len(centers), _ENOUGH * total, least)
        if not divided.size:
            return cells
        kept = np.ones(len(centers), np.bool_)
        kept[divided] = False
        inside = np.ascontiguousarray(rows.points[~kept[own]])
        parts = _fitted(inside, rows.points[_picked(own, divided, least)], device, executor)
        centers = _filled(rows.points, np.concatenate([centers[kept], parts]), device)
    own, gaps = nearest_cells(rows.points, centers, device)
    return _spheres(rows, groups, centers, own, gaps, device)


def _to_divide(own: npt.NDArray[Any], wrong: Float64Array, n_cells: int, enough: float, least: int) -> Int64Array:
    """Cells of the most mass told wrongly, so many that what is left is enough; those of few points stay whole."""
    lost, n_points = np.bincount(own, wrong, n_cells), np.bincount(own, minlength=n_cells)
    if lost.sum() <= enough:
        return np.empty(0, np.int64)
    worst = np.argsort(-lost, kind="stable")
    left = lost.sum() - np.cumsum(lost[worst])
    worst = worst[: int((left > enough / 2).sum()) + 1]
    worst = worst[(lost[worst] > 0) & (n_points[worst] >= 2 * least)]
    return worst[: max((MOST - n_cells) // (_MOST_PARTS - 1), 0)]


def _picked(own: npt.NDArray[Any], divided: Int64Array, least: int) -> Int64Array:
    """Points of the cells to divide that their parts start from."""
    order, n_points = np.argsort(own, kind="stable"), np.bincount(own)
    first = np.cumsum(n_points) - n_points
    parts = np.clip(n_points // least, 2, _MOST_PARTS)
    picks = [order[first[cell] + np.arange(parts[cell]) * n_points[cell] // parts[cell]] for cell in divided]
    return np.concatenate(picks)


def _fitted(points: npt.NDArray[Any], start: npt.NDArray[Any], device: Device, executor: Mapper) -> npt.NDArray[Any]:
    """A few updates of K-means."""
    blocks = [device.asarray(points)]
    return lloyd(blocks, start, device=device, executor=executor, max_iter=_UPDATES, tol=0).centers


def _filled(points: npt.NDArray[Any], centers: npt.NDArray[Any], device: Device) -> npt.NDArray[Any]:
    """The centers that are nearest to some point."""
    own = device.to_host(device.nearest(device.asarray(points), centers))
    return np.ascontiguousarray(centers[np.bincount(own, minlength=len(centers)) > 0])


def _spheres(
    rows: SampledRows,
    groups: DenseGroups,
    centers: npt.NDArray[Any],
    own: npt.NDArray[Any],
    gaps: Float64Array,
    device: Device,
) -> Cells:
    """For each center the cluster of most mass in its cell, and the reach that tells most of the mass rightly.

    Noise in a cell without any cluster also counts for the nearest center that has one, so that a cluster ends between
    its own rows and the noise around it. Where there is none it ends as far beyond its rows as they may lie apart.
    """
    m, labels = len(centers), _heaviest(own, groups.labels, rows.weights, len(centers))
    reaches, member = np.full(m, -1.0), labels >= 0
    if not member.any():
        return Cells(centers, labels, reaches)
    cell, gap, mass, label = own, gaps, rows.weights, groups.labels
    outside = ~member[own]
    if outside.any():
        near, far = nearest_cells(rows.points[outside], np.ascontiguousarray(centers[member]), device)
        cell, gap = np.concatenate([cell, np.flatnonzero(member)[near]]), np.concatenate([gap, far])
        mass, label = np.concatenate([mass, mass[outside]]), np.concatenate([label, label[outside]])
    right = (label == labels[cell]) & (label >= 0)
    order = np.lexsort((~right, gap, cell))
    cell, gap = cell[order], gap[order]
    gain = np.concatenate([[0.0], np.cumsum(np.where(right, mass, -mass)[order])])
    first, end = np.searchsorted(cell, np.arange(m)), np.searchsorted(cell, np.arange(m), side="right")
    for at in np.flatnonzero(member):
        run = gain[first[at] + 1 : end[at] + 1] - gain[first[at]]
        last = first[at] + len(run) - 1 - int(run[::-1].argmax())
        if run.max() > 0:
            beyond = gap[last + 1] if last + 1 < end[at] else gap[last] + 2 * groups.births[labels[at]]
            reaches[at] = (gap[last] + beyond) / 2
    return Cells(centers, np.where(reaches >= 0, labels, NO_SEGMENT).astype(np.int32), reaches)


def _heaviest(
    own: npt.NDArray[Any], labels: npt.NDArray[np.int32], weights: Float64Array, n_cells: int
) -> npt.NDArray[np.int32]:
    """Cluster of most mass in each cell, -1 where there is none."""
    inside, k = labels >= 0, int(labels.max()) + 1
    found = np.full(n_cells, NO_SEGMENT, np.int32)
    pairs, place = np.unique(own[inside].astype(np.int64) * k + labels[inside], return_inverse=True)
    mass = np.bincount(place, weights[inside], len(pairs))
    order = np.argsort(mass, kind="stable")
    found[pairs[order] // k] = pairs[order] % k
    return found
