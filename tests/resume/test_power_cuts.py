"""Whole processes killed with -9, at places and at random times: the same bytes in the end, and nothing left over."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.resume import worlds
from tests.resume.clusters import ENVIRONMENT, code_of, start
from tests.resume.worlds import litter, promised

DONE = 6
KILLED = -9

# Runs gpuseg with sizes at which a small run takes every path; dies at the n-th call of a function, if asked to.
RUN = """\
import os, signal, sys
from importlib import import_module
place, nth, *words = sys.argv[1:]
spill = import_module("gpuseg.engine.spill")
spill.HELD_BYTES, spill._PIECE_BYTES, spill._PIECE_BYTES_PER_BUCKET = 0, 2000, 1
import_module("gpuseg.sources.scan").PART_BYTES = 1
import_module("gpuseg.engine.cpu.device").CpuDevice.held_bytes = 0
if place:
    module, _, name = place.partition(":")
    owner = import_module(module)
    *parents, last = name.split(".")
    for parent in parents:
        owner = getattr(owner, parent)
    original, left = getattr(owner, last), [int(nth)]
    def crash(*arguments, **options):
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*arguments, **options)
    setattr(owner, last, crash)
from gpuseg.cli import main
sys.exit(main(words))
"""


def command(place, nth, *words):
    return [sys.executable, "-c", RUN, place, str(nth), *map(str, words)]


def ends(words, seconds=None):
    """Exit code of a process, which is killed after some seconds."""
    run = subprocess.Popen(words, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        return run.wait(seconds)
    except subprocess.TimeoutExpired:
        run.kill()
        return run.wait()


@pytest.fixture
def written(sources, out, tmp_path):
    path = tmp_path / "gpuseg.json"
    path.write_text(worlds.json.dumps(worlds.settings(sources, out)))
    return path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("place", "nth"),
    [
        ("gpuseg.engine.spill:RunWriter._flush", 5),
        ("gpuseg.workspace.files:os.fsync", 40),
        ("gpuseg.sources.reduce:write_table", 9),
        ("gpuseg.segments.blocks:_store", 2),
        ("gpuseg.segments.assign:write_table", 3),
        ("gpuseg.workspace.run_directory:write_text", 1),
    ],
)
def test_killed_at_a_place(written, expected, out, place, nth):
    assert ends(command(place, nth, "run", written)) == KILLED
    assert ends(command("", 0, "run", written, "--resume")) == DONE
    assert promised(Path(out) / "v0001") == expected["kmeans"]
    assert litter(Path(out) / "v0001") == []


@pytest.mark.slow
def test_killed_twenty_times_at_random(written, expected, out):
    """Each attempt goes on where the last one was killed; when one is done, the next run begins a new version."""
    random = np.random.default_rng(11)
    n_killed = n_versions = 0
    while n_killed < 20:
        words = ["run", written, "--resume"] if n_killed else ["run", written]
        code = ends(command("", 0, *words), float(random.uniform(0.8, 4.0)))
        assert code in (KILLED, DONE)
        n_killed += code == KILLED
        if code == DONE:
            (version,) = sorted(Path(out).glob("v*"))
            assert promised(version) == expected["kmeans"]
            assert litter(version) == []
            worlds.shutil.rmtree(out)
            n_versions += 1
    assert ends(command("", 0, "run", written, "--resume")) == DONE
    (version,) = sorted(Path(out).glob("v*"))
    assert promised(version) == expected["kmeans"]
    assert litter(version) == []


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(2, 130), (15, 143)])
@pytest.mark.parametrize("seconds", [0.7, 1.5, 2.2, 3.0])
def test_a_signal_at_any_time(sources, expected, out, tmp_path, number, code, seconds):
    run = start(worlds.settings(sources, out), tmp_path)
    try:
        run.wait(seconds)
    except subprocess.TimeoutExpired:
        run.send_signal(number)
    _, err = run.communicate(timeout=20)
    if run.returncode == DONE:
        return
    # Before Python has come to gpuseg the signal is the interpreter's.
    assert run.returncode in (code, -number, 1)
    if run.returncode == code:
        assert err.splitlines()[-1].endswith("what was committed is kept")
        assert len(err.splitlines()) == 1
    again = start(worlds.settings(sources, out), tmp_path, "--resume")
    assert code_of(again) == DONE
    assert promised(Path(out) / "v0001") == expected["kmeans"]
