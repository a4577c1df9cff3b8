import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).parents[2] / "bench" / "scoring.py"
SMALL = ["--rows", "3000", "--features", "3", "9", "--centers", "4"]
SMALL += ["--passes", "2", "--calls", "5", "--repeats", "2", "--threads", "1"]
LATENCIES = {f"latency_{size}{tail}_seconds" for size in (1, 1000) for tail in ("", "_p99")}
FIGURES = {"cpu_seconds", "system_seconds", "wall_seconds", "extra_bytes", "first_use_seconds", "rows_per_second"}
PEERS = {"scikit-learn-intelex", "faiss"}


def check(results):
    assert {"command", "date", "hardware", "versions", "parameters", "absent", "cases"} == set(results)
    assert {"gpuseg", "scikit-learn"} < set(results["versions"])
    assert set(results["absent"]) <= PEERS
    assert not {"scratch", "out"} & set(results["parameters"])
    assert [case["features"] for case in results["cases"]] == [3, 9]
    for case in results["cases"]:
        assert (case["rows"], case["centers"], case["bytes"]) == (3000, 4, 12_000 * case["features"])
        assert len(case["runs"]) == 2
        for run in case["runs"]:
            assert {"gpuseg", "scikit-learn"} <= set(run)
            assert all(set(figures) == FIGURES | LATENCIES for figures in run.values())
            assert all(figures[name] > 0 for figures in run.values() for name in LATENCIES | {"wall_seconds"})
        assert case["compared"]["different"]["gpuseg"] <= case["compared"]["near_ties"] < 30
        assert case["bar"]["at_least"] == 1.0
        assert set(case["ratios"]) == {"cpu_seconds", "wall_seconds", "latency_1_seconds", "latency_1000_seconds"}


@pytest.fixture
def in_process(load, monkeypatch):
    """The benchmark with every command run inside this process, where it can be tampered with."""
    modules = {name: load(name) for name in ("scoring", "scoring_worker")}
    worker = modules["scoring_worker"]
    monkeypatch.setattr(os, "sched_setaffinity", lambda *_: None)
    monkeypatch.setattr(modules["scoring"].Bench, "_run", lambda _, *words: worker.main(words))
    own = {side: worker.SIDES[side] for side in ("gpuseg", "scikit-learn")}
    monkeypatch.setattr(modules["scoring"], "SIDES", own | {"faiss": ("no_such_module", "no-such", None)})
    return modules


def test_results_are_written_and_shown_after_the_comparison(in_process, tmp_path, capsys):
    out = tmp_path / "results" / "scoring.json"
    assert in_process["scoring"].main([*SMALL, "--out", str(out), "--scratch", str(tmp_path)]) == 0
    results = json.loads(out.read_text())
    check(results)
    assert results["absent"] == ["faiss"]
    shown = capsys.readouterr().out
    assert "not installed: faiss" in shown
    assert shown.count("| 3,000 |") == 2
    assert [path.name for path in tmp_path.iterdir()] == ["results"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda labels: np.where(np.arange(len(labels)) == 7, (labels + 1) % 4, labels), "gpuseg: 1 of 3,000 labels"),
        (lambda labels: labels + 4, "gpuseg: 3,000 of 3,000 labels"),
        (lambda labels: labels[:-1], "gpuseg: 3,000 of 3,000 labels"),
        (lambda labels: labels.astype(float), "gpuseg: 3,000 of 3,000 labels"),
    ],
    ids=["one wrong", "no such center", "too few", "no integers"],
)
def test_a_wrong_label_ends_with_1_names_the_side_and_tells_no_time(
    in_process, tmp_path, capsys, monkeypatch, change, told
):
    worker = in_process["scoring_worker"]
    module, name, placing_of = worker.SIDES["gpuseg"]

    def wrong(centers):
        place = placing_of(centers)
        return lambda rows: change(place(rows))

    monkeypatch.setitem(worker.SIDES, "gpuseg", (module, name, wrong))
    out = tmp_path / "scoring.json"
    assert in_process["scoring"].main([*SMALL, "--out", str(out), "--scratch", str(tmp_path)]) == 1
    assert not out.exists()
    shown = capsys.readouterr()
    assert shown.out == ""
    assert told in shown.err
    assert "seconds" not in shown.err


