import numpy as np
import pytest
from sklearn.datasets import make_blobs

from gpuseg.clustering.stability import (
    RESAMPLES,
    SPLITS,
    labels_of,
    prediction_strength,
    recovery,
    reproducibility,
)
from gpuseg.engine.local import LocalExecutor


@pytest.fixture
def measure(engine):
    def run(rows, fitted, *, seed=0, executor=None):
        rows = np.ascontiguousarray(rows, np.float32)
        fitted = [np.ascontiguousarray(centers, np.float32) for centers in fitted]
        executor = executor or engine.executor
        return reproducibility(rows, fitted, device=engine.device, executor=executor, seed=seed, variance=1.0)

    return run


def test_prediction_strength_by_hand():
    # Of the first cluster's three pairs one stays together, of the second cluster's one pair that one.
    assert prediction_strength(np.array([0, 0, 0, 1, 1]), np.array([0, 0, 1, 1, 1])) == pytest.approx(1 / 3)
    assert prediction_strength(np.array([0, 0, 1, 1]), np.array([1, 1, 0, 0])) == 1.0
    assert prediction_strength(np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])) == 0.0


def test_a_cluster_of_one_row_predicts_nothing():
    assert prediction_strength(np.array([0, 0, 0, 1]), np.array([0, 0, 0, 1])) == 0.0


def test_recovery_by_hand():
    # Rows 0, 1, 2 against 0, 1: two of three; rows 3, 4 against 2, 3, 4: two of three.
    np.testing.assert_allclose(recovery(np.array([0, 0, 0, 1, 1]), np.array([1, 1, 0, 0, 0])), [2 / 3, 2 / 3])
    assert recovery(np.array([0, 0, 1]), np.array([1, 1, 0])).tolist() == [1.0, 1.0]


def test_clusters_without_rows_do_not_count():
    assert recovery(np.array([0, 0, 2]), np.array([0, 0, 1])).tolist() == [1.0, 1.0]
    assert prediction_strength(np.array([0, 0, 2, 2]), np.array([0, 0, 1, 1])) == 1.0


def test_blobs_come_out_again_and_halves_of_a_ball_do_not(measure):
    centers = np.array([[0.0, 0.0, 0.0], [9.0, 0.0, 0.0], [0.0, 9.0, 0.0]])
    (found,) = measure(make_blobs(900, centers=centers, random_state=0)[0], [centers])
    assert (found.prediction_strength, found.stability) == (1.0, 1.0)
    ball = np.random.default_rng(0).normal(size=(900, 8))
    (two, four) = measure(ball, [ball[:2], ball[:4]])
    assert two.prediction_strength < 0.8
    assert four.prediction_strength < 0.5
    assert four.stability < 0.75


def test_more_clusters_than_blobs_are_not_predicted(measure):
    rows = make_blobs(900, centers=np.array([[0.0, 0.0], [12.0, 0.0]]), random_state=0)[0]
    two, three = measure(rows, [np.array([[0.0, 0.0], [12.0, 0.0]]), np.array([[0.0, -1.0], [0.0, 1.0], [12.0, 0.0]])])
    assert two.prediction_strength == 1.0
    assert three.prediction_strength < 0.8


def test_threads_do_not_matter_and_the_seed_does(measure):
    rows = np.random.default_rng(0).normal(size=(400, 3))
    fitted = [rows[:k] for k in (2, 3, 4)]
    alone, three = LocalExecutor(1), LocalExecutor(3)
    try:
        found = measure(rows, fitted, executor=alone)
        assert measure(rows, fitted, executor=three) == found
        assert measure(rows, fitted, seed=1, executor=alone) != found
    finally:
        alone.close()
        three.close()


def test_only_the_first_rows_count(measure, monkeypatch):
    monkeypatch.setattr("gpuseg.clustering.stability.REFIT_ROWS", 300)
    rows = np.random.default_rng(0).normal(size=(500, 3))
    assert measure(rows, [rows[:2]]) == measure(rows[:300], [rows[:2]])


def test_more_clusters_than_half_of_the_rows_are_zero(measure):
    rows = np.repeat([[0.0, 0.0], [5.0, 5.0]], 3, axis=0)
    two, four = measure(rows, [rows[[0, 3]], rows[[0, 1, 3, 4]]])
    assert two.stability > 0
    assert (four.prediction_strength, four.stability) == (0.0, 0.0)
    assert measure(rows[:3], [rows[:2]])[0].stability == 0.0


def test_labels_are_nearest_centers(device):
    rows = np.array([[0.0], [1.0], [9.0]], np.float32)
    assert labels_of(rows, device)(np.array([[10.0], [0.0]], np.float32)).tolist() == [1, 1, 0]


def test_the_numbers_of_refits_are_the_documented_ones():
    assert (SPLITS, RESAMPLES) == (5, 10)
