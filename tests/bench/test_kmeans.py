import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).parents[2] / "bench" / "kmeans.py"
SMALL = ["--rows", "3000", "--features", "3", "9", "--centers", "4", "--updates", "3", "--repeats", "2"]
FIGURES = {"cpu_seconds", "system_seconds", "wall_seconds", "extra_bytes", "first_use_seconds", "n_iter"}
PEERS = {"scikit-learn-intelex", "faiss"}


def check(results):
    assert {"command", "date", "hardware", "versions", "parameters", "absent", "cases"} < set(results)
    assert set(results["absent"]) <= PEERS
    assert not {"scratch", "out"} & set(results["parameters"])
    assert [case["features"] for case in results["cases"]] == [3, 9]
    for case in results["cases"]:
        assert (case["rows"], case["centers"], case["bytes"]) == (3000, 4, 12_000 * case["features"])
        assert len(case["runs"]) == 2
        for run in case["runs"]:
            assert {"gpuseg", "scikit-learn"} <= set(run)
            assert all(set(figures) == FIGURES and figures["n_iter"] == 3 for figures in run.values())
        assert case["objective_gaps"]["scikit-learn"] == 0
        assert 0 <= case["objective_gaps"]["gpuseg"] <= 1e-5
        assert case["equal_labels"]["scikit-learn"] == 1
        assert 0.99 <= case["equal_labels"]["gpuseg"] <= 1
        assert case["bar"]["at_least"] == 2.0


@pytest.fixture
def in_process(load, monkeypatch):
    """The benchmark with every command run inside this process, where it can be tampered with."""
    modules = {name: load(name) for name in ("kmeans", "kmeans_worker")}
    worker = modules["kmeans_worker"]
    monkeypatch.setattr(os, "sched_setaffinity", lambda *_: None)
    monkeypatch.setattr(modules["kmeans"].Bench, "_run", lambda _, *words: worker.main(words))
    own = {side: worker.SIDES[side] for side in ("gpuseg", "scikit-learn")}
    monkeypatch.setattr(modules["kmeans"], "SIDES", own | {"faiss": ("no_such_module", "no-such", worker.faiss_fit)})
    return modules


def test_results_are_written_and_shown_after_the_comparison(in_process, tmp_path, capsys):
    out = tmp_path / "results" / "kmeans.json"
    assert in_process["kmeans"].main([*SMALL, "--out", str(out), "--scratch", str(tmp_path)]) == 0
    results = json.loads(out.read_text())
    check(results)
    assert results["absent"] == ["faiss"]
    shown = capsys.readouterr().out
    assert "not installed: faiss" in shown
    assert shown.count("| 3,000 |") == 2
    assert "of the labels are the same" in shown
    assert [path.name for path in tmp_path.iterdir()] == ["results"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda centers, n_iter, labels: (centers * 1.05, n_iter, labels), "gpuseg: its objective differs"),
        (lambda centers, n_iter, labels: (centers * np.nan, n_iter, labels), "gpuseg: its objective differs"),
        (lambda centers, n_iter, labels: (centers, n_iter - 1, labels), r"gpuseg: [2] updates instead of 3"),
        (
            lambda centers, n_iter, labels: (centers, n_iter, lambda: np.roll(labels(), 1)),
            "of its labels are not scikit-learn's",
        ),
        (
            lambda centers, n_iter, labels: (centers, n_iter, lambda: labels()[1:]),
            "gpuseg: 100.0% of its labels are not scikit-learn's",
        ),
    ],
    ids=["other centers", "no numbers", "fewer updates", "labels of other rows", "too few labels"],
)
def test_another_result_ends_with_1_names_the_side_and_tells_no_time(
    in_process, tmp_path, capsys, monkeypatch, change, told
):
    worker = in_process["kmeans_worker"]
    module, name, fit = worker.SIDES["gpuseg"]
    monkeypatch.setitem(worker.SIDES, "gpuseg", (module, name, lambda *given: change(*fit(*given))))
    out = tmp_path / "kmeans.json"
    assert in_process["kmeans"].main([*SMALL, "--out", str(out), "--scratch", str(tmp_path)]) == 1
    assert not out.exists()
    shown = capsys.readouterr()
    assert shown.out == ""
    assert told in shown.err


