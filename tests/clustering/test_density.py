"""HDBSCAN through the device: as the library gives it, but for the order of rows, which must not matter."""

import numpy as np
import pytest
from sklearn.cluster import HDBSCAN
from sklearn.datasets import load_digits, make_blobs, make_circles, make_moons
from sklearn.metrics import adjusted_rand_score

from gpuseg.clustering.cost import check_fits
from gpuseg.clustering.density import Density, fit_density, resolved_density
from gpuseg.clustering.nearest import row_keys
from gpuseg.engine.cpu.device import CpuDevice
from gpuseg.errors import ConfigError, DeviceMemoryError, UnsupportedOnDeviceError

DENSITY = Density(min_cluster_size=15, min_samples=5)
SETS = {
    "blobs": make_blobs(600, centers=4, cluster_std=0.8, random_state=0)[0],
    "moons": make_moons(500, noise=0.05, random_state=1)[0],
    "rings": make_circles(600, factor=0.4, noise=0.04, random_state=2)[0],
    "digits": load_digits().data,
    "ties": np.random.default_rng(3).poisson([2, 9], (500, 2)).astype(float),
}


@pytest.fixture(params=SETS)
def rows(request):
    return SETS[request.param].astype(np.float32)


def fitted(rows, device, density=DENSITY):
    return fit_density(rows, device=device, density=density)


# --- the library's own result ---


def same_division(one, two):
    """Whether two labellings are equal but for the names of clusters; noise is noise."""
    pairs = set(zip(one.tolist(), two.tolist(), strict=True))
    return len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs}) and (-1, -1) in pairs | {(-1, -1)}


@pytest.mark.parametrize("name", ["moons", "rings", "digits", "blobs"])
def test_labels_are_the_librarys_on_the_same_order_of_rows(name):
    rows = np.unique(SETS[name], axis=0)
    rows = rows[np.argsort(row_keys(rows))]
    found = fitted(rows, CpuDevice())
    theirs = HDBSCAN(min_cluster_size=15, min_samples=5, copy=True).fit(rows)
    assert same_division(found.labels, theirs.labels_)
    np.testing.assert_array_equal(found.labels < 0, theirs.labels_ < 0)
    np.testing.assert_allclose(found.strengths, theirs.probabilities_, atol=1e-9)


@pytest.mark.parametrize("name", ["moons", "rings", "digits", "blobs"])
def test_labels_are_nearly_the_librarys_on_any_order_of_rows(device, name):
    """Equal distances let the library part a few rows otherwise."""
    theirs = HDBSCAN(min_cluster_size=15, min_samples=5, copy=True).fit(SETS[name])
    assert adjusted_rand_score(fitted(SETS[name], device).labels, theirs.labels_) >= 0.98


# --- order, equal rows, numbering ---


def test_the_order_of_rows_changes_nothing(device, rows):
    found = fitted(rows, device)
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(len(rows))
        again = fitted(rows[order], device)
        np.testing.assert_array_equal(again.labels, found.labels[order])
        np.testing.assert_array_equal(again.strengths, found.strengths[order])
        np.testing.assert_array_equal(again.means, found.means)
        for name in ("rows", "labels", "strengths", "cores", "reaches"):
            np.testing.assert_array_equal(getattr(again.neighbourhood, name), getattr(found.neighbourhood, name))


def test_equal_rows_share_their_cluster(device):
    rows = SETS["ties"]
    found = fitted(rows, device, Density(12, 4))
    _, group = np.unique(rows, axis=0, return_inverse=True)
    told = {(g, label, strength) for g, label, strength in zip(group, found.labels, found.strengths, strict=True)}
    assert len(told) == group.max() + 1 < len(rows)


def test_the_largest_cluster_comes_first_and_means_are_its_own(device, rows):
    found = fitted(rows, device)
    k = len(found.counts)
    assert k >= 1
    assert set(found.labels) <= {-1, *range(k)}
    np.testing.assert_array_equal(found.counts, np.bincount(found.labels[found.labels >= 0], minlength=k))
    assert (np.diff(found.counts) <= 0).all()
    for cluster in range(k):
        np.testing.assert_allclose(found.means[cluster], rows[found.labels == cluster].mean(axis=0), atol=1e-4)
    assert found.n_noise == int((found.labels < 0).sum())
    assert ((found.strengths > 0) == (found.labels >= 0)).all()
    assert found.strengths.max() <= 1.0


