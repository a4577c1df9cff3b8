"""`Segmenter`: gpuseg's clustering as a scikit-learn clusterer over a feature matrix."""

from copy import copy
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, ClusterMixin, TransformerMixin
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.utils.validation import check_is_fitted, validate_data

from gpuseg.clustering.containers import container_of
from gpuseg.clustering.dense_fit import dense_of
from gpuseg.clustering.fits import hierarchy_of, kmeans_of
from gpuseg.clustering.hierarchy import Hierarchy
from gpuseg.clustering.neighbourhood import inertia_of
from gpuseg.clustering.parameters import (
    check_inertia,
    check_parameters,
    check_squares,
    is_large,
)
from gpuseg.clustering.row_blocks import nearest_centers, row_blocks
from gpuseg.engine import Engine, open_engine
from gpuseg.errors import ClusteringError, ConfigError

_FITTED = {"cluster_centers_", "inertia_", "n_iter_", "n_segments_", "probabilities_"}
_FITTED |= {"_labels", "_micro", "_groups", "_hierarchy", "_dense"}


class Segmenter(ClassNamePrefixFeaturesOutMixin, TransformerMixin, ClusterMixin, BaseEstimator):  # type: ignore[misc]
    """Segmentation of a feature matrix by K-means, Ward's hierarchy or HDBSCAN.

    Parameters
    ----------
    method : {"kmeans", "hierarchical", "hdbscan"}, default "kmeans"
        K-means parts all rows. The hierarchy merges micro-clusters, of which `cut` makes any number of segments without
        a refit. HDBSCAN finds dense groups of any shape, as many as there are, and calls the rest noise.
    n_segments : int or "auto", default "auto"
        Number of segments. `auto` takes the one of 2 to 12 by the rule of `gpuseg.clustering.decision` (gaps between
        segments that come out again, else a clear silhouette, else the elbow), never more than there are distinct rows.
    init : {"k-means++", "random"} or array of shape (n_segments, n_features), default "k-means++"
        Starting centers. Above 32 768 rows starts are compared on a sample of as many.
    n_init : int or "auto", default "auto"
        Independent starts, of which the one of least inertia is kept; `auto` is 10, and 1 for an array.
    max_iter : int, default 300
        Most updates of the centers.
    tol : float, default 1e-4
        Stop once the squared moves of the centers add up to at most this share of the columns' mean variance. With 0,
        exactly `max_iter` updates are made unless the centers stop moving.
    early_passes : {"exact", "coarse"}, default "exact"
        Whether K-means first iterates on a copy of the rows in 8 significant bits, and then, with what is left of
        `max_iter`, on the rows themselves: to be faster on a GPU, which was never measured. It may end elsewhere. No
        effect where several starts are tried on all rows (to 32 768 of them), with `max_iter` 1, or beyond float32.
    micro_clusters : int or "auto", default "auto"
        Most micro-clusters of the hierarchy, found by K-means on at most 131 072 sampled rows; `auto` is twice the root
        of the rows, from 4 096 to 20 000. Rows are exact where there are no more distinct ones than this.
    min_cluster_size : int or "auto", default "auto"
        Fewest rows of a segment of HDBSCAN; `auto` is a hundredth of the rows, at least 25, at most a quarter of them.
    min_samples : int or "auto", default "auto"
        Neighbours by which HDBSCAN tells density, the row itself counted; `auto` is 5, or `min_cluster_size` if less.
    selection : {"eom", "leaf"}, default "eom"
        Which groups HDBSCAN takes: those that last longest as the density rises, or the finest, with more noise.
    noise : {"keep", "nearest"}, default "keep"
        Whether noise of HDBSCAN has label -1, or the segment of the nearest row that is in one.
    resolution : {"auto", "rows", "micro_clusters"}, default "auto"
        Whether HDBSCAN compares all rows exactly or refuses, or tells density on at most 131 072 sampled rows, weighted
        by micro-clusters, or refuses where that cannot be trusted. `auto` is exact where that takes minutes at most.
    seed : int, default 0
        Seed of all random choices.
    engine : {"auto", "cpu", "gpu"}, default "auto"
        Where the work is done.

    Attributes
    ----------
    cluster_centers_ : array of shape (n_segments, n_features)
        Centers, largest segment first; means of the segments where the method is not K-means.
    labels_ : int32 array of shape (n_rows,)
        Segment of each row; it and `inertia_` belong to the returned centers. -1 is noise.
    probabilities_ : float64 array of shape (n_rows,)
        Membership strength of each row, 0 for noise; only with HDBSCAN.
    inertia_ : float
        Sum of squared distances to the nearest center, or with HDBSCAN of rows in segments to their own mean.
    n_iter_ : int
        Updates made, 1 without K-means.
    n_segments_ : int
        Number of segments.
    n_features_in_ : int
        Number of columns seen in `fit`.

    References
    ----------
    Lloyd, S. (1982). Least squares quantization in PCM. IEEE Transactions on Information Theory 28.
    Ward, J. (1963). Hierarchical grouping to optimize an objective function. JASA 58.
    Arthur, D., Vassilvitskii, S. (2007). k-means++: the advantages of careful seeding. SODA.
    Campello, R., Moulavi, D., Sander, J. (2013). Density-based clustering based on hierarchical density estimates.

    Examples
    --------
    >>> import numpy as np
    >>> from gpuseg import Segmenter
    >>> X = np.array([[1.0, 2.0], [1.0, 4.0], [1.0, 0.0], [10.0, 2.0], [10.0, 4.0]])
    >>> Segmenter(n_segments=2, engine="cpu").fit_predict(X).tolist()
    [0, 0, 0, 1, 1]
    """

    def __init__(
        self,
        *,
        method: str = "kmeans",
        n_segments: int | str = "auto",
        init: Any = "k-means++",
        n_init: int | str = "auto",
        max_iter: int = 300,
        tol: float = 1e-4,
        early_passes: Literal["exact", "coarse"] = "exact",
        micro_clusters: int | Literal["auto"] = "auto",
        min_cluster_size: int | Literal["auto"] = "auto",
        min_samples: int | Literal["auto"] = "auto",
        selection: Literal["eom", "leaf"] = "eom",
        noise: Literal["keep", "nearest"] = "keep",
        resolution: Literal["auto", "rows", "micro_clusters"] = "auto",
        seed: int = 0,
        engine: str = "auto",
    ) -> None:
        self.method = method
        self.n_segments = n_segments
        self.init = init
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.early_passes = early_passes
        self.micro_clusters = micro_clusters
        self.min_cluster_size = min_cluster_size
        self.min_samples = min_samples
        self.selection = selection
        self.noise = noise
        self.resolution = resolution
        self.seed = seed
        self.engine = engine

    def fit(self, X: Any, y: Any = None) -> "Segmenter":
        """Find the segments of the rows of X.

        Parameters
        ----------
        X : array or frame of shape (n_rows, n_features)
            Finite numbers; float32 is kept, everything else becomes float64.
        y : ignored

        Returns
        -------
        Segmenter

        Raises
        ------
        ConfigError
            If a parameter is out of range.
        ClusteringError
            If more segments are asked for than there are distinct rows.
        EngineError
            If HDBSCAN cannot work on so many rows on this device.
        ValueError
            If a value is not finite, or the squares of values overflow.
        """
        check_parameters(self)
        rows = validate_data(self, container_of(X).to_array(X), dtype=[np.float64, np.float32], order="C")
        # A fit that fails must not leave half of an earlier one behind.
        for name in _FITTED & vars(self).keys():
            delattr(self, name)
        check_squares(rows)
        with open_engine(engine=self.engine) as engine:
            if self.method == "hdbscan":
                return self._fit_density(rows, engine)
            if self.method == "hierarchical":
                return self._fit_hierarchy(rows, engine)
            fit, labels = kmeans_of(self, rows, engine)
        check_inertia(fit.inertia)
        self._labels: npt.NDArray[Any] = labels
        self.cluster_centers_ = fit.centers
        self.inertia_ = fit.inertia
        self.n_iter_ = fit.n_iter
        self.n_segments_ = len(fit.centers)
        return self

    def cut(self, n_segments: int) -> "Segmenter":
        """The segments of another granularity from the same hierarchy, as a fitted copy; rows are not read again.

        Raises
        ------
        ConfigError
            If the method is not hierarchical.
        ClusteringError
            If there are fewer micro-clusters.
        """
        check_is_fitted(self)
        if not hasattr(self, "_hierarchy"):
            raise ConfigError(f"method={self.method!r} has no hierarchy to cut; use method='hierarchical'")
        found = copy(self)
        found.n_segments = n_segments
        check_parameters(found)
        found._take(self._hierarchy, n_segments)
        return found

    def predict(self, X: Any) -> Any:
        """Segment of each row, in the kind of container given: the nearest, or that of its dense neighbours.

        With HDBSCAN a row of the fit has its own label again; see `gpuseg.clustering.neighbourhood` for others.
        """
        check_is_fitted(self)
        rows = self._validated(X)
        with open_engine(engine=self.engine) as engine:
            labels = self._placed(rows, engine)
        return container_of(X).labels(labels, X)

    def fit_predict(self, X: Any, y: Any = None, **kwargs: Any) -> Any:
        """Fit and return each row's segment, in the kind of container given."""
        return container_of(X).labels(self.fit(X).labels_, X)

    def transform(self, X: Any) -> Any:
        """Euclidean distance of each row to each center, shape (n_rows, n_segments), in the kind given."""
        check_is_fitted(self)
        rows = self._validated(X)
        centers = self.cluster_centers_.astype(rows.dtype)
        distances = euclidean_distances(rows, centers) if len(centers) else np.empty((len(rows), 0), rows.dtype)
        return container_of(X).matrix(distances, self.get_feature_names_out(), X)

    def score(self, X: Any, y: Any = None) -> float:
        """Minus the sum of squared distances of the rows to the centers of their segments."""
        check_is_fitted(self)
        rows = self._validated(X)
        with open_engine(engine=self.engine) as engine:
            if self.method != "kmeans":
                return -inertia_of(rows, self._placed(rows, engine), self.cluster_centers_)
            centers = engine.device.asarray(self.cluster_centers_.astype(rows.dtype))
            return -sum(engine.device.assign_accumulate(b, centers).inertia for b in row_blocks(rows, engine))

    @property
    def labels_(self) -> npt.NDArray[np.int32]:
        """Segment of each row of the fit."""
        # A fit keeps them in as few bytes as will do.
        if not hasattr(self, "_labels"):
            raise AttributeError("this Segmenter is not fitted: it has no labels_")
        self._labels = self._labels.astype(np.int32, copy=False)
        return self._labels

    @property
    def _n_features_out(self) -> int:
        return int(self.n_segments_)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "cluster_centers_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def _validated(self, table: Any) -> npt.NDArray[Any]:
        array = container_of(table).to_array(table)
        rows: npt.NDArray[Any] = validate_data(self, array, reset=False, dtype=[np.float64, np.float32], order="C")
        if rows.dtype == np.float32 and (is_large(rows) or is_large(self.cluster_centers_)):
            rows = rows.astype(np.float64)
        check_squares(rows)
        return rows

    def _placed(self, rows: npt.NDArray[Any], engine: Engine) -> npt.NDArray[np.int32]:
        if hasattr(self, "_dense"):
            labels, _ = self._dense.place(rows, device=engine.device)
            return labels
        if hasattr(self, "_hierarchy"):
            micro = nearest_centers(rows, self._hierarchy.micro.centers.astype(rows.dtype), engine)
            return self._groups[micro]
        return nearest_centers(rows, self.cluster_centers_.astype(rows.dtype), engine)

    def _fit_density(self, rows: npt.NDArray[Any], engine: Engine) -> "Segmenter":
        fit = dense_of(self, rows, engine)
        self._labels, self.probabilities_, self._dense = fit.labels, fit.strengths, fit.placer
        self.cluster_centers_ = fit.means.astype(rows.dtype)
        self.inertia_ = inertia_of(rows, fit.labels, self.cluster_centers_)
        self.n_iter_ = 1
        self.n_segments_ = len(fit.means)
        return self

    def _fit_hierarchy(self, rows: npt.NDArray[Any], engine: Engine) -> "Segmenter":
        hierarchy, self._micro, k = hierarchy_of(self, rows, engine)
        return self._take(hierarchy, k)

    def _take(self, hierarchy: Hierarchy, k: int) -> "Segmenter":
        """Take the segments of a cut."""
        if k > hierarchy.tree.n_points:
            raise ClusteringError(
                f"n_segments={k} is more than the {hierarchy.tree.n_points} micro-clusters; set micro_clusters higher"
            )
        cut = hierarchy.cut(k)
        self._hierarchy, self._groups, self._labels = hierarchy, cut.groups, cut.groups[self._micro]
        self.cluster_centers_, self.inertia_ = cut.means.astype(hierarchy.micro.centers.dtype), cut.inertia
        self.n_iter_, self.n_segments_ = 1, k
        return self
