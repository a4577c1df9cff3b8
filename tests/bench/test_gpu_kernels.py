"""The script that measures the kernels on a GPU, over emulated kernels: what it must tell, and that nothing ends it."""

import json
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from gpuseg.engine.gpu import lloyd_kernel
from tests.kernels.emulated import COMPILER

emulated = pytest.mark.skipif(COMPILER is None, reason="no C++ compiler")

SAYS = """
import json, os, sys, time
first, to = int(sys.argv[1]), int(sys.argv[2])
def tell(line):
    os.write(to, (json.dumps(line) + "\\n").encode())
for place, what in list(enumerate({plan!r}))[first:]:
    if what == "dies before":
        sys.exit(7)
    tell({{"begun": place}})
    if what == "hangs":
        time.sleep(60)
    if what == "dies":
        os._exit(9)
    tell({{"row": {{"ms": 1.0 + place}}}})
    if what == "breaks the device":
        sys.exit(1)
"""


@pytest.fixture
def cases(load):
    return load("gpu_kernels_cases")


@pytest.fixture
def world(load):
    load("gpu_kernels_world")
    return load("gpu_kernels_played").played_world(replace(load("gpu_kernels_world").REHEARSED, rows=200))


def case(cases, work, name="some", **parameters):
    return cases.Case(name, parameters, work)


def ran(cases, world, works, **options):
    lines = []
    whole = cases.run_cases(world, [case(cases, work) for work in works], lines.append, **options)
    return whole, [line["row"] for line in lines if "row" in line], [line["begun"] for line in lines if "begun" in line]


# --- kernels that are wrong ---


@emulated
@pytest.mark.parametrize("kind", ["on the grid", "any float32", "about 1e-20"])
def test_kernels_that_are_right(load, world, kind):
    told = load("gpu_kernels_check").check(world, 7, 8, kind)
    assert told["different"] == 0
    assert told["labels_off"] == 0
    assert {"labels", "nearest", "second", "counts", "sums", "sums, from run to run"} <= set(told["forms"]["all"])


@emulated
@pytest.mark.parametrize(
    ("right", "wrong", "what"),
    [
        ("found.first = told, found.label = center;", "found.first = told, found.label = 0;", "labels"),
        ("(value >> FRACTION_BITS)", "(value >> 16)", "sums"),
        ("atomicAdd(counts + found.label, 1)", "atomicAdd(counts + found.label, 2)", "counts"),
        ("total = exact_sum(total, exact_product(gap, gap));", "total += fmaf(gap, gap, 1e-7f);", "nearest"),
    ],
)
def test_kernels_that_are_wrong_are_told(load, world, monkeypatch, right, wrong, what):
    source = lloyd_kernel.source().replace("value >> FRACTION_BITS", "(value >> FRACTION_BITS)")
    assert source.count(right) == 1
    # Ranks decide nothing: every row is compared with all centers.
    source = source.replace(right, wrong).replace("present && !sure", "present")
    monkeypatch.setattr(lloyd_kernel, "source", lambda: source)
    told = load("gpu_kernels_check").check(world, 7, 8, "on the grid")
    assert told["forms"]["all"][what] > 0
    assert told["different"] > 0
    assert (told["labels_off"] > 0) is (what == "labels")
    row = {"case": "correctness", "parameters": {}} | told
    assert load("gpu_kernels_table").failed(row)
    lines = (
        load("gpu_kernels_table").table({"date": "", "command": "", "rehearsal": False, "cases": [row]}).splitlines()
    )
    assert "correctness: 0 of 1 equal to the CPU and from run to run" in lines
    assert any(f"'{what}': " in line for line in lines)


def test_kernels_that_differ_from_run_to_run_are_told(load, world, monkeypatch):
    check, seen = load("gpu_kernels_check"), []

    def run(rows, centers, shape, n_groups, wanted):
        from gpuseg.engine.cpu.lloyd import lloyd_pass

        seen.append(wanted)
        found = lloyd_pass(np.asarray(world.cupy.asnumpy(rows)), centers, want_labels=True)
        found.sums[0, 0] += len(seen) % 2 == 0
        return found

    monkeypatch.setattr(world.kernels, "run", run)
    monkeypatch.setattr(check, "host", lambda world, found, wanted: found)
    told = check.check(world, 7, 8, "on the grid")["forms"]
    assert told["sums"]["sums"] == 0
    assert told["sums"]["sums, from run to run"] == 1


