import numpy as np
import pytest
from sklearn.datasets import make_blobs
from sklearn.metrics import calinski_harabasz_score, davies_bouldin_score, silhouette_score

from gpuseg.clustering.validity import Validator, separate_groups


def nearest(rows, centers):
    return np.linalg.norm(rows[:, None] - centers[None], axis=2).argmin(axis=1).astype(np.int32)


def halves(rows):
    """Labels and centers of a cut through the middle of the first column."""
    labels = (rows[:, 0] > np.median(rows[:, 0])).astype(np.int32)
    return labels, np.stack([rows[labels == side].mean(axis=0) for side in (0, 1)])


def test_indices_are_those_of_scikit_learn():
    rows, labels = make_blobs(900, centers=4, n_features=3, random_state=2)
    rows, labels = rows.astype(np.float32), labels.astype(np.int32)
    centers = np.stack([rows[labels == k].mean(axis=0) for k in range(4)])
    found = Validator(rows).measure(labels, centers)
    assert found.silhouette == pytest.approx(silhouette_score(rows, labels), abs=1e-5)
    assert found.davies_bouldin == pytest.approx(davies_bouldin_score(rows, labels), rel=1e-5)
    assert found.calinski_harabasz == pytest.approx(calinski_harabasz_score(rows, labels), rel=1e-5)


def test_the_silhouette_takes_the_first_rows(monkeypatch):
    monkeypatch.setattr(Validator, "SILHOUETTE_ROWS", 300)
    rows = np.random.default_rng(0).normal(size=(700, 2)).astype(np.float32)
    labels, centers = halves(rows)
    found = Validator(rows).measure(labels, centers)
    assert found.silhouette == pytest.approx(silhouette_score(rows[:300], labels[:300]), abs=1e-5)
    assert found.davies_bouldin == pytest.approx(davies_bouldin_score(rows, labels), rel=1e-5)


def test_one_cluster_has_no_indices():
    rows = np.random.default_rng(0).normal(size=(50, 2))
    found = Validator(rows).measure(np.zeros(50, np.int32), np.array([[0.0, 0.0], [90.0, 90.0]]))
    assert (found.silhouette, found.davies_bouldin, found.calinski_harabasz) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("k", [2, 3, 5])
def test_blobs_are_separate_groups(k):
    angles = np.linspace(0, 2 * np.pi, k, endpoint=False)
    centers = np.c_[np.cos(angles), np.sin(angles)] * 10
    rows = make_blobs(200 * k, centers=centers, random_state=1)[0]
    assert separate_groups(rows, nearest(rows, centers), centers) == k


def test_a_group_that_was_cut_counts_once():
    centers = np.array([[0.0, 0.0], [30.0, 0.0]])
    rows = make_blobs(1_000, centers=centers, cluster_std=2.0, random_state=1)[0]
    cut = np.array([[-1.6, 0.0], [1.6, 0.0], [30.0, 0.0]])
    assert separate_groups(rows, nearest(rows, cut), cut) == 2


@pytest.mark.parametrize("draw", ["normal", "uniform"])
@pytest.mark.parametrize("n_features", [1, 2, 8])
def test_a_cloud_cut_in_two_is_one_group(draw, n_features):
    rows = getattr(np.random.default_rng(3), draw)(size=(2_000, n_features))
    labels, centers = halves(rows)
    assert separate_groups(rows, labels, centers) == 1


def test_groups_that_touch_in_a_chain_are_one():
    rows = np.random.default_rng(0).uniform(size=(3_000, 2)) * [30, 1]
    centers = np.array([[5.0, 0.5], [15.0, 0.5], [25.0, 0.5]])
    labels = nearest(rows, centers)
    assert separate_groups(rows, labels, centers) == 1
    assert separate_groups(rows[labels != 1], np.minimum(labels[labels != 1], 1), centers[[0, 2]]) == 2


def test_a_gap_must_hold_more_than_chance():
    rows = np.array([[0.0], [1.0]])
    assert separate_groups(rows, np.array([0, 1], np.int32), rows) == 1
    many = np.repeat(rows, 10, axis=0)
    assert separate_groups(many, np.repeat([0, 1], 10).astype(np.int32), rows) == 2


def test_equal_centers_are_one_group():
    rows = np.zeros((20, 2))
    assert separate_groups(rows, np.repeat([0, 1], 10).astype(np.int32), np.zeros((2, 2))) == 1


def test_groups_do_not_depend_on_the_order_of_rows():
    rows = np.random.default_rng(0).normal(size=(500, 3)).astype(np.float32)
    rows[:200, 0] += 5
    labels, centers = halves(rows)
    order = np.random.default_rng(1).permutation(500)
    assert separate_groups(rows, labels, centers) == separate_groups(rows[order], labels[order], centers)
