"""The CUDA kernels of `assign_accumulate`, emulated: labels, distances and sums with the bits of the CPU's."""

import logging

import numpy as np
import pytest

from gpuseg.engine.coarse import coarse_rows, rounded_rows
from gpuseg.engine.cpu.lloyd import lloyd_pass
from gpuseg.engine.gpu import lloyd, lloyd_kernel
from gpuseg.engine.gpu.lloyd import Lloyd
from gpuseg.engine.gpu.lloyd_kernel import LloydKernels, Wanted
from gpuseg.engine.gpu.shapes import GROUP, MOST_FEATURES, whole
from tests.kernels.emulated import COMPILER, EmulatedKernel, emulated_libraries

pytestmark = pytest.mark.skipif(COMPILER is None, reason="no C++ compiler")

SUMS, LABELS, SECOND = Wanted(sums=True), Wanted(labels=True), Wanted(sums=True, second=True)
SMALL_SHARED_BYTES = 60_000


@pytest.fixture(scope="module")
def libraries():
    return emulated_libraries()


@pytest.fixture
def kernels(libraries):
    return LloydKernels(libraries)


@pytest.fixture
def kernels_in_parts(libraries, monkeypatch):
    """Kernels on a device with little shared memory, which takes centers part by part."""
    found = LloydKernels(libraries)
    monkeypatch.setitem(found._attributes, "MaxSharedMemoryPerBlockOptin", SMALL_SHARED_BYTES)
    return found


def on_grid(values):
    return (np.rint(np.asarray(values, np.float64) * 2**20) / 2**20).astype(np.float32)


def draw(n, d, k, seed=0):
    rng = np.random.default_rng([seed, n, d, k])
    rows = on_grid(np.clip(rng.normal(size=(n, d)), -6, 6))
    return rows, rows[rng.integers(0, n, k)] + np.float32(0.25)


def run(kernels, rows, centers, wanted, *, parts=False):
    rows = rows if hasattr(rows, "_value") else kernels.cupy.asarray(rows)
    shape, n_groups = kernels.shape_for(rows, len(centers), wanted)
    assert bool(n_groups) is parts
    return kernels.run(rows, centers, shape, n_groups, wanted)


def host(kernels, found):
    return [None if a is None else kernels.cupy.asnumpy(a) for a in (found.labels, found.nearest, found.second)]


def check(kernels, rows, centers, *, parts=False):
    """Everything that each form of a pass gives is what the CPU gives."""
    expected = lloyd_pass(rows, centers, want_labels=True)
    for wanted in (SUMS, LABELS, SECOND):
        found = run(kernels, rows, centers, wanted, parts=parts)
        labels, nearest, second = host(kernels, found)
        if wanted.sums:
            assert found.sums.tolist() == expected.sums.tolist()
            assert found.counts.tolist() == expected.counts.tolist()
            assert found.inertia == pytest.approx(expected.inertia, rel=1e-12)
        assert (labels is None) is (wanted == SUMS)
        if labels is not None:
            assert labels.tolist() == expected.labels.tolist()
        if wanted.second:
            assert nearest.tolist() == expected.nearest.tolist()
            assert second.tolist() == expected.second.tolist()


SHAPES = [
    (1, 1, 1), (33, 1, 3), (500, 2, 2), (700, 3, 8), (31, 4, 9), (600, 8, 64), (1_500, 16, 33), (900, 17, 5),
    (2_000, 32, 70), (400, 33, 300), (150, 64, 20), (200, 70, 12), (120, 128, 40),
]  # fmt: skip


@pytest.mark.parametrize(("n", "d", "k"), SHAPES)
def test_the_bits_of_the_cpu(kernels, n, d, k):
    check(kernels, *draw(n, d, k))


@pytest.mark.parametrize(("n", "d", "k"), [(300, 16, 300), (500, 8, 1_000), (90, 32, 200)])
def test_centers_part_by_part(kernels_in_parts, n, d, k):
    check(kernels_in_parts, *draw(n, d, k), parts=True)


@pytest.mark.parametrize("kind", ["kernels", "kernels_in_parts"])
def test_equal_centers_and_rows_half_way(kind, request):
    rows, centers = draw(600, 8, 600)
    centers[300:] = centers[:300]
    rows = np.rint(rows) + np.float32(0.5)
    centers[:60] = np.rint(centers[:60])
    check(request.getfixturevalue(kind), rows, centers, parts=kind == "kernels_in_parts")


