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


RANGES = [
    ("kmeans", "--seed -1", "argument --seed: '-1' must be a whole number from 0 to 4294967295"),
    ("kmeans", "--seed 4294967296", "argument --seed: '4294967296' must be a whole number from 0 to 4294967295"),
    ("kmeans", "--rows 5 --centers 8", "--centers 8 is more than --rows 5"),
    ("kmeans", "--rows many", "argument --rows: 'many' must be a whole number of at least 1"),
    ("kmeans", "--updates 0", "argument --updates: '0' must be a whole number of at least 1"),
    ("scoring", "--rows 1000 --centers 4 1001", "--centers 1001 is more than --rows 1000"),
    ("scoring", "--calls -1", "argument --calls: '-1' must be a whole number of at least 1"),
    ("end_to_end", "--profiles 0", "argument --profiles: '0' must be a whole number of at least 1"),
    ("end_to_end", "--profiles 4", "--profiles must be at least 5"),
    ("end_to_end", "--profiles 90 --events 89", "--events 89 is less than --profiles 90"),
    ("end_to_end", "--profiles 9 --events 9 --segments 10", "--segments must be at most 9"),
    ("end_to_end", "--segments 2001", "--segments must be at most 2000"),
    ("end_to_end", "--repeats 0", "argument --repeats: '0' must be a whole number of at least 1"),
    ("end_to_end", "--as-of 2026-02-30", "argument --as-of: '2026-02-30' must be a date from 1971-01-01 to 2200-01-01"),
    ("end_to_end", "--as-of 1970-12-31", "argument --as-of: '1970-12-31' must be a date from 1971-01-01 to 2200-01-01"),
    ("end_to_end", "--timezone Mars", "argument --timezone: 'Mars' must be a time zone such as America/New_York"),
    ("end_to_end", "--timezone /etc", "argument --timezone: '/etc' must be a time zone such as America/New_York"),
    ("features", "--events 0", "argument --events: '0' must be a whole number of at least 1"),
    ("features", "--events 7 --profiles 8", "--events 7 is less than --profiles 8"),
    ("scaling", "--sizes 1,nan", "argument --sizes: '1,nan': sizes are millions of events, from 0.001 to 100,000"),
    ("scaling", "--sizes 1e-4", "argument --sizes: '1e-4': sizes are millions of events, from 0.001 to 100,000"),
    ("scaling", "--sizes x", "argument --sizes: 'x': sizes are millions of events, from 0.001 to 100,000"),
    ("scaling", "--workers 0", "argument --workers: '0' must be a whole number of at least 1"),
    ("scaling", "--sizes 0.001 --segments 101", "--segments must be at most 100"),
    ("scaling", "--most-time inf", "argument --most-time: 'inf' must be a finite number above 0"),
    ("cpu_vs_gpu", "--rows 0", "argument --rows: '0' must be a whole number of at least 1"),
    ("cpu_vs_gpu", "--repeats 0", "argument --repeats: '0' must be a whole number of at least 1"),
    ("cpu_vs_gpu", "--clusters 3,x", "argument --clusters: 'x' must be a whole number of at least 1"),
    ("cpu_vs_gpu", "--rows 100 --clusters 8,128", "--clusters 128 is more than --rows 100"),
    ("cpu_vs_gpu", "--hdbscan-rows 24", "--hdbscan-rows must be at least 25"),
    ("cpu_vs_gpu", "--cpu-hdbscan-most -1", "argument --cpu-hdbscan-most: '-1' must be a whole number of at least 0"),
    ("cpu_vs_gpu", "--profiles 9 --events 8", "--events 8 is less than --profiles 9"),
    ("gpu_session", "out --minutes nan", "argument --minutes: 'nan' must be a finite number above 0"),
    ("gpu_session", "out --minutes 0", "argument --minutes: '0' must be a finite number above 0"),
    ("naive", "--data x --out y --seed -1", "argument --seed: '-1' must be a whole number from 0 to 4294967295"),
]


@pytest.mark.parametrize(("name", "words", "told"), RANGES, ids=[f"{name} {words}" for name, words, _ in RANGES])
def test_an_option_out_of_range_is_one_line_and_exit_2(load, capsys, tmp_path, monkeypatch, name, words, told):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as caught:
        load(name).main(words.split())
    assert caught.value.code == 2
    assert capsys.readouterr() == ("", f"{name}: error: {told}\n")
    assert list(tmp_path.iterdir()) == []


def test_the_ends_of_ranges_are_within(script):
    assert (script.whole("1"), script.count("0")) == (1, 0)
    assert (script.seed("0"), script.seed("4294967295")) == (0, 2**32 - 1)
    assert script.positive("1e-9") == 1e-9
    assert script.date("1971-01-01").isoformat() == "1971-01-01"
    assert script.zone("Europe/Berlin") == "Europe/Berlin"
