"""How many segments: the finest division into groups that have gaps between them and come out again on other rows.

No single index finds the right number in all data (Milligan and Cooper 1985; Arbelaitz et al. 2013), so each is asked
what it is good at:

1. Too small segments are out: `smallest_share`.
2. *Groups.* Tibshirani and Walther (2005) take the largest number whose prediction strength is at least 0.8. Slices of
   one long cloud come out again too, so what counts is the number of groups in such a division, clusters without a
   gap between them being one (`groups`); most of its clusters must be groups. That also counts right where K-means
   cuts a large group before it parts two small ones. A division with gaps between all its clusters needs less
   evidence: that they are stable (0.75, Hennig 2007).
3. *Silhouette.* Where it peaks at a still larger number, that number is taken if the peak is one of structure (0.25,
   Kaufman and Rousseeuw 1990), most of its clusters are groups and stable, and the Davies-Bouldin or the
   Calinski-Harabasz index agrees. Among peaks that differ by less than a standard error the smallest number counts.
4. *Neither.* Then segments are slices of a continuum, and their number is a matter of use. The elbow of the inertia is
   taken, or the nearest number, rather below it, whose segments are stable.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from gpuseg.clustering.validity import Validator

_STRONG_PREDICTION = 0.8
_STABLE = 0.75
_STRUCTURE = 0.25
_MOSTLY = 2 / 3
# Silhouettes of rows spread by about a quarter, so their mean over n rows has this standard error times 1 / sqrt(n).
_SILHOUETTE_SPREAD = 0.25


@dataclass(frozen=True)
class Candidate:
    """One number of segments that was tried.

    Parameters
    ----------
    segments : int
    silhouette, davies_bouldin, calinski_harabasz : float
        As in `Validity`.
    prediction_strength, stability : float
        As in `Reproducibility`.
    groups : int
        Groups that remain once clusters without a gap between them are joined; as in `separate_groups`.
    smallest_share : float
        Share of rows in the smallest cluster.
    inertia : float
    accepted : bool
        Whether the smallest cluster is large enough.
    """

    segments: int
    silhouette: float
    davies_bouldin: float
    calinski_harabasz: float
    prediction_strength: float
    stability: float
    groups: int
    smallest_share: float
    inertia: float
    accepted: bool

    @property
    def mostly_separate(self) -> bool:
        """Whether there are gaps between most of the clusters."""
        return 1 < self.groups >= _MOSTLY * self.segments

    @property
    def shows_groups(self) -> bool:
        """Whether `groups` is a number of groups to rely on."""
        whole = 1 < self.groups == self.segments and self.stability >= _STABLE
        return whole or (self.mostly_separate and self.prediction_strength >= _STRONG_PREDICTION)

    def shows_more_than(self, other: "Candidate") -> bool:
        """Whether a peak of the silhouette here is one of structure, and another index prefers it to `other`."""
        structure = self.silhouette >= _STRUCTURE and self.mostly_separate and self.stability >= _STABLE
        return structure and (
            self.davies_bouldin < other.davies_bouldin or self.calinski_harabasz > other.calinski_harabasz
        )


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


def decide(tried: Sequence[Candidate], *, n_rows: int, min_share: float) -> Choice:
    """Choose among measured candidates.

    Parameters
    ----------
    tried : sequence of Candidate
        In ascending order of segments, at least one.
    n_rows : int
        Rows that they were measured on.
    min_share : float
        For the reason alone.

    Returns
    -------
    Choice
    """
    accepted = [candidate for candidate in tried if candidate.accepted]
    if not accepted:
        best = max(tried, key=lambda candidate: (candidate.smallest_share, candidate.silhouette))
        reason = f"no number keeps every segment above {min_share:.0%}; {best.segments} comes closest"
        return Choice(best.segments, "auto", reason, tuple(tried))
    chosen, reason = _separate(accepted, n_rows) or _slices(accepted)
    return Choice(chosen.segments, "auto", reason, tuple(tried))


def _separate(accepted: Sequence[Candidate], n_rows: int) -> tuple[Candidate, str] | None:
    """Candidate for the number of groups, or for the clearest silhouette where it shows more; None without gaps."""
    finest = max((c for c in accepted if c.shows_groups), key=lambda c: (c.groups, c.groups - c.segments), default=None)
    nearest = min(accepted, key=lambda c: abs(c.segments - (finest.groups if finest else 0)))
    clearest = _clearest(accepted, n_rows)
    if clearest.segments > (finest.groups if finest else nearest.segments) and clearest.shows_more_than(nearest):
        return clearest, (
            f"{clearest.segments} segments separate the profiles most clearly (mean silhouette "
            f"{clearest.silhouette:.2f}) and come out again on resampled profiles (stability {clearest.stability:.2f})"
        )
    if finest is None:
        return None
    strength = f"(prediction strength {finest.prediction_strength:.2f}, stability {finest.stability:.2f})"
    if finest.segments == finest.groups:
        return finest, (
            f"{finest.segments} is the largest number of segments that come out again on other profiles {strength} "
            "with gaps between all of them"
        )
    reason = (
        f"{finest.segments} segments come out again on other profiles {strength}, and once those without a gap between "
        f"them are joined, {finest.groups} groups are left"
    )
    if nearest.segments != finest.groups:
        reason += f"; {nearest.segments} is the nearest number allowed"
    return nearest, reason


def _clearest(accepted: Sequence[Candidate], n_rows: int) -> Candidate:
    """Candidate of the largest silhouette, the fewest segments of equals."""
    margin = _SILHOUETTE_SPREAD / np.sqrt(min(n_rows, Validator.SILHOUETTE_ROWS))
    peak = max(candidate.silhouette for candidate in accepted)
    return next(candidate for candidate in accepted if candidate.silhouette >= peak - margin)


def _slices(accepted: Sequence[Candidate]) -> tuple[Candidate, str]:
    """Candidate for a continuum: the elbow, or the nearest stable number below it."""
    no_gaps = "no number leaves gaps between most of the segments"
    stable = [candidate for candidate in accepted if candidate.stability >= _STABLE]
    if not stable:
        best = max(accepted, key=lambda candidate: candidate.stability)
        return best, (
            f"{no_gaps} or makes them come out again on resampled profiles; {best.segments} comes nearest "
            f"(stability {best.stability:.2f})"
        )
    elbow = _elbow(accepted)
    chosen = max([c for c in stable if c.segments <= elbow.segments] or stable[:1], key=lambda c: c.segments)
    if chosen is elbow:
        return chosen, f"{no_gaps}; beyond {chosen.segments}, more segments are only slightly tighter"
    return chosen, (
        f"{no_gaps}; beyond {elbow.segments}, more segments are only slightly tighter, and {chosen.segments} is the "
        f"nearest number that comes out again on resampled profiles (stability {chosen.stability:.2f})"
    )


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
