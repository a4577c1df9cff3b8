"""How well a division fits the rows it was made of: compactness, distinctness, and gaps between clusters."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

_DIGITS = 6
_WINDOW = 1 / 8
_SHALLOW = 0.5
_SIGNIFICANT = 2.0


@dataclass(frozen=True)
class Validity:
    """Indices of one division.

    Parameters
    ----------
    silhouette : float
        Mean silhouette (Rousseeuw 1987), from -1 to 1, on at most 4 096 rows; the higher the better.
    davies_bouldin : float
        Mean over clusters of the worst ratio of spread to distance (Davies and Bouldin 1979); the lower the better.
    calinski_harabasz : float
        Variance between to variance within clusters (Calinski and Harabasz 1974); the higher the better.
    groups : int
        Groups that remain once clusters without a gap between them are joined; see `separate_groups`.
    """

    silhouette: float
    davies_bouldin: float
    calinski_harabasz: float
    groups: int


class Validator:
    """Measures divisions of the same rows; distances between rows are computed once.

    Parameters
    ----------
    rows : float array, shape (n_rows, n_features)
    """

    SILHOUETTE_ROWS = 4_096

    def __init__(self, rows: npt.NDArray[Any]) -> None:
        from sklearn.metrics import pairwise_distances

        self._rows = rows
        self._distances = pairwise_distances(rows[: self.SILHOUETTE_ROWS])

    def measure(self, labels: npt.NDArray[np.int32], centers: npt.NDArray[Any]) -> Validity:
        """Indices of the division of the rows into clusters.

        Parameters
        ----------
        labels : int array, shape (n_rows,)
            Cluster of each row, by its nearest center.
        centers : float array, shape (k, n_features)

        Returns
        -------
        Validity
            Without indices, zeros, where all rows are in one cluster or every row is its own.
        """
        from sklearn.metrics import calinski_harabasz_score, davies_bouldin_score, silhouette_score

        groups = separate_groups(self._rows, labels, centers)
        few = labels[: self.SILHOUETTE_ROWS]
        if not 1 < len(np.unique(few)) < len(few):
            return Validity(0.0, 0.0, 0.0, groups)
        scores = (
            silhouette_score(self._distances, few, metric="precomputed"),
            davies_bouldin_score(self._rows, labels),
            calinski_harabasz_score(self._rows, labels),
        )
        # Library sums may differ in the last bits with the number of threads.
        silhouette, davies_bouldin, calinski_harabasz = (float(f"{score:.{_DIGITS}g}") for score in scores)
        return Validity(silhouette, davies_bouldin, calinski_harabasz, groups)


def separate_groups(rows: npt.NDArray[Any], labels: npt.NDArray[np.int32], centers: npt.NDArray[Any]) -> int:
    """Number of groups once clusters that touch are joined.

    Two clusters touch unless the rows thin out between them: on the line through their centers, the middle quarter
    of the way must hold less than half as many rows as the quarter around either center, and significantly less (two
    standard deviations). Halkidi and Vazirgiannis (2001) compare the density between centers in this way; a slice of
    an even or a bell-shaped cloud is densest just where it was cut.

    Parameters
    ----------
    rows : float array, shape (n_rows, n_features)
    labels : int array, shape (n_rows,)
    centers : float array, shape (k, n_features)

    Returns
    -------
    int
        From 1 to k.

    References
    ----------
    Halkidi, M., Vazirgiannis, M. (2001). Clustering validity assessment: finding the optimal partitioning of a data
    set. ICDM.
    """
    from scipy.sparse.csgraph import connected_components

    k = len(centers)
    members = [rows[labels == cluster].astype(np.float64) for cluster in range(k)]
    at = centers.astype(np.float64)
    touch = np.zeros((k, k), bool)
    for one in range(k):
        for two in range(one):
            touch[one, two] = not _gap(members[one], members[two], at[one], at[two])
    return int(connected_components(touch, directed=False, return_labels=False))


def _gap(
    first: npt.NDArray[np.float64],
    second: npt.NDArray[np.float64],
    start: npt.NDArray[np.float64],
    end: npt.NDArray[np.float64],
) -> bool:
    way = end - start
    squared = float((way * way).sum())
    if squared == 0.0:
        return False
    # Column by column: a matrix product's last bits depend on threads.
    along = np.concatenate([((part - start) * way).sum(axis=1) for part in (first, second)]) / squared
    around = min(_near(along, 0.0), _near(along, 1.0))
    between = _near(along, 0.5)
    rarer = around - between >= _SIGNIFICANT * np.sqrt(around + between)
    return between < _SHALLOW * around and bool(rarer)


def _near(along: npt.NDArray[np.float64], place: float) -> int:
    return int((np.abs(along - place) < _WINDOW).sum())
