"""Greedy k-means++ seeding on the host.

Arthur and Vassilvitskii (2007), with the greedy choice among 2 + log(k) candidates of their section 5 as scikit-learn
implements it. It is written out here because the library's distances go through matrix products whose last bits depend
on threads and processor, and a start must be the same on every machine; and because it is imported at every run.
"""

from typing import Any

import numpy as np
import numpy.typing as npt


def seed_centers(sample: npt.NDArray[Any], n_segments: int, *, n_starts: int, seed: int) -> list[npt.NDArray[Any]]:
    """Starting centers by greedy k-means++ on a sample.

    Parameters
    ----------
    sample : float array, shape (n_sample, n_features)
        At least `n_segments` distinct rows.
    n_segments : int
    n_starts : int
        How many independent starts.
    seed : int

    Returns
    -------
    list of arrays, each of shape (n_segments, n_features)
        Rows of the sample.
    """
    columns = np.ascontiguousarray(sample.T, dtype=np.float64)
    draws = np.random.SeedSequence(seed).spawn(n_starts)
    return [sample[_greedy(columns, n_segments, np.random.default_rng(draw))] for draw in draws]


def _greedy(columns: npt.NDArray[np.float64], k: int, draw: np.random.Generator) -> list[int]:
    """Places of k rows, each the candidate that leaves the rows nearest to their closest seed."""
    n = columns.shape[1]
    n_candidates = 2 + int(np.log(k))
    chosen = [int(draw.integers(n))]
    nearest = _squared_distances(columns, chosen[0])
    while len(chosen) < k:
        cumulated = np.cumsum(nearest)
        picks = draw.random(n_candidates) * cumulated[-1]
        candidates = np.minimum(np.searchsorted(cumulated, picks, side="right"), n - 1)
        options = [np.minimum(nearest, _squared_distances(columns, int(place))) for place in candidates]
        best = int(np.argmin([option.sum() for option in options]))
        chosen.append(int(candidates[best]))
        nearest = options[best]
    return chosen


def _squared_distances(columns: npt.NDArray[np.float64], place: int) -> npt.NDArray[np.float64]:
    """Squared distance of every row to one of them, added up column by column in float64."""
    total = np.zeros(columns.shape[1])
    for column in columns:
        gaps = column - column[place]
        total += gaps * gaps
    return total
