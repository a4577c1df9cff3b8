import numpy as np
import pytest

from gpuseg.engine.cpu import lloyd, two_level
from gpuseg.engine.cpu.lloyd import lloyd_pass
from gpuseg.engine.cpu.two_level import Cells

GRID = 2.0**20


def blobs(n=6_000, d=5, k=300, *, seed=0, spread=8.0, dtype=np.float32, on_grid=True):
    """Rows in groups, and centers among them."""
    draw = np.random.default_rng(seed)
    rows = draw.normal(size=(12, d))[draw.integers(0, 12, n)] * spread + draw.normal(size=(n, d))
    rows = np.rint(rows * GRID) / GRID if on_grid else rows
    return rows.astype(dtype), (rows[draw.choice(n, k, replace=False)] + draw.normal(size=(k, d)) / 8).astype(dtype)


@pytest.fixture
def by_cells(monkeypatch):
    """The search by cells at sizes that tests can pay; it counts the comparisons that it asks for."""
    compared = []
    every = lloyd._compared

    def counted(rows, centers, **options):
        compared.append(len(rows) * len(centers))
        return every(rows, centers, **options)

    monkeypatch.setattr(lloyd, "LEAST_CENTERS", 200)
    monkeypatch.setattr(lloyd, "LEAST_ROWS", 1_000)
    monkeypatch.setattr(two_level, "_CHUNK_ROWS", 2_048)
    monkeypatch.setattr(two_level, "_PROBES", 256)
    monkeypatch.setattr(lloyd, "_compared", counted)
    return compared


def equal(one, other, fields=("sums", "counts", "labels", "nearest", "second")):
    return all(np.array_equal(getattr(one, name), getattr(other, name), equal_nan=True) for name in fields)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("d", "spread"), [(2, 8.0), (5, 8.0), (17, 3.0), (33, 8.0)])
def test_same_bits_as_comparing_all(by_cells, d, spread, dtype):
    rows, centers = blobs(k=900, d=d, spread=spread, dtype=dtype)
    found = lloyd_pass(rows, centers, want_labels=True)
    assert sum(by_cells) < 0.6 * len(rows) * len(centers)
    expected = lloyd._compared(rows, centers, want_labels=True, want_second=True)
    assert equal(found, expected)
    assert found.inertia == pytest.approx(expected.inertia, rel=1e-12)
    assert np.array_equal(lloyd.nearest_centers(rows, centers), expected.labels)
    bare = lloyd_pass(rows, centers, want_labels=False)
    assert equal(bare, expected, ("sums", "counts"))
    assert bare.labels is None


@pytest.mark.parametrize("seed", range(5))
def test_rows_without_structure_are_compared_with_all(by_cells, seed):
    draw = np.random.default_rng(seed)
    rows, centers = draw.normal(size=(6_000, 24)), draw.normal(size=(300, 24))
    found = lloyd_pass(rows, centers, want_labels=True)
    assert by_cells[-1] == rows.shape[0] * 300
    assert equal(found, lloyd._compared(rows, centers, want_labels=True, want_second=True))


@pytest.mark.parametrize("scale", [1e-30, 1e-25, 1e-23, 1e-21, 1e-12, 1.0, 1e12])
@pytest.mark.parametrize("shift", [0.0, 1e3, 1e6])
def test_far_from_zero_and_on_any_scale(scale, shift):
    rows, centers = blobs(on_grid=False)
    rows, centers = (((values + shift) * scale).astype(np.float32) for values in (rows, centers))
    cells = Cells(centers, lloyd._compared)
    expected = lloyd._compared(rows, centers, want_labels=True, want_second=True)
    for found, name in zip(cells.nearest(rows, want_second=True), ("labels", "nearest", "second"), strict=True):
        assert np.array_equal(found, getattr(expected, name))


def test_equal_centers_and_rows_between_them_get_the_lower_label():
    rows, centers = blobs(d=2)
    centers = np.concatenate([centers[:150], centers[:150], np.rint(centers[:150])])
    rows[:1_000] = np.rint(rows[:1_000]) + 0.5
    expected = lloyd._compared(rows, centers, want_labels=True, want_second=True)
    labels, nearest, second = Cells(centers, lloyd._compared).nearest(rows, want_second=True)
    assert np.array_equal(labels, expected.labels)
    assert np.array_equal(second, expected.second)
    assert (nearest == second).any()


@pytest.mark.parametrize("value", [np.nan, np.inf, 3e38])
def test_numbers_that_overflow_are_compared_with_all(value):
    rows, centers = blobs()
    rows[::7, 1] = value
    with np.errstate(over="ignore", invalid="ignore"):
        expected = lloyd._compared(rows, centers, want_labels=True, want_second=True)
        labels, nearest, _ = Cells(centers, lloyd._compared).nearest(rows, want_second=False)
    assert np.array_equal(labels, expected.labels)
    assert np.array_equal(nearest, expected.nearest, equal_nan=True)


def test_few_rows_or_centers_are_compared_right_away(by_cells):
    rows, centers = blobs()
    lloyd_pass(rows[:999], centers, want_labels=True)
    lloyd_pass(rows, centers[:199], want_labels=True)
    assert by_cells == [999 * 300, 6_000 * 199]


def test_cells_are_made_once_for_a_pass(by_cells):
    rows, centers = blobs()
    two_level.cells_of.cache_clear()
    for start in range(0, 6_000, 2_000):
        lloyd_pass(rows[start : start + 2_000], centers, want_labels=False)
    assert two_level.cells_of.cache_info().misses == 1
