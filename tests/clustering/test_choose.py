from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import make_blobs, make_moons
from sklearn.metrics import silhouette_score

from gpuseg.clustering.choose import choose_segments, n_distinct
from gpuseg.clustering.decision import Candidate, decide
from gpuseg.engine.local import LocalExecutor

KEYS = [
    "segments",
    "silhouette",
    "davies_bouldin",
    "calinski_harabasz",
    "prediction_strength",
    "stability",
    "groups",
    "smallest_share",
    "inertia",
    "accepted",
]


@pytest.fixture(scope="session")
def choose(engine):
    def run(rows, candidates=range(2, 9), *, min_share=0.01, seed=0, executor=None):
        rows = np.ascontiguousarray(rows, np.float32)
        return choose_segments(
            rows,
            list(candidates),
            device=engine.device,
            executor=executor or engine.executor,
            seed=seed,
            min_share=min_share,
            variance=float(rows.var(axis=0).mean()),
        )

    return run


def blobs(k, n=900, seed=3, spread=0.4):
    angles = np.linspace(0, 2 * np.pi, k, endpoint=False)
    return make_blobs(n, centers=np.c_[np.cos(angles), np.sin(angles)] * 8, cluster_std=spread, random_state=seed)[0]


def candidate(segments, **measured):
    """A candidate of a continuum unless told otherwise."""
    usual = {
        "silhouette": 0.2,
        "davies_bouldin": 1.5,
        "calinski_harabasz": 500.0,
        "prediction_strength": 0.5,
        "stability": 0.5,
        "groups": 1,
        "smallest_share": 0.1,
        "inertia": 100.0 / segments,
        "accepted": True,
    }
    return Candidate(segments=segments, **(usual | measured))


# --- known data ---


@pytest.mark.parametrize("k", [2, 3, 4, 6])
def test_separate_groups_are_counted(choose, k):
    choice = choose(blobs(k))
    assert choice.segments == k
    assert choice.requested == "auto"
    assert choice.reason.startswith(f"{k} is the largest number of segments that come out again on other profiles")
    assert [tried.segments for tried in choice.candidates] == list(range(2, 9))
    chosen = choice.candidates[k - 2]
    assert chosen.groups == k
    assert chosen.prediction_strength == pytest.approx(1.0)
    assert chosen.stability == pytest.approx(1.0)


@pytest.mark.parametrize("seed", range(3))
def test_blobs_of_unequal_size_are_counted(choose, seed):
    centers = np.eye(4) * 12
    rows = make_blobs([1_500, 800, 300, 90], centers=centers, random_state=seed)[0]
    assert choose(rows, range(2, 9), seed=seed).segments == 4


@pytest.mark.parametrize("seed", range(3))
def test_blobs_of_unequal_spread_are_counted(choose, seed):
    rows = make_blobs(1_500, centers=np.eye(5) * 14, cluster_std=[0.3, 0.6, 1, 1.5, 2], random_state=seed)[0]
    assert choose(rows, range(2, 9), seed=seed).segments == 5


def test_long_groups_are_not_cut_into_more(choose):
    rows = make_blobs(2_000, centers=np.array([[0.0, 0, 0], [0, 12, 0], [0, 0, 12]]), random_state=0)[0]
    rows[:, 0] *= 4
    choice = choose(rows)
    assert choice.segments == 3
    more = choice.candidates[2]
    assert (more.segments, more.groups) == (4, 3)


@pytest.mark.parametrize("shape", ["ball", "cube", "long ball", "skewed"])
def test_a_cloud_without_gaps_is_said_to_have_none(choose, shape):
    draw = np.random.default_rng(0)
    rows = {
        "ball": draw.normal(size=(1_500, 6)),
        "cube": draw.uniform(size=(1_500, 2)),
        "long ball": draw.normal(size=(1_500, 4)) * [4, 1, 1, 1],
        "skewed": draw.gamma(2, size=(1_500, 4)),
    }[shape]
    choice = choose(rows, range(2, 13))
    assert choice.reason.startswith("no number leaves gaps between most of the segments")
    assert 2 <= choice.segments <= 6
    assert all(tried.groups == 1 for tried in choice.candidates if tried.segments <= 6)


