import itertools
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.cluster import KMeans
from sklearn.datasets import make_blobs

from gpuseg.clustering.kmeans import Fit, Reached, best_of, canonical_order, lloyd
from gpuseg.clustering.passes import labels_for
from gpuseg.clustering.seeding import seed_centers

GRID = 2.0**20


def on_grid(values):
    return (np.rint(np.asarray(values, np.float64) * GRID) / GRID).astype(np.float32)


def blobs(n=1_500, k=5, d=4, seed=0, spread=1.0):
    points, _ = make_blobs(n, d, centers=k, cluster_std=spread, random_state=seed)
    return on_grid((points - points.mean(axis=0)) / points.std(axis=0))


@pytest.fixture(scope="session")
def fit(engine):
    """Lloyd's iterations from given centers over given blocks."""

    def run(blocks, centers, **options):
        on_device = [engine.device.asarray(block) for block in blocks]
        return lloyd(on_device, centers, device=engine.device, executor=engine.executor, **options)

    return run


def nearest(rows, centers):
    distances = ((rows[:, None].astype(np.float64) - centers[None]) ** 2).sum(axis=2)
    return distances.argmin(axis=1), distances.min(axis=1)


def check_consistent(fit, rows):
    """Counts, sums and inertia are those of one assignment of the rows to the returned centers."""
    labels, distances = nearest(rows, fit.centers)
    assert fit.counts.tolist() == np.bincount(labels, minlength=len(fit.centers)).tolist()
    sums = np.zeros(fit.sums.shape)
    np.add.at(sums, labels, rows.astype(np.float64))
    assert fit.sums.tolist() == sums.tolist()
    assert fit.inertia == pytest.approx(distances.sum(), rel=1e-5)


def test_the_result_belongs_to_the_returned_centers(fit):
    rows = blobs()
    found = fit([rows], rows[:5].copy())
    assert isinstance(found, Fit)
    check_consistent(found, rows)
    np.testing.assert_allclose(found.centers, found.sums / found.counts[:, None], atol=1e-4)


@pytest.mark.parametrize("max_iter", [1, 2, 3, 7])
def test_n_updates_then_one_assignment(fit, max_iter):
    """The same as a plain loop of `max_iter` updates, whose last centers are the ones returned."""
    rows = blobs(spread=3.0, seed=3)
    centers = rows[:6].copy()
    found = fit([rows], centers, max_iter=max_iter, tol=0.0)
    expected = centers.astype(np.float64)
    for _ in range(max_iter):
        labels, _ = nearest(rows, expected.astype(np.float32))
        expected = np.array([rows[labels == k].astype(np.float64).mean(axis=0) for k in range(6)])
    assert found.n_iter == max_iter
    assert sorted(found.centers.tolist()) == sorted(expected.astype(np.float32).tolist())
    check_consistent(found, rows)


@pytest.mark.parametrize("max_iter", [1, 4, 300])
def test_labels_are_those_of_the_returned_centers(fit, max_iter):
    rows = blobs(spread=2.0, seed=4)
    labels = np.full(len(rows), -1, np.int32)
    found = fit(np.array_split(rows, 4), rows[:6].copy(), max_iter=max_iter, labels=labels)
    assert labels.tolist() == nearest(rows, found.centers)[0].tolist()
    again = np.full(len(rows), -1, np.int32)
    fit([rows], Reached(found.centers, settled=True), labels=again)
    assert again.tolist() == labels.tolist()


@given(seed=st.integers(0, 10**6), k=st.integers(1, 5))
def test_rows_between_two_centers_get_the_lower_label(fit, seed, k):
    rows = np.random.default_rng(seed).integers(-2, 3, (60, 2)).astype(np.float32)
    start = np.unique(rows, axis=0)[:k]
    labels = np.empty(len(rows), np.int32)
    found = fit([rows[:20], rows[20:]], start, max_iter=2, labels=labels)
    distances = np.zeros((len(rows), len(start)), np.float32)
    for feature in range(2):
        gap = rows[:, feature, None] - found.centers[None, :, feature]
        distances += gap * gap
    assert labels.tolist() == distances.argmin(axis=1).tolist()


