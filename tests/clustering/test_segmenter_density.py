"""`Segmenter(method="hdbscan")`."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.datasets import make_blobs, make_moons
from sklearn.metrics import adjusted_rand_score

from gpuseg import Segmenter
from gpuseg.errors import ClusteringError, ConfigError

MOONS, TRUTH = make_moons(400, noise=0.06, random_state=4)
OUTLIER = np.array([[9.0, 9.0]])
X = np.vstack([MOONS, OUTLIER])


def model(**parameters):
    return Segmenter(**{"engine": "cpu", "method": "hdbscan", "min_cluster_size": 20} | parameters)


def test_moons_are_found_and_the_outlier_is_noise():
    fitted = model().fit(X)
    assert fitted.labels_.dtype == np.int32
    assert fitted.labels_[-1] == -1
    assert fitted.probabilities_[-1] == 0
    inside = fitted.labels_ >= 0
    assert len({(a, b) for a, b in zip(TRUTH, fitted.labels_[:-1], strict=True) if b >= 0}) == 2
    assert inside.mean() > 0.9
    assert fitted.n_segments_ == 2
    np.testing.assert_allclose(fitted.cluster_centers_[1], X[fitted.labels_ == 1].mean(axis=0))
    assert fitted.predict(X).tolist() == fitted.labels_.tolist()
    distances = fitted.transform(X)
    assert distances.shape == (401, 2)
    inertia = (distances[inside, fitted.labels_[inside]] ** 2).sum()
    assert fitted.inertia_ == pytest.approx(inertia)
    assert fitted.score(X) == pytest.approx(-inertia)


def test_noise_may_go_to_the_nearest():
    fitted = model(noise="nearest").fit(X)
    assert set(fitted.labels_) == {0, 1}
    assert fitted.probabilities_[-1] == 0


def test_the_finest_groups_may_be_taken():
    """Two pairs of blobs: `eom` finds the pairs, `leaf` the blobs."""
    at = [[0, 0], [0, 2.8], [60, 0], [60, 2.8]]
    rows, truth = make_blobs(400, centers=at, cluster_std=0.6, random_state=0)
    coarse = model(min_cluster_size=30, min_samples=5).fit(rows)
    fine = model(min_cluster_size=30, min_samples=5, selection="leaf").fit(rows)
    assert (coarse.n_segments_, fine.n_segments_) == (2, 4)
    inside = fine.labels_ >= 0
    assert adjusted_rand_score(truth[inside], fine.labels_[inside]) > 0.95


def test_the_order_of_rows_changes_nothing():
    order = np.random.default_rng(0).permutation(len(X))
    np.testing.assert_array_equal(model().fit(X[order]).labels_, model().fit(X).labels_[order])


def test_a_frame_comes_back_as_its_kind():
    table = pd.DataFrame(X, columns=["a", "b"], index=np.arange(len(X)) * 3)
    found = model().fit_predict(table)
    assert found.index.equals(table.index)
    assert found.tolist() == model().fit(X).labels_.tolist()


def test_it_survives_pickling_and_cloning():
    fitted = pickle.loads(pickle.dumps(model().fit(X)))
    assert fitted.predict(X).tolist() == fitted.labels_.tolist()
    assert clone(fitted).get_params() == model().get_params()


def test_another_method_leaves_nothing_behind():
    fitted = model().fit(X).set_params(method="kmeans", min_cluster_size="auto", n_segments=3).fit(X)
    assert not hasattr(fitted, "probabilities_")
    assert fitted.predict(X).tolist() == fitted.labels_.tolist()
    assert fitted.n_segments_ == 3


def test_where_nothing_is_dense_everything_is_noise():
    grid = np.arange(24.0).reshape(12, 2)
    fitted = model(min_cluster_size=10).fit(grid)
    assert set(fitted.labels_) == {-1}
    assert fitted.transform(grid).shape == (12, 0)
    assert (fitted.n_segments_, fitted.inertia_, fitted.score(grid)) == (0, 0.0, 0.0)
    assert set(fitted.predict(grid + 0.5)) == {-1}


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_segments": 4}, "n_segments belongs to method='kmeans' or 'hierarchical', but method='hdbscan'"),
        ({"init": np.zeros((2, 2))}, "init belongs to method='kmeans', but method='hdbscan'"),
        ({"n_init": 3}, "n_init belongs to method='kmeans', but method='hdbscan'"),
        ({"method": "kmeans"}, "min_cluster_size belongs to method='hdbscan', but method='kmeans'"),
        ({"method": "dbscan"}, "method='dbscan' is not available; use 'kmeans', 'hierarchical', 'hdbscan'"),
        ({"min_cluster_size": 1}, "min_cluster_size=1 must be 'auto' or a whole number of at least 2"),
        ({"min_cluster_size": 2.5}, "min_cluster_size=2.5 must be 'auto' or a whole number of at least 2"),
        ({"min_samples": 0}, "min_samples=0 must be 'auto' or a whole number of at least 1"),
        ({"min_samples": True}, "min_samples=True must be 'auto' or a whole number of at least 1"),
        ({"noise": "drop"}, "noise='drop' must be 'keep' or 'nearest'"),
        ({"selection": "loaf"}, "selection='loaf' must be 'eom' or 'leaf'"),
        (
            {"method": "kmeans", "min_cluster_size": "auto", "selection": "leaf"},
            "selection belongs to method='hdbscan', but method='kmeans'",
        ),
        ({"min_cluster_size": 402}, "min_cluster_size: 402 is more than the 401 profiles; nearest valid: 401"),
    ],
)
def test_parameters_out_of_range_are_refused(parameters, message):
    with pytest.raises(ConfigError) as caught:
        model(**parameters).fit(X)
    assert str(caught.value) == message


def test_one_row_is_too_few():
    with pytest.raises(ClusteringError, match="n_samples=1"):
        model().fit(X[:1])


@pytest.fixture(scope="module")
def blobs_in_noise():
    points, _ = make_blobs(3_600, 3, centers=5, cluster_std=0.5, random_state=3)
    noise = np.random.default_rng(3).uniform(points.min(axis=0), points.max(axis=0), (400, 3))
    return np.random.default_rng(4).permutation(np.concatenate([points, noise])).astype(np.float32)


def test_micro_clusters_find_what_comparing_all_rows_finds(blobs_in_noise):
    exact, near = (
        Segmenter(method="hdbscan", resolution=each, engine="cpu").fit(blobs_in_noise)
        for each in ("rows", "micro_clusters")
    )
    assert adjusted_rand_score(exact.labels_, near.labels_) >= 0.95
    assert exact.n_segments_ == near.n_segments_ == 5
    assert near.predict(blobs_in_noise).tolist() == near.labels_.tolist()
    assert ((near.probabilities_ > 0) == (near.labels_ >= 0)).all()
    assert near.score(blobs_in_noise) == pytest.approx(-near.inertia_)


def test_the_order_of_rows_does_not_change_what_micro_clusters_find(blobs_in_noise):
    order = np.random.default_rng(5).permutation(len(blobs_in_noise))
    options = {"method": "hdbscan", "resolution": "micro_clusters", "engine": "cpu"}
    one, other = (Segmenter(**options).fit_predict(rows) for rows in (blobs_in_noise, blobs_in_noise[order]))
    assert one[order].tolist() == other.tolist()


def test_rows_that_would_take_long_are_not_all_compared(blobs_in_noise, monkeypatch):
    wanted = Segmenter(method="hdbscan", resolution="micro_clusters", engine="cpu").fit_predict(blobs_in_noise)
    monkeypatch.setattr("gpuseg.clustering.cost.EXACT_SECONDS", 0.0)
    assert Segmenter(method="hdbscan", engine="cpu").fit_predict(blobs_in_noise).tolist() == wanted.tolist()


def test_all_rows_are_compared_where_micro_clusters_cannot_be_trusted(blobs_in_noise, monkeypatch):
    def refuse(*_, **__):
        raise ClusteringError("cells cannot keep them apart")

    exact = Segmenter(method="hdbscan", resolution="rows", engine="cpu").fit_predict(blobs_in_noise)
    monkeypatch.setattr("gpuseg.clustering.cost.EXACT_SECONDS", 0.0)
    monkeypatch.setattr("gpuseg.clustering.dense_fit.fit_micro_density", refuse)
    assert Segmenter(method="hdbscan", engine="cpu").fit_predict(blobs_in_noise).tolist() == exact.tolist()
    with pytest.raises(ClusteringError, match=r"^cells cannot keep them apart$"):
        Segmenter(method="hdbscan", resolution="micro_clusters", engine="cpu").fit(blobs_in_noise)
    monkeypatch.setattr("gpuseg.engine.cpu.device.free_bytes", lambda: 1_000)
    with pytest.raises(ClusteringError, match="cannot keep them apart; nor can all of them be compared"):
        Segmenter(method="hdbscan", engine="cpu").fit(blobs_in_noise)


def test_a_resolution_that_there_is_not():
    with pytest.raises(ConfigError, match="resolution='profiles' must be 'auto' or 'rows' or 'micro_clusters'"):
        Segmenter(method="hdbscan", resolution="profiles").fit(np.eye(5))
    with pytest.raises(ConfigError, match="resolution belongs to method='hdbscan'"):
        Segmenter(resolution="rows").fit(np.eye(5))
