"""A device and libraries that a rehearsal of `gpu_kernels.py` plays: kernels emulated, times by the clock.

torch, FlashLib and flash-kmeans are played by NumPy with the parameters that their sources have (flashlib 0.4.0,
`primitives/kmeans/impl.py` and `primitives/kmeans/triton/assign.py`; flash-kmeans 0.3.1, `kmeans_triton_impl.py` and
`assign_euclid_triton.py`), so that calls with others fail here too.
"""

from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
from gpu_group_by import stand_ins
from gpu_kernels_world import REHEARSED, Sizes, World, wall_clock


class Tensor(np.ndarray[Any, Any]):
    """What is asked of a tensor."""

    def clone(self) -> "Tensor":
        """A copy."""
        return self.copy()

    def cpu(self) -> "Tensor":
        """Itself, in host memory."""
        return self

    def numpy(self) -> Any:
        """As an array."""
        return np.asarray(self)


def played_world(sizes: Sizes = REHEARSED) -> World:
    """Everything in place of a GPU."""
    libraries = stand_ins()
    cluster = SimpleNamespace(KMeans=partial(_kmeans, libraries.cuml))
    return World(
        replace(libraries, cuml=SimpleNamespace(cluster=cluster)),
        sizes,
        wall_clock,
        engine="cpu",
        played=played_modules(),
    )


def _kmeans(cuml: Any, *, max_samples_per_batch: int = 32_768, **options: Any) -> Any:
    # scikit-learn, which plays cuML, takes all rows at a time.
    return cuml.cluster.KMeans(**options)


def played_modules() -> dict[str, Any]:
    """By the names that they are imported by."""
    from tests.rapids.proxies import bare

    return {
        "torch": SimpleNamespace(from_dlpack=lambda array: np.asarray(bare(array)).view(Tensor)),
        "flashlib": SimpleNamespace(flash_kmeans=_flashlib),
        "flashlib.primitives.kmeans": SimpleNamespace(euclid_assign_triton=_flashlib_assign),
        "flash_kmeans.kmeans_triton_impl": SimpleNamespace(batch_kmeans_Euclid=_batch),
        "flash_kmeans.assign_euclid_triton": SimpleNamespace(euclid_assign_triton=_assign),
    }


def _flashlib(
    x: Any,
    n_clusters: int,
    *,
    max_iters: int = 100,
    tol: float = 0.0,
    init_centroids: Any = None,
    verbose: bool = False,
    metric: str = "euclidean",
    backend: Any = None,
    variant: Any = None,
) -> tuple[Any, Any, int]:
    labels, centers, done = _batch(x[None], n_clusters, max_iters, tol, init_centroids)
    # As the real one, which writes each second time to what it was given.
    init_centroids[:] = -1
    return labels[0], centers[0], done


def _batch(
    x: Any,
    n_clusters: int,
    max_iters: int = 100,
    tol: float = 0.0,
    init_centroids: Any = None,
    verbose: Any = None,
    *,
    use_heuristic: Any = None,
) -> tuple[Any, Any, int]:
    centers = init_centroids.copy()
    if centers.shape != (1, n_clusters, x.shape[2]) or tol:
        raise ValueError("centers to start from have three dimensions here, and nothing ends early")
    for _ in range(max_iters):
        labels = _nearest(x, centers)
        for center in range(n_clusters):
            mine = x[0][labels[0] == center]
            centers[0, center] = mine.mean(axis=0) if len(mine) else centers[0, center]
    return labels, centers, max_iters


def _flashlib_assign(x: Any, centroids: Any, out: Any = None, c_sq: Any = None) -> Any:
    return _nearest(x, centroids)


def _assign(x: Any, centroids: Any, x_sq: Any, out: Any = None, c_sq: Any = None) -> Any:
    if x_sq.shape != x.shape[:2]:
        raise ValueError("one squared length a row")
    return _nearest(x, centroids)


def _nearest(x: Any, centers: Any) -> Any:
    gaps = np.square(x[0][:, None] - centers[0][None]).sum(-1)
    return gaps.argmin(1).astype(np.int32)[None].view(Tensor)
