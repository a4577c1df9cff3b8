"""The traditional alternative: groups by RFM quintile scores, and how well they separate the profiles in comparison.

RFM scores sort customers by recency, frequency and monetary value into five equal parts each and add up the three
scores (Hughes, A. M. (1994). Strategic Database Marketing. Probus). Segments that were learned should tell more about
the profiles than these, or the simpler scores would do.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gpuseg.config import FeaturesSection, MatrixSection
from gpuseg.matrix.transform import MatrixTransform, feature_values, fit_transform_of

RECENCY, FREQUENCY, MONETARY = "recency_days", "n_orders", "amount_sum"
CLEAR_DIFFERENCE = 0.05
_SCORES = 5
_NAMED = 3

Groups = npt.NDArray[np.int64]


def rfm_baseline(
    sample: pa.Table,
    features: Sequence[Mapping[str, Any]],
    n_segments: int,
    *,
    transform: MatrixTransform | None = None,
) -> dict[str, Any] | None:
    """Compare the segments with as many groups by RFM score.

    Parameters
    ----------
    sample : Arrow table
        Features and `segment_id` of the sampled profiles in canonical order; profiles without a segment do not count.
    features : sequence of mapping
        What `_features.json` says: `name`, `label`, `unit`, `in_matrix`.
    n_segments : int
    transform : MatrixTransform, optional
        The model's: shares of variance refer to the logarithms and clipped values that were clustered, so that one
        extreme profile does not decide. Without it, one is fitted on the sample.

    Returns
    -------
    dict or None
        The object "baseline" of `explanations.json`: by feature, the share of the variance that lies between groups
        (eta squared), from 0 to 1. None where recency, orders or spend are not known, or where there is nothing to
        compare: fewer than two segments, two groups or one feature that varies.
    """
    if n_segments < 2 or not {RECENCY, FREQUENCY, MONETARY} <= set(sample.column_names):
        return None
    assigned = feature_values(sample, "segment_id") >= 0
    if not assigned.all():
        sample = sample.filter(pa.array(assigned))
    if sample.num_rows == 0:
        return None
    transform = transform or _own_transform(sample, features)
    total = rfm_score(sample)
    groups = cut_evenly(total, n_segments)
    n_groups = int(groups.max()) + 1
    described = {item["name"]: item for item in features}
    names = [name for name in transform.features if name in described and name in sample.column_names]
    if n_groups < 2 or not names:
        return None
    rows, places = transform.apply(sample), [transform.features.index(name) for name in names]
    segments = eta_squared(rows, feature_values(sample, "segment_id").astype(np.int64))[places]
    baseline = eta_squared(rows, groups)[places]
    compared = [
        {
            "feature": name,
            "label": described[name]["label"],
            "unit": described[name]["unit"],
            "segments": _rounded(ours),
            "baseline": _rounded(theirs),
        }
        for name, ours, theirs in zip(names, segments, baseline, strict=True)
    ]
    return {
        "method": "rfm_quintiles",
        "n_groups": n_groups,
        "n_profiles": sample.num_rows,
        "features": compared,
        **_verdict(compared, n_groups),
    }


def rfm_score(table: pa.Table) -> Groups:
    """Sum of the three quintile scores of every profile, from 3 to 15, the best customers highest.

    A profile without purchases has no recency and counts as the least recent.
    """
    recency = -feature_values(table, RECENCY)
    total = _quintile_scores(recency)
    for name in (FREQUENCY, MONETARY):
        total += _quintile_scores(feature_values(table, name))
    return total


def _quintile_scores(values: npt.NDArray[np.float64]) -> Groups:
    """Score 1 to 5 by fifths of the profiles, least first; equal values have the score of the middle one of them."""
    values = np.where(np.isnan(values), -np.inf, values)
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    # Twice the number of profiles below the middle of each run of equal values keeps all of it in whole numbers.
    middles = 2 * np.cumsum(counts) - counts
    scores: Groups = 1 + np.minimum(middles * _SCORES // (2 * len(values)), _SCORES - 1)
    return scores[place]


def cut_evenly(values: Groups, n_groups: int) -> Groups:
    """Group of every value, 0 for the least: quantile groups that never part equal values.

    Parameters
    ----------
    values : int array, shape (n,)
    n_groups : int
        Groups wanted; there are as many wherever there are as many distinct values.

    Returns
    -------
    int64 array, shape (n,)
    """
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    distinct = len(counts)
    n_groups = min(n_groups, distinct)
    # A group ends after the distinct value that lies closest to its quantile and leaves one for each group to come.
    below = np.cumsum(counts)
    group_of = np.zeros(distinct, np.int64)
    end = 0
    for group in range(1, n_groups):
        choices = np.arange(end, distinct - n_groups + group)
        wanted = len(values) * group
        end = int(choices[np.argmin(np.abs(below[choices] * n_groups - wanted))]) + 1
        group_of[end:] = group
    return group_of[place]


def eta_squared(rows: npt.NDArray[Any], groups: Groups) -> npt.NDArray[np.float64]:
    """Share of each column's variance that lies between groups, from 0 to 1 (Pearson's correlation ratio, squared).

    Parameters
    ----------
    rows : float array, shape (n_rows, n_columns)
    groups : int array, shape (n_rows,)
        Group of each row, from 0.

    Returns
    -------
    float64 array, shape (n_columns,)
        0 for a column that does not vary.
    """
    _, place, counts = np.unique(groups, return_inverse=True, return_counts=True)
    shares = np.zeros(rows.shape[1])
    # Column by column, so that no second matrix is held.
    for position, column in enumerate(rows.T):
        gaps = column.astype(np.float64)
        gaps -= gaps.mean()
        sums = np.bincount(place, weights=gaps, minlength=len(counts))
        total = float((gaps * gaps).sum())
        if total > 0:
            shares[position] = (sums * sums / counts).sum() / total
    return np.clip(shares, 0.0, 1.0)


def _own_transform(sample: pa.Table, features: Sequence[Mapping[str, Any]]) -> MatrixTransform:
    names = [item["name"] for item in features if item["in_matrix"] and item["name"] in sample.column_names]
    return fit_transform_of(sample, {"features": names}, matrix=MatrixSection(), features=FeaturesSection())


def _verdict(compared: Sequence[Mapping[str, Any]], n_groups: int) -> dict[str, Any]:
    """Means, the features that one side separates clearly better, and what that says."""
    gains = sorted(compared, key=lambda item: item["baseline"] - item["segments"])
    better = [item for item in gains if item["segments"] - item["baseline"] >= CLEAR_DIFFERENCE]
    worse = [item for item in reversed(gains) if item["baseline"] - item["segments"] >= CLEAR_DIFFERENCE]
    ours, theirs = (float(np.mean([item[side] for item in compared])) for side in ("segments", "baseline"))
    return {
        "segments_mean": _rounded(ours),
        "baseline_mean": _rounded(theirs),
        "better": [item["feature"] for item in better],
        "worse": [item["feature"] for item in worse],
        "finding": (
            f"The segments account for {ours:.0%} of the differences between profiles and {n_groups} groups by RFM "
            f"score for {theirs:.0%}, on average over {len(compared)} features: the segments tell "
            f"{_clause(better, 'more')} and {_clause(worse, 'less')}."
        ),
    }


def _clause(items: Sequence[Mapping[str, Any]], direction: str) -> str:
    """Words such as: clearly more about 2 of them (orders, spend)."""
    if not items:
        return f"clearly {direction} about none of them"
    named = ", ".join(str(item["label"]) for item in items[:_NAMED])
    return f"clearly {direction} about {len(items)} of them ({named}{', …' if len(items) > _NAMED else ''})"


def _rounded(share: float) -> float:
    return float(f"{share:.9g}")
