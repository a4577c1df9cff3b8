import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import make_blobs
from sklearn.metrics import silhouette_score

from gpuseg.clustering.choose import choose_segments, n_distinct


@pytest.fixture(scope="session")
def choose(engine):
    def run(rows, candidates=range(2, 9), *, min_share=0.01, seed=0):
        rows = np.ascontiguousarray(rows, np.float32)
        return choose_segments(
            rows,
            list(candidates),
            device=engine.device,
            executor=engine.executor,
            seed=seed,
            min_share=min_share,
            variance=float(rows.var(axis=0).mean()),
        )

    return run


def blobs(k, n=900, seed=3, spread=0.4):
    angles = np.linspace(0, 2 * np.pi, k, endpoint=False)
    return make_blobs(n, centers=np.c_[np.cos(angles), np.sin(angles)] * 8, cluster_std=spread, random_state=seed)[0]


@pytest.mark.parametrize("k", [2, 3, 4, 6])
def test_separate_groups_are_counted(choose, k):
    choice = choose(blobs(k))
    assert choice.segments == k
    assert choice.requested == "auto"
    assert "most clearly" in choice.reason
    assert [candidate.segments for candidate in choice.candidates] == list(range(2, 9))
    best = max(choice.candidates, key=lambda candidate: candidate.silhouette)
    assert best.segments == k


def test_silhouettes_are_those_of_scikit_learn(choose):
    rows = blobs(3).astype(np.float32)
    (candidate,) = choose(rows, [3]).candidates
    labels = (np.linalg.norm(rows[:, None] - rows[None], axis=2) < 6).argmax(axis=1)
    assert candidate.silhouette == pytest.approx(silhouette_score(rows, labels), abs=1e-6)
    assert candidate.smallest_share == pytest.approx(1 / 3)


def test_a_cloud_without_groups_takes_the_elbow_and_says_so(choose):
    rows = np.random.default_rng(0).normal(size=(1_500, 4)) * [2.2, 1, 1, 1]
    choice = choose(rows, range(2, 13))
    assert "no separate groups" in choice.reason
    line = {candidate.segments: candidate.inertia for candidate in choice.candidates}
    first, last = line[2], line[12]
    below = {k: first + (last - first) * (k - 2) / 10 - inertia for k, inertia in line.items()}
    assert choice.segments == max(below, key=below.get)
    assert 2 < choice.segments < 12


def test_noise_is_not_called_clearly_separate(choose):
    rows = np.random.default_rng(0).normal(size=(1_000, 6))
    assert "no separate groups" in choose(rows, range(2, 9)).reason


def test_small_segments_are_not_accepted(choose):
    rows = np.concatenate([blobs(3, 900), [[500.0, 500.0]]])
    choice = choose(rows, range(2, 6), min_share=0.05)
    assert not [c for c in choice.candidates if c.accepted and c.smallest_share < 0.05]
    lone = choose(rows, range(2, 6), min_share=0.0)
    assert all(candidate.accepted for candidate in lone.candidates)
    assert lone.segments == 2


def test_where_nothing_is_accepted_the_most_even_is_taken(choose):
    rows = np.concatenate([blobs(2, 200), [[900.0, 0.0]]])
    choice = choose(rows, range(2, 5), min_share=0.45)
    assert not any(candidate.accepted for candidate in choice.candidates)
    assert choice.reason.startswith("no number keeps every segment above 45%")
    best = max(choice.candidates, key=lambda candidate: candidate.smallest_share)
    assert choice.segments == best.segments


def test_the_same_data_gives_the_same_choice_and_json(choose):
    rows = blobs(3)
    assert choose(rows) == choose(rows.copy())
    content = choose(rows).as_dict()
    assert content["segments"] == 3
    assert content["candidates"][0].keys() == {"segments", "silhouette", "smallest_share", "inertia", "accepted"}


@given(
    rows=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=80), enough=st.integers(1, 12)
)
def test_distinct_rows_are_counted_up_to_enough(rows, enough):
    assert n_distinct(np.array(rows, np.float32), enough=enough) == min(len(set(rows)), enough)
