"""The parameters of `Segmenter`: what is in range, and which belong to which method."""

from numbers import Integral, Real
from typing import Any

import numpy as np
import numpy.typing as npt

from gpuseg.clustering.density import Density, resolved_density
from gpuseg.errors import ClusteringError, ConfigError

_BLOCK_ROWS = 16_384
MOST_IN_FLOAT32 = 2.0**60
"""Of values up to here, single precision holds the squares of differences, added up."""

_NOT_GIVEN: dict[str, Any] = {
    "n_segments": "auto",
    "init": "k-means++",
    "n_init": "auto",
    "early_passes": "exact",
    "micro_clusters": "auto",
    "min_cluster_size": "auto",
    "min_samples": "auto",
    "selection": "eom",
    "noise": "keep",
    "resolution": "auto",
}
"""Parameters that only some methods have, and the value that stands for not being given."""

_METHODS = {
    "kmeans": ("n_segments", "init", "n_init", "early_passes"),
    "hierarchical": ("n_segments", "micro_clusters"),
    "hdbscan": ("min_cluster_size", "min_samples", "selection", "noise", "resolution"),
}
"""Which of them each method has."""


_WORDS = {
    "early_passes": ("exact", "coarse"),
    "noise": ("keep", "nearest"),
    "selection": ("eom", "leaf"),
    "resolution": ("auto", "rows", "micro_clusters"),
}


def check_parameters(given: Any) -> None:
    """Refuse parameters of a `Segmenter` that are out of range or belong to another method.

    Raises
    ------
    ConfigError
    """
    if given.method not in _METHODS:
        raise ConfigError(f"method={given.method!r} is not available; use {', '.join(map(repr, _METHODS))}")
    for name, default in _NOT_GIVEN.items():
        value = getattr(given, name)
        if name not in _METHODS[given.method] and not (isinstance(value, str) and value == default):
            owners = " or ".join(repr(method) for method, names in _METHODS.items() if name in names)
            raise ConfigError(f"{name} belongs to method={owners}, but method={given.method!r}")
    for name, least in (("min_cluster_size", 2), ("min_samples", 1), ("micro_clusters", 2)):
        value = getattr(given, name)
        if value != "auto" and not (_whole(value) and int(value) >= least):
            raise ConfigError(f"{name}={value!r} must be 'auto' or a whole number of at least {least}")
    for name, words in _WORDS.items():
        if not isinstance(getattr(given, name), str) or getattr(given, name) not in words:
            raise ConfigError(f"{name}={getattr(given, name)!r} must be {' or '.join(map(repr, words))}")
    if given.n_segments != "auto" and not (_whole(given.n_segments) and int(given.n_segments) >= 1):
        raise ConfigError(f"n_segments={given.n_segments!r} must be 'auto' or a whole number of at least 1")
    if given.n_init != "auto" and not (_whole(given.n_init) and int(given.n_init) >= 1):
        raise ConfigError(f"n_init={given.n_init!r} must be 'auto' or a whole number of at least 1")
    if not (_whole(given.max_iter) and given.max_iter >= 1):
        raise ConfigError(f"max_iter={given.max_iter!r} must be a whole number of at least 1")
    if not (isinstance(given.tol, Real) and float(given.tol) >= 0):
        raise ConfigError(f"tol={given.tol!r} must be at least 0")
    if not (_whole(given.seed) and 0 <= given.seed < 2**32):
        raise ConfigError(f"seed={given.seed!r} must be a whole number from 0 to 2^32 - 1")
    if isinstance(given.init, str) and given.init not in ("k-means++", "random"):
        raise ConfigError(f"init={given.init!r} must be 'k-means++', 'random' or an array of centers")
    if not isinstance(given.init, str):
        shape = np.shape(given.init)
        if len(shape) != 2 or not shape[0] or (given.n_segments != "auto" and shape[0] != given.n_segments):
            raise ConfigError(f"init of shape {shape} must have shape (n_segments, n_features)")
        if given.n_init not in ("auto", 1):
            raise ConfigError(f"n_init={given.n_init!r}: init gives one start; use 1 or 'auto'")


def density_of(given: Any, n_rows: int, *, min_share: float) -> Density:
    """The settings of HDBSCAN in a `Segmenter` for so many rows.

    Raises
    ------
    ClusteringError
        If there are fewer than two rows.
    ConfigError
        If a setting is more than there are rows.
    """
    if n_rows < 2:
        raise ClusteringError(f"n_samples={n_rows}: hdbscan needs at least 2 rows")
    return resolved_density(
        n_rows,
        min_cluster_size=given.min_cluster_size,
        min_samples=given.min_samples,
        noise=given.noise,
        selection=given.selection,
        min_share=min_share,
    )


def _whole(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def check_squares(rows: npt.NDArray[Any]) -> None:
    """Refuse values whose squares cannot be added up in float64, as those of float32 always can.

    Raises
    ------
    ValueError
    """
    if rows.dtype == np.float32:
        return
    with np.errstate(over="ignore"):
        check_inertia(
            sum(float(np.square(rows[at : at + _BLOCK_ROWS]).sum()) for at in range(0, len(rows), _BLOCK_ROWS))
        )


def is_large(values: npt.NDArray[Any]) -> bool:
    """Whether a value is beyond `MOST_IN_FLOAT32`; `values` are C-ordered."""
    flat = values.ravel()
    with np.errstate(over="ignore"):
        # One pass, and an answer for all but enormous values.
        if np.dot(flat, flat) <= MOST_IN_FLOAT32**2:
            return False
    return bool(max(values.max(initial=0.0), -values.min(initial=0.0)) > MOST_IN_FLOAT32)


def check_inertia(inertia: float) -> None:
    """Refuse a sum of squares that overflowed.

    Raises
    ------
    ValueError
    """
    if not np.isfinite(inertia):
        raise ValueError("X: the squares of its values overflow; scale them down")
