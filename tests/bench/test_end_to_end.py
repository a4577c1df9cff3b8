import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "bench" / "end_to_end.py"
SMALL = ["--profiles", "2000", "--events", "20000", "--repeats", "1"]
FIGURES = {"cpu_seconds", "user_seconds", "system_seconds", "wall_seconds"}
FIGURES |= {"peak_bytes", "peak_rss_bytes", "peak_pss_bytes"}
STAGES = {"validate", "features", "fit", "assign"}


def check(results):
    assert {"command", "date", "hardware", "versions", "parameters", "medians", "ratios"} < set(results)
    assert set(results["hardware"]) == {"cpu", "cores", "memory_bytes"}
    libraries = {"numpy", "pandas", "pyarrow", "scikit-learn", "numba"}
    assert set(results["versions"]) == {"python", "gpuseg"} | libraries
    assert results["parameters"]["segments"] == 8
    assert results["compared"]["n_profiles"] == 2000
    assert results["compared"]["n_columns"] > 30
    assert set(results["compile"]) == {"first_runs_seconds", "second_runs_seconds", "compile_seconds"}
    (run,) = results["runs"]
    assert set(run["naive"]) == FIGURES
    assert set(run["gpuseg"]) == set(run["gpuseg_with_report"]) == FIGURES | {"stage_seconds"}
    assert set(run["gpuseg"]["stage_seconds"]) == STAGES
    assert set(run["gpuseg_with_report"]["stage_seconds"]) == STAGES | {"explain", "report"}
    assert set(results["ratios"]) == {"cpu", "wall", "memory"}
    assert {name: bar["at_least"] for name, bar in results["bars"].items()} == {"cpu": 5.0, "memory": 2.0}


@pytest.fixture
def in_process(load, monkeypatch):
    """The benchmark with every command run inside this process, where it can be tampered with."""
    modules = {name: load(name) for name in ("end_to_end", "naive", "worker", "measure")}

    def run(self, command):
        modules[Path(command[0]).stem].main(command[1:])
        return modules["measure"].Measured(3.0, 1.0, 2.0, 1 << 30, 1 << 29)

    monkeypatch.setattr(modules["end_to_end"].Bench, "_run", run)
    return modules


def test_results_are_written_and_shown_after_the_comparison(in_process, tmp_path, capsys):
    out = tmp_path / "results" / "end_to_end.json"
    assert in_process["end_to_end"].main([*SMALL, "--out", str(out), "--scratch", str(tmp_path)]) == 0
    results = json.loads(out.read_text())
    check(results)
    assert results["ratios"] == {"cpu": 1.0, "wall": 1.0, "memory": 1.0}
    shown = capsys.readouterr().out
    assert "CPU seconds" in shown
    assert ">= 5: missed" in shown
    assert [path.name for path in tmp_path.iterdir()] == ["results"]


def test_a_wrong_value_ends_with_1_names_the_column_and_tells_no_time(in_process, tmp_path, capsys, monkeypatch):
    right = in_process["naive"].features

    def wrong(*arguments, **options):
        table = right(*arguments, **options)
        table.iloc[1234, table.columns.get_loc("n_orders_90d")] += 1
        return table

    monkeypatch.setattr(in_process["naive"], "features", wrong)
    out = tmp_path / "end_to_end.json"
    assert in_process["end_to_end"].main([*SMALL, "--out", str(out), "--scratch", str(tmp_path)]) == 1
    assert not out.exists()
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "column n_orders_90d: 1 of 2000 profiles differ" in shown.err
    assert "seconds" not in shown.err


def test_given_data_is_used_and_must_be_there(in_process, tmp_path, capsys):
    command = ["data", "--profiles", "2000", "--events", "20000", "--seed", "3", "--as-of", "2026-01-01"]
    in_process["worker"].main([*command, "--out", str(tmp_path / "data")])
    out = tmp_path / "end_to_end.json"
    arguments = ["--repeats", "1", "--out", str(out), "--scratch", str(tmp_path)]
    assert in_process["end_to_end"].main([*arguments, "--data", str(tmp_path / "data")]) == 0
    assert json.loads(out.read_text())["parameters"]["events"] is None
    assert in_process["end_to_end"].main([*arguments, "--data", str(tmp_path)]) == 1
    assert "no purchases-*.parquet" in capsys.readouterr().err


def test_a_measured_run_that_compiles_does_not_count(in_process, tmp_path, capsys, monkeypatch):
    bench = in_process["end_to_end"].Bench
    repeat = bench.repeat

    def compiling(self):
        kernels = self.scratch / "kernels" / "cpu"
        kernels.mkdir(parents=True)
        (kernels / "cells.day_cells-54.py311.2.nbc").touch()
        return repeat(self)

    monkeypatch.setattr(bench, "repeat", compiling)
    out = tmp_path / "end_to_end.json"
    assert in_process["end_to_end"].main([*SMALL, "--out", str(out), "--scratch", str(tmp_path)]) == 1
    assert not out.exists()
    assert "a measured run compiled cells.day_cells-54" in capsys.readouterr().err


@pytest.mark.slow
def test_the_script_measures_processes_of_its_own(tmp_path):
    out = tmp_path / "end_to_end.json"
    command = [sys.executable, str(SCRIPT), *SMALL, "--out", str(out), "--scratch", str(tmp_path)]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    results = json.loads(out.read_text())
    check(results)
    assert all(figure > 0 for side in results["runs"][0].values() for figure in (side[name] for name in FIGURES))
