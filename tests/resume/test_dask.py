"""Workers of dask: the bytes of the local executor, whatever dies; an end in bounded time and one line otherwise."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
import threading
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("distributed")

from gpuseg import pipeline
from gpuseg.config_dask import DaskSection
from gpuseg.engine.cpu.device import CpuDevice
from gpuseg.engine.dask.cluster import open_dask
from gpuseg.errors import ConfigError, EngineError, InvalidValueError, WorkspaceError
from tests.resume import worlds
from tests.resume.clusters import ENVIRONMENT, PATHS, code_of, members, scheduler, start, until, worker
from tests.resume.worlds import config, crashing, go_on, litter, promised

sys.path.append(PATHS[1])
from dask_work import LateWork, WaitForFile, Work

# A warning that were an error would end a thread that watches workers.
pytestmark = pytest.mark.filterwarnings("default")
OWN = {"run": {"executor": "dask"}, "dask": {"workers": 2}}


@pytest.fixture(scope="module")
def workers():
    """Two workers of one's own."""
    executor = open_dask(DaskSection(workers=2, memory_bytes=2**29), CpuDevice())
    yield executor
    executor.close()


@pytest.mark.slow
@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("method", ["kmeans", "hdbscan"])
def test_the_bytes_of_the_local_executor(sources, expected, out, small, capfd, n, method):
    sections = {"cluster": worlds.CLUSTER[method], "run": {"executor": "dask"}, "dask": {"workers": n}}
    version = go_on(config(sources, out, **sections), "report").version
    assert promised(version.path) == expected[method]
    assert litter(version.path) == []
    assert capfd.readouterr().err.splitlines() == []


@pytest.mark.slow
def test_results_in_order(workers):
    assert list(workers.map(Work("nothing"), range(40))) == [item * item for item in range(40)]


@pytest.mark.slow
def test_workers_that_die_are_replaced(workers, tmp_path, caplog):
    assert list(workers.map(Work("kill_once", str(tmp_path)), range(12))) == [item * item for item in range(12)]
    assert len(list(tmp_path.iterdir())) == 2
    line = re.compile(
        r"was lost while it worked on bucket (\d+); others do its work again(; 2 more over the same .*)?$"
    )
    found = [line.search(record.getMessage()) for record in caplog.records]
    assert len(found) == 2
    assert all(found)
    # Whether a worker that died had handed in the piece before is a matter of moments.
    pieces = [match[1] for match in found]
    assert "3" in pieces
    assert [match[2] for match in found] == [
        None,
        "; 2 more over the same piece end the run" if pieces[0] == pieces[1] else None,
    ]


@pytest.mark.slow
@pytest.mark.parametrize("action", ["kill", "take_memory"])
def test_an_item_that_kills_every_worker_is_named(workers, action):
    line = r"^dask: 4 workers died one after the other while they worked on bucket 3; give each more memory \(dask\.mem"
    with pytest.raises(EngineError, match=line):
        list(workers.map(Work(action), range(12)))
    assert list(workers.map(Work("nothing"), range(3))) == [0, 1, 4]


