import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "bench" / "scaling.py"
TINY = ["--sizes", "0.01,0.02"]
PAGE = "# Page\n\n<!-- scaling.json: begin -->\nold\n<!-- scaling.json: end -->\nrest\n"


def line(executor, n_events, wall, peak):
    return {
        "executor": executor,
        "n_events": n_events,
        "n_profiles": n_events // 10,
        "n_buckets": 4,
        "wall_seconds": wall,
        "cpu_seconds": 2 * wall,
        "wall_seconds_per_million_profiles": wall / n_events * 1e7,
        "peak_bytes": peak << 20,
    }


@pytest.fixture
def in_process(load, monkeypatch):
    """The benchmark with every command run inside this process, where it can be tampered with."""
    modules = {name: load(name) for name in ("scaling", "worker", "measure")}

    def run(self, command):
        modules["worker"].main(command[1:])
        return modules["measure"].Measured(3.0, 1.0, 2.0, 1 << 30, 1 << 29, 0.01)

    monkeypatch.setattr(modules["scaling"].Scaling, "_run", run)
    return modules["scaling"]


@pytest.fixture
def two_locals(in_process, monkeypatch):
    """Two local executors in place of a local one and a cluster."""
    made = in_process.Scaling.__init__

    def init(self, options, scratch):
        made(self, options, scratch)
        self.executors = {"local": {"run": {}}, "other": {"run": {"buckets": 1}}}

    monkeypatch.setattr(in_process.Scaling, "__init__", init)
    return in_process


def test_results_are_written_with_a_table(two_locals, tmp_path, capsys):
    out, docs = tmp_path / "results" / "scaling.json", tmp_path / "page.md"
    docs.write_text(PAGE)
    words = [*TINY, "--out", str(out), "--docs", str(docs), "--scratch", str(tmp_path)]
    assert two_locals.main(words) == 0
    results = json.loads(out.read_text())
    check(results, ("local", "other"))
    assert results["judgements"]["local"]["memory"] == {"at_most": 1.2, "measured": 1.0, "met": True}
    # The same two seconds for twice the profiles.
    assert results["judgements"]["other"]["time"] == {"at_most": 1.2, "measured": 0.5, "met": True}
    shown = capsys.readouterr().out
    assert docs.read_text() == PAGE.replace("old\n", shown)
    assert "| 0.02 M | 2,000 | 1 | other | 2.0 | 4.0 | 1,000.0 | 1,024 |\n" in shown
    assert sorted(path.name for path in tmp_path.iterdir()) == ["page.md", "results"]


def check(results, executors):
    assert set(results) == {"command", "date", "hardware", "versions", "lines", "judgements"}
    found = [(one["n_events"], one["n_profiles"], one["executor"]) for one in results["lines"]]
    assert found == [(size, size // 10, name) for size in (10_000, 20_000) for name in executors]
    for one in results["lines"]:
        assert one["equal_files"] > 5
        assert one["stored_bytes"] > 0
        assert list(one["stage_seconds"]) == ["validate", "features", "fit", "assign", "explain", "report"]
    assert set(results["judgements"]) == set(executors)


def test_a_difference_between_executors_ends_with_1_and_tells_no_time(two_locals, tmp_path, capsys, monkeypatch):
    right = two_locals.digests

    def wrong(version):
        found = right(version)
        return found | {"features/0000.parquet": "0"} if "other" in str(version) else found

    monkeypatch.setattr(two_locals, "digests", wrong)
    out = tmp_path / "scaling.json"
    assert two_locals.main([*TINY, "--out", str(out), "--scratch", str(tmp_path)]) == 1
    assert not out.exists()
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.endswith("scaling: error: features/0000.parquet of other is not that of local\n")


def test_a_measured_run_that_compiles_does_not_count(two_locals, tmp_path, capsys, monkeypatch):
    of_size = two_locals.Scaling._of_size

    def compiling(self, n_events):
        (self.scratch / "kernels").mkdir(exist_ok=True)
        (self.scratch / "kernels" / f"cells.day_cells-{n_events}.nbc").touch()
        return of_size(self, n_events)

    monkeypatch.setattr(two_locals.Scaling, "_of_size", compiling)
    assert two_locals.main(["--sizes", "0.01", "--out", str(tmp_path / "out.json"), "--scratch", str(tmp_path)]) == 1
    assert "a measured run compiled cells.day_cells-10000.nbc" in capsys.readouterr().err


def test_a_missing_file_is_a_difference(load):
    scaling = load("scaling")
    with pytest.raises(scaling.BenchmarkError, match=r"^b of y is not that of x$"):
        scaling.check_equal({"x": {"a": "1"}, "y": {"a": "1", "b": "2"}})
    scaling.check_equal({"x": {"a": "1"}, "y": {"a": "1"}})


def test_judgements(load):
    judged = load("scaling_table").judged
    lines = [line("local", n * 10**6, wall, peak) for n, wall, peak in ((5, 10, 900), (20, 44, 1000), (80, 200, 1100))]
    found = judged(lines, most_time=1.2, most_memory=1.2)["local"]
    assert found["memory"] == {"at_most": 1.2, "measured": 1.222, "met": False}
    assert found["time"] == {"at_most": 1.2, "measured": 1.25, "met": False}
    assert judged(lines, most_time=1.3, most_memory=1.3)["local"]["time"]["met"]
    # Nothing follows from one size.
    assert judged(lines[:1], most_time=1.2, most_memory=1.2) == {}


@pytest.mark.parametrize("sizes", ["0", "5,-1", "1e9", "nan"])
def test_sizes_that_cannot_be_are_refused(load, sizes, capsys):
    with pytest.raises(SystemExit):
        load("scaling").parsed(["--sizes", sizes])
    assert "sizes are millions of events" in capsys.readouterr().err


def test_the_table_of_the_docs_is_that_of_the_results(load):
    table = load("scaling_table")
    page = (ROOT / "docs" / "scaling.md").read_text("utf-8")
    results = json.loads((ROOT / "bench" / "results" / "scaling.json").read_text("utf-8"))
    assert load("marks").replaced(page, table.MARK, table.markdown(results)) == page


@pytest.mark.slow
def test_the_script_measures_both_executors(tmp_path):
    out = tmp_path / "scaling.json"
    command = [sys.executable, str(SCRIPT), *TINY, "--out", str(out), "--scratch", str(tmp_path)]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    results = json.loads(out.read_text())
    check(results, ("local", "dask-2"))
    local, cluster = results["lines"][:2]
    # A driver and two workers, each with its libraries.
    assert cluster["peak_pss_bytes"] > 1.3 * local["peak_pss_bytes"] > 100 << 20
    assert cluster["cpu_seconds"] > local["cpu_seconds"] > 0
    assert all(one["sampling_share"] < 0.05 for one in results["lines"])
