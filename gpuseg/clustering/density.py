"""HDBSCAN: groups of any shape that are denser than what lies between them, and noise that is in none.

The exact algorithm of the device's library (Campello, Moulavi and Sander 2013; McInnes and Healy 2017). Rows go to it
in an order that their values alone decide, and equal rows share one result, so that neither the order of the rows nor
buckets change anything.
"""

from dataclasses import dataclass
from math import ceil
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from gpuseg.clustering.cost import check_fits
from gpuseg.clustering.kmeans import canonical_order
from gpuseg.clustering.nearest import row_keys
from gpuseg.clustering.neighbourhood import LEAST_SAMPLES, Neighbourhood, core_distances, nearest_member
from gpuseg.engine.base import Device
from gpuseg.errors import ConfigError
from gpuseg.vocabulary import NO_SEGMENT

AUTO_LEAST_SIZE = 25
AUTO_SAMPLES = 5
_LEAST_POSITIVE = 1e-9


@dataclass(frozen=True)
class Density:
    """What is dense enough to be a cluster.

    Parameters
    ----------
    min_cluster_size : int
        Fewest rows of a cluster.
    min_samples : int
        Rows, itself among them, that must lie within a distance of a row for it to be as dense as that distance tells.
    noise : {"keep", "nearest"}
        Whether rows in no cluster stay outside, or go to the cluster of the nearest row that is in one.
    selection : {"eom", "leaf"}
        Which groups of the hierarchy are clusters: those of most excess of mass, which last longest as the density
        rises, or the finest. One group far from all others leaves `eom` with two; `leaf` parts the rest as well.
    """

    min_cluster_size: int
    min_samples: int
    noise: Literal["keep", "nearest"] = "keep"
    selection: Literal["eom", "leaf"] = "eom"


@dataclass(frozen=True, eq=False)
class DensityFit:
    """A fitted HDBSCAN.

    Parameters
    ----------
    labels : int32 array, shape (n_rows,)
        Cluster of each row in canonical order (most rows first, ties by the mean's coordinates), -1 for noise.
    strengths : float64 array, shape (n_rows,)
        Membership strength, 0 to 1: the density at which a row leaves its cluster as a share of the cluster's highest;
        0 for noise, also where it was put into the nearest cluster.
    means : float64 array, shape (n_clusters, n_features)
        Mean row of each cluster.
    counts : int64 array, shape (n_clusters,)
        Rows of each cluster.
    n_noise : int
        Rows that are in no dense group, wherever they were put.
    neighbourhood : Neighbourhood
        What puts new rows into clusters.
    """

    labels: npt.NDArray[np.int32]
    strengths: npt.NDArray[np.float64]
    means: npt.NDArray[np.float64]
    counts: npt.NDArray[np.int64]
    n_noise: int
    neighbourhood: Neighbourhood


