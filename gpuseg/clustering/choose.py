"""Measures every number of segments that may be taken, on a sample; `gpuseg.clustering.decision` says which it is."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gpuseg.clustering.decision import Candidate, Choice, decide
from gpuseg.clustering.hierarchy import Hierarchy
from gpuseg.clustering.kmeans import Fit, best_of
from gpuseg.clustering.seeding import seed_centers
from gpuseg.clustering.stability import labels_of, reproducibility
from gpuseg.clustering.validity import Validator
from gpuseg.clustering.ward import ward_centers
from gpuseg.engine.base import Device, Executor

CHOICE_ROWS = 16_384
_START_ROWS = 4_096
_STARTS = 6


def choose_segments(
    sample: npt.NDArray[Any],
    candidates: Sequence[int],
    *,
    device: Device,
    executor: Executor,
    seed: int,
    min_share: float,
    variance: float,
) -> Choice:
    """Try every candidate on a sample and decide; by the rule of `gpuseg.clustering.decision`.

    Parameters
    ----------
    sample : float array, shape (n_sample, n_features)
        Rows in a canonical order, of which at most the first 16 384 are used.
    candidates : sequence of int
        Numbers to try in ascending order, none above the number of distinct rows.
    device, executor
        What the fits run on.
    seed : int
    min_share : float
        Smallest share of rows that a cluster may have.
    variance : float
        As in `lloyd`.

    Returns
    -------
    Choice
    """
    rows = np.ascontiguousarray(sample[:CHOICE_ROWS])
    options: dict[str, Any] = {"device": device, "executor": executor, "variance": variance}
    fits, labels = _fits(rows, candidates, seed=seed, options=options), labels_of(rows, device)
    divisions = [_Division(fit.centers, fit.counts, fit.inertia, labels(fit.centers)) for fit in fits]
    return _measured(rows, divisions, seed=seed, min_share=min_share, options=options)


def choose_cut(
    hierarchy: Hierarchy,
    sample: npt.NDArray[Any],
    candidates: Sequence[int],
    *,
    device: Device,
    executor: Executor,
    seed: int,
    min_share: float,
    variance: float,
) -> Choice:
    """Decide in the same way among the cuts of a merge tree, without a pass over all rows.

    Sizes and inertia are those of all rows, by their micro-clusters. What is measured of single rows is that of sampled
    ones, each in the segment of its micro-cluster; whether segments come out again, K-means refits of as many.

    Parameters
    ----------
    hierarchy : Hierarchy
    sample, candidates, device, executor, seed, min_share, variance
        As in `choose_segments`; no candidate is above the number of micro-clusters.

    Returns
    -------
    Choice
    """
    rows = np.ascontiguousarray(sample[:CHOICE_ROWS])
    options: dict[str, Any] = {"device": device, "executor": executor, "variance": variance}
    micro = labels_of(rows, device)(hierarchy.micro.centers.astype(rows.dtype, copy=False))
    cuts = [hierarchy.cut(k) for k in candidates]
    divisions = [_Division(cut.means.astype(rows.dtype), cut.counts, cut.inertia, cut.groups[micro]) for cut in cuts]
    return _measured(rows, divisions, seed=seed, min_share=min_share, options=options)


@dataclass(frozen=True, eq=False)
class _Division:
    """Centers, rows of each, inertia, and the cluster of every sampled row."""

    centers: npt.NDArray[Any]
    counts: npt.NDArray[np.int64]
    inertia: float
    labels: npt.NDArray[np.int32]


def _measured(
    rows: npt.NDArray[Any],
    divisions: Sequence[_Division],
    *,
    seed: int,
    min_share: float,
    options: dict[str, Any],
) -> Choice:
    """Measure every division of the rows, and decide."""
    found = reproducibility(rows, [division.centers for division in divisions], seed=seed, **options)
    validator, tried = Validator(rows), []
    for division, again in zip(divisions, found, strict=True):
        share = float(division.counts.min() / division.counts.sum())
        measured = asdict(validator.measure(division.labels, division.centers)) | asdict(again)
        tried.append(
            Candidate(
                segments=len(division.centers),
                smallest_share=share,
                inertia=float(f"{division.inertia:.9g}"),
                accepted=share >= min_share,
                **measured,
            )
        )
    return decide(tried, n_rows=len(rows), min_share=min_share)


def n_distinct(rows: npt.NDArray[Any], *, enough: int) -> int:
    """Number of distinct rows, or `enough` where it is at least that."""
    found = 0
    for n in (min(len(rows), 4 * enough), len(rows)):
        found = int(np.unique(rows[:n], axis=0).shape[0])
        if found >= enough or n == len(rows):
            break
    return min(found, enough)


def _fits(rows: npt.NDArray[Any], candidates: Sequence[int], *, seed: int, options: dict[str, Any]) -> list[Fit]:
    """Best fit of every candidate: starts are compared on the first rows, and the best is carried on to all."""
    few = rows[:_START_ROWS]
    device: Device = options["device"]
    on_few, on_all = [device.asarray(few)], [device.asarray(rows)]
    fits = []
    for k, start in zip(candidates, ward_centers(rows, candidates), strict=True):
        best = best_of([start, *seed_centers(few, k, n_starts=_STARTS, seed=seed)], on_few, **options)
        fits.append(best_of([best.centers], on_all, **options))
    return fits
