"""The candidate's CUDA kernels, emulated: group-bys with the bits of NumPy's; and the script that is to time them."""

import json

import numpy as np
import pytest

from tests.kernels.emulated import COMPILER, emulated_libraries

pytestmark = pytest.mark.skipif(COMPILER is None, reason="no C++ compiler")

LEAST, MOST = np.iinfo(np.int64).min, np.iinfo(np.int64).max
ROWS = 9_000
"""More than all blocks of the emulated device take at a time, so that threads take several rows."""


@pytest.fixture(scope="module")
def cupy():
    return emulated_libraries().cupy


@pytest.fixture
def kernel(load):
    return load("group_by_kernel")


@pytest.fixture
def attempts(kernel, monkeypatch):
    """Slots of every table that was filled."""
    found = []
    call = kernel.Kernels.call

    def noted(self, name, n_items, arguments, **keywords):
        if name == "clear_table":
            found.append(int(arguments[1]))
        call(self, name, n_items, arguments, **keywords)

    monkeypatch.setattr(kernel.Kernels, "call", noted)
    return found


def grouped(keys):
    """Order of the rows by their keys, and where each group begins."""
    order = np.lexsort(keys[::-1])
    new = np.any([np.diff(key[order], prepend=key[order[0]] ^ 1) != 0 for key in keys], axis=0)
    return order, np.flatnonzero(new)


def expected_cells(ranks, day, category, at_us, measures):
    order, starts = grouped([ranks, day, category])
    columns = [key[order][starts] for key in (ranks, day, category)]
    columns.append(np.diff(starts, append=len(ranks)))
    columns += [np.minimum.reduceat(at_us[order], starts), np.maximum.reduceat(at_us[order], starts)]
    return [*columns, np.add.reduceat(measures[:, order], starts, axis=1)]


def cells(kernel, cupy, *columns):
    found = kernel.day_cells(cupy, *map(cupy.asarray, columns))
    return [cupy.asnumpy(column) for column in found[:7]], found.groups


def check_cells(kernel, cupy, *columns):
    """Every column, in values and types, twice over and with the rows in another order."""
    wanted = expected_cells(*columns)
    shuffled = np.random.default_rng(5).permutation(len(columns[0]))
    for rows in (columns, [column[..., shuffled] for column in columns]):
        found, groups = cells(kernel, cupy, *rows)
        assert groups == len(wanted[0])
        for name, got, want in zip(kernel.Cells._fields, found, wanted, strict=False):
            assert got.dtype == (np.int32 if name in {"rank", "day", "category"} else np.int64), name
            assert np.array_equal(got, want), name


def rows_of(ranks, day, category, seed=0, n_measures=2):
    """Columns of `day_cells` with instants and measures drawn."""
    rng = np.random.default_rng([seed, len(ranks)])
    n = len(ranks)
    at_us = rng.integers(-(10**15), 10**15, n)
    measures = rng.integers(-(2**40), 2**40, (n_measures, n))
    return *(np.asarray(key, np.int32) for key in (ranks, day, category)), at_us, measures


def drawn(n=ROWS, n_profiles=900, days=(19_000, 19_004), categories=(-1, 1), seed=0, n_measures=2):
    rng = np.random.default_rng([seed, n])
    ranges = (0, n_profiles), days, categories
    return rows_of(*(rng.integers(low, high, n) for low, high in ranges), seed, n_measures)


@pytest.mark.parametrize("n_measures", [1, 2, 5])
def test_keys_at_random(kernel, cupy, n_measures):
    check_cells(kernel, cupy, *drawn(n_measures=n_measures))


