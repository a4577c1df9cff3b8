"""K-means that iterates on coarse rows first."""

import numpy as np
import pytest

from gpuseg import Segmenter
from gpuseg.clustering import fits
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
    shift = np.median(rows[:65_536] - seen[1], axis=0)
    assert np.abs(rows[:65_536] - shift - seen[1]).max() < 0.1
    assert seen[1].dtype == np.float32
    assert not (seen[1].view(np.uint32) & 0xFFFF).any()
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
    assert found.n_iter_ == 3
    once = fit(rows, early_passes="coarse", tol=0.0, max_iter=1)
    assert once.n_iter_ == 1
    assert once.inertia_ == fit(rows, tol=0.0, max_iter=1).inertia_
    start = rows[:6].copy()
    own = Segmenter(engine="cpu", n_segments=6, init=start, early_passes="coarse").fit(rows)
    assert own.n_iter_ >= 2


@pytest.mark.parametrize("offset", [1e4, 1e6])
def test_rows_far_from_zero(rows, offset):
    moved = rows.astype(np.float64) + offset
    exact, found = fit(moved), fit(moved, early_passes="coarse")
    assert found.inertia_ == pytest.approx(exact.inertia_, rel=1e-4)


@pytest.mark.parametrize("scale", [1e-60, 1e-30, 1e30, 1e100])
def test_numbers_that_float32_cannot_hold_are_not_rounded(rows, scale):
    scaled = rows[:3_000].astype(np.float64) * scale
    exact, found = fit(scaled), fit(scaled, early_passes="coarse")
    assert (found.inertia_, found.n_iter_) == (exact.inertia_, exact.n_iter_)
    far = rows[:3_000].astype(np.float64)
    far[7, 2] = 1e39
    assert np.array_equal(fit(far, early_passes="coarse").labels_, fit(far).labels_)


def test_bad_words_are_refused(rows):
    with pytest.raises(ConfigError, match="early_passes='fast' must be 'exact' or 'coarse'"):
        fit(rows[:100], early_passes="fast")
    with pytest.raises(ConfigError, match=r"early_passes=.* must be"):
        fit(rows[:100], early_passes=np.array(["coarse"]))
    with pytest.raises(ConfigError, match="early_passes belongs to method='kmeans', but method='hdbscan'"):
        Segmenter(method="hdbscan", early_passes="coarse", engine="cpu").fit(rows[:100])
