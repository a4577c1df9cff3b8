"""The log of a version: what its lines say, when, and that it never fails a run."""

import datetime as dt
import errno
import json
import logging
import os

import pytest
import yaml

from gpuseg.cli import main
from gpuseg.errors import InvalidValueError
from gpuseg.pipeline import STAGE_NAMES, execute, read_config
from gpuseg.progress import Peak, Tracker
from gpuseg.workspace import journal as module
from gpuseg.workspace.journal import Journal

NOON = dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)


class Clock:
    """Seconds, and the time of day, that pass when they are told to."""

    def __init__(self):
        self.seconds = 0.0

    def __call__(self):
        return self.seconds

    def now(self):
        return NOON + dt.timedelta(seconds=self.seconds)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def journal(tmp_path, clock):
    opened = Journal(tmp_path, now=clock.now, clock=clock)
    yield opened
    opened.close()


def lines(folder):
    """Every line of a log, whatever broke it."""
    found = []
    for line in (folder / "run.jsonl").read_text(encoding="utf-8").splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            found.append(line)
    return found


def events(folder):
    return [line["event"] for line in lines(folder)]


# --- lines ---


def test_each_line_has_its_time_and_is_there_at_once(journal, tmp_path, clock):
    journal.write("run_started", version="v0001", n_bytes=12)
    clock.seconds = 1.5
    journal.write("run_finished", exit_code=0)
    assert lines(tmp_path) == [
        {"time": "2026-11-22T12:00:00.000+00:00", "event": "run_started", "version": "v0001", "n_bytes": 12},
        {"time": "2026-11-22T12:00:01.500+00:00", "event": "run_finished", "exit_code": 0},
    ]


def test_progress_is_a_line_in_five_seconds(journal, tmp_path, clock):
    tracker = Tracker([journal], clock)
    tracker.start("validate")
    tracker.begin("read", 1_000, unit="bytes")
    for _ in range(24):
        clock.seconds += 0.5
        tracker.add(40, rows=3)
    tracker.finish("validate", 12.0, reused=False, peak=Peak(4_096), warnings=["a column is empty"])
    assert events(tmp_path) == ["stage_started", "step_started", "progress", "progress", "warning", "stage_finished"]
    _, started, first, second, warning, finished = lines(tmp_path)
    assert started | {"step": "read", "unit": "bytes", "total": 1_000} == started
    told = {"stage": "validate", "step": "read", "unit": "bytes", "done": 400, "total": 1_000, "part": 0.4}
    told |= {"rate": 80, "rows": 30, "rows_per_second": 6, "seconds_left": 7.5}
    assert {key: value for key, value in first.items() if key not in ("time", "event")} == told
    assert (first["time"], second["time"]) == ("2026-11-22T12:00:05.000+00:00", "2026-11-22T12:00:10.000+00:00")
    assert warning["message"] == "a column is empty"
    told = {"stage": "validate", "reused": False, "seconds": 12, "rows": 72, "rows_per_second": 6}
    told |= {"peak_host_bytes": 4_096, "peak_workers_bytes": None, "peak_largest_worker_bytes": None}
    told |= {"peak_device_bytes": None}
    assert {key: value for key, value in finished.items() if key not in ("time", "event")} == told