@pytest.mark.slow
def test_an_item_whose_end_was_not_told_any_more_is_not_blamed(workers):
    with pytest.raises(EngineError, match="4 workers died one after the other while they worked on bucket 3;"):
        list(workers.map(LateWork("kill"), range(12)))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("action", "error"), [("refuse", InvalidValueError), ("time_out", TimeoutError), ("no_memory", MemoryError)]
)
def test_errors_of_the_work_are_the_callers(workers, action, error):
    with pytest.raises(error):
        list(workers.map(Work(action), range(6)))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_workers_killed_at_random(sources, expected, out, tmp_path, seed):
    """Whoever works on the run is killed every now and then, in every stage.

    Twice at most in a step: the fourth death over one piece ends a run, as it must.
    """
    random = np.random.default_rng(seed)
    settings = worlds.settings(sources, out, **OWN)
    run = start(settings, tmp_path)
    killed = Counter()
    try:
        until(lambda: (Path(out) / "v0001").exists(), "the version")
        while run.poll() is None and killed.total() < 6:
            found = [pid for pid in members(run.pid) if pid != run.pid and b"spawn_main" in command_of(pid)]
            if found:
                pid = int(random.choice(found))
                wait = float(random.uniform(0.2, 1.0))
                until_dead_or(run, wait)
                step = (Path(out) / "v0001" / "run.jsonl").read_text().count('"event": "step_started"')
                if killed[step] < 2:
                    killed[step] += kill(pid)
            else:
                until_dead_or(run, 0.05)
        said = run.communicate(timeout=180)
    finally:
        run.kill()
    assert run.returncode == 6, said
    assert killed.total() > 1
    assert [line for line in said[1].splitlines() if "warning" not in line and "set apart" not in line] == []
    version = Path(out) / "v0001"
    lost = [json.loads(line) for line in (version / "run.jsonl").read_text().splitlines() if "worker_lost" in line]
    assert 0 < len(lost) <= killed.total()
    assert [f"gpuseg: warning: {each['message']}" for each in lost] == [
        line for line in said[1].splitlines() if "was lost" in line
    ]
    assert promised(version) == expected["kmeans"]
    assert litter(version) == []


def command_of(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def kill(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return 0
    return 1


def until_dead_or(run, seconds):
    try:
        run.wait(seconds)
    except subprocess.TimeoutExpired:
        return


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code", "word", "group"),
    [(2, 130, "interrupted", True), (15, 143, "terminated", False), (15, 143, "terminated", True)],
    ids=["Ctrl-C", "SIGTERM", "SIGTERM to all"],
)
def test_a_signal_ends_run_and_workers(sources, expected, out, tmp_path, number, code, word, group):
    settings = worlds.settings(sources, out, **OWN)
    run = start(settings, tmp_path)
    until(lambda: list(Path(out).glob("v0001/.work/validate/*.json")), "the first entry")
    (os.killpg if group else os.kill)(run.pid, number)
    _, err = run.communicate(timeout=30)
    assert run.returncode == code
    assert err == f"gpuseg: error[{word}] {word}; what was committed is kept\n"
    until(lambda: members(run.pid) == [], "the workers' end")
    again = start(settings, tmp_path, "--resume")
    assert code_of(again) == 6
    assert promised(Path(out) / "v0001") == expected["kmeans"]


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["starting", "working"])
def test_no_worker_outlives_a_killed_run(sources, out, tmp_path, moment):
    run = start(worlds.settings(sources, out, **OWN), tmp_path)
    if moment == "starting":
        until(lambda: len(members(run.pid)) > 2, "a worker")
    else:
        until(lambda: list(Path(out).glob("v0001/.work/validate/*.json")), "the first entry")
    run.kill()
    run.communicate()
    until(lambda: members(run.pid) == [], "the workers' end")


@pytest.mark.slow
@pytest.mark.parametrize("first", ["local", "dask"])
@pytest.mark.parametrize("place", ["gpuseg.stages:quality_record", "gpuseg.stages:describe_segments"])
def test_another_executor_goes_on(sources, expected, out, small, first, place):
    second = {"local": "dask", "dask": "local"}[first]
    of = {"local": config(sources, out), "dask": config(sources, out, **OWN)}
    with crashing(place, 1):
        go_on(of[first])
    with pytest.MonkeyPatch.context() as patch:
        if second == "local":
            done = worlds.Counted(patch)
        version = go_on(of[second]).version
    if second == "local":
        assert done.done["part"] == 0
    found = promised(version.path)
    assert found == {name: content for name, content in expected["kmeans"].items() if name in found}


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """A cluster that runs already."""
    with ExitStack() as stack:
        _, path = stack.enter_context(scheduler(tmp_path_factory.mktemp("cluster")))
        for _ in range(2):
            stack.enter_context(worker(path))
        yield path