@pytest.mark.parametrize(("n", "d", "k"), [(700, 3, 8), (600, 8, 64), (900, 17, 5), (1_000, 32, 70), (120, 128, 40)])
def test_coarse_rows(kernels, n, d, k):
    rows, centers = draw(n, d, k)
    coarse = coarse_rows(kernels.cupy, kernels.cupy.asarray(rows), np.float32(0))
    rounded = rounded_rows(rows, np.float32(0))
    expected = lloyd_pass(rounded, centers, want_labels=True)
    for wanted in (SUMS, LABELS, SECOND):
        shape, n_groups = kernels.shape_for(coarse, k, wanted)
        assert shape.coarse
        found = kernels.run(coarse, centers, shape, n_groups, wanted)
        labels, nearest, second = host(kernels, found)
        if wanted.sums:
            assert found.sums.tolist() == expected.sums.tolist()
            assert found.inertia == pytest.approx(expected.inertia, rel=1e-12)
        assert labels is None or labels.tolist() == expected.labels.tolist()
        if wanted.second:
            assert (nearest.tolist(), second.tolist()) == (expected.nearest.tolist(), expected.second.tolist())


def test_coarse_rows_part_by_part(kernels_in_parts):
    rows, centers = draw(300, 16, 300)
    coarse = coarse_rows(kernels_in_parts.cupy, kernels_in_parts.cupy.asarray(rows), np.float32(0))
    shape, n_groups = kernels_in_parts.shape_for(coarse, 300, SECOND)
    assert n_groups
    found = kernels_in_parts.run(coarse, centers, shape, n_groups, SECOND)
    expected = lloyd_pass(rounded_rows(rows, np.float32(0)), centers, want_labels=True)
    assert host(kernels_in_parts, found)[0].tolist() == expected.labels.tolist()
    assert found.sums.tolist() == expected.sums.tolist()


def test_coarse_rows_that_integers_cannot_hold_are_done_in_float32(libraries):
    rows, centers = draw(300, 4, 3)
    rows[1, 2], rows[:, 0] = 1_500, on_grid(rows[:, 0] * 1e-3)
    coarse = coarse_rows(libraries.cupy, libraries.cupy.asarray(rows), np.float32(0))
    found = Lloyd(libraries).pass_over(coarse, centers, want_labels=True)
    expected = lloyd_pass(rounded_rows(rows, np.float32(0)), centers, want_labels=True)
    assert found.sums.tolist() == expected.sums.tolist()
    assert libraries.cupy.asnumpy(found.labels).tolist() == expected.labels.tolist()
    assert Lloyd(libraries).nearest(coarse, centers).tolist() == found.labels.tolist()


def test_second_centers_that_lie_close_together(kernels):
    rng = np.random.default_rng(5)
    rows = on_grid(rng.normal(size=(400, 8)) * 0.01)
    centers = np.zeros((9, 8), np.float32)
    centers[1:] = 2 + rng.integers(0, 4, (8, 8)) * 2.0**-20
    check(kernels, rows, centers)


@pytest.mark.parametrize("wanted", [LABELS, Wanted(second=True)])
def test_few_rows_are_compared_with_all_centers(libraries, monkeypatch, wanted):
    source, right = lloyd_kernel.source(), "if (which == lane) found = exact;"
    assert source.count(right) == 1
    monkeypatch.setattr(lloyd_kernel, "source", lambda: source.replace(right, "if (which == lane) found.label = -1;"))
    kernels = LloydKernels(libraries)
    rows, centers = draw(3_000, 16, 64)
    labels = host(kernels, run(kernels, rows, centers, wanted))[0]
    assert 0 < (labels < 0).mean() < 0.02
    right = lloyd_pass(rows, centers, want_labels=True).labels
    assert labels[labels >= 0].tolist() == right[labels >= 0].tolist()


@pytest.mark.parametrize("offset", [1e3, 1e5, 1e7])
def test_groups_far_from_zero(kernels, offset):
    rng = np.random.default_rng(0)
    rows = (offset + rng.integers(0, 3, (400, 4))).astype(np.float32)
    expected = lloyd_pass(rows, rows[:7], want_labels=True)
    labels, nearest, second = host(kernels, run(kernels, rows, rows[:7], Wanted(second=True)))
    assert labels.tolist() == expected.labels.tolist()
    assert nearest.tolist() == expected.nearest.tolist()
    assert second.tolist() == expected.second.tolist()


