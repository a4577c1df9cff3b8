"""K-means: Lloyd's iterations (Lloyd 1982) over blocks of rows, and the best of several starts.

Rows on the matrix's grid give centers that do not depend on blocks, threads or devices.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from gpuseg.clustering.far_rows import farthest_rows, rows_of
from gpuseg.engine.base import Device
from gpuseg.engine.program import LloydPass

AUTO_STARTS = 10
SEEDING_ROWS = 32_768
_RENUMBERED_ROWS = 131_072

Labels: TypeAlias = npt.NDArray[np.signedinteger[Any]]


class Mapper(Protocol):
    """The part of an executor that K-means needs."""

    def map(self, function: Callable[[Any], Any], items: Sequence[Any]) -> Any:
        """Results in the order of the items."""


@dataclass(frozen=True)
class Fit:
    """A fitted K-means.

    Parameters
    ----------
    centers : float array, shape (k, n_features)
        In canonical order: most rows first, ties by the center's coordinates.
    counts : int64 array, shape (k,)
        Rows assigned to each center.
    sums : float64 array, shape (k, n_features)
        Sums of those rows.
    inertia : float
        Sum of squared distances of the rows to these centers.
    n_iter : int
        Number of updates made.
    """

    centers: npt.NDArray[Any]
    counts: npt.NDArray[np.int64]
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
    on_pass : callable, optional
        Called after each update and the pass over the rows that follows it.
    labels : array of signed integers, shape (n_rows,), optional
        Takes the index of each row's center among the returned ones, rows in the order of the blocks. Costs no pass of
        its own, unless a row is equally near to two centers.

    Returns
    -------
    Fit
    """
    reached = start if isinstance(start, Reached) else Reached(start)
    centers, n_iter, settled = reached.centers, reached.n_iter, reached.settled
    kind = centers.dtype
    last = n_iter >= max_iter or settled
    found, ties = _pass(blocks, centers, device, executor, labels if last else None)
    while not last:
        updated = _updated(found, centers, blocks, device).astype(kind)
        shift = float(((updated.astype(np.float64) - centers.astype(np.float64)) ** 2).sum())
        centers = updated
        n_iter += 1
        settled = shift == 0.0 or (tol > 0 and shift <= tol * variance)
        last = n_iter >= max_iter or settled
        found, ties = _pass(blocks, centers, device, executor, labels if last else None)
        if on_pass is not None:
            enough = tol * variance
            on_pass(Reached(centers, n_iter, settled, shift / enough if enough > 0 else None))
    order = canonical_order(found.counts, centers)
    fit = Fit(centers[order], found.counts[order], found.sums[order], found.inertia, n_iter)
    if labels is not None:
        if ties:
            assign(blocks, fit.centers, labels, device=device, executor=executor)
        else:
            _renumber(labels, order)
    return fit


def assign(
    blocks: Sequence[Any], centers: npt.NDArray[Any], labels: Labels, *, device: Device, executor: Mapper
) -> None:
    """Write the index of each row's nearest center, the lower of equals, rows in the order of the blocks.

    Parameters
    ----------
    blocks, device, executor
        As in `lloyd`.
    centers : array, shape (k, n_features)
    labels : array of signed integers, shape (n_rows,)
    """
    start = 0
    for found in executor.map(_Nearest(device, centers), blocks):
        labels[start : start + len(found)] = found
        start += len(found)


def labels_for(n_rows: int, k: int) -> Labels:
    """An empty array for the labels of rows, in the smallest type that holds k of them."""
    found: Labels = np.empty(n_rows, np.min_scalar_type(-k))
    return found


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
    """The fit of least inertia over several starts, the first of equals."""
    fits = [
        lloyd(blocks, start, device=device, executor=executor, max_iter=max_iter, tol=tol, variance=variance)
        for start in starts
    ]
    return min(fits, key=lambda fit: fit.inertia)


def canonical_order(counts: npt.NDArray[np.int64], centers: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Order of clusters: largest first, ties by the center's coordinates ascending."""
    keys = [centers[:, column] for column in reversed(range(centers.shape[1]))]
    return np.lexsort([*keys, -counts])


def _pass(
    blocks: Sequence[Any], centers: npt.NDArray[Any], device: Device, executor: Mapper, labels: Labels | None = None
) -> tuple[LloydPass, bool]:
    """Sums over all blocks; with `labels`, also whether some row is equally near to two centers."""
    total: LloydPass | None = None
    start, ties = 0, False
    for part in executor.map(_BlockPass(device, centers, labels is not None), blocks):
        total = part if total is None else _added(total, part)
        if labels is not None:
            found = device.to_host(part.labels)
            labels[start : start + len(found)] = found
            start += len(found)
            ties = ties or bool((part.nearest == part.second).any())
    assert total is not None
    return total, ties


def _renumber(labels: Labels, order: npt.NDArray[np.int64]) -> None:
    """Turn indices of centers into places in an order of them."""
    places = np.empty(len(order), labels.dtype)
    places[order] = np.arange(len(order))
    for start in range(0, len(labels), _RENUMBERED_ROWS):
        part = labels[start : start + _RENUMBERED_ROWS]
        part[:] = places[part]


@dataclass(frozen=True)
class _BlockPass:
    """The pass over one block."""

    device: Device
    centers: npt.NDArray[Any]
    want_labels: bool = False

    def __call__(self, block: Any) -> LloydPass:
        rows = rows_of(block, self.device)
        return self.device.assign_accumulate(rows, self.centers, want_labels=self.want_labels)


@dataclass(frozen=True)
class _Nearest:
    """The labels of one block, in host memory."""

    device: Device
    centers: npt.NDArray[Any]

    def __call__(self, block: Any) -> npt.NDArray[np.int32]:
        found: npt.NDArray[np.int32] = self.device.to_host(
            self.device.nearest(rows_of(block, self.device), self.centers)
        )
        return found


def _added(left: LloydPass, right: LloydPass) -> LloydPass:
    return LloydPass(left.sums + right.sums, left.counts + right.counts, left.inertia + right.inertia)


def _updated(
    found: LloydPass, centers: npt.NDArray[Any], blocks: Sequence[Any], device: Device
) -> npt.NDArray[np.float64]:
    """Means of the assigned rows; an empty cluster moves to a row that is far from every center."""
    empty = np.flatnonzero(found.counts == 0)
    counts = np.maximum(found.counts, 1)[:, None]
    updated: npt.NDArray[np.float64] = found.sums / counts
    if empty.size:
        far = farthest_rows(blocks, centers, device, empty.size)
        # Where all other rows lie on centers, a cluster stays empty where it is.
        updated[empty] = centers[empty]
        updated[empty[: len(far)]] = far
    return updated
