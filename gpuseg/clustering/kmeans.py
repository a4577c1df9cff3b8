"""K-means: Lloyd's iterations (Lloyd 1982) over blocks of rows, and the best of several starts.

Rows on the matrix's grid give centers that do not depend on blocks, threads or devices.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gpuseg.clustering.far_rows import farthest_rows
from gpuseg.clustering.passes import AllRows, Labels, Mapper, assign
from gpuseg.engine.base import Device
from gpuseg.engine.program import LloydPass

AUTO_STARTS = 10
SEEDING_ROWS = 32_768
_RENUMBERED_ROWS = 131_072


@dataclass(frozen=True)
class Fit:
    """A fitted K-means.

    Parameters
    ----------
    centers : float array, shape (k, n_features)
        In canonical order: most rows first, ties by the center's coordinates.
    counts : int64 array, shape (k,)
        Rows assigned to each center; their weight, float64, where rows have weights.
    sums : float64 array, shape (k, n_features)
        Sums of those rows, times weights.
    inertia : float
        Sum of squared distances of the rows to these centers, times weights.
    n_iter : int
        Number of updates made.
    """

    centers: npt.NDArray[Any]
    counts: npt.NDArray[Any]
    sums: npt.NDArray[np.float64]
    inertia: float
    n_iter: int


@dataclass(frozen=True)
class Reached:
    """Where Lloyd's iterations stand: all that decides how they go on.

    Parameters
    ----------
    centers : float array, shape (k, n_features)
    n_iter : int
        Updates made.
    settled : bool
        Whether the stopping rule was met.
    moved : float or None
        How many times the last update's squared moves are what the stopping rule asks for; None where it asks for
        none, and before the first update.
    """

    centers: npt.NDArray[Any]
    n_iter: int = 0
    settled: bool = False
    moved: float | None = None


def lloyd(
    blocks: Sequence[Any],
    start: npt.NDArray[Any] | Reached,
    *,
    device: Device,
    executor: Mapper,
    max_iter: int = 300,
    tol: float = 1e-4,
    variance: float = 1.0,
    weights: Sequence[npt.NDArray[Any]] | None = None,
    on_pass: Callable[[Reached], None] | None = None,
    labels: Labels | None = None,
) -> Fit:
    """Lloyd's iterations over all rows: N updates, then one assignment to the final centers.

    Parameters
    ----------
    blocks : sequence of device arrays, each of shape (n_rows, n_features), or of callables that give one for a device
        All rows; sums are added in the order of the blocks.
    start : array, shape (k, n_features), or Reached
        Centers to start from, or where to go on.
    device, executor
        What a block runs on, and how blocks are spread.
    max_iter : int
        Most updates.
    tol : float
        Stop once the squared moves of the centers add up to at most this share of `variance`; 0 makes exactly
        `max_iter` updates, fewer only where the centers no longer move at all.
    variance : float
        Mean over columns of the variance of the rows, the scale that scikit-learn's `tol` refers to.
    weights : sequence of arrays, each of shape (n_rows,), optional
        For each block how often its rows count: above zero.
    on_pass : callable, optional
        Called after each update and the pass over the rows that follows it.
    labels : array of signed integers, shape (n_rows,), optional
        Takes the index of each row's center among the returned ones, rows in the order of the blocks. Costs no pass of
        its own, unless a row is equally near to two centers.

    Returns
    -------
    Fit
    """
    rows, stop = AllRows(blocks, device, executor, weights), _Stop(max_iter, tol * variance)
    reached = start if isinstance(start, Reached) else Reached(start)
    found, ties = _pass(rows, reached, stop, labels)
    while not stop.at(reached):
        reached = _moved(rows, reached, stop, found)
        found, ties = _pass(rows, reached, stop, labels)
        if on_pass is not None:
            on_pass(reached)
    order = canonical_order(found.counts, reached.centers)
    fit = _fit(reached, found, order)
    if labels is not None:
        if ties:
            assign(blocks, fit.centers, labels, device=device, executor=executor)
        else:
            _renumber(labels, order)
    return fit


def best_of(
    starts: Sequence[npt.NDArray[Any]],
    blocks: Sequence[Any],
    *,
    device: Device,
    executor: Mapper,
    max_iter: int = 300,
    tol: float = 1e-4,
    variance: float = 1.0,
) -> Fit:
    """The fit of least inertia over several starts, the first of equals; they share every pass over the rows.

    Parameters are those of `lloyd`.
    """
    rows, stop = AllRows(blocks, device, executor), _Stop(max_iter, tol * variance)
    reached = [Reached(start) for start in starts]
    found = rows.added_up_for_each(starts)
    while going := [place for place, one in enumerate(reached) if not stop.at(one)]:
        for place in going:
            reached[place] = _moved(rows, reached[place], stop, found[place])
        told = rows.added_up_for_each([reached[place].centers for place in going])
        for place, one in zip(going, told, strict=True):
            found[place] = one
    best = min(range(len(starts)), key=lambda place: found[place].inertia)
    return _fit(reached[best], found[best], canonical_order(found[best].counts, reached[best].centers))


def canonical_order(counts: npt.NDArray[Any], centers: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Order of clusters: largest first, ties by the center's coordinates ascending."""
    keys = [centers[:, column] for column in reversed(range(centers.shape[1]))]
    return np.lexsort([*keys, -counts])


