import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.cluster.hierarchy import fcluster, linkage
from sklearn.base import clone
from sklearn.datasets import make_blobs
from sklearn.exceptions import NotFittedError
from sklearn.metrics import adjusted_rand_score

from gpuseg import Segmenter
from gpuseg.errors import ClusteringError, ConfigError


def model(n_segments=4, **parameters):
    return Segmenter(method="hierarchical", n_segments=n_segments, engine="cpu", **parameters)


def blobs(n=20_000, centers=6, d=5, seed=3):
    return make_blobs(n, d, centers=centers, random_state=seed, cluster_std=0.6)


def same_groups(one, other):
    return len(set(zip(one, other, strict=True))) == len(set(one)) == len(set(other))


@given(seed=st.integers(0, 10**6), n=st.integers(4, 120), d=st.integers(1, 5))
def test_ward_of_scipy_where_every_row_is_a_micro_cluster(seed, n, d):
    rows = np.random.default_rng(seed).normal(size=(n, d))
    fitted, expected = model(2).fit(rows), linkage(rows, "ward")
    for k in (2, 3, n // 2, n):
        assert same_groups(fitted.cut(k).labels_, fcluster(expected, k, "maxclust"))


@pytest.mark.parametrize("k", [1, 2, 7, 50, 282])
def test_a_cut_is_a_fresh_fit_asked_for_it(k):
    rows, _ = blobs()
    cut, fresh = model(4).fit(rows).cut(k), model(k).fit(rows)
    assert cut.get_params() == fresh.get_params()
    for name in ("labels_", "cluster_centers_", "inertia_", "n_segments_", "n_iter_"):
        assert np.array_equal(getattr(cut, name), getattr(fresh, name))
    assert np.array_equal(cut.predict(rows[:500]), fresh.predict(rows[:500]))


def test_a_cut_leaves_its_source_as_it_was():
    rows, _ = blobs(2_000)
    fitted = model(4).fit(rows)
    before = fitted.labels_.copy()
    assert fitted.cut(9).n_segments_ == 9
    assert (fitted.n_segments, fitted.n_segments_) == (4, 4)
    assert np.array_equal(fitted.labels_, before)


def test_groups_are_found_and_described():
    rows, truth = blobs()
    fitted = model(6).fit(rows)
    labels = fitted.labels_
    assert adjusted_rand_score(truth, labels) > 0.99
    assert labels.dtype == np.int32
    assert (np.diff(np.bincount(labels)) <= 0).all()
    means = np.array([rows[labels == g].mean(axis=0) for g in range(6)])
    np.testing.assert_allclose(fitted.cluster_centers_, means, rtol=1e-9)
    assert fitted.inertia_ == pytest.approx(((rows - means[labels]) ** 2).sum(), rel=1e-9)
    assert fitted.score(rows) == pytest.approx(-fitted.inertia_, rel=1e-9)
    assert np.array_equal(fitted.predict(rows), labels)


def test_a_number_of_segments_is_chosen():
    rows, truth = blobs(6_000, centers=4)
    fitted = model("auto").fit(rows)
    assert fitted.n_segments_ == 4
    assert adjusted_rand_score(truth, fitted.labels_) > 0.99


def test_cuts_are_nested():
    rows, _ = blobs()
    fitted = model(2).fit(rows.astype(np.float32))
    finer = fitted.cut(40).labels_
    for k in (17, 6, 3, 2):
        coarser = fitted.cut(k).labels_
        assert len(set(zip(finer, coarser, strict=True))) == len(set(finer))
        finer = coarser


@pytest.mark.parametrize("order", ["as they are", "sorted"])
def test_sorted_rows_are_found_as_well(order):
    rows, truth = blobs(30_000)
    order = np.arange(len(rows)) if order == "as they are" else np.argsort(truth, kind="stable")
    fitted = model(6, micro_clusters=60).fit(rows[order])
    assert adjusted_rand_score(truth[order], fitted.labels_) > 0.99


def test_it_survives_pickling_and_cloning():
    rows, _ = blobs(1_000)
    fitted = model(5, micro_clusters=50).fit(rows)
    again = pickle.loads(pickle.dumps(fitted))
    assert np.array_equal(again.cut(3).labels_, fitted.cut(3).labels_)
    assert clone(fitted).get_params() == fitted.get_params()


def test_another_method_leaves_nothing_behind():
    rows, _ = blobs(1_000)
    fitted = model(5).fit(rows)
    fitted.set_params(method="kmeans").fit(rows)
    with pytest.raises(ConfigError, match="method='kmeans' has no hierarchy to cut"):
        fitted.cut(3)
    assert np.array_equal(fitted.predict(rows), fitted.labels_)


def test_cut_before_fit():
    with pytest.raises(NotFittedError):
        model(3).cut(2)


@pytest.mark.parametrize("k", [0, -1, "many", 2.5])
def test_a_cut_into_what_is_no_number(k):
    with pytest.raises(ConfigError, match="n_segments"):
        model(3).fit(blobs(200)[0]).cut(k)


def test_more_segments_than_micro_clusters():
    rows, _ = blobs(1_000)
    told = "n_segments=30 is more than the 20 micro-clusters; set micro_clusters higher"
    with pytest.raises(ClusteringError, match=told):
        model(30, micro_clusters=20).fit(rows)
    with pytest.raises(ClusteringError, match=told):
        model(3, micro_clusters=20).fit(rows).cut(30)


@pytest.mark.parametrize(
    ("parameters", "told"),
    [
        ({"micro_clusters": 1}, "micro_clusters=1 must be 'auto' or a whole number of at least 2"),
        ({"micro_clusters": "few"}, "micro_clusters='few'"),
        ({"method": "kmeans", "micro_clusters": 300}, "micro_clusters belongs to method='hierarchical', but"),
        ({"n_init": 3}, "n_init belongs to method='kmeans', but method='hierarchical'"),
        ({"method": "hdbscan"}, "n_segments belongs to method='kmeans' or 'hierarchical', but method='hdbscan'"),
        ({"method": "tree"}, "method='tree' is not available; use 'kmeans', 'hierarchical', 'hdbscan'"),
    ],
)
def test_parameters_out_of_range_are_refused(parameters, told):
    with pytest.raises(ConfigError, match=told):
        model(4).set_params(**parameters).fit(blobs(200)[0])
