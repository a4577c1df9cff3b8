"""New rows join the dense rows around them."""

import numpy as np
import pytest
from sklearn.datasets import load_digits, make_circles, make_moons

from gpuseg.clustering.density import Density, fit_density
from gpuseg.clustering.nearest import row_keys
from gpuseg.clustering.neighbourhood import core_distances


def fitted(rows, device, noise="keep"):
    return fit_density(rows, device=device, density=Density(15, 5, noise))


def by_the_book(new, fit, min_samples):
    """The rule of the module, over all pairs."""
    at, n = fit.neighbourhood, len(new)
    gaps = np.sqrt(((new[:, None, :] - at.rows[None, :, :]) ** 2).sum(axis=2))
    own = np.sort(gaps, axis=1)[:, min_samples - 2]
    reachable = np.maximum(np.maximum(gaps, at.cores), own[:, None])
    reachable[:, at.strengths == 0] = np.inf
    # Of the equally reachable the nearest.
    best = np.array([np.lexsort((gaps[i], reachable[i]))[0] for i in range(n)])
    distance = reachable[np.arange(n), best]
    joins = distance <= at.reaches[at.labels[best]]
    return np.where(joins, at.labels[best], -1), np.where(joins, at.strengths[best] * at.cores[best] / distance, 0.0)


@pytest.mark.parametrize("name", ["moons", "rings", "digits"])
def test_new_rows_are_placed_by_the_rule(device, name):
    rows = {
        "moons": make_moons(600, noise=0.09, random_state=1)[0],
        "rings": make_circles(600, factor=0.4, noise=0.06, random_state=2)[0],
        "digits": load_digits().data + np.random.default_rng(0).normal(size=(1797, 64)),
    }[name]
    fit = fitted(rows[:400], device)
    labels, strengths = fit.neighbourhood.place(rows[400:600], device=device)
    wanted, strength = by_the_book(rows[400:600], fit, 5)
    # The rule looks at all rows, the code at the nearest ten, which decide but for rows at the very edge.
    same = labels == wanted
    assert same.mean() >= 0.97
    np.testing.assert_allclose(strengths[same], strength[same], atol=1e-9)
    assert ((strengths > 0) == (labels >= 0)).all()
    assert strengths.max() <= 1.0


def test_fitted_rows_have_their_own_result(device):
    rows = load_digits().data
    fit = fitted(rows, device)
    labels, strengths = fit.neighbourhood.place(rows, device=device)
    np.testing.assert_array_equal(labels, fit.labels)
    np.testing.assert_array_equal(strengths, fit.strengths)
    assert (labels < 0).any()


def test_shape_counts_and_not_the_mean(device):
    """The mean of a ring is in its empty middle, where nobody belongs to it."""
    rows = make_circles(800, factor=0.3, noise=0.02, random_state=2)[0]
    fit = fitted(rows, device)
    outer = int(np.argmax([np.linalg.norm(rows[fit.labels == c], axis=1).mean() for c in range(2)]))
    angles = np.linspace(0, 6, 50)
    on_outer = np.column_stack([np.cos(angles), np.sin(angles)])
    labels, _ = fit.neighbourhood.place(on_outer, device=device)
    assert (labels == outer).all()
    labels, strengths = fit.neighbourhood.place(np.array([[0.0, 0.0], [0.65, 0.0], [9.0, 9.0]]), device=device)
    assert labels.tolist() == [-1, -1, -1]
    assert strengths.tolist() == [0, 0, 0]


def test_noise_that_is_put_somewhere_goes_to_the_nearest(device):
    rows = make_moons(400, noise=0.05, random_state=1)[0]
    fit = fitted(rows, device, "nearest")
    far = np.array([[30.0, -1.0], [-30.0, 1.0]])
    labels, strengths = fit.neighbourhood.place(far, device=device)
    nearest = [((rows - row) ** 2).sum(axis=1).argmin() for row in far]
    assert labels.tolist() == fit.labels[nearest].tolist()
    assert strengths.tolist() == [0, 0]


def test_no_rows_and_no_clusters(device):
    rows = np.arange(24, dtype=np.float32).reshape(12, 2)
    fit = fit_density(rows, device=device, density=Density(10, 3, "nearest"))
    labels, strengths = fit.neighbourhood.place(rows[:0], device=device)
    assert (labels.shape, labels.dtype, strengths.shape) == ((0,), np.int32, (0,))
    assert fit.neighbourhood.place(rows + 1, device=device)[0].tolist() == [-1] * 12


def test_where_a_row_alone_is_dense_enough_its_nearest_still_counts(device):
    rows = make_moons(300, noise=0.05, random_state=1)[0]
    fit = fit_density(rows, device=device, density=Density(15, 1))
    labels, strengths = fit.neighbourhood.place(rows + 1e-9, device=device)
    np.testing.assert_array_equal(labels, fit.labels)
    assert (strengths[labels >= 0] > 0).all()
    assert fit.neighbourhood.place(rows[:1] + 9, device=device)[0].tolist() == [-1]


def test_minus_zero_is_zero():
    keys = row_keys(np.array([[0.0, 1.0], [-0.0, 1.0], [0.0, 2.0]]))
    assert keys[0] == keys[1] != keys[2]


def test_core_distances_count_the_row_itself(device):
    rows = np.array([[0.0], [1.0], [3.0], [7.0]])
    assert core_distances(rows, min_samples=2, device=device).tolist() == [1, 1, 2, 4]
    assert core_distances(rows, min_samples=4, device=device).tolist() == [7, 6, 4, 7]
