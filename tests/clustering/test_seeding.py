from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.cluster import kmeans_plusplus

from gpuseg.clustering.seeding import seed_centers


def cost(rows, centers):
    return ((rows[:, None].astype(np.float64) - centers[None]) ** 2).sum(axis=2).min(axis=1).sum()


def cloud(n=800, d=3, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)


def test_seeds_are_repeatable_and_starts_differ():
    rows = cloud()
    first, again, other = (seed_centers(rows, 4, n_starts=3, seed=seed) for seed in (0, 0, 1))
    assert [start.tobytes() for start in first] == [start.tobytes() for start in again]
    assert len({start.tobytes() for start in [*first, *other]}) == 6
    assert seed_centers(rows, 4, n_starts=1, seed=0)[0].tobytes() == first[0].tobytes()


@given(
    rows=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40),
    k=st.integers(1, 8),
    seed=st.integers(0, 1000),
)
def test_seeds_are_distinct_rows_of_the_sample(rows, k, seed):
    sample = np.array(rows, np.float32)
    k = min(k, len(set(rows)))
    (start,) = seed_centers(sample, k, n_starts=1, seed=seed)
    assert start.dtype == np.float32
    assert len({tuple(row) for row in start.tolist()}) == k
    assert {tuple(row) for row in start.tolist()} <= set(rows)


def test_every_far_group_gets_a_seed():
    rows = np.concatenate([cloud(50, 2, seed) * 0.1 + 100 * seed for seed in range(6)])
    for start in seed_centers(rows, 6, n_starts=20, seed=0):
        assert sorted((start[:, 0] / 100).round().tolist()) == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("k", [2, 5, 20])
def test_as_good_as_scikit_learns_seeding(k):
    rows = cloud(seed=k)
    ours = np.mean([cost(rows, start) for start in seed_centers(rows, k, n_starts=40, seed=0)])
    theirs = np.mean([cost(rows, kmeans_plusplus(rows, k, random_state=seed)[0]) for seed in range(40)])
    assert ours == pytest.approx(theirs, rel=0.05)


def test_chances_are_those_of_the_definition():
    """Rows are drawn by squared distance, twice, and the draw that leaves less is kept."""
    rows = np.array([[0.0], [1.0], [3.0]])
    drawn = Counter((int(a), int(b)) for (a,), (b,) in seed_centers(rows, 2, n_starts=4_000, seed=1))
    first = Counter(a for a, _ in drawn.elements())
    assert all(first[row] / 4_000 == pytest.approx(1 / 3, abs=0.04) for row in (0, 1, 3))
    # From 0, row 3 leaves less and is hit with 9/10; from 1, likewise with 4/5; from 3, both leave the same.
    expected = {(0, 1): 0.1**2, (1, 0): 0.2**2, (3, 0): 9 / 13}
    for (a, b), chance in expected.items():
        tolerance = 4 * (chance * (1 - chance) / first[a]) ** 0.5
        assert drawn[a, b] / first[a] == pytest.approx(chance, abs=tolerance)