@pytest.mark.parametrize("scale", [1e-44, 1e-38, 1e-30, 1e-21, 1e-20, 1e-19, 1e-12, 1e12, 1e18, 3e19, 1e30])
def test_values_of_any_size(kernels, scale):
    rows, centers = draw(300, 8, 20)
    rows, centers = (np.asarray(values * np.float64(scale), np.float32) for values in (rows, centers))
    with np.errstate(over="ignore"):
        expected = lloyd_pass(rows, centers, want_labels=True)
    labels, nearest, second = host(kernels, run(kernels, rows, centers, Wanted(second=True)))
    assert labels.tolist() == expected.labels.tolist()
    assert nearest.tolist() == expected.nearest.tolist()
    assert second.tolist() == expected.second.tolist()


def test_ranks_that_overflow_before_distances_do(kernels):
    one, other = np.zeros((9, 2), np.float32), np.zeros((6, 17), np.float32)
    one[0, 0], one[2:, 0], one[2:, 1] = 3e19, -1e18 * np.arange(1, 8), 8e18
    rows = np.zeros((32, 2), np.float32)
    rows[:, 0] = 1.6e19
    other[0, [0, 16]], other[1, [0, 16]] = (2e19, 8e18), (-2e19, -8e18)
    other[2, [0, 16]] = 1.3e19, -2e18
    other[3], other[4, 1], other[5, 1] = -other[2], 1e18, -1e18
    wide = np.zeros((32, 17), np.float32)
    wide[:, [0, 16]] = 2.9e19, -8e18
    for points, centers in ((rows, one), (wide, other)):
        expected = lloyd_pass(points, centers, want_labels=True)
        assert host(kernels, run(kernels, points, centers, LABELS))[0].tolist() == expected.labels.tolist()


def test_columns_whose_first_values_are_zero(kernels):
    rng = np.random.default_rng(7)
    rows = rng.normal(size=(5_000, 8)).astype(np.float32)
    sampled = np.arange(1_024) * 5_000 // 1_024
    rows[:, 2], rows[:, 5] = rows[:, 2] * np.float32(1e-9), rows[:, 5] * np.float32(1e-30)
    rows[sampled, 2] = rows[sampled, 5] = 0
    centers = rows[:3].copy()
    found, expected = run(kernels, rows, centers, SUMS), lloyd_pass(rows, centers, want_labels=False)
    # The sums cancel, so they are held against the sizes of what is added up.
    off = np.abs(found.sums - expected.sums).max(axis=0) / np.abs(rows).sum(axis=0, dtype=np.float64)
    assert off.max() < 2.0**-24


def test_columns_of_different_sizes(kernels):
    """Products are ranked by the largest column; the others still decide."""
    rows, centers = draw(500, 8, 30)
    rows[:, 0], centers[:, 0] = 5e4, 5e4
    rows[:, 1] = np.rint(rows[:, 1]) * 4096
    expected = lloyd_pass(rows, centers, want_labels=True)
    assert host(kernels, run(kernels, rows, centers, LABELS))[0].tolist() == expected.labels.tolist()


def test_rows_of_no_number(libraries, kernels):
    rows, centers = draw(100, 8, 5)
    rows[40, 3] = np.nan
    expected = lloyd_pass(rows, centers, want_labels=True)
    found = host(kernels, run(kernels, rows, centers, Wanted(second=True)))
    assert found[0].tolist() == expected.labels.tolist()
    assert np.array_equal(found[1], expected.nearest, equal_nan=True)
    assert run(kernels, rows, centers, SUMS) is None


def test_rows_off_the_grid_add_up_alike_in_any_order(kernels):
    rng = np.random.default_rng(3)
    rows = (rng.normal(size=(1_500, 8)) * 10.0 ** np.arange(-4, 4)).astype(np.float32)
    centers = rows[:9].copy()
    exact = np.zeros((9, 8))
    expected = lloyd_pass(rows, centers, want_labels=True)
    np.add.at(exact, expected.labels, rows.astype(np.float64))
    found = run(kernels, rows, centers, SUMS)
    assert found.counts.tolist() == expected.counts.tolist()
    assert (np.abs(found.sums - exact) <= 2.0**-28 * np.abs(rows).max(axis=0) * found.counts[:, None]).all()
    again = run(kernels, rows[rng.permutation(len(rows))], centers, SUMS)
    assert again.sums.tolist() == found.sums.tolist()


