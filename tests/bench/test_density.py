import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).parents[2] / "bench" / "density.py"
TINY = ["--rows", "1000", "--exact", "500", "1000", "--micro", "20000", "--sampled", "6000"]


@pytest.fixture
def density(load, monkeypatch):
    """The benchmark with few shapes."""
    shapes = load("density_shapes").SHAPES
    found = load("density")
    monkeypatch.setattr(found, "SHAPES", {name: shapes[name] for name in ("blobs", "moons", "even noise")})
    return found


def test_results_are_written_and_shown(density, tmp_path, capsys):
    out = tmp_path / "results" / "density.json"
    assert density.main([*TINY, "--out", str(out), "--scratch", str(tmp_path)]) == 0
    results = json.loads(out.read_text())
    assert set(results) == {"command", "date", "hardware", "versions", "agreement", "times", "judgements"}
    cases = [(line["shape"], line["sampled"], line["ratio"]) for line in results["agreement"]]
    assert cases == [(shape, 1000, ratio) for shape in ("blobs", "moons", "even noise") for ratio in (5, 20, 100)]
    for line in results["agreement"]:
        refused = line["shape"] == "even noise"
        assert (line["refused"] is not None) == refused
        assert refused or line["ari"] > 0.95
    assert [(line["side"], line["rows"]) for line in results["times"]] == [
        ("exact", 500),
        ("exact", 1000),
        ("micro", 20000),
    ]
    shown = capsys.readouterr().out
    assert "| moons | 1,000 | 1,000 |" in shown
    assert "| micro | 20,000 |" in shown


def test_a_sample_too_thin_to_measure_is_one_line(density, tmp_path, capsys):
    out = tmp_path / "density.json"
    assert density.main([*TINY[:-1], "2000", "--out", str(out), "--scratch", str(tmp_path)]) == 1
    assert not out.exists()
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("density: error: 20,000 rows: min_cluster_size 200 is too small")


def test_a_fifth_is_sampled_where_it_holds_the_smallest_cluster(density):
    assert density.samples_of(10_000) == (10_000,)
    assert density.samples_of(40_000) == (40_000, 8_000)


def test_a_time_is_held_against_the_square_of_the_rows(density):
    lines = [
        {"side": "exact", "rows": 10, "wall_seconds": 9.0, "noise": 0.0},
        {"side": "exact", "rows": 100, "wall_seconds": 2.0, "noise": 0.05},
        {"side": "micro", "rows": 1000, "wall_seconds": 50.0, "noise": 0.06},
    ]
    (found,) = density.judged(lines, 0.1)
    assert found["exact_seconds_extrapolated"] == 200.0
    assert found["share"] == 0.25
    assert not found["met"]
    assert found["noise_off"] == pytest.approx(0.01)
    assert density.judged(lines, 0.3)[0]["met"]


def test_every_shape_has_as_many_rows_as_asked(load):
    for name, shape in load("density_shapes").SHAPES.items():
        rows = shape(np.random.default_rng(0), 300)
        assert len(rows) == 300, name
        assert np.isfinite(rows).all(), name


@pytest.mark.parametrize("words", [["--rows", "0"], ["--most-share", "0"], ["--seed", "-1"]])
def test_options_that_cannot_be_are_refused(density, words, capsys):
    with pytest.raises(SystemExit) as found:
        density.parsed(words)
    assert found.value.code == 2
    assert capsys.readouterr().err.startswith("density: error: ")


@pytest.mark.slow
def test_the_script_measures_all_shapes(tmp_path):
    out = tmp_path / "density.json"
    command = [sys.executable, str(SCRIPT), *TINY, "--out", str(out), "--scratch", str(tmp_path)]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    shapes = {line["shape"] for line in json.loads(out.read_text())["agreement"]}
    assert len(shapes) > 12