def resolved_density(
    n_rows: int,
    *,
    min_cluster_size: int | Literal["auto"],
    min_samples: int | Literal["auto"],
    noise: Literal["keep", "nearest"],
    min_share: float,
    selection: Literal["eom", "leaf"] = "eom",
    section: str = "",
) -> Density:
    """The settings for so many rows.

    `min_cluster_size: auto` is the share `min_share` of the rows, as for any other segment that is found automatically,
    and at least 25: the mean of fewer rows is uncertain by a fifth of a standard deviation or more. Few rows would then
    have no room for several groups, so it is never more than a quarter of them, nor less than 2.

    `min_samples: auto` is 5, or `min_cluster_size` where that is less: the usual number of neighbours (Ester et al.
    1996 take 4 beside the row itself). More of them smooth gaps away and leave more rows over. scikit-learn's own
    default, `min_cluster_size`, grows with the data: of 6,000 synthetic profiles with 70 features and 5 planted
    segments, 5 to 25 neighbours find all five and leave 4% to 13% over, 60 find two; of the 2,469 households of
    Complete Journey, who have no clear groups, 5 leave 27% over and 10 leave 70%.

    Parameters
    ----------
    n_rows : int
    min_cluster_size, min_samples, noise, selection
        As in `Density`, or "auto".
    min_share : float
        Smallest share of the rows in an automatic cluster.
    section : str
        What stands before the names of settings in an error, such as "cluster.".

    Raises
    ------
    ConfigError
        If a setting is more than there are rows.
    """
    for name, given in (("min_cluster_size", min_cluster_size), ("min_samples", min_samples)):
        if given != "auto" and given > n_rows:
            raise ConfigError(
                f"{section}{name}: {given} is more than the {n_rows:,} profiles; nearest valid: {max(n_rows, 2)}"
            )
    if min_cluster_size == "auto":
        size = max(2, min(max(AUTO_LEAST_SIZE, ceil(min_share * n_rows)), n_rows // 4))
    else:
        size = min_cluster_size
    return Density(size, min(AUTO_SAMPLES, size, n_rows) if min_samples == "auto" else min_samples, noise, selection)


def fit_density(rows: npt.NDArray[Any], *, device: Device, density: Density) -> DensityFit:
    """Cluster all rows exactly.

    Parameters
    ----------
    rows : float array, shape (n_rows, n_features)
        In host memory; finite.
    device : Device
        Runs the estimators "hdbscan" and "neighbors".
    density : Density

    Returns
    -------
    DensityFit
        Without any cluster where nothing is dense enough; all rows are noise then, and stay so.

    Raises
    ------
    DeviceMemoryError, UnsupportedOnDeviceError
        If the algorithm does not fit on the device.
    """
    check_fits(*rows.shape, device=device, min_samples=density.min_samples)
    keys = row_keys(rows)
    order = np.argsort(keys, kind="stable")
    ordered = np.ascontiguousarray(rows[order] + rows.dtype.type(0))
    estimator = device.estimator(
        "hdbscan",
        min_cluster_size=density.min_cluster_size,
        min_samples=density.min_samples,
        cluster_selection_method=density.selection,
    ).fit(device.asarray(ordered))
    labels, strengths = _shared(
        keys[order],
        device.to_host(estimator.labels_).astype(np.int32),
        device.to_host(estimator.probabilities_).astype(np.float64),
    )
    dense = labels >= 0
    min_samples = max(density.min_samples, LEAST_SAMPLES)
    cores = core_distances(ordered, min_samples=min_samples, device=device)
    reaches = _reaches(labels, cores)
    if density.noise == "nearest" and dense.any() and not dense.all():
        labels[~dense] = labels[dense][nearest_member(ordered[~dense], ordered[dense], device=device)]
    labels, means, counts, sequence = _canonical(ordered, labels)
    placed, strength = np.empty_like(labels), np.empty_like(strengths)
    placed[order], strength[order] = labels, strengths
    neighbourhood = Neighbourhood(
        ordered, labels, strengths, cores, reaches[sequence], min_samples, density.noise == "nearest"
    )
    return DensityFit(placed, strength, means, counts, int((~dense).sum()), neighbourhood)


def _shared(
    keys: npt.NDArray[np.void], labels: npt.NDArray[np.int32], strengths: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float64]]:
    """One result for equal rows, that of the strongest of them: ties of distances may part them."""
    first = np.concatenate([[True], keys[1:] != keys[:-1]])
    group = np.cumsum(first) - 1
    # Members of a cluster are told from noise by their strength.
    strengths = np.where(labels >= 0, np.clip(strengths, _LEAST_POSITIVE, 1.0), 0.0)
    strongest = np.lexsort((labels, -strengths, group))[np.flatnonzero(first)]
    return labels[strongest][group], strengths[strongest][group]


def _reaches(labels: npt.NDArray[np.int32], cores: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Largest core distance in each cluster, shape (n_clusters,)."""
    found = np.zeros(int(labels.max(initial=NO_SEGMENT)) + 1)
    np.maximum.at(found, labels[labels >= 0], cores[labels >= 0])
    return found


def _canonical(
    rows: npt.NDArray[Any], labels: npt.NDArray[np.int32]
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Labels with the largest cluster first, means and counts in that order, and the old label of each."""
    kept = labels >= 0
    k = int(labels.max(initial=NO_SEGMENT)) + 1
    counts = np.bincount(labels[kept], minlength=k).astype(np.int64)
    sums = [np.bincount(labels[kept], weights=column[kept], minlength=k) for column in rows.T]
    means = np.stack(sums, axis=1) / np.maximum(counts, 1)[:, None]
    sequence = canonical_order(counts, means)
    places = np.empty(k, np.int32)
    places[sequence] = np.arange(k, dtype=np.int32)
    renamed = np.full_like(labels, NO_SEGMENT)
    renamed[kept] = places[labels[kept]]
    return renamed, means[sequence], counts[sequence], sequence