@pytest.mark.parametrize("row", [0, 1])
@pytest.mark.parametrize("largest", [300, 513, 1_000])
def test_a_value_far_above_the_others(kernels, largest, row):
    """Powers of two come from some rows, the first among them; where they do not serve all, all are looked at."""
    rows, centers = draw(2_500, 4, 3)
    rows[row, 2] = -largest
    expected = lloyd_pass(rows, centers, want_labels=True)
    found = run(kernels, rows, centers, SUMS)
    assert found.sums.tolist() == expected.sums.tolist()


def test_rows_on_the_grid_that_integers_cannot_hold(kernels):
    rows, centers = draw(200, 4, 3)
    rows[1, 2] = 1_500
    assert run(kernels, rows, centers, SUMS) is None
    # Off the grid there is no promise to keep.
    rows[2, 0] += np.float32(2**-22)
    found, expected = run(kernels, rows, centers, SUMS), lloyd_pass(rows, centers, want_labels=False)
    np.testing.assert_allclose(found.sums, expected.sums, atol=1e-4)


def test_sums_leave_shared_memory_before_they_overflow(libraries, monkeypatch):
    source = lloyd_kernel.source()
    assert source.count("FLUSH_ROWS = 65536") == 1
    monkeypatch.setattr(lloyd_kernel, "source", lambda: source.replace("FLUSH_ROWS = 65536", "FLUSH_ROWS = 1024"))
    kernels = LloydKernels(libraries)
    monkeypatch.setitem(kernels._attributes, "MultiProcessorCount", 1)
    # Two values that keep every bit of the halves busy: 2^29 units and one below, of both signs.
    rows = np.where(np.arange(9_000)[:, None] % 3 == 0, [[-256.0]], [[256 - 2.0**-16]]).astype(np.float32)
    check(kernels, rows, np.array([[0.0]], np.float32))


@pytest.mark.slow
def test_as_many_rows_as_the_halves_of_sums_hold(libraries, monkeypatch):
    kernels = LloydKernels(libraries)
    monkeypatch.setitem(kernels._attributes, "MultiProcessorCount", 1)
    for value in (-256.0, 256 - 2.0**-16):
        rows = np.full((140_000, 1), value, np.float32)
        found = run(kernels, rows, np.array([[0.0]], np.float32), SUMS)
        assert found.sums.tolist() == [[140_000 * value]]


