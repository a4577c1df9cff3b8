"""K-means that iterates on coarse rows first."""

import numpy as np
import pytest

from gpuseg import Segmenter
from gpuseg.clustering import fits
from gpuseg.engine.coarse import rounded_rows
from gpuseg.errors import ConfigError

N_ROWS = 70_000


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(4)
    centers = rng.normal(size=(6, 5)) * 3
    return (centers[rng.integers(0, 6, N_ROWS)] + rng.normal(size=(N_ROWS, 5))).astype(np.float32)


def fit(rows, **options):
    return Segmenter(engine="cpu", n_segments=6, n_init=1, **options).fit(rows)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_end_is_exact(rows, dtype, monkeypatch):
    rows, seen = rows.astype(dtype), []
    inner = fits.lloyd
    monkeypatch.setattr(fits, "lloyd", lambda blocks, *a, **k: seen.append(blocks[0]) or inner(blocks, *a, **k))
    exact = fit(rows)
    assert len(seen) == 1
    found = fit(rows, early_passes="coarse")
    assert len(seen) == 3
    assert np.array_equal(seen[1], rounded_rows(rows[:65_536]))
    assert seen[2].dtype == dtype
    assert found.inertia_ == pytest.approx(exact.inertia_, rel=1e-4)
    assert found.cluster_centers_.dtype == dtype
    # Labels, centers and inertia belong together, and to the rows as they are.
    assert np.array_equal(found.predict(rows), found.labels_)
    assert found.score(rows) == pytest.approx(-found.inertia_, rel=1e-12)
    means = np.array([rows[found.labels_ == label].mean(axis=0, dtype=np.float64) for label in range(6)])
    np.testing.assert_allclose(found.cluster_centers_, means, atol=0.05)


def test_updates_are_counted_together(rows):
    found = fit(rows, early_passes="coarse", tol=0.0, max_iter=3)
    assert found.n_iter_ == 4
    start = rows[:6].copy()
    own = Segmenter(engine="cpu", n_segments=6, init=start, early_passes="coarse").fit(rows)
    assert own.n_iter_ >= 2


def test_bad_words_are_refused(rows):
    with pytest.raises(ConfigError, match="early_passes='fast' must be 'exact' or 'coarse'"):
        fit(rows[:100], early_passes="fast")
    with pytest.raises(ConfigError, match="early_passes belongs to method='kmeans', but method='hdbscan'"):
        Segmenter(method="hdbscan", early_passes="coarse", engine="cpu").fit(rows[:100])