@pytest.mark.parametrize("max_iter", [1, 3])
def test_n_updates_take_one_pass_more_with_labels_or_without(engine, max_iter, monkeypatch):
    rows, passes = blobs(spread=3.0), []
    assign_accumulate = engine.device.assign_accumulate

    def counted(*arguments, **options):
        passes.append(options)
        return assign_accumulate(*arguments, **options)

    monkeypatch.setattr(engine.device, "assign_accumulate", counted, raising=False)
    options = {"device": engine.device, "executor": engine.threads, "max_iter": max_iter, "tol": 0.0}
    for labels in (None, np.empty(len(rows), np.int32)):
        passes.clear()
        lloyd([engine.device.asarray(rows)], rows[:5].copy(), labels=labels, **options)
        assert [given["want_labels"] for given in passes] == [False] * max_iter + [labels is not None]


def test_with_tol_zero_it_stops_early_only_where_nothing_moves(fit):
    rows = blobs(spread=0.5)
    found = fit([rows], rows[:5].copy(), max_iter=300, tol=0.0)
    assert found.n_iter < 300
    again = fit([rows], found.centers, max_iter=10, tol=0.0)
    assert again.n_iter == 1
    assert again.centers.tolist() == found.centers.tolist()


def test_a_large_tolerance_stops_at_once(fit):
    rows = blobs()
    assert fit([rows], rows[:5].copy(), tol=1e9).n_iter == 1
    assert fit([rows], rows[:5].copy(), tol=1e-4, variance=1e9).n_iter == 1


def test_updates_are_announced(fit):
    rows = blobs()
    passes = []
    found = fit([rows], rows[:5].copy(), on_pass=lambda _: passes.append(1))
    assert len(passes) == found.n_iter


@given(seed=st.integers(0, 10**6), cuts=st.lists(st.integers(1, 299), max_size=6))
def test_blocks_do_not_change_a_bit(fit, seed, cuts):
    rows = blobs(n=300, seed=seed % 50, spread=2.0)
    centers = rows[np.random.default_rng(seed).choice(300, 4, replace=False)]
    whole = fit([rows], centers)
    edges = [0, *sorted(set(cuts)), 300]
    shuffled = rows[np.random.default_rng(seed).permutation(300)]
    for data in (rows, shuffled):
        parts = fit([data[low:high] for low, high in itertools.pairwise(edges)], centers)
        assert parts.centers.tobytes() == whole.centers.tobytes()
        assert parts.counts.tolist() == whole.counts.tolist()
        assert parts.sums.tobytes() == whole.sums.tobytes()
        assert parts.n_iter == whole.n_iter


@given(
    counts=st.lists(st.integers(0, 3), min_size=1, max_size=8),
    columns=st.integers(1, 3),
    seed=st.integers(0, 10**6),
)
def test_canonical_order_is_size_then_coordinates(counts, columns, seed):
    centers = np.random.default_rng(seed).integers(-1, 2, (len(counts), columns)).astype(np.float32)
    order = canonical_order(np.array(counts), centers)
    keys = [(-counts[at], *centers[at].tolist()) for at in order]
    assert keys == sorted(keys)
    assert sorted(order.tolist()) == list(range(len(counts)))


def test_segments_come_largest_first(fit):
    rows = np.concatenate([blobs(n, 1, 2, seed=n) * 0.01 + n for n in (50, 200, 100)]).astype(np.float32)
    found = fit([on_grid(rows)], on_grid([[50, 50], [100, 100], [200, 200]]))
    assert found.counts.tolist() == [200, 100, 50]
    assert found.centers[:, 0].round().tolist() == [200, 100, 50]