@pytest.mark.parametrize("n", [1, 2, 31, 33, 511, 513])
def test_few_rows(kernel, cupy, n):
    check_cells(kernel, cupy, *drawn(n=n, n_profiles=max(n // 3, 1)))


def test_negative_days_and_rows_without_a_category(kernel, cupy):
    check_cells(kernel, cupy, *drawn(days=(-3, 2), categories=(-1, 0)))


def test_one_key(kernel, cupy):
    """All rows of all blocks meet in one place."""
    check_cells(kernel, cupy, *rows_of(np.full(ROWS, 7), np.full(ROWS, -40), np.full(ROWS, -1)))


def test_every_key_once(kernel, cupy, attempts):
    place = np.random.default_rng(3).permutation(ROWS)
    check_cells(kernel, cupy, *rows_of(place // 30, place % 30 // 5, place % 5 - 1))
    assert len(attempts) == 2
    assert 1.8 * ROWS < attempts[0] < 2.2 * ROWS


@pytest.mark.parametrize("cache_bytes", [48 << 10, 300])
def test_few_keys_with_most_rows(kernel, cupy, monkeypatch, cache_bytes):
    """Zipf's law over groups, with places in shared memory for many of them and for few."""
    monkeypatch.setattr(kernel, "_CACHE_BYTES", cache_bytes)
    monkeypatch.setattr(kernel, "kernels_of", kernel.kernels_of.__wrapped__)
    group = np.random.default_rng(4).zipf(1.2, ROWS) % 2_000
    check_cells(kernel, cupy, *rows_of(group // 8, group % 8 // 2, group % 2 - 1, n_measures=3))


def test_extremes_of_values(kernel, cupy):
    """Both ends of int64 as instants, and sums that pass them as NumPy's do."""
    ranks, day, category, at_us, measures = drawn(n=6_000, n_profiles=40)
    rng = np.random.default_rng(6)
    at_us = rng.choice(np.array([LEAST, LEAST + 1, -1, 0, MOST - 1, MOST]), at_us.size)
    measures = rng.choice(np.array([LEAST, -1, 1, 2**32 - 1, 2**32, -(2**32), MOST]), measures.shape)
    check_cells(kernel, cupy, ranks, day, category, at_us, measures)
    check_cells(kernel, cupy, *(np.zeros(6_000, np.int32) for _ in range(3)), at_us, measures)
    only = np.full(6_000, MOST)
    check_cells(kernel, cupy, ranks, day, category, only, measures)
    check_cells(kernel, cupy, ranks, day, category, -only - 1, measures)


WIDE = {
    "all ranges": ([0, 1, 2**31 - 1], [-(2**31), -1, 0, 2**31 - 1], [-(2**31), -1, 5, 2**31 - 1]),
    "one first number": ([2**31 - 1], [-(2**31)], np.arange(-1_500, 1_500) * 700_001),
    "one second number": (np.arange(1_500) * 1_000_003, [-(2**31), 2**31 - 1], [-1]),
}


@pytest.mark.parametrize("name", WIDE)
def test_keys_of_two_numbers(kernel, cupy, name):
    rng = np.random.default_rng(7)
    check_cells(kernel, cupy, *rows_of(*(rng.choice(np.asarray(values), ROWS) for values in WIDE[name])))
    assert any(shape.wide for shape in shapes(kernel, cupy))


def shapes(kernel, cupy):
    """Those that were compiled with two numbers a key, or one, for two measures."""
    found = [kernel.Shape(2, wide=wide) for wide in (False, True)]
    return [shape for shape in found if kernel.kernels_of(cupy, shape)._made.get("group_rows")]


def test_56_bits_are_one_number(kernel, cupy, attempts):
    """The largest key of one number, and the smallest of two."""
    for bits, wide in ((56, False), (57, True)):
        ranks = np.array([0, 2**24 - 1, 5], np.int32)
        day = np.array([0, 2**16 - 1, 4], np.int32)
        category = np.array([-1, 2 ** (bits - 40) - 2, 3], np.int32)
        columns = rows_of(ranks, day, category)
        check_cells(kernel, cupy, *columns)
        packed = [cupy.asarray(column) for column in columns]
        assert kernel._plan(cupy, packed, 2)[1] is wide


def test_no_rows(kernel, cupy):
    none = np.empty(0, np.int32)
    found, groups = cells(kernel, cupy, none, none, none, np.empty(0, np.int64), np.empty((3, 0), np.int64))
    assert groups == 0
    assert [column.shape for column in found] == [(0,)] * 6 + [(3, 0)]
    assert [column.dtype for column in found] == [np.int32] * 3 + [np.int64] * 4
    orders = kernel.distinct_orders(cupy, *map(cupy.asarray, (none, np.empty(0, np.int64), none)))
    assert orders.groups == len(orders.rank) == 0


@pytest.mark.parametrize("categories", [(-1, 1), (-(2**31), 2**31 - 1)])
def test_a_table_that_fills_is_made_anew(kernel, cupy, monkeypatch, attempts, categories):
    monkeypatch.setattr(kernel, "estimated", lambda sketch: 0.0)
    n_profiles = 500 if categories[0] == -1 else 2**31 - 1
    check_cells(kernel, cupy, *drawn(n=3_000, n_profiles=n_profiles, categories=categories))
    assert attempts == [64, 6_000] * 2


@pytest.mark.parametrize(("n_groups", "tables"), [(64, [64]), (65, [64, 1_300])])
def test_a_table_takes_as_many_groups_as_slots(kernel, cupy, monkeypatch, attempts, n_groups, tables):
    monkeypatch.setattr(kernel, "estimated", lambda sketch: 0.0)
    group = np.arange(650) % n_groups
    check_cells(kernel, cupy, *rows_of(group, np.zeros(650), np.zeros(650)))
    assert attempts == tables * 2


@pytest.mark.parametrize("n", [0, 1, 5, 60, 2_000, 11_000, 40_000])
def test_the_sketch_estimates_groups(kernel, cupy, n):
    """Each group in three rows, which count once."""
    if not n:
        assert kernel.estimated(np.zeros(4_096, np.uint32)) == 0
        return
    group = np.tile(np.arange(n), 3)
    columns = rows_of(group // 7, group % 7, np.full(3 * n, -1))
    _, _, capacity = kernel._plan(cupy, [cupy.asarray(column) for column in columns], 2)
    assert (capacity - kernel.LEAST_SLOTS) / 2 == pytest.approx(n, rel=0.06, abs=1)


def check_orders(kernel, cupy, ranks, keys, day):
    order, starts = grouped([ranks, keys])
    wanted = ranks[order][starts], keys[order][starts], np.minimum.reduceat(day[order], starts)
    shuffled = np.random.default_rng(5).permutation(len(ranks))
    for rows in ((ranks, keys, day), (ranks[shuffled], keys[shuffled], day[shuffled])):
        found = kernel.distinct_orders(cupy, *map(cupy.asarray, rows))
        assert found.groups == len(starts)
        for got, want in zip(found[:3], wanted, strict=True):
            assert got.dtype == want.dtype
            assert np.array_equal(cupy.asnumpy(got), want)


ORDER_KEYS = {
    "ranks of ids": np.arange(4_000),
    "instants": 1_700_000_000_000_000 + np.arange(3_000) * 86_400_000_123,
    "one": np.array([-5]),
    "all of int64": np.array([LEAST, LEAST + 1, -1, 0, 1, MOST - 1, MOST]),
    "the largest": np.array([MOST]),
}


@pytest.mark.parametrize("name", ORDER_KEYS)
@pytest.mark.parametrize("n_profiles", [1, 1_200, 2**31 - 1])
def test_distinct_orders(kernel, cupy, name, n_profiles):
    rng = np.random.default_rng(8)
    ranks = (rng.integers(0, 1_200, ROWS) * (n_profiles - 1) // 1_200).astype(np.int32)
    days = rng.choice(np.array([-(2**31), -3, 0, 20_000, 2**31 - 1]), ROWS).astype(np.int32)
    check_orders(kernel, cupy, ranks, rng.choice(ORDER_KEYS[name], ROWS), days)


def test_distinct_orders_whose_table_fills(kernel, cupy, monkeypatch, attempts):
    monkeypatch.setattr(kernel, "estimated", lambda sketch: 1.0)
    rng = np.random.default_rng(9)
    keys = rng.integers(0, 900, 2_000)
    check_orders(kernel, cupy, np.zeros(2_000, np.int32), keys, keys.astype(np.int32))
    assert attempts == [66, 4_000] * 2


def test_more_rows_than_a_group_by_takes(kernel, cupy, monkeypatch):
    monkeypatch.setattr(kernel, "_MOST_ROWS", 10)
    with pytest.raises(ValueError, match="11 rows at once; at most 10"):
        cells(kernel, cupy, *drawn(n=11))


def test_shared_memory_that_needs_no_asking(kernel):
    for n_measures in range(1, 40):
        for wide in (False, True):
            shape = kernel.Shape(n_measures, wide)
            assert shape.cache & (shape.cache - 1) == 0
            assert 24 << 10 < shape.cache_bytes <= 48 << 10
    assert kernel.Shape(0).cache_bytes == 0


def test_the_source_and_the_module_agree(kernel):
    for name in ("THREADS", "SKETCH_BITS"):
        assert f"constexpr int {name} = {getattr(kernel, name)};" in kernel.source()
    assert f"constexpr int PROBE_BITS = {64 - kernel.KEY_BITS};" in kernel.source()


@pytest.fixture
def script(load, monkeypatch):
    """The script, with few rows to rehearse with."""
    from gpuseg.engine.gpu import memory

    module = load("gpu_group_by")
    monkeypatch.setattr(memory, "_POOL", [])
    monkeypatch.setitem(module._REHEARSED, "rows", [700])
    return module


def rehearsed(script, tmp_path, *words):
    out = tmp_path / "new" / "found.json"
    code = script.main(["--rehearse", "--out", str(out), *words])
    return code, json.loads(out.read_text())


def test_a_rehearsal(script, tmp_path, capsys):
    code, results = rehearsed(script, tmp_path)
    shown = capsys.readouterr().out
    assert code == 0, shown
    assert results["rehearsal"] is True
    assert {"hardware", "versions", "date", "command", "copy_bytes_per_second"} <= set(results)
    assert [case["case"] for case in results["cases"]] == list(script.CASES)
    for case in results["cases"]:
        assert set(case["seconds"]) == set(case["share_of_copy"]) == {"cudf", "candidate"}
        phases = {"survey_keys", "clear_table", "group_rows", "collect_groups", "read_groups", "rest"}
        assert set(case["phases"]) == phases
        assert f"| {case['case']} | 700 | {case['groups']} |" in shown
    assert "A rehearsal over stand-ins" in shown
    assert "times as fast" not in shown


def test_a_rehearsal_is_no_result(script, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(script.script, "RESULTS", tmp_path)
    assert script.main(["--rehearse"]) == 0
    assert not list(tmp_path.iterdir())
    with pytest.raises(SystemExit):
        script.main(["--rehearse", "--out", str(tmp_path / "some.json")])
    assert "a rehearsal is no result" in capsys.readouterr().err


def test_no_time_is_told_of_results_that_differ(script, tmp_path, monkeypatch, capsys):
    right = script.day_cells

    def wrong(cupy, *columns):
        found = right(cupy, *columns)
        found.sums[1][3] += 1
        return found

    monkeypatch.setattr(script, "day_cells", wrong)
    code, results = rehearsed(script, tmp_path)
    assert code == 1
    for case in results["cases"]:
        assert ("seconds" in case) is case["case"].startswith("orders")
        assert case.get("mismatch") == (None if "seconds" in case else "column sum1 differs")
    assert capsys.readouterr().out.count("column sum1 differs") == 3


def test_a_case_that_fails_leaves_the_others(script, tmp_path, monkeypatch, capsys):
    def failing(*_):
        raise MemoryError("no | more")

    monkeypatch.setattr(script, "distinct_orders", failing)
    code, results = rehearsed(script, tmp_path)
    assert code == 1
    assert ["error" in case for case in results["cases"]] == [False] * 3 + [True] * 2
    assert "| MemoryError: no / more |" in capsys.readouterr().out


def test_no_case_begins_too_late(script, tmp_path):
    code, results = rehearsed(script, tmp_path, "--most-seconds", "1e-9")
    assert code == 1
    assert all(case["not_run"] for case in results["cases"])


def test_without_a_gpu(script, monkeypatch, tmp_path, capsys):
    from gpuseg.engine.hardware import Hardware

    monkeypatch.setattr(script, "find_gpus", lambda: Hardware(problem="there is none"))
    monkeypatch.setattr(script.script, "RESULTS", tmp_path)
    assert script.main([]) == 1
    assert "gpu_group_by: error: there is none" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
