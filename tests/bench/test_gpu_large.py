import json

import pytest

from gpuseg.engine.hardware import Hardware
from gpuseg.errors import ConfigError

SIZES = ["--profiles", "400", "--events", "4000"]


@pytest.fixture
def large(load, monkeypatch):
    """The benchmark with every command run inside this process."""
    modules = {name: load(name) for name in ("gpu_large", "worker", "runs", "measure")}

    def run(self, command):
        modules["worker"].main(command[1:])
        return modules["measure"].Measured(3.0, 1.0, 2.0, 1 << 30, 1 << 29, 0.01)

    monkeypatch.setattr(modules["runs"].Runs, "_run", run)
    for name, value in {"TINY_PROFILES": 300, "TINY_EVENTS": 3_000}.items():
        monkeypatch.setattr(modules["gpu_large"], name, value)
    return modules["gpu_large"]


def test_events_are_made_once_and_run_over(large, tmp_path, capsys):
    data = ["--data", str(tmp_path / "data"), "--scratch", str(tmp_path)]
    assert large.main([*SIZES, *data, "--make"]) == 0
    assert capsys.readouterr().out.startswith("4,000 events of 400 profiles, ")
    out = tmp_path / "out.json"
    assert large.main([*SIZES, *data, "--engine", "cpu", "--out", str(out)]) == 0
    results = json.loads(out.read_text())
    assert list(results["stage_seconds"]) == ["validate", "features", "fit", "assign"]
    assert (results["wall_seconds"], results["events_per_second"]) == (2.0, 2_000)
    assert results["file_bytes"] > 1_000
    assert {"command", "date", "hardware", "versions"} <= results.keys()
    assert str(tmp_path) not in out.read_text()
    assert "4,000 events of 400 profiles" in capsys.readouterr().out


def test_other_events_than_asked_for(large, tmp_path, capsys):
    data = ["--data", str(tmp_path / "data"), "--scratch", str(tmp_path), "--out", str(tmp_path / "out.json")]
    assert large.main([*SIZES, *data]) == 1
    assert large.main([*SIZES, *data, "--make"]) == 0
    capsys.readouterr()
    assert large.main(["--profiles", "400", "--events", "5000", *data]) == 1
    assert "does not hold these events; make them with --make and the same sizes" in capsys.readouterr().err
    # What is there is not written over.
    with pytest.raises(ConfigError, match="the folder is not empty"):
        large.main([*SIZES, *data, "--make"])
    assert not (tmp_path / "out.json").exists()


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--profiles", "4"], "--profiles must be at least 5"),
        (["--profiles", "9", "--events", "8"], "--events 8 is less than --profiles 9"),
        (["--events", "x"], "'x' must be a whole number of at least 1"),
    ],
)
def test_sizes_that_cannot_be(large, tmp_path, capsys, words, line):
    with pytest.raises(SystemExit) as ended:
        large.main(["--data", str(tmp_path), *words])
    assert ended.value.code == 2
    assert line in capsys.readouterr().err


def test_what_cannot_be_done_is_said_first(large, tmp_path, capsys, monkeypatch):
    with pytest.raises(SystemExit):
        large.main(["--data", str(tmp_path), "--engine", "cpu"])
    assert "gpu_large.json in results is for a billion events on a GPU; name another --out" in capsys.readouterr().err
    data = ["--data", str(tmp_path / "data"), "--scratch", str(tmp_path), "--out", str(tmp_path / "out.json")]
    assert large.main([*SIZES, *data, "--make"]) == 0
    monkeypatch.setattr(large, "find_gpus", lambda: Hardware(problem="no NVIDIA driver on this machine"))
    assert large.main([*SIZES, *data]) == 1
    assert capsys.readouterr().err == "gpu_large: error: no NVIDIA driver on this machine\n"
    monkeypatch.setattr(large, "_SCRATCH_BYTES", 10**15)
    assert large.main([*SIZES, *data, "--engine", "cpu"]) == 1
    assert "GB free; see --data and --scratch" in capsys.readouterr().err