@pytest.mark.slow
@pytest.mark.parametrize("how", ["address", "scheduler_file"])
def test_a_running_cluster(sources, expected, out, running, capfd, how):
    """Twice with other settings into the same place: what its workers keep is not taken for that of the new run."""
    where = {"address": json.loads(running.read_text())["address"], "scheduler_file": str(running)}[how]
    for cut in (None, "matrix"):
        sections = {"run": {"executor": "dask"}, "dask": {how: where, "workers": 2}}
        if cut:
            sections["cluster"] = {"segments": 2}
        version = go_on(config(sources, out, **sections)).version
        found = promised(version.path)
        plain = config(sources, f"{out}-local", **{name: part for name, part in sections.items() if name == "cluster"})
        assert found == promised(go_on(plain).version.path)
    assert capfd.readouterr().err == ""


@pytest.mark.slow
def test_the_scheduler_dies(sources, expected, out, tmp_path):
    with ExitStack() as stack:
        begun, path = stack.enter_context(scheduler(tmp_path))
        stack.enter_context(worker(path))
        section = {"scheduler_file": str(path), "workers": 1, "wait_seconds": 5}
        run = start(worlds.settings(sources, out, run={"executor": "dask"}, dask=section), tmp_path)
        until(lambda: list(Path(out).glob("v0001/.work/validate/*.json")), "the first entry")
        begun.kill()
        _, err = run.communicate(timeout=90)
    assert run.returncode == 4, err
    assert len(err.splitlines()) == 1
    assert err.startswith("gpuseg: error[engine] dask: the cluster cannot be reached any more")
    again = start(worlds.settings(sources, out), tmp_path, "--resume")
    assert code_of(again) == 6
    assert promised(Path(out) / "v0001") == expected["kmeans"]


@pytest.mark.slow
def test_a_worker_without_nanny_that_dies_for_good(tmp_path):
    with ExitStack() as stack:
        _, path = stack.enter_context(scheduler(tmp_path))
        stack.enter_context(worker(path, "--no-nanny"))
        executor = open_dask(DaskSection(scheduler_file=str(path), workers=1, wait_seconds=3), CpuDevice())
        stack.callback(executor.close)
        with pytest.raises(EngineError, match="no worker came within 3 seconds"):
            list(executor.map(Work("kill"), range(6)))


@pytest.mark.slow
def test_a_worker_of_another_version(sources, out, tmp_path):
    other = tmp_path / "other" / "gpuseg"
    other.mkdir(parents=True)
    (other / "__init__.py").write_text("__version__ = '0.0.1'\n")
    with ExitStack() as stack:
        _, path = stack.enter_context(scheduler(tmp_path))
        stack.enter_context(worker(path, PYTHONPATH=str(other.parent)))
        section = {"scheduler_file": str(path), "workers": 1, "wait_seconds": 60}
        with pytest.raises(EngineError, match=r"worker tcp://\S+ cannot load gpuseg \S+; install there what"):
            go_on(config(sources, out, run={"executor": "dask"}, dask=section))


@pytest.mark.slow
def test_a_worker_that_does_not_see_the_folder(sources, out, tmp_path):
    Path(out).mkdir()
    hide = ("unshare", "-m", "sh", "-c", 'mount -t tmpfs none "$0" && exec "$@"', out)
    if subprocess.run([*hide, "true"], check=False, capture_output=True).returncode:
        pytest.skip("needs root and namespaces")
    with ExitStack() as stack:
        _, path = stack.enter_context(scheduler(tmp_path))
        stack.enter_context(worker(path, before=hide))
        section = {"scheduler_file": str(path), "workers": 1, "wait_seconds": 60}
        with pytest.raises(EngineError, match=r"worker tcp://\S+ does not see /.*/v0001; run.out must lie on a file"):
            go_on(config(sources, out, run={"executor": "dask"}, dask=section))


