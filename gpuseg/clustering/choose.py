"""How many segments: the clearest division by mean silhouette, or the elbow where there is none."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gpuseg.clustering.kmeans import Mapper, best_of
from gpuseg.clustering.seeding import seed_centers
from gpuseg.engine.base import Device

CHOICE_ROWS = 16_384
SILHOUETTE_ROWS = 4_096
_STARTS = 4
_CLEAR_SILHOUETTE = 0.5
_WEAK_SILHOUETTE = 0.2
_LEAST_FOR_ELBOW = 4


@dataclass(frozen=True)
class Candidate:
    """One number of segments that was tried.

    Parameters
    ----------
    segments : int
    silhouette : float
        Mean silhouette (Rousseeuw 1987), from -1 to 1, on at most 4 096 rows.
    smallest_share : float
        Share of rows in the smallest cluster.
    inertia : float
    accepted : bool
        Whether the smallest cluster is large enough.
    """

    segments: int
    silhouette: float
    smallest_share: float
    inertia: float
    accepted: bool


@dataclass(frozen=True)
class Choice:
    """The number of segments and why.

    Parameters
    ----------
    segments : int
    requested : int or "auto"
    reason : str
        One sentence.
    candidates : tuple of Candidate
        Empty where a number was asked for.
    """

    segments: int
    requested: int | str
    reason: str
    candidates: tuple[Candidate, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """JSON form."""
        return asdict(self) | {"candidates": [asdict(candidate) for candidate in self.candidates]}


def choose_segments(
    sample: npt.NDArray[Any],
    candidates: Sequence[int],
    *,
    device: Device,
    executor: Mapper,
    seed: int,
    min_share: float,
    variance: float,
) -> Choice:
    """Try every candidate on a sample and take the clearest division, or the elbow where none is clear.

    Parameters
    ----------
    sample : float array, shape (n_sample, n_features)
        Rows in a canonical order.
    candidates : sequence of int
        Numbers to try, none above the number of distinct rows.
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
    rows = sample[:CHOICE_ROWS]
    tried = [
        _try(rows, k, device=device, executor=executor, seed=seed, min_share=min_share, variance=variance)
        for k in candidates
    ]
    accepted = [candidate for candidate in tried if candidate.accepted]
    if not accepted:
        best = max(tried, key=lambda candidate: (candidate.smallest_share, candidate.silhouette))
        reason = f"no number keeps every segment above {min_share:.0%}; {best.segments} comes closest"
        return Choice(best.segments, "auto", reason, tuple(tried))
    clearest = max(accepted, key=lambda candidate: candidate.silhouette)
    span = f"{tried[0].segments} to {tried[-1].segments}"
    # Kaufman and Rousseeuw (1990) find no structure below 0.25 and a reasonable one from 0.5 on. A continuous cloud has
    # its clearest division at the fewest segments, whatever its shape, so there a peak says little unless it is high.
    needed = _CLEAR_SILHOUETTE if clearest is accepted[0] else _WEAK_SILHOUETTE
    if clearest.silhouette >= needed or len(accepted) < _LEAST_FOR_ELBOW:
        reason = (
            f"of {span} segments, {clearest.segments} separate the profiles most clearly "
            f"(mean silhouette {clearest.silhouette:.2f})"
        )
        return Choice(clearest.segments, "auto", reason, tuple(tried))
    elbow = _elbow(accepted)
    reason = (
        f"the profiles form no separate groups, so of {span} segments {elbow.segments} was taken: from there on, "
        "further segments make the groups only slightly tighter"
    )
    return Choice(elbow.segments, "auto", reason, tuple(tried))


def _elbow(candidates: Sequence[Candidate]) -> Candidate:
    """The candidate whose inertia lies farthest below the straight line from the first to the last.

    The "kneedle" criterion of Satopaa et al. (2011).
    """
    first, last = candidates[0], candidates[-1]
    width = last.segments - first.segments
    height = first.inertia - last.inertia

    def depth(candidate: Candidate) -> float:
        if height <= 0:
            return 0.0
        return 1 - (candidate.segments - first.segments) / width - (candidate.inertia - last.inertia) / height

    return max(candidates, key=depth)


def n_distinct(rows: npt.NDArray[Any], *, enough: int) -> int:
    """Number of distinct rows, or `enough` where it is at least that."""
    found = 0
    for n in (min(len(rows), 4 * enough), len(rows)):
        found = int(np.unique(rows[:n], axis=0).shape[0])
        if found >= enough or n == len(rows):
            break
    return min(found, enough)


def _try(
    rows: npt.NDArray[Any],
    k: int,
    *,
    device: Device,
    executor: Mapper,
    seed: int,
    min_share: float,
    variance: float,
) -> Candidate:
    from sklearn.metrics import silhouette_score

    blocks = [device.asarray(rows)]
    starts = seed_centers(rows, k, n_starts=_STARTS, seed=seed)
    fit = best_of(starts, blocks, device=device, executor=executor, variance=variance)
    few = rows[:SILHOUETTE_ROWS]
    labels = device.to_host(
        device.assign_accumulate(device.asarray(few), device.asarray(fit.centers), want_labels=True).labels
    )
    found = len(np.unique(labels))
    silhouette = float(silhouette_score(few, labels)) if 1 < found < len(few) else 0.0
    share = float(fit.counts.min() / fit.counts.sum())
    return Candidate(k, silhouette, share, fit.inertia, bool(share >= min_share))