def test_kernels_that_refuse_rows_are_told(load, world, monkeypatch):
    monkeypatch.setattr(world.kernels, "run", lambda *_: None)
    assert load("gpu_kernels_check").check(world, 7, 8, "on the grid")["different"] == 3


def test_sums_off_the_grid_may_be_rounded_and_no_more(load):
    check = load("gpu_kernels_check")
    expected = SimpleNamespace(sums=np.array([[1.0, 2.0]]), counts=np.array([4]))
    for off, count in ((1e-8, 0), (1e-5, 2), (np.nan, 2)):
        assert check.far_off(SimpleNamespace(sums=expected.sums + off), expected, 1.0) == count


# --- cases that fail ---


def test_a_case_that_raises_is_told_and_ends_nothing(load, cases, world):
    def broken(world):
        raise ValueError("no such kernel")

    whole, rows, begun = ran(cases, world, [broken, lambda world: {"ms": 1.0}])
    assert whole
    assert begun == [0, 1]
    assert rows[0]["error"] == "ValueError: no such kernel"
    assert load("gpu_kernels_table").failed(rows[0])
    assert rows[1]["ms"] == 1.0


def test_what_is_not_installed_is_skipped(load, cases, world):
    world.played = {}
    fits = load("gpu_kernels_sides").iterations
    _, rows, _ = ran(cases, world, [lambda world: fits(world, 16, 8, "flash-kmeans")])
    assert "flash_kmeans" in rows[0]["skipped"]
    assert not load("gpu_kernels_table").failed(rows[0])


def test_no_case_begins_when_the_time_is_over(load, cases, world):
    _, rows, begun = ran(cases, world, [lambda world: {"ms": 1.0}] * 3, most_seconds=-1.0)
    assert begun == []
    assert [list(row) for row in rows] == [["not_run"]] * 3
    assert load("gpu_kernels_table").failed(rows[0])


def test_a_device_that_answers_no_more_ends_the_process(cases, world, monkeypatch):
    def fail(*_):
        raise RuntimeError("cudaErrorIllegalAddress")

    monkeypatch.setattr(cases, "answers", lambda world: False)
    whole, rows, _ = ran(cases, world, [fail, lambda world: {"ms": 1.0}])
    assert not whole
    assert len(rows) == 1


@pytest.mark.parametrize(
    ("plan", "told", "processes"),
    [
        (["fine", "fine", "fine"], [1.0, 2.0, 3.0], 1),
        (["fine", "hangs", "fine"], [1.0, "took more than", 3.0], 2),
        (["dies", "fine", "fine"], ["the process ended with 9", 2.0, 3.0], 2),
        (["fine", "breaks the device", "fine"], [1.0, 2.0, 3.0], 2),
        (["fine", "fine", "hangs"], [1.0, 2.0, "took more than"], 1),
        (["dies before", "fine", "fine"], ["ended with 7 before"] * 3, 1),
    ],
)
def test_every_case_is_told_once_whatever_becomes_of_processes(load, cases, plan, told, processes):
    script, began, rows = load("gpu_kernels"), [], []
    made = [cases.Case(what, {}, None, most_seconds=1.0) for what in plan]

    def begin(first):
        began.append(first)
        return script.Worker([sys.executable, "-c", SAYS.format(plan=plan), str(first)])

    script.supervise(made, begin, lambda case, row: rows.append((case.name, row)), 60.0)
    assert [name for name, _ in rows] == plan
    for (_, row), expected in zip(rows, told, strict=True):
        if isinstance(expected, float):
            assert row == {"ms": expected}
        else:
            assert expected in (row.get("error") or row.get("not_run"))
    assert len(began) == processes