@pytest.mark.parametrize("n_empty", [1, 2, 3])
def test_empty_clusters_move_to_far_rows(fit, n_empty):
    rows = blobs(n=600, k=4, d=2, spread=0.3)
    good = np.array([rows[0], rows[1]])
    far = np.full((n_empty, 2), 100, np.float32) + np.arange(n_empty, dtype=np.float32)[:, None]
    found = fit([rows], np.concatenate([good, far]))
    assert (found.counts > 0).all()
    check_consistent(found, rows)


@given(
    points=st.lists(st.tuples(st.integers(-2, 2), st.integers(-2, 2)), min_size=3, max_size=24),
    k=st.integers(2, 6),
    seed=st.integers(0, 10**6),
)
def test_no_cluster_stays_empty_where_there_are_enough_distinct_rows(fit, points, k, seed):
    rows = np.array(points, np.float32)
    k = min(k, len(set(points)))
    start = rows[np.random.default_rng(seed).integers(len(rows), size=k)]
    found = fit([rows], start)
    assert (found.counts > 0).all()
    assert found.counts.sum() == len(rows)


def test_an_empty_cluster_takes_the_farthest_row(fit):
    rows = on_grid([[0], [1], [2], [50], [3]])
    found = fit([rows], on_grid([[1], [-99]]), max_iter=1)
    assert found.centers[:, 0].tolist() == [np.float32(56 / 5), 50.0]
    assert found.counts.tolist() == [4, 1]


def test_the_farthest_row_does_not_follow_the_blocks(fit):
    """Both rows are equally far but for rounding, which single and double precision round to different sides."""
    rows = on_grid(
        [
            [0.039722442626953125, -0.29245662689208984, -0.7819080352783203],
            [-0.29245662689208984, -0.7819080352783203, 0.039722442626953125],
        ]
    )
    center = np.full(3, -0.2571922540664673, np.float32)
    start = np.stack([center, np.full(3, 1_000, np.float32)])
    whole = fit([rows], start, max_iter=1)
    parts = fit([rows[:1], rows[1:]], start, max_iter=1)
    assert parts.centers.tolist() == whole.centers.tolist()


def test_more_clusters_than_distinct_rows_end(fit):
    rows = np.repeat(on_grid([[0.0], [1.0]]), 5, axis=0)
    found = fit([rows], on_grid([[0.0], [1.0], [5.0], [6.0]]), max_iter=20)
    assert found.inertia == 0.0
    assert found.counts.sum() == 10


def test_the_first_of_equal_starts_wins(engine):
    rows = on_grid([[0, 0], [0, 1], [1, 0], [1, 1]])
    sides = [on_grid([[0, 0.5], [1, 0.5]]), on_grid([[0.5, 0], [0.5, 1]])]
    for starts in (sides, sides[::-1]):
        found = best_of(starts, [engine.device.asarray(rows)], device=engine.device, executor=engine.executor)
        assert sorted(found.centers.tolist()) == sorted(starts[0].tolist())


@given(seed=st.integers(0, 10**6), tol=st.sampled_from([0.0, 1e-4, 1e-1]))
def test_starts_that_share_passes_end_where_each_ends_alone(engine, seed, tol):
    rows = blobs(n=300, seed=seed % 50, spread=3.0)
    draw = np.random.default_rng(seed)
    starts = [rows[draw.choice(300, 4, replace=False)] for _ in range(4)]
    blocks = [engine.device.asarray(block) for block in np.array_split(rows, 3)]
    options = {"device": engine.device, "executor": engine.executor, "tol": tol}
    found = best_of(starts, blocks, **options)
    alone = min((lloyd(blocks, start, **options) for start in starts), key=lambda fit: fit.inertia)
    assert found.centers.tobytes() == alone.centers.tobytes()
    assert (found.inertia, found.n_iter, found.counts.tolist()) == (alone.inertia, alone.n_iter, alone.counts.tolist())


