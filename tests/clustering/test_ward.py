import numpy as np
import pytest
from scipy.cluster.hierarchy import fcluster, ward
from sklearn.datasets import make_blobs

from gpuseg.clustering.ward import WARD_ROWS, ward_centers


def test_centers_of_blobs_are_found():
    centers = np.array([[0.0, 0.0], [20.0, 0.0], [0.0, 20.0]])
    rows, labels = make_blobs(300, centers=centers, random_state=0)
    (found,) = ward_centers(rows, [3])
    means = np.stack([rows[labels == k].mean(axis=0) for k in range(3)])
    gaps = np.linalg.norm(found[:, None] - means[None], axis=2)
    assert sorted(gaps.argmin(axis=1)) == [0, 1, 2]
    assert gaps.min(axis=1).max() < 1e-9


@pytest.mark.parametrize("k", [1, 2, 7, 39, 40])
def test_every_number_of_clusters_is_that_of_scipy(k):
    rows = np.random.default_rng(5).normal(size=(40, 3))
    (found,) = ward_centers(rows, [k])
    labels = fcluster(ward(rows), k, "maxclust")
    expected = np.stack([rows[labels == each].mean(axis=0) for each in range(1, k + 1)])
    np.testing.assert_allclose(sorted(found.tolist()), sorted(expected.tolist()), atol=1e-12)


def test_only_the_first_rows_count_and_the_type_stays():
    rows = np.random.default_rng(0).normal(size=(WARD_ROWS + 50, 2)).astype(np.float32)
    some, all_of_them = ward_centers(rows[:WARD_ROWS], [2, 3]), ward_centers(rows, [2, 3])
    assert [one.tolist() for one in some] == [one.tolist() for one in all_of_them]
    assert all_of_them[0].dtype == np.float32