@pytest.mark.parametrize("start", [0, 1, 2, 4])
def test_rows_that_begin_anywhere(kernels, start):
    flat = np.zeros(start + 300 * 8 + 8, np.float32)
    rows, centers = draw(300, 8, 11)
    first = -flat.ctypes.data // 4 % 4 + start
    flat[first : first + rows.size] = rows.ravel()
    placed = kernels.cupy.asarray(flat)
    # The copy may begin elsewhere.
    shifted = (-placed.data.ptr // 4 - -flat.ctypes.data // 4) % 4
    flat = np.roll(flat, shifted)
    placed[:] = kernels.cupy.asarray(flat)
    low = first + shifted
    view = placed[low : low + rows.size].reshape(300, 8)
    found = run(kernels, view, centers, SECOND)
    expected = lloyd_pass(rows, centers, want_labels=True)
    assert found.sums.tolist() == expected.sums.tolist()
    assert host(kernels, found)[0].tolist() == expected.labels.tolist()
    assert kernels.shape_for(view, 11, SECOND)[0].aligned is (start % 4 == 0)


@pytest.mark.parametrize(("d", "k"), [(MOST_FEATURES + 1, 3), (0, 3)])
def test_rows_that_are_too_wide_or_have_nothing(kernels, d, k):
    assert kernels.shape_for(kernels.cupy.asarray(np.zeros((5, d), np.float32)), k, SUMS) is None


def test_other_rows_are_not_theirs(kernels):
    rows, _ = draw(50, 6, 3)
    for other in (rows.astype(np.float64), rows[:0], np.asfortranarray(rows)):
        assert kernels.shape_for(kernels.cupy.asarray(other), 3, SUMS) is None


@pytest.mark.parametrize("k", [1, 7, 8, 64, 256])
@pytest.mark.parametrize("d", [1, 8, 16, 32])
def test_usual_shapes_fit_whole(d, k):
    shape = whole(d, k, aligned=True, with_second=True, with_sums=True, most_bytes=232_448)
    assert shape is not None
    assert shape.warps >= GROUP


# --- before they are believed ---


def passes(libraries, rows, centers, **options):
    found = Lloyd(libraries).pass_over(libraries.cupy.asarray(rows), centers, **options)
    return found.sums, found.counts, libraries.cupy.asnumpy(found.labels)


def test_kernels_that_are_right_are_used_for_all_rows(libraries, monkeypatch, caplog):
    rows, centers = draw(3_000, 8, 6)
    seen = []
    inner = lloyd.plain_pass
    monkeypatch.setattr(
        lloyd, "plain_pass", lambda libraries, rows, *a, **k: seen.append(len(rows)) or inner(libraries, rows, *a, **k)
    )
    device = Lloyd(libraries)
    for _ in range(3):
        found = device.pass_over(libraries.cupy.asarray(rows), centers, want_labels=True)
    assert seen == [2_048]
    assert found.sums.tolist() == lloyd_pass(rows, centers, want_labels=False).sums.tolist()
    assert device.nearest(libraries.cupy.asarray(rows), centers).tolist() == found.labels.tolist()
    assert caplog.records == []


def test_sums_that_cancel_are_believed(libraries, caplog):
    rows = np.random.default_rng(3).normal(size=(1_500, 8))
    rows = (rows - rows.mean(axis=0)).astype(np.float32)
    for _ in range(2):
        Lloyd(libraries).pass_over(libraries.cupy.asarray(rows), np.zeros((1, 8), np.float32), want_labels=False)
    assert caplog.records == []


@pytest.mark.parametrize(
    ("right", "wrong", "what"),
    [
        ("found.first = told, found.label = center;", "found.first = told;", "give other labels"),
        ("FRACTION_BITS = 15", "FRACTION_BITS = 15, OFF = 1", None),
        ("value >> FRACTION_BITS", "value >> 16", "give other sums"),
        ("atomicAdd(counts + found.label, 1)", "atomicAdd(counts + found.label, 2)", "give other counts"),
    ],
)
def test_kernels_that_are_wrong_are_not_believed(libraries, monkeypatch, caplog, right, wrong, what):
    source = lloyd_kernel.source()
    assert source.count(right) == 1
    monkeypatch.setattr(lloyd_kernel, "source", lambda: source.replace(right, wrong))
    rows, centers = draw(400, 8, 6)
    rows[:200] = np.rint(rows[:200]) + np.float32(0.5)
    centers[3:] = np.rint(centers[:3])
    expected = lloyd_pass(rows, centers, want_labels=True)
    with caplog.at_level(logging.WARNING):
        sums, counts, labels = passes(libraries, rows, centers, want_labels=True)
    assert (sums.tolist(), counts.tolist()) == (expected.sums.tolist(), expected.counts.tolist())
    assert labels.tolist() == expected.labels.tolist()
    said = [record.getMessage() for record in caplog.records]
    assert said == ([f"gpu: the kernels for 8 features {what}; slower ones are used"] if what else [])


@pytest.mark.parametrize("kind", ["compile", "launch"])
def test_kernels_that_do_not_run(libraries, monkeypatch, caplog, kind):
    def fail(*_, **__):
        if kind == "compile":
            raise libraries.cupy.cuda.compiler.CompileException("no such architecture")
        raise RuntimeError("cudaErrorInvalidValue")

    if kind == "compile":
        monkeypatch.setattr(LloydKernels, "_kernel", fail)
    else:
        monkeypatch.setattr(EmulatedKernel, "__call__", fail)
    rows, centers = draw(400, 8, 6)
    sums, _, _ = passes(libraries, rows, centers, want_labels=True)
    assert sums.tolist() == lloyd_pass(rows, centers, want_labels=False).sums.tolist()
    name = "CompileException" if kind == "compile" else "RuntimeError"
    line = f"gpu: the kernels for 8 features do not run here ({name}); slower ones are used"
    assert [record.getMessage() for record in caplog.records] == [line]


def test_rows_in_parts_where_memory_ends(libraries, monkeypatch):
    rows, centers = draw(2_500, 8, 6)
    inner = LloydKernels.run

    def short(self, rows, *arguments):
        if len(rows) > 2_100:
            raise MemoryError
        return inner(self, rows, *arguments)

    monkeypatch.setattr(LloydKernels, "run", short)
    sums, counts, labels = passes(libraries, rows, centers, want_labels=True)
    expected = lloyd_pass(rows, centers, want_labels=True)
    assert (sums.tolist(), counts.tolist()) == (expected.sums.tolist(), expected.counts.tolist())
    assert labels.tolist() == expected.labels.tolist()