@pytest.mark.parametrize("side", ["gpuseg", "scikit-learn", "scikit-learn-intelex", "faiss"])
def test_a_side_places_rows_by_the_given_centers(load, side):
    worker = load("scoring_worker")
    module, _, placing_of = worker.SIDES[side]
    pytest.importorskip(module)
    draw = np.random.default_rng(2)
    # Not in the order in which gpuseg sorts centers, and of other rows than those that a fit would see.
    centers = draw.normal(size=(5, 4)).astype(np.float32)[::-1].copy()
    rows = draw.normal(size=(500, 4)).astype(np.float32)
    expected = ((rows[:, None].astype(float) - centers) ** 2).sum(axis=2).argmin(axis=1)
    assert np.array_equal(placing_of(centers)(rows), expected)


def test_only_rounding_excuses_a_label(load):
    nearest_of = load("scoring_worker").Nearest
    centers = np.array([[0, 0], [2, 0], [9, 9]], np.float32)
    rows = np.array([[1, 0], [1 - 2**-23, 0], [0.9, 0], [9, 8]], np.float32)
    nearest = nearest_of(rows, centers)
    assert nearest.labels.tolist() == [0, 0, 0, 2]
    assert nearest.near_ties == 2
    assert nearest.differing(np.array([0, 0, 0, 2])) == (0, 0)
    assert nearest.differing(np.array([1, 1, 0, 2])) == (2, 0)
    assert nearest.differing(np.array([1, 2, 1, 2])) == (3, 2)
    assert nearest_of(rows, centers[:1]).near_ties == 0


def test_calls_are_told_by_their_median_and_their_tail(load, monkeypatch):
    worker, seen = load("scoring_worker"), []
    # Of 100 calls after the warm-up one takes 3 seconds, all others 1.
    clock = iter(np.cumsum([0, *(3 if call == 60 else 1 for call in range(240))]).tolist())
    monkeypatch.setattr(worker.time, "perf_counter", lambda: float(next(clock)))
    rows = np.arange(10)
    found = worker.latencies(lambda part: seen.append(part.tolist()), rows, 3, 100)
    assert found["latency_3_seconds"] == 1.0
    assert found["latency_3_p99_seconds"] == pytest.approx(1.02)
    assert len(seen) == 120
    assert sorted(map(tuple, {tuple(part) for part in seen})) == [(0, 1, 2), (3, 4, 5), (6, 7, 8)]


def figures(cpu, latency, extra=0):
    names = {*FIGURES, *LATENCIES}
    return dict.fromkeys(names, latency) | {"cpu_seconds": cpu, "wall_seconds": cpu / 2, "extra_bytes": extra}


def test_ratios_are_those_of_one_repeat_to_the_best_of_the_others(load):
    runs = [
        {"gpuseg": figures(1.0, 4.0, 500), "scikit-learn": figures(3.0, 2.0), "faiss": figures(2.5, 1.0)},
        {"gpuseg": figures(2.0, 4.0, 500), "scikit-learn": figures(3.0, 2.0), "faiss": figures(9.0, 4.0)},
        {"gpuseg": figures(1.0, 4.0, 500), "scikit-learn": figures(1.9, 2.0), "faiss": figures(2.0, 3.0)},
    ]
    size = {"rows": 50, "features": 32, "centers": 32, "bytes": 3200}
    found = load("scoring_table").summarise(size, runs)
    assert found["ratios"]["cpu_seconds"] == {"median": 1.9, "spread": [1.5, 2.5]}
    assert found["ratios"]["latency_1_seconds"] == {"median": 0.5, "spread": [0.25, 0.5]}
    assert found["bar"] == {"at_least": 1.0, "met": True}
    assert not load("scoring_table").summarise(size, [runs[0] | {"faiss": figures(0.9, 1.0)}])["bar"]["met"]
    assert found["memory"] == {"extra_share": 500 / 3200, "labels_share": 200 / 3200, "at_most": 0.1, "met": True}


def test_fewer_rows_than_a_call_takes_are_refused(load, capsys):
    with pytest.raises(SystemExit):
        load("scoring").parsed(["--rows", "999"])
    assert "--rows must be at least 1000" in capsys.readouterr().err


@pytest.mark.slow
def test_the_script_measures_processes_of_its_own(tmp_path):
    out = tmp_path / "scoring.json"
    command = [sys.executable, str(SCRIPT), *SMALL, "--repeats", "1", "--features", "3", "9"]
    command += ["--scratch", str(tmp_path), "--out", str(out)]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    results = json.loads(out.read_text())
    assert all(case["medians"]["gpuseg"]["rows_per_second"] > 0 for case in results["cases"])
    assert {"gpuseg", "scikit-learn"} <= set(results["cases"][0]["runs"][0])
