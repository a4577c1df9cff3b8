"""cuML's K-means over dask, computed by scikit-learn, and dask-cuda's cluster, which starts nothing."""

import types
from typing import Any

import numpy as np
from distributed import futures_of

from tests.rapids.cuml_twin import CUML_TYPES, KMeans


class KMeansOverDask:
    """cuML's: takes the chunks of a dask array from the workers that hold them."""

    def __init__(self, *, client: Any = None, verbose: Any = False, n_clusters: int = 8, **kwargs: Any) -> None:
        self._client = client
        self._twin = KMeans(n_clusters=n_clusters, **kwargs)

    def fit(self, X: Any, sample_weight: Any = None) -> "KMeansOverDask":
        """Fit, and take over what was fitted."""
        if len(X.chunks) != 2 or len(X.chunks[1]) > 1:
            raise ValueError("Input array cannot be chunked along axis 1")
        parts = futures_of(self._client.persist(X))
        self._twin.fit(self._client.submit(joined, parts, pure=False).result())
        self.cluster_centers_, self.n_iter_ = self._twin.cluster_centers_, self._twin.n_iter_
        return self


def joined(parts: list[Any]) -> Any:
    """All chunks as one array of the host; each is on a device, in C order and single precision."""
    from tests.rapids.proxies import Proxy, bare

    assert all(isinstance(part, Proxy) for part in parts)
    arrays = [bare(part) for part in parts]
    assert all(array.flags.c_contiguous and array.dtype == np.float32 for array in arrays)
    return np.concatenate(arrays)


STARTED: list[dict[str, Any]] = []
"""What clusters were asked for."""


class LocalCUDACluster:
    """dask-cuda's."""

    def __init__(self, **settings: Any) -> None:
        STARTED.append(settings)


CUML_TYPES[KMeansOverDask] = "cuml.dask.cluster.KMeans"


def cuml_dask_module() -> types.SimpleNamespace:
    """What of `cuml.dask` is called."""
    return types.SimpleNamespace(cluster=types.SimpleNamespace(KMeans=KMeansOverDask))


def dask_cuda_module() -> types.SimpleNamespace:
    """What of `dask_cuda` is called."""
    return types.SimpleNamespace(LocalCUDACluster=LocalCUDACluster)
