import json
import sys

import pytest

from gpuseg.engine.hardware import Hardware

FOREVER = (sys.executable, "-c", "import threading; threading.Event().wait()")


@pytest.fixture
def session(load, played_gpu, monkeypatch):
    found = load("gpu_session")
    monkeypatch.setattr(found, "find_gpus", lambda: played_gpu)
    return found


def test_without_a_gpu_nothing_begins(session, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(session, "find_gpus", lambda: Hardware(problem="no NVIDIA driver on this machine"))
    assert session.main([str(tmp_path / "out")]) == 1
    assert capsys.readouterr().err == "gpu_session: error: no NVIDIA driver on this machine\n"
    assert not (tmp_path / "out").exists()


def steps_of(session, *commands):
    made = [session.Step(f"step{n}", command, 100) for n, command in enumerate(commands)]
    return lambda out, *, rehearse: made


def says(text, code=0):
    return (
        sys.executable,
        "-c",
        f"import os, sys; print({text!r}, os.environ.get('GPUSEG_REQUIRE_GPU')); sys.exit({code})",
    )


def test_every_step_runs_whatever_became_of_the_others(session, tmp_path, capsys, monkeypatch):
    commands = (says("one", 3), ("no-such-program-anywhere",), says("three"))
    monkeypatch.setattr(session, "steps", steps_of(session, *commands))
    assert session.main([str(tmp_path / "out")]) == 1
    told = json.loads((tmp_path / "out" / "session.json").read_text())
    assert [step["exit"] for step in told["steps"]] == [3, 127, 0]
    assert (tmp_path / "out" / "1-step0.txt").read_text() == "one 1\n"
    assert (tmp_path / "out" / "3-step2.txt").read_text() == "three 1\n"
    assert "exit 3" in capsys.readouterr().out


def test_all_went_well(session, tmp_path, monkeypatch):
    monkeypatch.setattr(session, "steps", steps_of(session, says("one")))
    assert session.main([str(tmp_path), "--rehearse"]) == 0
    # A rehearsal demands no GPU.
    assert (tmp_path / "1-step0.txt").read_text() == "one None\n"


def test_the_time_is_kept(session, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(session, "steps", steps_of(session, FOREVER, says("two")))
    assert session.main([str(tmp_path), "--minutes", "0.005"]) == 1
    told = json.loads((tmp_path / "session.json").read_text())
    assert [step["exit"] for step in told["steps"]] == [124, 124]
    assert capsys.readouterr().out.count("took too long") == 2


@pytest.mark.parametrize("rehearse", [True, False])
def test_the_steps(session, tmp_path, rehearse):
    made = session.steps(tmp_path, rehearse=rehearse)
    names = ["doctor", "smoke", "kernels", "group-by", "test-gpu", "test-dask", "cpu-vs-gpu"]
    assert [step.name for step in made] == names
    # The last one has what is left, which is a minute at least.
    assert sum(step.most_seconds for step in made[:-1]) <= 19 * 60
    for step in made[2:4]:
        assert ("--rehearse" in step.command) is rehearse
        if not rehearse:
            assert float(step.command[step.command.index("--most-seconds") + 1]) < step.most_seconds
    (tests,) = (step.command for step in made if step.name == "test-gpu")
    assert ("--devices=cpu,gpu" in tests) is not rehearse
    (dask,) = (step.command for step in made if step.name == "test-dask")
    assert "--executor=dask" in dask
    # Several processes would share one GPU among as many clusters.
    assert "-n" not in dask
    assert ("gpu and not slow" in dask) is not rehearse
    assert {step.name for step in made if step.needs_gpu} == {"smoke"}
    for word in (word for step in made for word in step.command):
        if word.endswith(".py"):
            assert (session.ROOT / word).is_file()


def test_smoke_on_a_played_gpu(load, played_gpu, capsys, monkeypatch):
    smoke = load("gpu_smoke")
    monkeypatch.setattr(smoke, "find_gpus", lambda: played_gpu)
    code = smoke.main()
    lines = capsys.readouterr().out.splitlines()
    assert code == 0, lines
    assert len(lines) == len(smoke.CHECKS)
    assert all(line.startswith("ok ") for line in lines)


def test_a_check_that_fails_does_not_end_the_others(load, capsys):
    smoke = load("gpu_smoke")

    def broken():
        raise RuntimeError("no kernel image")

    def good():
        return "fine"

    assert smoke.main((broken, good)) == 1
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("FAILED broken")
    assert first.endswith("RuntimeError: no kernel image")
    assert second.startswith("ok     good")