def test_shapes_that_k_means_can_only_slice_are_not_called_groups(choose):
    choice = choose(make_moons(1_500, noise=0.05, random_state=0)[0])
    assert "no number leaves gaps" in choice.reason


def test_silhouettes_are_those_of_scikit_learn(choose):
    rows = blobs(3).astype(np.float32)
    (tried,) = choose(rows, [3]).candidates
    labels = (np.linalg.norm(rows[:, None] - rows[None], axis=2) < 6).argmax(axis=1)
    assert tried.silhouette == pytest.approx(silhouette_score(rows, labels), abs=1e-5)
    assert tried.smallest_share == pytest.approx(1 / 3)


def test_small_segments_are_not_accepted(choose):
    rows = np.concatenate([blobs(3, 900), [[500.0, 500.0]]])
    choice = choose(rows, range(2, 6), min_share=0.05)
    assert not [tried for tried in choice.candidates if tried.accepted and tried.smallest_share < 0.05]
    lone = choose(rows, range(2, 6), min_share=0.0)
    assert all(tried.accepted for tried in lone.candidates)


def test_where_nothing_is_accepted_the_most_even_is_taken(choose):
    rows = np.concatenate([blobs(2, 200), [[900.0, 0.0]]])
    choice = choose(rows, range(2, 5), min_share=0.45)
    assert not any(tried.accepted for tried in choice.candidates)
    assert choice.reason.startswith("no number keeps every segment above 45%")
    best = max(choice.candidates, key=lambda tried: tried.smallest_share)
    assert choice.segments == best.segments


def test_few_rows_have_a_choice(choose):
    assert choose([[0.0], [1.0], [9.0]], [2]).segments == 2
    assert choose(blobs(2, 12), range(2, 9)).segments in range(2, 9)


def test_the_same_data_gives_the_same_choice_and_json(choose):
    rows = blobs(3)
    assert choose(rows) == choose(rows.copy())
    content = choose(rows).as_dict()
    assert content["segments"] == 3
    assert list(content["candidates"][0]) == KEYS


def test_threads_do_not_matter(choose):
    rows = np.random.default_rng(0).normal(size=(900, 5))
    found = []
    for n_threads in (1, 3):
        executor = LocalExecutor(n_threads)
        found.append(choose(rows, range(2, 7), executor=executor))
        executor.close()
    assert found[0] == found[1]


def test_only_the_first_rows_count(choose, monkeypatch):
    monkeypatch.setattr("gpuseg.clustering.choose.CHOICE_ROWS", 600)
    rows = np.random.default_rng(0).permutation(blobs(3, 900))
    assert asdict(choose(rows[:600], [2, 3]))["candidates"] == asdict(choose(rows, [2, 3]))["candidates"]


# --- the rule ---


def test_the_finest_division_with_gaps_everywhere_wins_over_a_coarser_silhouette():
    tried = [
        candidate(2, groups=2, prediction_strength=1.0, stability=1.0, silhouette=0.5),
        candidate(3, groups=3, prediction_strength=0.9, stability=0.9, silhouette=0.4),
        candidate(4, groups=3, prediction_strength=0.9, stability=0.9, silhouette=0.35),
    ]
    choice = decide(tried, n_rows=1_000, min_share=0.01)
    assert choice.segments == 3
    assert choice.reason == (
        "3 is the largest number of segments that come out again on other profiles (prediction strength 0.90, "
        "stability 0.90) with gaps between all of them"
    )


def test_gaps_everywhere_need_no_prediction_but_stability():
    tried = [candidate(2), candidate(3, groups=3, stability=0.8), candidate(4)]
    assert decide(tried, n_rows=1_000, min_share=0.01).segments == 3
    tried[1] = candidate(3, groups=3, stability=0.7)
    assert "no number leaves gaps" in decide(tried, n_rows=1_000, min_share=0.01).reason


def test_groups_are_counted_where_k_means_cuts_one_of_them():
    tried = [candidate(2), candidate(3), candidate(4, groups=3, prediction_strength=0.85, stability=0.9)]
    choice = decide(tried, n_rows=1_000, min_share=0.01)
    assert choice.segments == 3
    assert choice.reason.endswith("once those without a gap between them are joined, 3 groups are left")