# --- what is timed ---


def test_rows_lie_on_the_grid_and_in_groups(load, monkeypatch):
    world = load("gpu_kernels_world")
    monkeypatch.setattr(world, "_BLOCK_ROWS", 300)
    rows = world.grouped(1_000, 5)
    assert (rows * 2**20 == np.rint(rows * 2**20)).all()
    assert np.abs(rows).max() <= 8
    assert (np.unique(rows, axis=0).shape, rows.dtype) == ((1_000, 5), np.float32)
    assert np.array_equal(rows, world.grouped(1_000, 5))
    assert rows.std() > 1.5


def test_times_of_the_device(load):
    done = []

    class Event:
        def record(self):
            done.append("record")

        def synchronize(self):
            done.append("wait")

    device = SimpleNamespace(synchronize=lambda: done.append("idle"))
    cuda = SimpleNamespace(Event=Event, Device=lambda: device, get_elapsed_time=lambda begin, end: 2.5)
    clock = load("gpu_kernels_world").EventClock(SimpleNamespace(cuda=cuda))
    assert clock(lambda: done.append("work")) == 2.5
    assert done == ["idle", "record", "work", "record", "wait"]


def test_a_median_after_a_run_that_warms_up(world):
    times, calls = iter([9.0, 1.0, 2.0, 3.0, 4.0]), []
    world.sizes = replace(world.sizes, repeats=5)
    world.clock = lambda work: (work(), next(times))[1]
    assert world.timed(lambda: calls.append(1)) == {"ms": 3.0, "least_ms": 1.0, "runs": 5}
    assert len(calls) == 6
    times = iter([3_000.0, 3_000.0])
    assert world.timed(lambda: None)["runs"] == 2


@emulated
@pytest.mark.parametrize("side", ["ours", "flashlib", "flash-kmeans", "cuml", "cuml, large batches"])
def test_all_sides_make_the_same_updates_from_the_same_start(load, world, side):
    sides = load("gpu_kernels_sides")
    times = iter([1.0, 4.0])
    world.clock = lambda work: (work(), next(times))[1]
    told = sides.iterations(world, 16, 8, side)
    assert told["iterations"] == [2, 4]
    assert told["ms"] == 1.5
    centers, _ = sides.ours(world, 16, 8)(2)
    assert told["inertia"] == pytest.approx(sides.inertia(world, 16, centers), rel=1e-6)
    assert np.array_equal(world.start(16, 8), world.cupy.asnumpy(world.rows(16)[:8]))


@emulated
def test_a_launch_can_be_made_again(load, world):
    launches = load("gpu_kernels_launches")
    kernels = launches.Watched(world, lloyd_kernel.source())
    rows, start = world.rows(16), world.start(16, 8)
    shape, _ = world.form(rows, 8, launches.SUMS)
    again, made = kernels.again(rows, start, shape)
    totals = kernels.launched["assign"][3][11]
    once = np.array(world.cupy.asnumpy(totals)).view(np.int64)
    again()
    assert np.array_equal(np.array(world.cupy.asnumpy(totals)).view(np.int64), 2 * once)
    assert made["threads"] == shape.n_threads
    assert made["shared_bytes"] == shape.assign_bytes(8, with_sums=True)


def test_parts_of_the_source_can_be_left_out(load):
    tuning = load("gpu_kernels_tuning")
    texts = [tuning.patched(changes) for changes in tuning.LEFT_OUT.values()]
    assert texts[0] == lloyd_kernel.source()
    assert len(set(texts)) == len(texts)
    with pytest.raises(ValueError, match="0 times in the source"):
        tuning.patched({"no such text": ""})