def test_logged_warnings_are_lines_and_are_still_seen(journal, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    log = logging.getLogger("gpuseg.somewhere")
    with journal.with_warnings():
        journal.start("fit")
        log.warning("memory is full: going on with %d rows at a time", 512)
        log.info("nothing of note")
    log.warning("after the run")
    text = "memory is full: going on with 512 rows at a time"
    assert [line for line in lines(tmp_path) if line["event"] == "warning"] == [lines(tmp_path)[1]]
    assert lines(tmp_path)[1]["message"] == text
    assert capsys.readouterr().err == f"{text}\nafter the run\n"


def test_a_warning_may_be_an_event_of_its_own(journal, tmp_path):
    with journal.with_warnings():
        journal.start("fit")
        facts = {"worker": "tcp://10.0.0.5:4000", "pieces": ["bucket 3"], "n_deaths": 1}
        extra = {"gpuseg_event": "worker_lost", "gpuseg_facts": facts}
        logging.getLogger("gpuseg.somewhere").warning("a worker was lost", extra=extra)
    told = {"event": "worker_lost", "stage": "fit", "message": "a worker was lost"} | facts
    assert {key: value for key, value in lines(tmp_path)[1].items() if key != "time"} == told


def test_a_note_is_a_line(journal, tmp_path):
    journal.start("fit")
    journal.say("hdbscan: about 20 s")
    assert (
        lines(tmp_path)[1] | {"event": "note", "stage": "fit", "message": "hdbscan: about 20 s"} == lines(tmp_path)[1]
    )


def test_names_that_are_no_text_do_not_matter(journal, tmp_path):
    journal.write("run_failed", message="café-\udcff.csv")
    assert lines(tmp_path)[0]["message"].startswith("café-")


# --- what may go wrong ---


def test_a_later_attempt_goes_on_after_half_a_line(tmp_path, clock):
    (tmp_path / "run.jsonl").write_bytes(b'{"event": "run_started"}\n{"event": "prog')
    for n in (1, 2):
        again = Journal(tmp_path, now=clock.now, clock=clock)
        again.write("run_started", n=n)
        again.close()
    found = lines(tmp_path)
    assert found[1] == '{"event": "prog'
    assert [line["n"] for line in found[2:]] == [1, 2]


def test_a_full_disk_is_no_failure(journal, tmp_path, monkeypatch):
    real, room = os.write, [10]

    def write(file, data):
        if room[0] == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        n, room[0] = real(file, data[: room[0]]), 0
        return n

    monkeypatch.setattr(module.os, "write", write)
    journal.write("torn")
    journal.write("lost")
    monkeypatch.undo()
    journal.write("kept")
    first, second = lines(tmp_path)
    assert first == '{"time": "'
    assert second["event"] == "kept"


def test_a_log_that_cannot_be_opened_is_none(tmp_path, clock):
    (tmp_path / "run.jsonl").mkdir()
    journal = Journal(tmp_path, now=clock.now, clock=clock)
    journal.write("run_started")
    journal.start("validate")
    journal.close()
    journal.write("after the end")
    assert list((tmp_path / "run.jsonl").iterdir()) == []


# --- the log of a run ---


def test_a_run_is_told_from_start_to_end(shop, gpuseg):
    assert gpuseg("run", shop.write()).code == 0
    found = lines(shop.current)
    assert found[0]["event"] == "run_started"
    manifest = json.loads((shop.current / "manifest.json").read_bytes())
    told = {"version": "v0002", "resumed": False, "gpuseg": manifest["gpuseg"], "executor": "local", "until": "report"}
    told |= {"config_sha256": manifest["config_sha256"], "engine": "cpu", "n_buckets": manifest["n_buckets"]}
    assert found[0] | told == found[0]
    assert found[0]["workers"] >= 1
    assert found[0]["n_bytes"] == (shop.folder / shop.source["uri"]).stat().st_size
    stages = [(line["event"], line["stage"]) for line in found if line["event"].startswith("stage_")]
    assert stages == [(f"stage_{what}", stage) for stage in STAGE_NAMES for what in ("started", "finished")]
    finished = {line["stage"]: line for line in found if line["event"] == "stage_finished"}
    for stage, record in manifest["stages"].items():
        assert finished[stage]["seconds"] == pytest.approx(record["seconds"], abs=0.001)
        assert finished[stage]["peak_host_bytes"] == record["peak_host_bytes"] > 2**24
        assert record["peak_device_bytes"] is None
    last = {"event": "run_finished", "version": "v0002", "exit_code": 0, "complete": True, "rows_quarantined": 0}
    assert found[-1] | last == found[-1]
    assert [dt.datetime.fromisoformat(line["time"]).utcoffset() for line in found] == [dt.timedelta(0)] * len(found)


def test_a_resumed_run_appends(shop, gpuseg):
    shop.config["cluster"]["segments"] = 4
    config = shop.write()
    assert gpuseg("fit", config).code == 0
    assert gpuseg("run", config, "--resume").code == 0
    found = lines(shop.current)
    starts = [line for line in found if line["event"] == "run_started"]
    assert [(line["until"], line["resumed"]) for line in starts] == [("fit", False), ("report", True)]
    ends = [line for line in found if line["event"] == "run_finished"]
    assert [(line["exit_code"], line["complete"]) for line in ends] == [(0, False), (0, True)]
    second = found[found.index(starts[1]) :]
    reused = {line["stage"]: line["reused"] for line in second if line["event"] == "stage_finished"}
    assert reused == dict.fromkeys(STAGE_NAMES[:3], True) | dict.fromkeys(STAGE_NAMES[3:], False)


def test_a_log_is_in_no_checksum(shop, gpuseg):
    path = shop.current / "run.jsonl"
    manifest = json.loads((shop.current / "manifest.json").read_bytes())
    assert "run.jsonl" not in {file["path"] for file in manifest["files"]}
    path.write_text("altered", encoding="utf-8")
    assert gpuseg("verify", shop.out).code == 0
    path.unlink()
    assert gpuseg("verify", shop.out).code == 0


def test_quarantine_is_told_with_its_exit_code(shop, gpuseg):
    shop.config["quality"] = {"on_bad": "quarantine"}
    text = (shop.folder / "orders.csv").read_text(encoding="utf-8").splitlines()
    shop.csv("\n".join([*text, text[-1].replace(",", ";;"), ""]).encode())
    told = gpuseg("run", shop.write())
    assert told.code == 6, told.err
    last = lines(shop.current)[-1]
    assert (last["event"], last["exit_code"], last["rows_quarantined"]) == ("run_finished", 6, 1)


@pytest.fixture
def failing(shop, monkeypatch):
    """A run that fails after its features, in a way that the test says."""

    def run(error):
        shop.config["cluster"]["segments"] = 5
        path = shop.write()

        def fail(*_, **__):
            raise error

        monkeypatch.setattr("gpuseg.stages.fit_model", fail)
        with pytest.raises(type(error)):
            execute(read_config(path))
        return lines(shop.out / "v0002")[-1]

    return run


def test_an_error_is_told_as_it_is_printed(failing):
    last = failing(InvalidValueError("orders: a.csv, row 3:\n not a number"))
    told = {"event": "run_failed", "exit_code": 3, "code": "invalid-value"}
    assert last | told | {"message": "orders: a.csv, row 3: not a number"} == last


def test_of_a_bug_only_its_kind_is_told(failing):
    last = failing(KeyError("C-17"))
    assert last | {"event": "run_failed", "exit_code": 1, "code": "KeyError", "message": None} == last


def test_an_interruption_is_told(failing):
    last = failing(KeyboardInterrupt())
    assert last | {"event": "run_failed", "exit_code": 130, "code": "interrupted", "message": None} == last


def test_a_termination_is_told_by_the_command(shop, monkeypatch, capsys):
    shop.config["cluster"]["segments"] = 5
    path = shop.write()
    monkeypatch.setattr("gpuseg.stages.fit_model", lambda *_, **__: os.kill(os.getpid(), 15))
    assert main(["run", str(path)]) == 143
    last = lines(shop.out / "v0002")[-1]
    assert last | {"event": "run_failed", "exit_code": 143, "code": "terminated"} == last
    assert capsys.readouterr().err == "gpuseg: error[terminated] terminated; what was committed is kept\n"


def test_a_version_that_is_not_kept_takes_its_log_along(shop, gpuseg):
    config = yaml.safe_load(shop.write().read_text(encoding="utf-8"))
    config["run"]["as_of"] = "1990-01-01"
    (shop.folder / "early.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    assert gpuseg("run", shop.folder / "early.yaml").code == 3
    assert [path.name for path in shop.out.glob("v*")] == ["v0001"]