def test_starts_share_the_reading_of_blocks(engine):
    rows, asked = blobs(spread=3.0), []

    def block(device):
        asked.append(1)
        return device.asarray(rows)

    starts = seed_centers(rows, 5, n_starts=6, seed=0)
    options = {"device": engine.device, "executor": engine.threads, "max_iter": 4, "tol": 0.0}
    best_of(starts, [block], **options)
    assert len(asked) == 5


@given(seed=st.integers(0, 10**6), cuts=st.lists(st.integers(1, 199), max_size=4))
def test_a_weight_counts_as_so_many_rows(fit, seed, cuts):
    rows = blobs(n=200, seed=seed % 50, spread=2.0)
    weights = np.random.default_rng(seed).integers(1, 4, 200)
    edges = [0, *sorted(set(cuts)), 200]
    pieces = list(itertools.pairwise(edges))
    parts = [weights[low:high] for low, high in pieces]
    labels = np.empty(200, np.int32)
    found = fit([rows[low:high] for low, high in pieces], rows[:4], weights=parts, labels=labels)
    repeated = fit([np.repeat(rows, weights, axis=0)], rows[:4])
    assert found.centers.tobytes() == repeated.centers.tobytes()
    assert found.counts.tolist() == repeated.counts.tolist()
    assert found.sums.tolist() == repeated.sums.tolist()
    assert labels.tolist() == float32_labels(rows, found.centers)


def float32_labels(rows, centers):
    distances = np.zeros((len(rows), len(centers)), np.float32)
    for feature in range(rows.shape[1]):
        gap = rows[:, feature, None] - centers[None, :, feature]
        distances += gap * gap
    return distances.argmin(axis=1).tolist()


@pytest.mark.parametrize("k", [2, 3, 5, 8])
@pytest.mark.parametrize("spread", [0.5, 2.0])
def test_as_good_as_scikit_learn(engine, k, spread):
    rows = blobs(k=max(k, 4), spread=spread, seed=k)
    starts = seed_centers(rows, k, n_starts=10, seed=0)
    found = best_of(starts, [engine.device.asarray(rows)], device=engine.device, executor=engine.executor)
    reference = KMeans(k, n_init=20, random_state=0).fit(rows).inertia_
    assert found.inertia <= reference * 1.002


@pytest.mark.parametrize(
    ("k", "kind"), [(1, "int8"), (128, "int8"), (129, "int16"), (32_768, "int16"), (32_769, "int32")]
)
def test_labels_take_as_few_bytes_as_hold_them(k, kind):
    labels = labels_for(3, k)
    labels[:] = k - 1
    assert (labels.dtype, labels.tolist()) == (kind, [k - 1] * 3)


@pytest.mark.parametrize("k", [128, 129])
def test_labels_of_many_segments(engine, k):
    rows = np.repeat(np.arange(k, dtype=np.float32)[:, None] * 4, 2, axis=1)
    labels = labels_for(k, k)
    found = lloyd([rows], rows, device=engine.device, executor=engine.executor, max_iter=1, labels=labels)
    assert (found.centers[labels] == rows).all()


def test_centers_without_rows_stay_where_every_row_has_one(fit):
    rows = np.repeat(np.random.default_rng(1).normal(size=(40, 3)), 3, axis=0)
    start = np.concatenate([rows[::3] + 0.01, rows[:90:3] + 500])
    found = fit([rows], start, max_iter=300, tol=0.0)
    assert found.n_iter < 10
    assert found.inertia < 1e-20
    assert (found.counts == 0).sum() == 30


def test_empty_clusters_among_few_values_take_little_memory(fit):
    rows = np.random.default_rng(2).integers(0, 2, (60_000, 20)).astype(np.float32)
    start = np.repeat(rows[:10], 8, axis=0)
    tracemalloc.start()
    try:
        found = fit([rows], start, max_iter=3)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (found.counts > 0).all()
    assert peak < 6 * rows.nbytes