@emulated
def test_parts_that_are_left_out_are_not_done(load, world):
    """What was added up, and the labels, show that each change does what its name says."""
    launches, tuning = load("gpu_kernels_launches"), load("gpu_kernels_tuning")
    rows, start = world.rows(16), world.start(16, 8)
    shape, _ = world.form(rows, 8, launches.SUMS)
    found = {}
    for name in ("nothing", "adding up", "adding up, near ties", "ranking"):
        kernels = launches.Watched(world, tuning.patched(tuning.LEFT_OUT[name]))
        found[name] = kernels.run(rows, start, shape, 0, launches.SUMS)
    assert found["nothing"].counts.sum() == len(rows)
    assert not found["adding up"].counts.any()
    assert not found["adding up"].sums.any()
    assert found["adding up"].inertia == found["nothing"].inertia
    assert found["ranking"].counts.tolist() == [25] * 8


# --- what is told ---


def test_shares_and_ratios(load):
    table = load("gpu_kernels_table")
    like = {"features": 16, "k": 8}
    rows = [
        {"case": "copy", "parameters": {}, "ms": 2.0, "bytes": 4_000},
        {"case": "read", "parameters": {}, "ms": 1.0, "bytes": 4_000},
        {"case": "pass", "parameters": like | {"side": "theirs"}, "ms": 6.0, "bytes": 2_400, "inertia": 11.0},
        {"case": "pass", "parameters": like | {"side": "ours"}, "ms": 3.0, "bytes": 2_400, "inertia": 10.0},
        {"case": "pass", "parameters": {"features": 32, "k": 8, "side": "theirs"}, "error": "ValueError: | no"},
    ]
    found = table.judged(rows, 600)
    assert found[2]["share_of_copy"] == 0.2
    assert found[2]["share_of_read"] == 0.1
    assert found[2]["ratio"] == 2.0
    assert found[2]["inertia_off"] == pytest.approx(0.1)
    assert found[3]["rows_per_second"] == 200_000
    assert "rows_per_second" not in found[0]
    told = table.table({"date": "", "command": "", "rehearsal": False, "cases": found})
    assert "read: 0.000 TB/s read" in told
    assert "ValueError: / no" in told


@emulated
def test_a_rehearsal_whose_time_is_soon_over(load, tmp_path, capsys):
    script, out = load("gpu_kernels"), tmp_path / "told.json"
    assert script.main(["--rehearse", "--out", str(out), "--most-seconds", "4"]) == 1
    told = json.loads(out.read_text())
    rows = told["cases"]
    assert [row["case"] for row in rows][:3] == ["device", "copy", "read"]
    assert len(rows) == len(load("gpu_kernels_cases").all_cases(load("gpu_kernels_world").REHEARSED))
    assert rows[-1]["not_run"] == "the time was over"
    assert rows[0].get("gpu") in {"stand-in", None}
    assert told["rehearsal"] is True
    assert "share_of_copy" in told["definitions"]
    assert "the times say nothing" in capsys.readouterr().out


def test_a_rehearsal_is_no_result(load, capsys):
    script = load("gpu_kernels")
    with pytest.raises(SystemExit):
        script.parsed(["--rehearse", "--out", "bench/results/gpu_kernels.json"])
    assert "a rehearsal is no result" in capsys.readouterr().err
    assert script.parsed(["--rehearse"]).out is None
    assert script.parsed([]).out.name == "gpu_kernels.json"


def test_without_a_gpu_there_is_one_line(load, monkeypatch, tmp_path, capsys):
    script = load("gpu_kernels")
    none = SimpleNamespace(gpus=(), problem="no NVIDIA driver")
    monkeypatch.setattr(script, "find_gpus", lambda: none)
    assert script.main(["--out", str(tmp_path / "told.json")]) == 1
    assert capsys.readouterr().err == "gpu_kernels: error: no NVIDIA driver\n"
    assert not (tmp_path / "told.json").exists()


def test_every_case_has_parameters_of_its_own(load, cases):
    made = cases.all_cases(load("gpu_kernels_world").Sizes())
    told = [(case.name, json.dumps(case.parameters)) for case in made]
    assert len(set(told)) == len(told)
    names = [case.name for case in made]
    # What is timed was compared before, and no features are left out.
    checked = {case.parameters["features"] for case in made[: names.index("pass")] if case.name == "correctness"}
    assert checked == {16, 32}
    assert sum(name == "correctness" for name in names) == 6 * 5 * 2 + 1
