"""The plain script, run: whatever is killed in between, it ends with the bytes of an uninterrupted local run."""

import os
import re
import signal
import subprocess
import sys
import time
from collections import deque
from pathlib import Path

import pytest
import yaml

import gpuseg as package
from gpuseg.cli import main

SCRIPT = Path(__file__).parents[2] / "examples" / "batch" / "local.py"
ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(package.__file__).parents[1])}
PROMISED = ("state", "features", "model", "assignments")
MOST_SECONDS = 120


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """Synthetic events, and what a local run makes of them."""
    folder = tmp_path_factory.mktemp("batch") / "shop"
    assert main(["synth", "--profiles", "3000", "--events", "30000", "--kinds", "purchases", "--out", str(folder)]) == 0
    assert main(["run", str(configure(folder, "local"))]) == 0
    return folder


def configure(folder, name, **sections):
    """Write a configuration that runs into the folder `name`."""
    config = yaml.safe_load((folder / "gpuseg.yaml").read_text())
    config["run"] |= {"out": name, "buckets": 24, "engine": "cpu"}
    config["cluster"] = {"segments": 4}
    if sections:
        config["run"]["executor"] = "dask"
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(config | sections))
    return path


def content(folder):
    """Every promised file's bytes."""
    files = [path for name in PROMISED for path in (folder / "v0001" / name).rglob("*") if path.is_file()]
    files += [folder / "v0001" / "segments.json", folder / "v0001" / "explanations.json"]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


class Script:
    """The script at work."""

    def __init__(self, config, *options):
        command = [sys.executable, str(SCRIPT), *options, str(config)]
        self.process = subprocess.Popen(
            command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        self.lines = []

    def started(self, role):
        """Wait until it tells that a process was started, and give its id."""
        for line in self.process.stderr:
            self.lines.append(line)
            if found := re.fullmatch(rf"local: {role} is process ([0-9]+)\n", line):
                return int(found[1])
        raise AssertionError("".join(self.lines))

    def ended(self):
        out, told = self.process.communicate(timeout=MOST_SECONDS)
        self.lines.append(told)
        return self.process.returncode, out, "".join(self.lines)


def await_path(folder, pattern):
    """Wait until a run has written a file."""
    deadline = time.monotonic() + MOST_SECONDS
    while not any(folder.glob(pattern)):
        assert time.monotonic() < deadline, f"{pattern} did not come"


def children(pid):
    """Processes that a process started, and that those started."""
    found = deque([pid])
    while found:
        for task in Path(f"/proc/{found.popleft()}/task").glob("*/children"):
            mine = [int(word) for word in task.read_text().split()]
            found += mine
            yield from mine


def worker_of(nanny):
    """The process that a nanny started to work, which holds most memory."""
    return max(children(nanny), key=lambda pid: int(Path(f"/proc/{pid}/statm").read_text().split()[1]))


@pytest.mark.slow
def test_it_ends_with_the_bytes_of_a_local_run(shop, tmp_path, monkeypatch):
    monkeypatch.setitem(ENVIRONMENT, "TMPDIR", str(tmp_path))
    config = configure(shop, "whole", dask={"scheduler_file": "whole.json", "workers": 2})
    code, out, told = Script(config).ended()
    assert code == 0, told
    assert "Report: " in out
    assert told.count("run is process") == 1
    assert content(shop / "whole") == content(shop / "local")
    assert not (shop / "whole.json").exists()
    assert [path.name for path in tmp_path.iterdir() if "dask" in path.name] == []


@pytest.mark.slow
@pytest.mark.parametrize("whole", [False, True], ids=["worker", "worker and nanny"])
def test_a_terminated_run_and_a_killed_worker(shop, whole):
    """SIGTERM while the first buckets are reduced, SIGKILL for a worker while features are built."""
    name = f"killed-{whole}"
    config = configure(shop, name, dask={"scheduler_file": f"{name}.json", "workers": 2})
    script = Script(config, "--json")
    nanny = script.started("worker")
    run = script.started("run")
    await_path(shop / name, "v0001/.work/validate/bucket-*.json")
    os.kill(run, signal.SIGTERM)
    assert script.started("run") != run
    await_path(shop / name, "v0001/.work/features/bucket-*.json")
    os.kill(nanny if whole else worker_of(nanny), signal.SIGKILL)
    code, out, told = script.ended()
    assert code == 0, told
    assert '"executed": ["validate", "features", "fit", "assign", "explain", "report"]' in out
    assert "preempted; restart 1 of 5" in told
    assert content(shop / name) == content(shop / "local")
    # The whole worker is replaced by the script, a process of it by its nanny.
    assert told.count("worker is process") == 2 + whole


@pytest.mark.slow
def test_restarts_end(shop):
    config = configure(shop, "often", dask={"scheduler_file": "often.json", "workers": 1})
    script = Script(config, "--workers", "1", "--restarts", "1")
    for _ in range(2):
        run = script.started("run")
        await_path(shop / "often", "v0001/.work/validate/*.json")
        os.kill(run, signal.SIGTERM)
    code, _, told = script.ended()
    assert code == 143
    assert told.count("preempted; restart 1 of 1") == 1
    assert told.count("run is process") == 2
    assert not (shop / "often.json").exists()


@pytest.mark.slow
def test_a_signal_to_the_script_ends_the_run_and_the_cluster(shop):
    config = configure(shop, "ended", dask={"scheduler_file": "ended.json", "workers": 1})
    script = Script(config, "--workers", "1")
    nanny, run = script.started("worker"), script.started("run")
    await_path(shop / "ended", "v0001/.work/validate/*.json")
    script.process.terminate()
    code, _, told = script.ended()
    assert code == 143
    assert "error[terminated]" in told
    assert not any(Path(f"/proc/{pid}").exists() for pid in (nanny, run))


@pytest.mark.slow
def test_bad_data_is_not_tried_again(shop):
    config = configure(shop, "bad", dask={"scheduler_file": "bad.json", "workers": 1})
    broken = yaml.safe_load(config.read_text())
    broken["sources"][0]["columns"]["amount"] = "line_amounts"
    config.write_text(yaml.safe_dump(broken))
    code, _, told = Script(config, "--workers", "1").ended()
    assert code == 3
    assert told.count("run is process") == 1
    assert "error[schema]" in told


def test_a_configuration_without_a_scheduler_file_is_refused(tmp_path):
    config = tmp_path / "gpuseg.yaml"
    config.write_text(
        "{version: 1, run: {name: s, out: run, as_of: 2026-01-01},"
        " sources: [{name: o, kind: purchases, uri: o.csv, columns: {profile_id: a, at: b, amount: c}}]}"
    )
    code, _, told = Script(config).ended()
    assert code == 2
    assert told == f"local: error: {config}: dask.scheduler_file is missing; give a path that all workers see\n"
