"""Starting centers for many numbers of segments from one tree of merges (Ward 1963)."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

WARD_ROWS = 1_024


def ward_centers(rows: npt.NDArray[Any], counts: Sequence[int]) -> list[npt.NDArray[Any]]:
    """Means of the clusters that Ward's method makes of the first rows, for each number of clusters.

    Ward merges by the criterion that K-means lowers, so one tree gives a good start for every number, and the same
    one whatever the seed: a refit from it differs from another by its data alone.

    Parameters
    ----------
    rows : float array, shape (n_rows, n_features)
        At most the first 1 024 are used.
    counts : sequence of int
        Numbers of clusters, none above the number of rows.

    Returns
    -------
    list of arrays, each of shape (k, n_features) and of the rows' dtype
    """
    from scipy.cluster.hierarchy import ward

    few = rows[:WARD_ROWS].astype(np.float64)
    merges = ward(few)[:, :2].astype(np.int64).tolist()
    return [_means(few, _cut(merges, k), k).astype(rows.dtype) for k in counts]


def _cut(merges: Sequence[Sequence[int]], k: int) -> npt.NDArray[np.int64]:
    """Cluster of every row once k clusters are left."""
    n = len(merges) + 1
    top = list(range(n + len(merges)))
    for step in reversed(range(n - k)):
        for part in merges[step]:
            top[part] = top[n + step]
    labels: npt.NDArray[np.int64] = np.unique(top[:n], return_inverse=True)[1]
    return labels


def _means(rows: npt.NDArray[np.float64], labels: npt.NDArray[Any], k: int) -> npt.NDArray[np.float64]:
    sums = np.zeros((k, rows.shape[1]))
    np.add.at(sums, labels, rows)
    means: npt.NDArray[np.float64] = sums / np.bincount(labels, minlength=k)[:, None]
    return means
