import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.cluster.hierarchy import fcluster, linkage

from gpuseg.clustering.tree import ward_tree


def points(seed, n, d):
    return np.random.default_rng(seed).normal(size=(n, d)).round(3) + np.arange(n)[:, None] * 1e-6


def same_groups(one, other):
    return len(set(zip(one, other, strict=True))) == len(set(one)) == len(set(other))


def spread(rows, labels):
    """Sum of squared distances to the mean of the group."""
    return sum(((rows[labels == g] - rows[labels == g].mean(axis=0)) ** 2).sum() for g in set(labels))


@given(seed=st.integers(0, 10**6), n=st.integers(2, 120), d=st.integers(1, 6))
def test_the_tree_of_scipy_where_every_point_is_one_row(seed, n, d):
    rows = points(seed, n, d)
    tree, expected = ward_tree(rows, np.ones(n)), linkage(rows, "ward")
    np.testing.assert_allclose(tree.heights, expected[:, 2], rtol=1e-9)
    for k in {1, 2, 3, n // 2, n} & set(range(1, n + 1)):
        assert same_groups(tree.cut(k), fcluster(expected, k, "maxclust"))


@given(seed=st.integers(0, 10**6), n=st.integers(2, 40), d=st.integers(1, 4))
def test_a_weight_is_so_many_rows_at_one_place(seed, n, d):
    rows, weights = points(seed, n, d), np.random.default_rng(seed).integers(1, 6, n)
    tree = ward_tree(rows, weights)
    repeated = linkage(np.repeat(rows, weights, axis=0), "ward")
    np.testing.assert_allclose(tree.heights, repeated[-(n - 1) :, 2], rtol=1e-9)
    for k in range(1, n + 1):
        assert same_groups(np.repeat(tree.cut(k), weights), fcluster(repeated, k, "maxclust"))


@given(seed=st.integers(0, 10**6), n=st.integers(2, 60))
def test_heights_are_what_merges_add(seed, n):
    rows = points(seed, n, 3)
    tree = ward_tree(rows, np.ones(n))
    assert (np.diff(tree.heights) >= 0).all()
    for k in range(1, n):
        added = spread(rows, tree.cut(k)) - spread(rows, tree.cut(k + 1))
        assert tree.heights[n - 1 - k] ** 2 / 2 == pytest.approx(added, rel=1e-6, abs=1e-12)


@given(seed=st.integers(0, 10**6), n=st.integers(1, 80), d=st.integers(1, 3))
def test_cuts_are_nested_and_whole(seed, n, d):
    # Whole numbers, so that many distances are equal.
    rows = np.random.default_rng(seed).integers(0, 4, (n, d))
    tree = ward_tree(rows, np.random.default_rng(seed).integers(1, 4, n))
    finer = tree.cut(n)
    assert finer.tolist() == list(range(n))
    for k in reversed(range(1, n)):
        groups = tree.cut(k)
        assert groups.dtype == np.int32
        assert set(groups) == set(range(k))
        assert groups[np.sort(np.unique(groups, return_index=True)[1])].tolist() == list(range(k))
        assert len(set(zip(finer, groups, strict=True))) == k + 1
        finer = groups


@given(seed=st.integers(0, 10**6), n=st.integers(2, 100))
def test_the_order_of_points_only_names_them(seed, n):
    rows, draw = points(seed, n, 4), np.random.default_rng(seed)
    weights, order = draw.integers(1, 9, n), draw.permutation(n)
    tree, shuffled = ward_tree(rows, weights), ward_tree(rows[order], weights[order])
    np.testing.assert_allclose(shuffled.heights, tree.heights, rtol=1e-9)
    for k in {2, 5, n // 3} & set(range(1, n)):
        assert same_groups(tree.cut(k)[order], shuffled.cut(k))


def test_height_to_number_of_groups():
    tree = ward_tree(np.array([[0.0], [1.0], [10.0], [12.0]]), np.ones(4))
    assert tree.heights[:2].tolist() == [1.0, 2.0]
    assert [tree.groups_below(height) for height in (0.0, 0.99, 1.0, 2.0, 1e9)] == [4, 4, 3, 2, 1]


def test_far_from_zero():
    rows = points(3, 80, 5)
    near, far = ward_tree(rows, np.ones(80)), ward_tree(rows + 1e6, np.ones(80))
    np.testing.assert_allclose(far.heights, near.heights, rtol=1e-6)


@given(seed=st.integers(0, 10**6), n=st.integers(2, 60), data=st.data())
def test_merges_above_a_cut_make_every_coarser_cut(seed, n, data):
    tree = ward_tree(points(seed, n, 3), np.random.default_rng(seed).integers(1, 4, n))
    k = data.draw(st.integers(1, n))
    # Whatever the numbers of the groups are.
    groups = np.random.default_rng(seed).permutation(k).astype(np.int32)[tree.cut(k)]
    merges = tree.merges_among(groups)
    assert [height for *_, height in merges] == tree.heights[n - k :].tolist()
    label = list(range(k))
    for step, (one, other, _) in enumerate(merges):
        assert one < other < k + step
        label = [k + step if each in (one, other) else each for each in label]
        assert same_groups(np.array(label)[groups], tree.cut(k - 1 - step))


@pytest.mark.parametrize("power", [-900, -3, 1, 900])
def test_any_scale_of_points_and_weights_gives_the_same_tree(power):
    rows, weights = points(4, 60, 3), np.random.default_rng(4).integers(1, 9, 60)
    tree = ward_tree(rows, weights)
    far, heavy = (
        ward_tree(np.ldexp(rows, power), weights),
        ward_tree(rows, np.ldexp(weights.astype(float), 2 * power // 3)),
    )
    assert np.array_equal(far.merges, tree.merges)
    assert np.array_equal(far.heights, np.ldexp(tree.heights, power))
    assert np.array_equal(heavy.merges, tree.merges)
    np.testing.assert_allclose(heavy.heights, tree.heights * 2.0 ** (2 * power // 3 / 2), rtol=1e-12)


def test_one_point():
    tree = ward_tree(np.zeros((1, 2)), np.ones(1))
    assert (tree.merges.shape, tree.cut(1).tolist()) == ((0, 2), [0])


@pytest.mark.parametrize("n_groups", [0, -1, 4])
def test_a_cut_that_cannot_be(n_groups):
    with pytest.raises(ValueError, match=f"{n_groups} groups of 3 points"):
        ward_tree(np.eye(3), np.ones(3)).cut(n_groups)


@pytest.mark.parametrize(
    ("rows", "weights", "told"),
    [
        (np.empty((0, 2)), np.empty(0), "shape"),
        (np.eye(2), np.ones(3), "shape"),
        (np.ones(3), np.ones(3), "shape"),
        (np.ones((3, 1, 1)), np.ones(3), "shape"),
        (np.eye(2), np.array([1, 0]), "above zero"),
        (np.eye(2), np.array([1, np.inf]), "finite"),
        (np.array([[0, np.nan], [1, 1]]), np.ones(2), "finite"),
    ],
)
def test_bad_points(rows, weights, told):
    with pytest.raises(ValueError, match=told):
        ward_tree(rows, weights)
