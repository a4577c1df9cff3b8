import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

SCRIPT = Path(__file__).parents[2] / "bench" / "features.py"
SMALL = ["--profiles", "2000", "--events", "20000", "--repeats", "1"]
FIGURES = {"cpu_seconds", "user_seconds", "system_seconds", "wall_seconds"}
FIGURES |= {"peak_bytes", "peak_rss_bytes", "peak_pss_bytes"}
MODULES = {"pandas": "pandas", "polars": "polars", "duckdb": "duckdb", "dask.dataframe": "dask"}
INSTALLED = [side for side, module in MODULES.items() if importlib.util.find_spec(module)]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Purchases as the benchmark makes them."""
    folder = tmp_path_factory.mktemp("purchases")
    worker = SCRIPT.with_name("worker.py")
    command = [sys.executable, str(worker), "data", "--profiles", "2000", "--events", "20000", "--seed", "0"]
    subprocess.run([*command, "--as-of", "2026-01-01", "--out", str(folder)], check=True)
    return folder


@pytest.fixture
def in_process(load, monkeypatch):
    """The benchmark with every command run inside this process, where it can be tampered with."""
    modules = {name: load(name) for name in ("features", "features_sides", "worker", "measure")}

    def run(self, command):
        modules[Path(command[0]).stem].main(command[1:])
        return modules["measure"].Measured(3.0, 1.0, 2.0, 1 << 30, 1 << 29)

    monkeypatch.setattr(modules["features"].Bench, "_run", run)
    return modules


def check(results, sides):
    told = {"command", "date", "hardware", "versions", "parameters", "absent", "compared", "runs"}
    assert set(results) == told | {"medians", "ratios", "bars"}
    assert set(sides) < set(results["versions"]) | {"dask.dataframe"}
    assert not {"scratch", "out", "data"} & set(results["parameters"])
    assert set(results["absent"]) == set(MODULES) - set(sides)
    assert list(results["compared"]) == list(sides)
    for compared in results["compared"].values():
        assert compared["n_profiles"] == 2000
        assert compared["n_columns"] > 30
        assert compared["largest_relative_difference"] < 1e-9
    (run,) = results["runs"]
    assert list(run) == ["gpuseg", *sides]
    assert all(set(figures) == FIGURES for figures in run.values())


def test_results_are_written_and_shown_after_the_comparison(in_process, data, tmp_path, capsys):
    out, sides = tmp_path / "results" / "features.json", ["pandas", "polars"]
    words = [*SMALL, "--data", str(data), "--sides", *sides, "--out", str(out), "--scratch", str(tmp_path)]
    assert in_process["features"].main(words) == 0
    results = json.loads(out.read_text())
    check(results, sides)
    assert results["bars"]["cpu_seconds"] == {"at_most": 0.8, "measured": 1.0, "met": False}
    shown = capsys.readouterr().out
    assert "features of 2,000 profiles, equal on all sides" in shown
    assert "not installed or not asked for: duckdb, dask.dataframe" in shown
    assert "of polars, cpu seconds: 1.00 (aim 0.8: missed)" in shown
    assert [path.name for path in tmp_path.iterdir()] == ["results"]


# dask calls pandas in a way that pandas has given up.
@pytest.mark.filterwarnings("ignore:The inplace keyword")
@pytest.mark.parametrize("side", MODULES)
def test_every_side_computes_what_gpuseg_does(in_process, data, tmp_path, side):
    pytest.importorskip(MODULES[side])
    out = tmp_path / "features.json"
    words = [*SMALL, "--data", str(data), "--sides", side, "--out", str(out), "--scratch", str(tmp_path)]
    assert in_process["features"].main(words) == 0
    check(json.loads(out.read_text()), [side])


def changed_column(table):
    at = table.column_names.index("n_orders_90d")
    once = pa.array([row == 1234 for row in range(len(table))]).cast(pa.int64())
    return table.set_column(at, "n_orders_90d", pc.add(table["n_orders_90d"], once))


TAMPERED = [
    (changed_column, "column n_orders_90d: 1 of 2000 profiles differ"),
    (lambda table: table.slice(1), "column profile_id: the sides have different profiles"),
    (lambda table: table.drop_columns(["share_other"]), "column share_other: missing from naive"),
]


@pytest.mark.parametrize(("change", "told"), TAMPERED, ids=["a changed value", "a missing profile", "no column"])
def test_other_features_end_with_1_name_the_side_and_tell_no_time(
    in_process, data, tmp_path, capsys, monkeypatch, change, told
):
    sides = in_process["features_sides"].SIDES
    right = sides["polars"]

    def wrong(options, files):
        right(options, files)
        pq.write_table(change(pq.read_table(options.out)), options.out)

    monkeypatch.setitem(sides, "polars", wrong)
    out = tmp_path / "features.json"
    words = ["--repeats", "1", "--data", str(data), "--sides", "pandas", "polars", "--scratch", str(tmp_path)]
    assert in_process["features"].main([*words, "--out", str(out)]) == 1
    assert not out.exists()
    shown = capsys.readouterr()
    assert shown.out == ""
    assert f"features: error: polars: {told}" in shown.err
    assert "seconds" not in shown.err


def test_a_measured_run_that_compiles_does_not_count(in_process, data, tmp_path, capsys, monkeypatch):
    bench = in_process["features"].Bench
    other = bench._other

    def compiling(self, side):
        (self.scratch / "kernels").mkdir(exist_ok=True)
        (self.scratch / "kernels" / "cells.day_cells-54.nbc").touch()
        return other(self, side)

    monkeypatch.setattr(bench, "_other", compiling)
    out = tmp_path / "features.json"
    words = ["--repeats", "1", "--data", str(data), "--sides", "pandas", "--scratch", str(tmp_path)]
    assert in_process["features"].main([*words, "--out", str(out)]) == 1
    assert not out.exists()
    assert "features: error: a measured run compiled cells.day_cells-54.nbc" in capsys.readouterr().err


def test_given_data_must_be_there(in_process, tmp_path, capsys):
    words = ["--data", str(tmp_path), "--scratch", str(tmp_path), "--out", str(tmp_path / "features.json")]
    assert in_process["features"].main(words) == 1
    assert "no purchases-*.parquet" in capsys.readouterr().err


def test_sides_that_are_not_installed_are_left_out(in_process, tmp_path, monkeypatch):
    features = in_process["features"]
    monkeypatch.setattr(features, "SIDES", {"pandas": ("pandas", "pandas"), "other": ("no_such_module", "no-such")})
    options = features.parsed(["--data", str(tmp_path)])
    assert options.sides == ["pandas", "other"]
    assert features.Bench(options, tmp_path).others == ["pandas"]


def figures(cpu, peak):
    names = ("user_seconds", "system_seconds", "wall_seconds")
    return {"cpu_seconds": cpu, "peak_bytes": peak} | dict.fromkeys(names, 1.0)


def test_ratios_are_those_of_one_repeat_and_the_bars_those_against_polars(load):
    runs = [
        {"gpuseg": figures(4.0, 100), "pandas": figures(8.0, 900), "polars": figures(8.0, 200)},
        {"gpuseg": figures(9.0, 130), "pandas": figures(10.0, 800), "polars": figures(10.0, 200)},
        {"gpuseg": figures(7.0, 110), "pandas": figures(70.0, 900), "polars": figures(10.0, 200)},
    ]
    found = load("features").summarise(runs)
    assert found["medians"]["gpuseg"]["cpu_seconds"] == 7.0
    assert found["medians"]["pandas"]["peak_bytes"] == 900
    assert found["ratios"]["pandas"]["cpu_seconds"] == 0.5
    assert found["bars"] == {
        "cpu_seconds": {"at_most": 0.8, "measured": 0.7, "met": True},
        "peak_bytes": {"at_most": 0.5, "measured": 0.55, "met": False},
    }


def test_without_polars_nothing_is_judged(load):
    runs = [{"gpuseg": figures(4.0, 100), "pandas": figures(8.0, 900)}]
    assert load("features").summarise(runs)["bars"] == {}


@pytest.mark.slow
def test_the_script_measures_processes_of_its_own(tmp_path):
    out = tmp_path / "features.json"
    command = [sys.executable, str(SCRIPT), *SMALL, "--out", str(out), "--scratch", str(tmp_path)]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    results = json.loads(out.read_text())
    check(results, INSTALLED)
    assert all(figure > 0 for side in results["runs"][0].values() for figure in (side[name] for name in FIGURES))
