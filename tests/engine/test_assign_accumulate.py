"""The hot kernel `assign_accumulate` against brute force, and its sums to the last bit."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

GRID = 2.0**20


def on_grid(values):
    return (np.rint(np.asarray(values, np.float64) * GRID) / GRID).astype(np.float32)


def draw(seed, n, d, k):
    rng = np.random.default_rng(seed)
    rows = on_grid(np.clip(rng.normal(size=(n, d)), -6, 6))
    return rows, rows[rng.integers(0, n, k)] + np.float32(0.25) if n else np.zeros((k, d), np.float32)


def run(device, rows, centers, *, want_labels=True):
    return device.assign_accumulate(device.asarray(rows), device.asarray(centers), want_labels=want_labels)


def squared_distances(rows, centers):
    """In the rows' own precision, one feature after the other, as the kernel promises for each row."""
    found = np.zeros((len(rows), len(centers)), rows.dtype)
    for feature in range(rows.shape[1]):
        gap = rows[:, feature, None] - centers[None, :, feature].astype(rows.dtype)
        found += gap * gap
    return found


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(seed=st.integers(0, 10**6), n=st.integers(1, 300), d=st.integers(1, 8), k=st.integers(1, 6))
def test_against_brute_force(device, dtype, seed, n, d, k):
    rows, centers = (array.astype(dtype) for array in draw(seed, n, d, k))
    found = run(device, rows, centers)
    labels, nearest, second = (device.to_host(a) for a in (found.labels, found.nearest, found.second))
    exact = squared_distances(rows.astype(np.float64), centers.astype(np.float64))
    ordered = np.sort(exact, axis=1)
    tolerance = 1e-5 if dtype == np.float32 else 1e-12
    np.testing.assert_allclose(nearest, ordered[:, 0], rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(exact[np.arange(n), labels], ordered[:, 0], rtol=tolerance, atol=tolerance)
    if k > 1:
        np.testing.assert_allclose(second, ordered[:, 1], rtol=tolerance, atol=tolerance)
    else:
        assert np.isinf(second).all()
    assert labels.dtype == np.int32
    assert (nearest.dtype, second.dtype) == (dtype, dtype)
    assert found.counts.tolist() == np.bincount(labels, minlength=k).tolist()
    expected = np.zeros((k, d))
    np.add.at(expected, labels, rows.astype(np.float64))
    assert found.sums.tolist() == expected.tolist()
    assert found.inertia == pytest.approx(nearest.astype(np.float64).sum(), rel=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("k", [1, 5, 64])
@pytest.mark.parametrize("n", [0, 1, 127, 128, 700])
def test_labels_alone_are_those_of_a_pass(device, n, k, dtype):
    rows, centers = (array.astype(dtype) for array in draw(n, n, 3, k))
    # Equal centers, and rows half-way between two.
    centers[k // 2 :] = centers[: k - k // 2] if k > 1 else centers
    rows[: n // 3] = np.rint(rows[: n // 3]) + 0.5
    found = device.to_host(device.nearest(device.asarray(rows), device.asarray(centers)))
    assert found.dtype == np.int32
    assert found.tolist() == device.to_host(run(device, rows, centers).labels).tolist()


@given(seed=st.integers(0, 10**6), n=st.integers(2, 400), cuts=st.lists(st.integers(0, 400), max_size=5))
def test_sums_on_the_grid_do_not_depend_on_blocks_or_order(device, seed, n, cuts):
    rows, centers = draw(seed, n, 5, 4)
    whole = run(device, rows, centers)
    shuffled = rows[np.random.default_rng(seed).permutation(n)]
    edges = sorted({0, n, *(cut for cut in cuts if cut < n)})
    parts = [run(device, shuffled[low:high], centers) for low, high in itertools.pairwise(edges)]
    assert sum(part.sums for part in parts).tolist() == whole.sums.tolist()
    assert sum(part.counts for part in parts).tolist() == whole.counts.tolist()


@given(seed=st.integers(0, 10**6), n=st.integers(1, 400), start=st.integers(0, 399))
def test_a_row_gets_the_same_bits_wherever_it_stands(device, seed, n, start):
    rows, centers = draw(seed, n, 7, 5)
    start %= n
    whole, tail = run(device, rows, centers), run(device, rows[start:], centers)
    for name in ("labels", "nearest", "second"):
        assert device.to_host(getattr(whole, name))[start:].tolist() == device.to_host(getattr(tail, name)).tolist()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(
    seed=st.integers(0, 10**6),
    n=st.integers(0, 400),
    d=st.one_of(st.integers(1, 70), st.sampled_from([127, 128, 129, 255, 384, 511, 512])),
    k=st.integers(1, 40),
)
@settings(max_examples=60)
def test_bits_of_the_plain_sums(device, dtype, seed, n, d, k):
    """Labels, distances, sums and counts are those of the definition, to the last bit, whatever the shape."""
    rows, centers = (array.astype(dtype) for array in draw(seed, n, d, k))
    found = run(device, rows, centers)
    distances = squared_distances(rows, centers)
    labels = distances.argmin(axis=1)
    ordered = np.sort(np.pad(distances, ((0, 0), (0, 1)), constant_values=np.inf), axis=1)
    assert device.to_host(found.labels).tolist() == labels.tolist()
    assert device.to_host(found.nearest).tolist() == ordered[:, 0].tolist()
    assert device.to_host(found.second).tolist() == ordered[:, 1].tolist()
    sums = np.zeros((k, d))
    np.add.at(sums, labels, rows.astype(np.float64))
    assert found.sums.tolist() == sums.tolist()
    assert found.counts.tolist() == np.bincount(labels, minlength=k).tolist()


@pytest.mark.parametrize(("n", "k"), [(1, 1), (130, 1_000), (70, 20_000)])
def test_many_centers(device, n, k):
    rows, centers = draw(k, n, 3, k)
    found = run(device, rows, centers)
    assert device.to_host(found.labels).tolist() == squared_distances(rows, centers).argmin(axis=1).tolist()
    assert found.counts.sum() == n


@pytest.mark.parametrize("scale", [1e-30, 1e-12, 1e12, 1e18])
def test_values_of_any_size(device, scale):
    rows, centers = (array * np.float32(scale) for array in draw(8, 300, 4, 5))
    found = run(device, rows, centers)
    distances = squared_distances(rows, centers)
    assert np.isfinite(distances).all()
    assert device.to_host(found.labels).tolist() == distances.argmin(axis=1).tolist()
    assert device.to_host(found.nearest).tolist() == distances.min(axis=1).tolist()


@pytest.mark.parametrize("offset", [1e3, 1e5])
def test_groups_far_from_zero_are_told_apart(device, offset):
    """Differences are taken first: products of coordinates would lose what lies between the groups."""
    rows = np.concatenate([np.full((200, 4), offset), np.full((200, 4), offset + 1)]).astype(np.float32)
    centers = rows[[0, -1]]
    assert device.to_host(run(device, rows, centers).labels).tolist() == [0] * 200 + [1] * 200


def test_labels_are_optional_and_change_nothing_else(device):
    rows, centers = draw(1, 200, 4, 3)
    bare, full = run(device, rows, centers, want_labels=False), run(device, rows, centers)
    assert bare.labels is None
    assert bare.sums.tolist() == full.sums.tolist()
    assert (bare.counts.tolist(), bare.inertia) == (full.counts.tolist(), full.inertia)


def test_ties_go_to_the_lowest_center(device):
    rows = np.array([[0.0, 0.0], [1.0, 0.0], [-1.0, 0.0]], np.float32)
    centers = np.array([[1.0, 0.0], [-1.0, 0.0], [1.0, 0.0], [-1.0, 0.0]], np.float32)
    found = run(device, rows, centers)
    assert device.to_host(found.labels).tolist() == [0, 0, 1]
    assert device.to_host(found.nearest).tolist() == [1.0, 0.0, 0.0]
    assert device.to_host(found.second).tolist() == [1.0, 0.0, 0.0]


def test_second_distance_where_the_nearest_comes_last(device):
    centers = np.array([[5.0], [3.0], [1.0]], np.float32)
    found = run(device, np.array([[0.0]], np.float32), centers)
    assert device.to_host(found.labels).tolist() == [2]
    assert device.to_host(found.second).tolist() == [9.0]


@pytest.mark.parametrize("n", [127, 128, 129, 256, 257])
def test_sizes_around_a_tile(device, n):
    rows, centers = draw(n, n, 3, 4)
    labels = device.to_host(run(device, rows, centers).labels)
    assert labels.tolist() == squared_distances(rows, centers).argmin(axis=1).tolist()


def test_no_rows(device):
    found = run(device, np.empty((0, 3), np.float32), np.ones((2, 3), np.float32))
    assert (found.counts.tolist(), found.inertia) == ([0, 0], 0.0)
    assert device.to_host(found.labels).size == 0


def test_arrays_cross_to_the_device_and_back(device):
    array = np.asfortranarray(np.arange(12, dtype=np.float32).reshape(3, 4))
    there = device.asarray(array)
    assert device.to_host(there).flags.c_contiguous
    assert device.to_host(there).tolist() == array.tolist()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(seed=st.integers(0, 10**6), n=st.integers(1, 300), d=st.integers(1, 9), k=st.integers(1, 6))
def test_a_whole_weight_counts_as_so_many_rows(device, dtype, seed, n, d, k):
    rows, centers = (array.astype(dtype) for array in draw(seed, n, d, k))
    weights = np.random.default_rng(seed).integers(0, 5, n)
    options = {"weights": weights, "want_labels": True}
    found = device.assign_accumulate(device.asarray(rows), device.asarray(centers), **options)
    repeated = run(device, np.repeat(rows, weights, axis=0), centers)
    assert found.sums.tolist() == repeated.sums.tolist()
    assert (found.counts.dtype, found.counts.tolist()) == (np.float64, repeated.counts.tolist())
    assert found.inertia == pytest.approx(repeated.inertia, rel=1e-12)
    plain = run(device, rows, centers)
    for name in ("labels", "nearest", "second"):
        assert device.to_host(getattr(found, name)).tolist() == device.to_host(getattr(plain, name)).tolist()


@given(seed=st.integers(0, 10**6), n=st.integers(1, 300))
def test_weights_need_not_be_whole(device, seed, n):
    rows, centers = draw(seed, n, 4, 3)
    weights = np.random.default_rng(seed).random(n)
    found = device.assign_accumulate(device.asarray(rows), device.asarray(centers), weights=weights)
    labels = squared_distances(rows, centers).argmin(axis=1)
    sums = np.zeros((3, 4))
    np.add.at(sums, labels, rows * weights[:, None])
    np.testing.assert_allclose(found.sums, sums, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(found.counts, np.bincount(labels, weights, 3), rtol=1e-12)
    assert found.labels is None


@pytest.mark.parametrize("weights", [[1.0], [1.0, -1.0, 1.0], [1.0, np.nan, 1.0], [1.0, np.inf, 1.0], [[1.0] * 3]])
def test_weights_that_cannot_be(device, weights):
    rows = device.asarray(np.zeros((3, 2), np.float32))
    with pytest.raises(ValueError, match="finite and not below zero"):
        device.assign_accumulate(rows, rows[:1], weights=np.array(weights))


def test_weights_with_centers_in_cells(device):
    """As many rows and centers as are searched by way of few give the same."""
    rng = np.random.default_rng(3)
    rows = on_grid(rng.normal(size=(32_768, 3)) * 0.02 + rng.integers(-5, 5, (32_768, 3)))
    centers, weights = rows[:2_048].copy(), rng.integers(0, 4, len(rows))
    found = device.assign_accumulate(device.asarray(rows), device.asarray(centers), weights=weights, want_labels=True)
    labels = device.to_host(found.labels)
    assert labels.tolist() == device.to_host(run(device, rows, centers).labels).tolist()
    sums = np.zeros(centers.shape)
    np.add.at(sums, labels, rows.astype(np.float64) * weights[:, None])
    assert found.sums.tolist() == sums.tolist()
