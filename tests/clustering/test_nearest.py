"""The nearest rows by exact distances, whatever a library makes of them."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from gpuseg.clustering import nearest
from gpuseg.clustering.nearest import NearestRows, row_distances, row_keys
from gpuseg.clustering.neighbourhood import core_distances, nearest_member
from gpuseg.engine.cpu.device import CpuDevice


class Rounding:
    """Neighbours by |x|^2 + |y|^2 - 2xy in float32, as GPU libraries compute them, and the last of equal ones first."""

    def fit(self, rows):
        self.rows = rows.astype(np.float32)
        self.squares = (self.rows * self.rows).sum(axis=1)
        return self

    def kneighbors(self, rows, n_neighbors):
        rows = rows.astype(np.float32)
        own = (rows * rows).sum(axis=1)
        squared = np.maximum(own[:, None] + self.squares - np.float32(2) * (rows @ self.rows.T), 0)
        order = (squared.shape[1] - 1 - squared[:, ::-1].argsort(axis=1, kind="stable"))[:, :n_neighbors]
        return np.sqrt(np.take_along_axis(squared, order, axis=1)), order


class Rounded(CpuDevice):
    def estimator(self, name, **parameters):
        return Rounding() if name == "neighbors" else super().estimator(name, **parameters)


def by_all_pairs(rows, fitted, n):
    """Positions and distances by (distance, row)."""
    gaps = np.stack([row_distances(rows, np.broadcast_to(row, rows.shape)) for row in fitted], axis=1)
    places = np.array([np.lexsort((np.arange(len(fitted)), line))[:n] for line in gaps]).reshape(len(rows), n)
    return places, np.take_along_axis(gaps, places, axis=1)


def assert_exact(rows, fitted, n, device):
    places, distances = NearestRows(fitted, device).nearest(rows, n)
    wanted, gaps = by_all_pairs(rows, fitted, n)
    np.testing.assert_array_equal(places, wanted)
    np.testing.assert_array_equal(distances, gaps)


def ordered(rows):
    return np.ascontiguousarray(rows[np.argsort(row_keys(rows), kind="stable")] + np.float32(0))


def near_ties(seed, n, d, away, step):
    """Rows on a fine lattice far from zero, many of them equal or equally far apart."""
    drawn = np.random.default_rng(seed).integers(-3, 4, (n, d)) * np.float32(step)
    return ordered((drawn + away).astype(np.float32))


@pytest.mark.parametrize("device", [CpuDevice(), Rounded()], ids=["cpu", "rounded"])
@given(
    seed=st.integers(0, 10**6),
    n=st.integers(1, 120),
    d=st.integers(1, 6),
    wanted=st.integers(1, 9),
    away=st.sampled_from([0, 3, 50]),
    step=st.sampled_from([1.0, 1e-3, 2.0**-20]),
)
@example(seed=1, n=120, d=5, wanted=5, away=50, step=2.0**-20)
def test_ties_and_near_ties(device, seed, n, d, wanted, away, step):
    fitted = near_ties(seed, n, d, away, step)
    others = near_ties(seed + 1, 30, d, away, step / 2)
    assert_exact(np.concatenate([fitted, others]), fitted, min(wanted, n), device)


def test_the_library_alone_is_wrong_there():
    fitted = near_ties(1, 120, 5, 50, 1e-3)
    _, found = Rounding().fit(fitted).kneighbors(fitted, 5)
    assert (found != by_all_pairs(fitted, fitted, 5)[0]).any(axis=1).mean() > 0.5


@pytest.mark.parametrize("device", [CpuDevice(), Rounded()], ids=["cpu", "rounded"])
def test_core_distances_and_the_nearest_member(device):
    rows = near_ties(4, 400, 4, 20, 1e-3)
    assert core_distances(rows, min_samples=6, device=device).tolist() == by_all_pairs(rows, rows, 6)[1][:, -1].tolist()
    members, others = rows[::3].copy(), rows[1::3].copy()
    found = nearest_member(others, members, device=device)
    assert found.tolist() == by_all_pairs(others, members, 1)[0][:, 0].tolist()


def test_rows_that_are_plainly_apart_need_one_search():
    rows = ordered(load_digits().data.astype(np.float32))

    class Counting(Rounded):
        asked = 0

        def asarray(self, array):
            Counting.asked += 1
            return super().asarray(array)

    device = Counting()
    assert_exact(rows[:600], rows[:600], 5, device)
    # The fitted rows, those that its rounding is measured on, and the search.
    assert device.asked == 3


def test_all_pairs_are_compared_where_candidates_do_not_decide(monkeypatch):
    """Ever more rows at one distance: the corners of a cube around its middle."""
    corners = (np.indices([2] * 9).reshape(9, -1).T - np.float32(0.5)) * 2
    fitted = ordered(corners.astype(np.float32))
    monkeypatch.setattr(nearest, "MOST_CANDIDATES", 100)
    seen = []
    real = NearestRows._by_all_pairs

    def watched(self, rows, n):
        seen.append(len(rows))
        return real(self, rows, n)

    monkeypatch.setattr(NearestRows, "_by_all_pairs", watched)
    middle = np.zeros((3, 9), np.float32)
    assert_exact(np.concatenate([middle, fitted[:4]]), fitted, 4, Rounded())
    assert seen
    assert seen[0] >= 3


def test_parts_of_the_rows_find_the_same(monkeypatch):
    fitted = near_ties(2, 200, 3, 50, 2.0**-20)
    whole = NearestRows(fitted, Rounded()).nearest(fitted, 4)
    monkeypatch.setattr(nearest, "_PAIRS_AT_ONCE", 50)
    parts = NearestRows(fitted, Rounded()).nearest(fitted, 4)
    for one, two in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(one, two)
