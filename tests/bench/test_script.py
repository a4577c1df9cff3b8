"""What every script that measures does with its folder, its results and signals."""

import json
import os
import signal

import pytest


@pytest.fixture
def script(load):
    return load("script")


@pytest.fixture
def options(script, tmp_path):
    (tmp_path / "scratch").mkdir()
    words = ["--out", str(tmp_path / "results" / "some.json"), "--scratch", str(tmp_path / "scratch")]
    return script.parser("some", "Some benchmark.").parse_args(words)


def left(tmp_path):
    return sorted(path.name for path in tmp_path.rglob("*") if path.name not in {"scratch", "results"})


def never(_):
    raise AssertionError("measured")


def test_results_are_written_whole(script, options, tmp_path):
    assert script.measured("some", options, lambda scratch: {"empty": not list(scratch.iterdir())})
    assert json.loads(options.out.read_text()) == {"empty": True}
    assert left(tmp_path) == ["some.json"]


def test_earlier_results_stay_where_a_measurement_fails(script, options, tmp_path, capsys):
    options.out.parent.mkdir()
    options.out.write_text("earlier")

    def failing(_):
        raise script.BenchmarkError("no such side")

    assert not script.measured("some", options, failing)
    assert capsys.readouterr().err == "some: error: no such side\n"
    with pytest.raises(TypeError):
        script.measured("some", options, lambda _: {"a set": {1}})
    assert options.out.read_text() == "earlier"
    assert left(tmp_path) == ["some.json"]


def test_a_place_that_cannot_be_is_told_before_anything_is_measured(script, options, tmp_path, capsys):
    options.out = tmp_path
    assert not script.measured("some", options, never)
    (tmp_path / "file").write_text("")
    options.out = tmp_path / "file" / "some.json"
    assert not script.measured("some", options, never)
    options.out, options.scratch = tmp_path / "some.json", tmp_path / "nowhere"
    assert not script.measured("some", options, never)
    lines = capsys.readouterr().err.splitlines()
    assert [line.startswith("some: error: /") for line in lines] == [True] * 3
    assert "is no file" in lines[0]
    assert left(tmp_path) == ["file"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)])
def test_signals_leave_nothing_behind(script, options, tmp_path, number, code):
    # What runs in the background of a shell may ignore it.
    interrupt = signal.signal(signal.SIGINT, signal.default_int_handler)
    before = signal.getsignal(signal.SIGTERM)

    def signalled(scratch):
        (scratch / "rows.npy").write_text("rows")
        os.kill(os.getpid(), number)
        return {}

    try:
        with pytest.raises(SystemExit) as caught:
            script.measured("some", options, signalled)
    finally:
        signal.signal(signal.SIGINT, interrupt)
    assert caught.value.code == code
    assert left(tmp_path) == []
    assert signal.getsignal(signal.SIGTERM) == before