def test_nothing_dense_is_all_noise(device):
    found = fitted(np.arange(24, dtype=np.float32).reshape(12, 2), device, Density(10, 3))
    assert (found.labels == -1).all()
    assert (found.n_noise, len(found.counts), found.means.shape) == (12, 0, (0, 2))


# --- noise ---


def test_noise_goes_to_the_cluster_of_the_nearest_row_in_one(device):
    rows = SETS["digits"]
    kept, put = fitted(rows, device), fitted(rows, device, Density(15, 5, "nearest"))
    assert put.n_noise == kept.n_noise > 100
    assert (put.labels >= 0).all()
    assert put.counts.sum() == len(rows)
    noise = kept.labels < 0
    np.testing.assert_array_equal(put.strengths, kept.strengths)
    assert adjusted_rand_score(put.labels[~noise], kept.labels[~noise]) == 1.0
    gaps = ((rows[noise][:, None, :] - rows[~noise][None, :, :]) ** 2).sum(axis=2)
    np.testing.assert_array_equal(put.labels[noise], put.labels[~noise][gaps.argmin(axis=1)])


# --- settings ---


@pytest.mark.parametrize(
    ("n", "size", "samples", "expected"),
    [
        (1_000_000, "auto", "auto", (10_000, 5)),
        (6_000, "auto", "auto", (60, 5)),
        (2_000, "auto", "auto", (25, 5)),
        (80, "auto", "auto", (20, 5)),
        (20, "auto", "auto", (5, 5)),
        (2, "auto", "auto", (2, 2)),
        (6_000, 300, "auto", (300, 5)),
        (6_000, 4, "auto", (4, 4)),
        (6_000, "auto", 200, (60, 200)),
        (50, 50, 50, (50, 50)),
    ],
)
def test_automatic_settings(n, size, samples, expected):
    found = resolved_density(n, min_cluster_size=size, min_samples=samples, noise="keep", min_share=0.01)
    assert (found.min_cluster_size, found.min_samples, found.noise) == (*expected, "keep")


@pytest.mark.parametrize("name", ["min_cluster_size", "min_samples"])
def test_settings_beyond_the_rows_are_refused(name):
    settings = {"min_cluster_size": 5, "min_samples": 2, name: 51}
    with pytest.raises(ConfigError) as caught:
        resolved_density(50, **settings, noise="keep", min_share=0.01, section="cluster.")
    assert str(caught.value) == f"cluster.{name}: 51 is more than the 50 profiles; nearest valid: 50"


# --- what does not fit ---


class Crowded(CpuDevice):
    def free_bytes(self):
        return 1_000_000


def test_what_does_not_fit_into_memory_is_refused_with_what_would():
    rows = np.zeros((5_000, 8), np.float32)
    with pytest.raises(DeviceMemoryError) as caught:
        fitted(rows, Crowded())
    most = 1_000_000 // (250 + 24 * 8 + 28 * 5)
    assert str(caught.value) == (
        "exact hdbscan of 5,000 profiles with 8 features needs about 2.9 MB of memory on the cpu, where 1.0 MB is "
        f"free; at most {most:,} profiles fit; use method kmeans, or fewer profiles"
    )
    check_fits(most, 8, device=Crowded(), min_samples=5)
    with pytest.raises(DeviceMemoryError):
        check_fits(most + 1, 8, device=Crowded(), min_samples=5)


class Roomy(CpuDevice):
    def free_bytes(self):
        return 2**50


def test_what_would_take_hours_is_refused():
    check_fits(790_569, 8, device=Roomy(), min_samples=5)
    check_fits(250_000, 80, device=Roomy(), min_samples=5)
    refused = r"^exact hdbscan of 2,000,000 .* 2e\+12 of them, which takes hours .* at most 790,569 profiles fit; "
    with pytest.raises(UnsupportedOnDeviceError, match=refused):
        check_fits(2_000_000, 8, device=Roomy(), min_samples=5)
    with pytest.raises(UnsupportedOnDeviceError, match="at most 250,000 profiles fit"):
        check_fits(250_001, 80, device=Roomy(), min_samples=5)


def test_a_device_without_the_algorithm_says_so():
    class Other(CpuDevice):
        name = "tpu"

    with pytest.raises(UnsupportedOnDeviceError, match="hdbscan is not available on tpu"):
        fitted(SETS["moons"], Other())
