"""The hierarchy of weighted points: with weights of one that of scikit-learn, otherwise that of repeated points."""

import numpy as np
import pytest
from scipy.sparse.csgraph import minimum_spanning_tree
from sklearn.cluster import HDBSCAN
from sklearn.datasets import make_blobs, make_moons
from sklearn.metrics import adjusted_rand_score
from sklearn.neighbors import NearestNeighbors

from gpuseg.clustering.condensed import hierarchy_of, spanning_tree
from gpuseg.engine.cpu.device import CpuDevice

DEVICE = CpuDevice()

SETS = {
    "blobs": make_blobs(600, centers=4, cluster_std=0.8, random_state=0)[0],
    "moons": make_moons(500, noise=0.05, random_state=1)[0],
    "eight": make_blobs(500, n_features=8, centers=5, cluster_std=2.0, random_state=2)[0],
    "line": np.random.default_rng(3).normal(size=(400, 1)) + np.repeat([0.0, 9.0], 200)[:, None],
}


def dense_groups(rows, weights, cores, *, min_cluster_size, selection="eom"):
    return hierarchy_of(rows, weights, cores, least=min_cluster_size, device=DEVICE).groups(selection)


def cores_of(rows, min_samples=5):
    return NearestNeighbors(n_neighbors=min_samples).fit(rows).kneighbors(rows)[0][:, -1]


@pytest.mark.parametrize(
    ("name", "selection"),
    [("blobs", "eom"), ("moons", "eom"), ("eight", "eom"), ("blobs", "leaf"), ("eight", "leaf")],
)
def test_equal_weights_give_the_librarys_groups(name, selection):
    rows = SETS[name]
    options = {"min_cluster_size": 15, "min_samples": 5, "cluster_selection_method": selection}
    theirs = HDBSCAN(copy=True, **options).fit(rows)
    found = dense_groups(rows, np.ones(len(rows)), cores_of(rows), min_cluster_size=15, selection=selection)
    assert len(found.births) == theirs.labels_.max() + 1 > 1
    # Edges of equal lengths may come in another order.
    assert adjusted_rand_score(theirs.labels_, found.labels) > 0.99
    assert np.median(np.abs(theirs.probabilities_ - found.strengths)) < 1e-9


@pytest.mark.parametrize("name", SETS)
def test_a_weight_stands_for_as_many_equal_points(name):
    rows = SETS[name]
    copies = np.random.default_rng(4).integers(1, 5, len(rows))
    cores = cores_of(rows)
    options = {"min_cluster_size": 40, "selection": "eom"}
    weighted = dense_groups(rows, copies.astype(float), cores, **options)
    repeated = dense_groups(np.repeat(rows, copies, axis=0), np.ones(copies.sum()), np.repeat(cores, copies), **options)
    assert len(weighted.births) == len(repeated.births) > 1
    np.testing.assert_allclose(weighted.births, repeated.births)
    assert adjusted_rand_score(np.repeat(weighted.labels, copies), repeated.labels) > 0.99
    unweighted = dense_groups(rows, np.ones(len(rows)), cores, min_cluster_size=3 * len(rows) // 4, selection="eom")
    assert not len(unweighted.births)


@pytest.mark.parametrize("name", SETS)
def test_the_tree_is_the_shortest_and_leaves_the_points_as_they_are(name):
    rows, cores = SETS[name].copy(), cores_of(SETS[name])
    ends, lengths = spanning_tree(rows, cores, device=DEVICE)
    assert np.array_equal(rows, SETS[name])
    gaps = np.maximum(np.linalg.norm(rows[:, None] - rows[None], axis=2), np.maximum(cores[:, None], cores[None]))

    assert lengths.sum() == pytest.approx(minimum_spanning_tree(gaps).sum())
    np.testing.assert_allclose(lengths, gaps[ends[:, 0], ends[:, 1]])


@pytest.mark.parametrize("scale", [2.0**-60, 2.0**60])
def test_no_square_overflows_or_vanishes(scale):
    rows = SETS["moons"].astype(np.float32)
    plain = dense_groups(rows, np.ones(500), cores_of(rows), min_cluster_size=15, selection="eom")
    scaled = rows * np.float32(scale)
    found = dense_groups(scaled, np.ones(500), cores_of(rows) * scale, min_cluster_size=15, selection="eom")
    assert np.array_equal(found.labels, plain.labels)


def test_a_single_heavy_point_is_a_group():
    rows = np.concatenate([SETS["blobs"][:300], [[50.0, 50.0]]])
    weights = np.append(np.ones(300), 200.0)
    cores = np.append(cores_of(rows[:300]), 0.0)
    found = dense_groups(rows, weights, cores, min_cluster_size=40, selection="eom")
    assert found.labels[-1] >= 0
    assert (found.labels == found.labels[-1]).sum() == 1
    assert found.strengths[-1] == 1.0


def test_one_point_is_noise():
    found = dense_groups(np.ones((1, 2)), np.ones(1), np.zeros(1), min_cluster_size=2, selection="eom")
    assert found.labels.tolist() == [-1]
    assert found.strengths.tolist() == [0.0]


@pytest.mark.parametrize(("values", "n", "d"), [(20, 1_000, 1), (4, 2_000, 1), (2, 3_000, 2), (2, 900, 3)])
def test_every_heavy_point_may_be_a_cluster(values, n, d):
    """As many clusters as there can be: more than points."""
    rows = np.random.default_rng(n).integers(0, values, (n, d)).astype(float)
    points, counts = np.unique(rows, axis=0, return_counts=True)
    found = hierarchy_of(points, counts.astype(float), np.zeros(len(points)), least=25.0, device=DEVICE)
    assert len(found.parents) > len(points)
    groups = found.groups("leaf")
    assert sorted(groups.labels.tolist()) == list(range(len(points)))