@dataclass(frozen=True)
class _Stop:
    """When iterations end: after so many updates, or once squared moves add up to no more than `enough`."""

    max_iter: int
    enough: float

    def at(self, reached: Reached) -> bool:
        return reached.settled or reached.n_iter >= self.max_iter


def _pass(rows: AllRows, reached: Reached, stop: _Stop, labels: Labels | None) -> tuple[LloydPass, bool]:
    """A pass over all rows; where it is the last, with labels and whether some row has two nearest centers."""
    if labels is not None and stop.at(reached):
        return rows.labelled(reached.centers, labels)
    return rows.added_up(reached.centers), False


def _moved(rows: AllRows, reached: Reached, stop: _Stop, found: LloydPass) -> Reached:
    """One update further."""
    before = reached.centers
    centers = _updated(rows, before, found).astype(before.dtype)
    shift = float(((centers.astype(np.float64) - before.astype(np.float64)) ** 2).sum())
    settled = shift == 0.0 or (stop.enough > 0 and shift <= stop.enough)
    return Reached(centers, reached.n_iter + 1, settled, shift / stop.enough if stop.enough > 0 else None)


def _fit(reached: Reached, found: LloydPass, order: npt.NDArray[np.int64]) -> Fit:
    return Fit(reached.centers[order], found.counts[order], found.sums[order], found.inertia, reached.n_iter)


def _renumber(labels: Labels, order: npt.NDArray[np.int64]) -> None:
    """Turn indices of centers into places in an order of them."""
    places = np.empty(len(order), labels.dtype)
    places[order] = np.arange(len(order))
    for start in range(0, len(labels), _RENUMBERED_ROWS):
        part = labels[start : start + _RENUMBERED_ROWS]
        part[:] = places[part]


def _updated(rows: AllRows, centers: npt.NDArray[Any], found: LloydPass) -> npt.NDArray[np.float64]:
    """Means of the assigned rows; an empty cluster moves to a row that is far from every center."""
    empty = np.flatnonzero(found.counts == 0)
    counts = np.where(found.counts > 0, found.counts, 1)[:, None]
    updated: npt.NDArray[np.float64] = found.sums / counts
    if empty.size:
        far = farthest_rows(rows.blocks, centers, rows.device, empty.size)
        # Where all other rows lie on centers, a cluster stays empty where it is.
        updated[empty] = centers[empty]
        updated[empty[: len(far)]] = far
    return updated