@pytest.mark.slow
def test_work_of_an_earlier_attempt_is_waited_for(running, tmp_path):
    """A driver that was killed leaves a worker at its last item."""
    section = DaskSection(scheduler_file=str(running), workers=2, wait_seconds=2)
    first, second = open_dask(section, CpuDevice()), open_dask(section, CpuDevice())
    try:
        first.check(tmp_path)
        results = first.map(WaitForFile(str(tmp_path / "go")), range(5))
        stuck = threading.Thread(target=lambda: list(results))
        stuck.start()
        until(lambda: any(found[2] for found in second._looks(tmp_path).values()), "the first item")
        with pytest.raises(EngineError, match=r"workers still work on .* for an earlier attempt"):
            second.check(tmp_path)
        (tmp_path / "go").touch()
        stuck.join()
        second.check(tmp_path)
    finally:
        first.close()
        second.close()


@pytest.mark.slow
def test_two_writers_with_dask(sources, out, tmp_path):
    run = start(worlds.settings(sources, out, **OWN), tmp_path)
    until(lambda: (Path(out) / "v0001").exists(), "the version")
    with pytest.raises(WorkspaceError, match=rf"process {run.pid} on \S+ is writing to this run; wait for it"):
        go_on(config(sources, out))
    assert run.communicate(timeout=120)
    assert run.returncode == 6


def test_without_dask(sources, out, monkeypatch):
    monkeypatch.setitem(sys.modules, "gpuseg.engine.dask.cluster", None)
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ConfigError, match=r"run.executor: dask needs \S+; pip install 'gpuseg\[dask\]'"):
        go_on(config(sources, out, run={"executor": "dask"}))


def test_a_scheduler_file_that_is_not_there(sources, out, tmp_path):
    section = {"scheduler_file": str(tmp_path / "none.json"), "wait_seconds": 1}
    with pytest.raises(EngineError, match=r"none\.json did not appear within 1 seconds; start `dask scheduler"):
        go_on(config(sources, out, run={"executor": "dask"}, dask=section))


@pytest.mark.slow
def test_a_script_without_a_guard_is_told(sources, out, tmp_path):
    path = tmp_path / "gpuseg.json"
    path.write_text(json.dumps(worlds.settings(sources, out, **OWN)))
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(f"""\
        import gpuseg
        try:
            gpuseg.run({str(path)!r})
        except gpuseg.errors.EngineError as error:
            print(error)
        """)
    )
    told = subprocess.run([sys.executable, script], env=ENVIRONMENT, capture_output=True, text=True, check=True)
    assert told.stderr == ""
    assert told.stdout.splitlines() == [
        "dask: no workers could be started (RuntimeError); a script must call gpuseg under "
        "`if __name__ == '__main__':`, for every worker imports it"
    ]


def test_the_stage_that_had_no_memory_is_named(sources, out, monkeypatch):
    def short(*_, **__):
        raise MemoryError

    monkeypatch.setattr(pipeline.stages, "fit_model", short)
    with pytest.raises(EngineError, match="there is no memory to go on with fit: "):
        go_on(config(sources, out))


@pytest.mark.slow
def test_a_server_that_never_answers(capfd):
    with socket.create_server(("127.0.0.1", 0)) as server, pytest.raises(EngineError, match="no scheduler answers at"):
        open_dask(DaskSection(address=f"tcp://127.0.0.1:{server.getsockname()[1]}", wait_seconds=1), CpuDevice())
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    "text", ["", "garbage", "{}", "[1]", '{"address": 5}', '{"address": null}', '{"address": "nonsense"}']
)
def test_a_file_that_no_scheduler_wrote(tmp_path, text):
    path = tmp_path / "scheduler.json"
    path.write_text(text, "utf-8")
    with pytest.raises(EngineError, match=r"scheduler\.json is no file that a scheduler wrote"):
        open_dask(DaskSection(scheduler_file=str(path)), CpuDevice())


def test_a_file_that_does_not_come(tmp_path):
    with pytest.raises(EngineError, match=r"scheduler\.json did not appear within 1 seconds"):
        open_dask(DaskSection(scheduler_file=str(tmp_path / "scheduler.json"), wait_seconds=1), CpuDevice())
