import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuseg.clustering.micro import FEWEST, MOST, micro_clusters, n_micro_of

GRID = 2.0**20


def on_grid(seed, n, d, *, groups=9):
    draw = np.random.default_rng(seed)
    rows = draw.normal(size=(groups, d))[draw.integers(0, groups, n)] * 4 + draw.normal(size=(n, d))
    return (np.rint(np.clip(rows, -6, 6) * GRID) / GRID).astype(np.float32)


def collect(engine, blocks, sample, n_micro, labels=None):
    where = {"device": engine.device, "executor": engine.executor}
    return micro_clusters([engine.device.asarray(block) for block in blocks], sample, n_micro, labels=labels, **where)


@given(seed=st.integers(0, 10**6), n=st.integers(20, 600), n_micro=st.integers(2, 19), d=st.integers(1, 5))
def test_statistics_are_those_of_the_rows(engine, seed, n, n_micro, d):
    rows, labels = on_grid(seed, n, d), np.empty(n, np.int32)
    found = collect(engine, [rows], rows[: n // 2], n_micro, labels)
    gaps = ((rows[:, None, :].astype(np.float64) - found.centers[None]) ** 2).sum(axis=2)
    m = len(found.centers)
    assert 1 <= m <= n_micro
    assert set(labels) == set(range(m))
    np.testing.assert_allclose(gaps[np.arange(n), labels], gaps.min(axis=1), rtol=1e-5, atol=1e-5)
    assert found.counts.tolist() == np.bincount(labels, minlength=m).tolist()
    assert found.sums.tolist() == [rows[labels == own].sum(axis=0, dtype=np.float64).tolist() for own in range(m)]
    expected = np.bincount(labels, gaps[np.arange(n), labels], m)
    np.testing.assert_allclose(found.spread, expected, rtol=1e-4, atol=1e-4)


@given(seed=st.integers(0, 10**6), cuts=st.lists(st.integers(1, 399), min_size=1, max_size=5))
def test_blocks_change_nothing_but_rounding_of_spread(engine, seed, cuts):
    rows = on_grid(seed, 400, 3)
    whole = collect(engine, [rows], rows[:300], 12)
    edges = sorted({0, 400, *cuts})
    parts = collect(engine, [rows[low:high] for low, high in itertools.pairwise(edges)], rows[:300], 12)
    for name in ("centers", "counts", "sums"):
        assert np.array_equal(getattr(whole, name), getattr(parts, name))
    np.testing.assert_allclose(parts.spread, whole.spread, rtol=1e-9)


def test_few_distinct_rows_are_micro_clusters_themselves(engine):
    rows = np.repeat(on_grid(1, 10, 2), np.arange(1, 11), axis=0)
    found = collect(engine, [rows], rows, 10)
    assert sorted(found.counts) == list(range(1, 11))
    assert found.spread.tolist() == [0.0] * 10
    assert found.means.tolist() == found.centers.astype(np.float64).tolist()


def test_micro_clusters_without_rows_are_left_out(engine):
    rows, labels = on_grid(2, 300, 2), np.empty(250, np.int16)
    # Half of the sample is no part of the rows, so its centers find none.
    sample = np.concatenate([rows[:250:5], rows[:50] + 500])
    found = collect(engine, [rows[:250]], sample, 100, labels)
    assert len(found.centers) == 50
    assert found.counts.min() > 0
    assert np.bincount(labels).tolist() == found.counts.tolist()


@given(seed=st.integers(0, 10**6), n_groups=st.integers(1, 6))
def test_inertia_of_groups(engine, seed, n_groups):
    rows, labels = on_grid(seed, 500, 4), np.empty(500, np.int32)
    found = collect(engine, [rows], rows, 30, labels)
    groups = np.random.default_rng(seed).integers(0, n_groups, len(found.centers))
    groups[:n_groups] = np.arange(n_groups)
    exact, mine = rows.astype(np.float64), groups[labels]
    expected = sum(((exact[mine == g] - exact[mine == g].mean(axis=0)) ** 2).sum() for g in range(n_groups))
    assert found.inertia(groups) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("n", "m"), [(1, FEWEST), (16_384, 256), (1_000_000, 2_000), (5_000_000, 4_472), (10**8, MOST), (10**12, MOST)]
)
def test_more_rows_get_more_micro_clusters(n, m):
    assert n_micro_of(n) == m