def test_rows_lie_on_the_grid(in_process, tmp_path):
    worker, out = in_process["kmeans_worker"], tmp_path / "rows.npy"
    worker.main(["data", "--rows", "2000", "--features", "5", "--seed", "1", "--out", str(out)])
    rows = np.load(out)
    assert (rows.shape, rows.dtype) == ((2000, 5), np.float32)
    assert (np.rint(rows * 2.0**20) == rows * 2.0**20).all()
    assert len(np.unique(rows)) > 9_000


def test_the_objective_is_that_of_the_nearest_centers(in_process, tmp_path):
    worker = in_process["kmeans_worker"]
    np.save(tmp_path / "rows.npy", np.array([[0, 0], [3, 4], [10, 0]], np.float32))
    np.save(tmp_path / "side.npy", np.array([[0, 0], [10, 1]], np.float32))
    out = tmp_path / "found.json"
    worker.main(["objective", "--data", str(tmp_path / "rows.npy"), "--out", str(out), str(tmp_path / "side.npy")])
    assert json.loads(out.read_text()) == {"side": pytest.approx(26.0)}


def test_labels_are_compared_under_the_names_that_agree_most(load):
    equal_share = load("kmeans_worker").equal_share
    one = np.array([0, 0, 1, 1, 2, 2, 2, 2], np.int8)
    assert equal_share(one, np.array([2, 2, 0, 0, 1, 1, 1, 1])) == 1.0
    assert equal_share(one, np.array([2, 2, 0, 1, 1, 1, 1, 1])) == 7 / 8
    assert equal_share(one, np.zeros(8, np.int32)) == 4 / 8
    assert equal_share(one, one[:-1]) == equal_share(one, -one) == 0.0


@pytest.mark.parametrize("side", ["gpuseg", "scikit-learn", "scikit-learn-intelex", "faiss"])
def test_a_side_gives_the_labels_of_its_centers(load, side):
    module, _, fit = load("kmeans_worker").SIDES[side]
    pytest.importorskip(module)
    draw = np.random.default_rng(3)
    rows = np.concatenate([draw.normal(at, 0.1, (40, 2)) for at in (0, 5, 9)]).astype(np.float32)
    centers, n_iter, labels = fit(rows, rows[[0, 50, 100]].copy(), 2)
    nearest = ((rows[:, None].astype(float) - centers) ** 2).sum(axis=2).argmin(axis=1)
    assert n_iter == 2
    assert np.array_equal(labels(), nearest)


def figures(cpu, extra=0):
    return {
        "cpu_seconds": cpu,
        "wall_seconds": cpu / 2,
        "system_seconds": 0.0,
        "extra_bytes": extra,
        "first_use_seconds": 1.0,
    }


def test_ratios_are_those_of_one_repeat_to_the_best_of_the_others(load):
    runs = [
        {"gpuseg": figures(1.0, 300), "scikit-learn": figures(3.0), "faiss": figures(2.5)},
        {"gpuseg": figures(2.0, 300), "scikit-learn": figures(3.0), "faiss": figures(9.0)},
        {"gpuseg": figures(1.0, 300), "scikit-learn": figures(1.9), "faiss": figures(2.0)},
    ]
    size = {"rows": 50, "features": 16, "centers": 32, "bytes": 3200}
    found = load("kmeans_table").summarise(size, runs)
    assert found["ratios"]["cpu_seconds"] == {"median": 1.9, "spread": [1.5, 2.5]}
    assert found["bar"] == {"at_least": 2.0, "met": False}
    assert found["medians"]["gpuseg"]["cpu_seconds"] == 1.0
    memory = found["memory"]
    assert (memory["extra_share"], memory["labels_share"], memory["met"]) == (300 / 3200, 0, True)


@pytest.mark.parametrize(
    ("d", "k", "bar"), [(8, 8, 2.0), (16, 32, 2.0), (16, 128, 1.3), (32, 8, 1.3), (32, 32, 1.3), (32, 128, 1.1)]
)
def test_bars(load, d, k, bar):
    assert load("kmeans_table").bar_of(d, k) == bar


@pytest.mark.slow
def test_the_script_measures_processes_of_its_own(tmp_path):
    out = tmp_path / "kmeans.json"
    few = ["--features", "3", "--repeats", "1", "--scratch", str(tmp_path), "--out", str(out)]
    found = subprocess.run([sys.executable, str(SCRIPT), *SMALL, *few], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    (case,) = json.loads(out.read_text())["cases"]
    assert case["medians"]["gpuseg"]["wall_seconds"] > 0
    assert {"gpuseg", "scikit-learn"} <= set(case["runs"][0])
