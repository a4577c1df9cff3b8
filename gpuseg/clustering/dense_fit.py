"""The fit of `Segmenter` that finds dense groups: exact, or through cells where rows are too many for that."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from gpuseg.clustering.cost import density_cost, is_exact
from gpuseg.clustering.density import Density, fit_density
from gpuseg.clustering.density_places import place_all
from gpuseg.clustering.fits import AUTO_MIN_SHARE
from gpuseg.clustering.micro import MICRO_ROWS, micro_clusters, n_micro_of
from gpuseg.clustering.micro_density import fit_micro_density
from gpuseg.clustering.nearest import row_keys
from gpuseg.clustering.parameters import density_of
from gpuseg.clustering.row_blocks import row_blocks
from gpuseg.engine import Engine
from gpuseg.engine.base import Device
from gpuseg.errors import ClusteringError, DeviceMemoryError, UnsupportedOnDeviceError

Found = TypeVar("Found")


class Placer(Protocol):
    """Puts rows into dense groups."""

    def place(self, rows: Any, *, device: Device) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float64]]:
        """Cluster, -1 for noise, and membership strength of each row."""


@dataclass(frozen=True, eq=False)
class Dense:
    """Dense groups of all rows.

    Parameters
    ----------
    labels : int32 array, shape (n_rows,)
        -1 is noise.
    strengths : float64 array, shape (n_rows,)
    means : float64 array, shape (n_clusters, n_features)
    placer : Placer
    """

    labels: npt.NDArray[np.int32]
    strengths: npt.NDArray[np.float64]
    means: npt.NDArray[np.float64]
    placer: Placer


def dense_of(given: Any, rows: npt.NDArray[Any], engine: Engine) -> Dense:
    """The dense groups that a `Segmenter` asks for, whose parameters are valid.

    Raises
    ------
    EngineError
        If the exact algorithm is asked for and does not fit.
    ClusteringError
        If micro-clusters cannot be trusted, nor does the exact algorithm fit where that may step in.
    """
    density = density_of(given, len(rows), min_share=AUTO_MIN_SHARE)
    options: dict[str, Any] = {"device": engine.device, "min_samples": density.min_samples}
    exact = given.resolution == "rows"
    if given.resolution == "auto":
        exact = is_exact(density_cost(*rows.shape, **options), **options)
    if exact:
        return _exact(rows, density, engine)
    instead = partial(_exact, rows, density, engine) if given.resolution == "auto" else None
    return trusted_or(instead, partial(_through_cells, given.seed, rows, density, engine))


def trusted_or(exact: Callable[[], Found] | None, through_cells: Callable[[], Found]) -> Found:
    """What is found through cells; where that cannot be trusted what the exact algorithm finds, if it may step in.

    Raises
    ------
    ClusteringError
        If neither will do.
    """
    try:
        return through_cells()
    except ClusteringError as refused:
        if exact is None:
            raise
        try:
            return exact()
        except (DeviceMemoryError, UnsupportedOnDeviceError) as too_much:
            raise ClusteringError(f"{refused}; nor can all of them be compared: {too_much}") from None


def _exact(rows: npt.NDArray[Any], density: Density, engine: Engine) -> Dense:
    fit = fit_density(rows, device=engine.device, density=density)
    return Dense(fit.labels, fit.strengths, fit.means, fit.neighbourhood)


def _through_cells(seed: int, rows: npt.NDArray[Any], density: Density, engine: Engine) -> Dense:
    blocks = row_blocks(rows, engine)
    where: dict[str, Any] = {"device": engine.device, "executor": engine.executor}
    drawn = np.random.default_rng(seed).permutation(len(rows))[:MICRO_ROWS]
    if len(drawn) == len(rows):
        # In an order that their values decide, so that theirs in X does not matter.
        drawn = np.argsort(row_keys(rows), kind="stable")[drawn]
    sample = np.ascontiguousarray(rows[drawn])
    micro = micro_clusters(blocks, sample, n_micro_of(len(rows)), **where)
    found = fit_micro_density(micro, sample, n_rows=len(rows), density=density, **where)
    labels, strengths = np.empty(len(rows), np.int32), np.empty(len(rows))
    placed = place_all(blocks, found, labels=labels, strengths=strengths, **where)
    return Dense(labels, strengths, placed.means, placed.density)
