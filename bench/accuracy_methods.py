"""The methods that `accuracy.py` holds against known classes: gpuseg's, and those of scikit-learn."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.float64]

QUADRATIC_ROWS = 10_000
"""Most rows of methods that keep all pairs: Ward of scikit-learn takes 400 MB for as many, of five times that 10 GB."""


@dataclass(frozen=True)
class Method:
    """One way of finding classes.

    Parameters
    ----------
    label : callable
        (rows, number of classes, seed) to the label of every row; noise is a label of its own.
    seeded : bool
        Whether the seed changes anything.
    quadratic : bool
        Whether it gets at most `QUADRATIC_ROWS`.
    """

    label: Callable[[Rows, int, int], npt.NDArray[Any]]
    seeded: bool = False
    quadratic: bool = False


def density_of(n_rows: int) -> dict[str, int]:
    """What gpuseg's HDBSCAN resolves its settings to for so many rows; both count a row among its neighbours."""
    from gpuseg.clustering.density import resolved_density
    from gpuseg.clustering.fits import AUTO_MIN_SHARE

    found = resolved_density(
        n_rows, min_cluster_size="auto", min_samples="auto", noise="keep", min_share=AUTO_MIN_SHARE
    )
    return {"min_cluster_size": found.min_cluster_size, "min_samples": found.min_samples}


def _gpuseg(method: str) -> Callable[[Rows, int, int], npt.NDArray[Any]]:
    def label(rows: Rows, k: int, seed: int) -> npt.NDArray[Any]:
        from gpuseg import Segmenter

        given = {} if method == "hdbscan" else {"n_segments": k}
        return Segmenter(method=method, seed=seed, engine="cpu", **given).fit(rows).labels_

    return label


def _kmeans(rows: Rows, k: int, seed: int) -> npt.NDArray[Any]:
    from sklearn.cluster import KMeans

    return KMeans(k, n_init=10, random_state=seed).fit_predict(rows)


def _ward(rows: Rows, k: int, _seed: int) -> npt.NDArray[Any]:
    from sklearn.cluster import AgglomerativeClustering

    return AgglomerativeClustering(k, linkage="ward").fit_predict(rows)


def _hdbscan(rows: Rows, _k: int, _seed: int) -> npt.NDArray[Any]:
    from sklearn.cluster import HDBSCAN

    return HDBSCAN(**density_of(len(rows)), copy=True).fit_predict(rows)


def _birch(rows: Rows, k: int, _seed: int) -> npt.NDArray[Any]:
    from sklearn.cluster import Birch

    return Birch(n_clusters=k).fit_predict(rows)


def _mixture(rows: Rows, k: int, seed: int) -> npt.NDArray[Any]:
    from sklearn.mixture import GaussianMixture

    return GaussianMixture(k, random_state=seed).fit_predict(rows)


METHODS: dict[str, Method] = {
    "gpuseg kmeans": Method(_gpuseg("kmeans"), seeded=True),
    "KMeans": Method(_kmeans, seeded=True),
    "gpuseg hierarchical": Method(_gpuseg("hierarchical"), seeded=True),
    "Ward": Method(_ward, quadratic=True),
    "gpuseg hdbscan": Method(_gpuseg("hdbscan"), quadratic=True),
    "HDBSCAN": Method(_hdbscan, quadratic=True),
    "BIRCH": Method(_birch, quadratic=True),
    "GaussianMixture": Method(_mixture, seeded=True),
}
"""Name to method, in the order of the table."""

PEERS = {"gpuseg kmeans": "KMeans", "gpuseg hierarchical": "Ward", "gpuseg hdbscan": "HDBSCAN"}
"""Each of gpuseg's methods to the same one of scikit-learn."""


def labels_of(name: str, rows: Rows, k: int, seed: int) -> npt.NDArray[Any]:
    """Labels of the first `QUADRATIC_ROWS` rows by a method that gets all of them, or these only."""
    method = METHODS[name]
    given = rows[:QUADRATIC_ROWS] if method.quadratic else rows
    with warnings.catch_warnings():
        # A mixture may not converge, and BIRCH may find fewer groups; their figures tell.
        warnings.simplefilter("ignore")
        return method.label(given, k, seed)[:QUADRATIC_ROWS]
