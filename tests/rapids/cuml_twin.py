"""scikit-learn's estimators behind cuML's parameters, and the little of RMM that is called."""

import types
from typing import Any


class KMeans:
    """cuML's, computed by scikit-learn, which counts moves of centers in shares of the rows' variance."""

    def __init__(self, *, tol: float | None = None, **parameters: Any) -> None:
        from sklearn.cluster import KMeans as Twin

        self._twin, self._tol = Twin(**parameters), tol

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> "KMeans":
        """Fit, and take over what was fitted."""
        if self._tol is not None:
            self._twin.set_params(tol=self._tol / float(X.var(axis=0).mean()))
        self._twin.fit(X, sample_weight=sample_weight)
        _take_over(self, self._twin)
        return self

    def predict(self, X: Any) -> Any:
        """Labels."""
        return self._twin.predict(X)


class HDBSCAN:
    """cuML's, computed by scikit-learn, which counts a row among its own neighbours."""

    def __init__(self, *, min_cluster_size: int = 5, min_samples: int | None = None, **parameters: Any) -> None:
        from sklearn.cluster import HDBSCAN as Twin

        neighbours = min_cluster_size if min_samples is None else min_samples
        self._twin = Twin(min_cluster_size=min_cluster_size, min_samples=neighbours + 1, copy=True, **parameters)

    def fit(self, X: Any, y: Any = None, *, convert_dtype: bool = True) -> "HDBSCAN":
        """Fit, and take over what was fitted."""
        self._twin.fit(X)
        _take_over(self, self._twin)
        return self

    def fit_predict(self, X: Any, y: Any = None) -> Any:
        """Fit, and the labels."""
        return self.fit(X)._twin.labels_


class NearestNeighbors:
    """cuML's, computed by scikit-learn."""

    def __init__(self, **parameters: Any) -> None:
        from sklearn.neighbors import NearestNeighbors as Twin

        self._twin = Twin(**parameters)

    def fit(self, X: Any, y: Any = None, convert_dtype: bool = True) -> "NearestNeighbors":
        """Keep the rows."""
        self._twin.fit(X)
        return self

    def kneighbors(self, X: Any = None, n_neighbors: Any = None, return_distance: bool = True) -> Any:
        """Distances and places."""
        return self._twin.kneighbors(X, n_neighbors, return_distance)


def _take_over(estimator: Any, twin: Any) -> None:
    for name, value in vars(twin).items():
        if name.endswith("_") and not name.startswith("_"):
            setattr(estimator, name, value)


CUML_TYPES: dict[type, str] = {
    KMeans: "cuml.cluster.KMeans",
    HDBSCAN: "cuml.cluster.HDBSCAN",
    NearestNeighbors: "cuml.neighbors.NearestNeighbors",
}


def cuml_module() -> types.SimpleNamespace:
    """The estimators of the capability table."""
    from tests.rapids.dask_twin import cuml_dask_module

    return types.SimpleNamespace(
        dask=cuml_dask_module(),
        cluster=types.SimpleNamespace(KMeans=KMeans, HDBSCAN=HDBSCAN),
        neighbors=types.SimpleNamespace(NearestNeighbors=NearestNeighbors),
    )


class Resource:
    """Any memory resource of RMM; it remembers how it was made and what is in use."""

    def __init__(self, *above: Any, **settings: Any) -> None:
        self.above, self.settings = above, settings
        self.current_bytes = self.peak_bytes = 0

    def taken(self, n_bytes: int) -> None:
        """As if so many bytes more, or less, were in use."""
        self.current_bytes += n_bytes
        self.peak_bytes = max(self.peak_bytes, self.current_bytes)


POOL_BYTES = 30 << 30
"""RMM takes half of what is free where it is told no size."""


class PoolMemoryResource(Resource):
    """RMM's own pool, which grows where more is in use and never shrinks."""

    def pool_size(self) -> int:
        """Bytes held, free ones among them."""
        first: int = self.settings.get("initial_pool_size") or POOL_BYTES
        return max(first, self.peak_bytes)


class StatisticsResourceAdaptor(Resource):
    """Counts what goes through it."""

    @property
    def allocation_counts(self) -> types.SimpleNamespace:
        """As `rmm.statistics.Statistics`."""
        return types.SimpleNamespace(current_bytes=self.current_bytes, peak_bytes=self.peak_bytes)


_PLAIN = ("CudaMemoryResource", "CudaAsyncMemoryResource", "ManagedMemoryResource")
RESOURCES: dict[str, Any] = {
    **{name: type(name, (Resource,), {}) for name in _PLAIN},
    **{made.__name__: made for made in (PoolMemoryResource, StatisticsResourceAdaptor)},
}
CUML_TYPES |= {made: f"rmm.mr.{name}" for name, made in RESOURCES.items()}


CURRENT: list[Any] = []
"""The resource that was set last."""


def rmm_module() -> types.SimpleNamespace:
    """Resources that do nothing."""

    def set_current_device_resource(mr: Any) -> None:
        CURRENT[:] = [mr]

    return types.SimpleNamespace(
        mr=types.SimpleNamespace(**RESOURCES, set_current_device_resource=set_current_device_resource),
        allocators=types.SimpleNamespace(cupy=types.SimpleNamespace(rmm_cupy_allocator=lambda nbytes: None)),
        reinitialize=lambda **_: None,
    )