def test_slices_that_come_out_again_are_no_groups():
    tried = [candidate(k, prediction_strength=0.95, stability=0.95) for k in (2, 3, 4, 5)]
    assert "no number leaves gaps" in decide(tried, n_rows=1_000, min_share=0.01).reason
    few = [candidate(2), candidate(6, groups=3, prediction_strength=0.95), candidate(7)]
    assert "no number leaves gaps" in decide(few, n_rows=1_000, min_share=0.01).reason


def test_the_nearest_number_allowed_is_taken():
    tried = [candidate(6, groups=4, prediction_strength=0.9), candidate(7, groups=4)]
    choice = decide(tried, n_rows=1_000, min_share=0.01)
    assert choice.segments == 6
    assert choice.reason.endswith("4 groups are left; 6 is the nearest number allowed")


def peak(**measured):
    usual = {"silhouette": 0.4, "groups": 4, "stability": 0.9, "davies_bouldin": 1.0}
    return [
        candidate(2, groups=2, stability=0.9, silhouette=0.3),
        candidate(4, groups=3),
        candidate(5, **(usual | measured)),
    ]


def test_a_finer_peak_of_the_silhouette_counts():
    choice = decide(peak(), n_rows=1_000, min_share=0.01)
    assert choice.segments == 5
    assert choice.reason.startswith("5 segments separate the profiles most clearly (mean silhouette 0.40)")
    assert decide(peak(davies_bouldin=2.0, calinski_harabasz=900.0), n_rows=1_000, min_share=0.01).segments == 5


@pytest.mark.parametrize("wrong", [{"groups": 3}, {"stability": 0.7}, {"davies_bouldin": 2.0}])
def test_a_peak_counts_only_with_gaps_stability_and_another_index(wrong):
    assert decide(peak(**wrong), n_rows=1_000, min_share=0.01).segments == 2


def test_a_peak_below_structure_does_not_count():
    tried = [candidate(2, groups=2, stability=0.9, silhouette=0.2), *peak(silhouette=0.24)[1:]]
    assert decide(tried, n_rows=1_000, min_share=0.01).segments == 2


def test_of_equal_peaks_the_fewest_segments_count():
    tried = [*peak(), candidate(6, silhouette=0.402, groups=6, davies_bouldin=0.8)]
    assert decide(tried, n_rows=4_000, min_share=0.01).segments == 5


def test_a_continuum_is_cut_at_the_elbow_or_at_the_nearest_stable_number():
    inertia = {2: 100.0, 3: 75.0, 4: 56.0, 5: 40.0, 6: 38.0, 7: 36.0, 8: 34.0}
    stable = [candidate(k, inertia=value, stability=0.8) for k, value in inertia.items()]
    choice = decide(stable, n_rows=1_000, min_share=0.01)
    assert choice.segments == 5
    assert choice.reason.endswith("beyond 5, more segments are only slightly tighter")
    some = [candidate(k, inertia=value, stability=0.8 if k in (2, 3, 7) else 0.6) for k, value in inertia.items()]
    choice = decide(some, n_rows=1_000, min_share=0.01)
    assert choice.segments == 3
    assert "beyond 5," in choice.reason
    assert choice.reason.endswith("3 is the nearest number that comes out again on resampled profiles (stability 0.80)")
    late = [candidate(k, inertia=value, stability=0.8 if k > 6 else 0.6) for k, value in inertia.items()]
    assert decide(late, n_rows=1_000, min_share=0.01).segments == 7


def test_without_any_stable_number_the_most_stable_is_taken():
    tried = [candidate(2, stability=0.5), candidate(3, stability=0.6), candidate(4, stability=0.4)]
    choice = decide(tried, n_rows=1_000, min_share=0.01)
    assert choice.segments == 3
    assert choice.reason.endswith("3 comes nearest (stability 0.60)")


def test_what_is_not_accepted_is_not_taken():
    whole = {"groups": 3, "prediction_strength": 1.0, "stability": 1.0}
    tried = [candidate(2, groups=2, stability=0.8), candidate(3, **whole, accepted=False)]
    assert decide(tried, n_rows=1_000, min_share=0.01).segments == 2


@given(
    rows=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=80), enough=st.integers(1, 12)
)
def test_distinct_rows_are_counted_up_to_enough(rows, enough):
    assert n_distinct(np.array(rows, np.float32), enough=enough) == min(len(set(rows)), enough)
