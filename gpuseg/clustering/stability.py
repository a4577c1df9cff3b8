"""Whether a number of segments would be found again: prediction strength and stability over bootstrap samples."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gpuseg.clustering.kmeans import lloyd
from gpuseg.clustering.ward import ward_centers
from gpuseg.engine.base import Device, Executor
from gpuseg.engine.program import LloydPass

REFIT_ROWS = 4_096
SPLITS = 5
RESAMPLES = 10

Labels = npt.NDArray[np.int32]
Centers = Sequence[npt.NDArray[Any]]


@dataclass(frozen=True)
class Reproducibility:
    """How well one number of segments comes out again on other data.

    Parameters
    ----------
    prediction_strength : float
        Mean of `prediction_strength` over five splits, either half predicting the other; 0 to 1.
    stability : float
        Mean of `recovery` over clusters and ten bootstrap samples; 0 to 1.
    """

    prediction_strength: float
    stability: float


def reproducibility(
    rows: npt.NDArray[Any], fitted: Centers, *, device: Device, executor: Executor, seed: int, variance: float
) -> list[Reproducibility]:
    """Refit every number of segments on halves and on bootstrap samples of the rows.

    Parameters
    ----------
    rows : float array, shape (n_rows, n_features)
        Rows in a canonical order, of which at most the first 4 096 are used.
    fitted : sequence of arrays, each of shape (k, n_features)
        Centers of the fit of each number of segments, in ascending order.
    device, executor
        What the refits run on; a worker refits all numbers on one sample.
    seed : int
    variance : float
        As in `lloyd`.

    Returns
    -------
    list of Reproducibility, one an item of `fitted`
        Zeros for more clusters than half of the rows.
    """
    n_wanted = len(fitted)
    rows = np.ascontiguousarray(rows[:REFIT_ROWS])
    half = len(rows) // 2
    fitted = [centers for centers in fitted if len(centers) <= half]
    if not fitted:
        return [Reproducibility(0.0, 0.0)] * n_wanted
    draw = np.random.default_rng([seed, len(rows)])
    splits = [np.split(draw.permutation(len(rows))[: 2 * half], 2) for _ in range(SPLITS)]
    resamples = [draw.integers(0, len(rows), half) for _ in range(RESAMPLES)]
    refit = _Refit(rows, [len(centers) for centers in fitted], device, variance)
    found = list(executor.map(refit, [*(part for split in splits for part in split), *resamples]))
    strengths = [_strengths(rows, split, found[2 * i : 2 * i + 2], device) for i, split in enumerate(splits)]
    labels = labels_of(rows, device)
    reference = [labels(centers) for centers in fitted]
    recovered = [
        [recovery(own, labels(again)).mean() for own, again in zip(reference, centers, strict=True)]
        for centers in found[2 * SPLITS :]
    ]
    means = zip(np.mean(strengths, axis=0), np.mean(recovered, axis=0), strict=True)
    measured = [Reproducibility(float(strength), float(stability)) for strength, stability in means]
    return measured + [Reproducibility(0.0, 0.0)] * (n_wanted - len(measured))


def prediction_strength(own: Labels, predicted: Labels) -> float:
    """Share of pairs of a cluster that another fit also puts together, for the worst cluster.

    Parameters
    ----------
    own : int array, shape (n_rows,)
        Clusters of the rows, fitted on them.
    predicted : int array, shape (n_rows,)
        Clusters of the same rows by centers that were fitted on other rows.

    Returns
    -------
    float
        0 to 1; a cluster of a single row counts as 0, for nothing speaks for it.

    References
    ----------
    Tibshirani, R., Walther, G. (2005). Cluster validation by prediction strength. Journal of Computational and
    Graphical Statistics 14.
    """
    table = _contingency(own, predicted)
    sizes = table.sum(axis=1)
    together = (table * (table - 1)).sum(axis=1)
    return float((together / np.maximum(sizes * (sizes - 1), 1))[sizes > 0].min())


def recovery(labels: Labels, again: Labels) -> npt.NDArray[np.float64]:
    """Jaccard similarity of each cluster with the most similar cluster of a refit.

    Parameters
    ----------
    labels, again : int array, shape (n_rows,)
        Clusters of the same rows by the full fit and by the refit.

    Returns
    -------
    float64 array, shape (number of clusters,)
        0 to 1. Below 0.6 a cluster should not be trusted, from 0.75 it is a valid one.

    References
    ----------
    Hennig, C. (2007). Cluster-wise assessment of cluster stability. Computational Statistics & Data Analysis 52.
    """
    table = _contingency(labels, again)
    union = table.sum(axis=1)[:, None] + table.sum(axis=0)[None, :] - table
    similar: npt.NDArray[np.float64] = (table / np.maximum(union, 1))[table.sum(axis=1) > 0].max(axis=1)
    return similar


class _Serial:
    """Maps in the worker that asks, for a worker must not wait for others."""

    def map(self, function: Callable[[Any], LloydPass], items: Sequence[Any]) -> Any:
        return map(function, items)


@dataclass(frozen=True)
class _Refit:
    """Centers of every number of segments on some of the rows."""

    rows: npt.NDArray[Any]
    counts: Sequence[int]
    device: Device
    variance: float

    def __call__(self, places: npt.NDArray[np.int64]) -> list[npt.NDArray[Any]]:
        sample = np.ascontiguousarray(self.rows[places])
        blocks = [self.device.asarray(sample)]
        options: dict[str, Any] = {"device": self.device, "executor": _Serial(), "variance": self.variance}
        return [lloyd(blocks, start, **options).centers for start in ward_centers(sample, self.counts)]


def _strengths(
    rows: npt.NDArray[Any], halves: Sequence[npt.NDArray[np.int64]], found: Sequence[Centers], device: Device
) -> list[float]:
    """Prediction strength of every number of segments on one split."""
    first, second = (labels_of(np.ascontiguousarray(rows[half]), device) for half in halves)
    return [
        (prediction_strength(first(one), first(two)) + prediction_strength(second(two), second(one))) / 2
        for one, two in zip(*found, strict=True)
    ]


def labels_of(rows: npt.NDArray[Any], device: Device) -> Callable[[npt.NDArray[Any]], Labels]:
    """Nearest center of every row, for any centers."""
    block = device.asarray(rows)

    def labels(centers: npt.NDArray[Any]) -> Labels:
        found: Labels = device.to_host(device.nearest(block, device.asarray(centers)))
        return found

    return labels


def _contingency(left: Labels, right: Labels) -> npt.NDArray[np.int64]:
    """Rows of every pair of clusters."""
    table = np.zeros((int(left.max()) + 1, int(right.max()) + 1), np.int64)
    np.add.at(table, (left, right), 1)
    return table
