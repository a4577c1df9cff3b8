import json
from pathlib import Path

import pytest

TINY = ["--profiles", "400", "--events", "4000", "--cuts", "3,6"]


@pytest.fixture
def in_process(load, monkeypatch):
    """The benchmark with every command run inside this process."""
    modules = {name: load(name) for name in ("cut", "worker", "measure")}

    def run(self, command):
        modules["worker"].main(command[1:])
        return modules["measure"].Measured(3.0, 1.0, 2.0, 1 << 30, 1 << 29, 0.01)

    monkeypatch.setattr(modules["cut"].Cuts, "_run", run)
    monkeypatch.setattr(modules["cut"], "_WARM", (300, 3_000))
    return modules["cut"]


def test_every_cut_is_measured_beside_the_run(in_process, tmp_path, capsys):
    out = tmp_path / "cut.json"
    assert in_process.main([*TINY, "--out", str(out), "--scratch", str(tmp_path)]) == 0
    results = json.loads(out.read_text())
    assert [(line["what"], line["segments"]) for line in results["lines"]] == [
        ("run", 7),
        ("cut", 3),
        ("cut", 6),
        ("run", 6),
    ]
    assert results["lines"][-1]["equal_files"] > 10
    assert (results["rows"]["rows"], results["rows"]["features"]) == (400, 16)
    assert [one["segments"] for one in results["rows"]["cuts"]] == [3, 6]
    assert {"command", "date", "hardware", "versions"} <= results.keys()
    assert str(tmp_path) not in out.read_text()
    assert "dearest cut, stages fit and assign" in capsys.readouterr().out


def test_a_cut_that_differs_from_a_fresh_fit_ends_it(in_process, tmp_path, monkeypatch, capsys):
    digests = in_process.digests
    monkeypatch.setattr(
        in_process, "digests", lambda path: digests(path) | ({"model/x": "1"} if "fresh" in str(path) else {})
    )
    assert in_process.main([*TINY, "--out", str(tmp_path / "cut.json"), "--scratch", str(tmp_path)]) == 1
    assert "model/x of the cut is not that of the fresh run" in capsys.readouterr().err
    assert not (tmp_path / "cut.json").exists()


def test_the_dearest_cut_is_judged(load):
    def line(what, fit, assign, seconds):
        stages = {"fit": fit, "assign": assign, "report": 1.0}
        return {"what": what, "stage_seconds": stages, "wall_seconds": seconds, "cpu_seconds": 2 * seconds}

    lines = [line("run", 15.0, 5.0, 40.0), line("cut", 0.2, 0.4, 4.0), line("cut", 0.2, 1.0, 3.0)]
    rows = {"fit_seconds": 10.0, "cuts": [{"segments": 3, "seconds": 0.1}, {"segments": 6, "seconds": 0.4}]}
    instead, in_memory, wall, cpu = load("cut").judged(lines, rows, most=0.05)
    assert (instead["share"], instead["met"]) == (0.06, False)
    assert (in_memory["what"], in_memory["share"], in_memory["met"]) == ("rows in memory", 0.04, True)
    assert (wall["share"], cpu["share"]) == (0.1, 0.1)
    assert load("cut").judged(lines[:2], rows, most=0.05)[0]["met"] is True


def test_a_cut_in_memory_that_differs_from_a_fresh_fit_ends_it(in_process, tmp_path, monkeypatch):
    def run(self, command):
        command = list(map(str, command))
        Path(command[command.index("--out") + 1]).write_text('{"fit_seconds": 1.0, "cuts": [], "equal": false}')

    options = in_process.parsed([*TINY, "--out", str(tmp_path / "cut.json")])
    monkeypatch.setattr(in_process.Cuts, "_run", run)
    with pytest.raises(in_process.BenchmarkError, match="400 rows in memory: the last cut is not that of a fresh fit"):
        in_process.Cuts(options, tmp_path).rows()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--cuts", "1,3"], "a cut has at least 2 segments"),
        (["--cuts", "7"], "the run itself has 7 segments"),
        (["--cuts", "x"], "must be a whole number of at least 1"),
        (["--profiles", "0"], "must be a whole number of at least 1"),
        (["--cuts", "5000"], "--segments must be at most"),
    ],
)
def test_options_that_cannot_be(load, capsys, words, said):
    with pytest.raises(SystemExit) as ended:
        load("cut").parsed(words)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
