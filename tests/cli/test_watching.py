"""What people see of a run while it works."""

import io

import pytest
from rich.console import Console

from gpuseg.cli import console
from gpuseg.cli.watching import Bars, Lines, duration_text, finished_text, size_text, step_text
from gpuseg.progress import Finished, Peak, Step, Tracker


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def done(clock, name, unit, total, *reports, seconds=1.0):
    step = Step(name, unit, total, clock)
    for n, rows in reports:
        clock.now += seconds
        step.add(n, rows=rows, anew=True)
    return step


def test_a_step_in_words(clock):
    reading = done(clock, "read", "bytes", 5e9, *[(1e8, 65_536)] * 10)
    assert step_text(reading) == "1.0 GB of 5.0 GB, 655,360 rows, 66,000 rows/s, 40 s left"
    unknown = done(clock, "read", "rows", None, (5, 5))
    assert step_text(unknown) == "5 rows, 5.0 rows/s"
    slow = done(clock, "reduce", "buckets", 64, (1, 0), (1, 0), seconds=30)
    assert step_text(slow) == "2 of 64 buckets, 30 s each, 31 min left"
    assert step_text(done(clock, "reduce", "buckets", 2, (1, 0), (1, 0))) == "2 of 2 buckets, 1.0 buckets/s"
    passes = done(clock, "fit", "passes", None, (1, 900), (0.75, 900))
    passes.share = 0.62
    assert step_text(passes) == "pass 2, 1,800 rows, 62% of the way, 900 rows/s"
    assert step_text(Step("choose", "numbers of segments", None, clock)) == ""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0 s"),
        (12.3, "12 s"),
        (43, "45 s"),
        (89, "90 s"),
        (100, "2 min"),
        (3_000, "50 min"),
        (4_800, "1 h 20 min"),
    ],
)
def test_a_duration_in_words(seconds, text):
    assert duration_text(seconds) == text


@pytest.mark.parametrize(
    ("n_bytes", "text"),
    [(0, "0 bytes"), (999, "999 bytes"), (1_500, "1.5 kB"), (412e6, "412 MB"), (1.24e9, "1.2 GB"), (4e15, "4,000 TB")],
)
def test_a_size_in_words(n_bytes, text):
    assert size_text(n_bytes) == text


@pytest.mark.parametrize(
    ("peak", "text"),
    [
        (None, "fit: 1.2 s"),
        (Peak(412_000_000), "fit: 1.2 s, peak memory 412 MB"),
        (
            Peak(200_000_000, 1_000_000_000, 600_000_000),
            "fit: 1.2 s, peak memory 200 MB, workers 1.0 GB (largest 600 MB)",
        ),
        (Peak(200_000_000, device_bytes=3_100_000_000), "fit: 1.2 s, peak memory 200 MB, device 3.1 GB"),
    ],
)
def test_a_finished_stage_in_words(peak, text):
    assert finished_text(Finished("fit", 1.23, reused=False, peak=peak)) == text
    assert finished_text(Finished("fit", 0, reused=True)) == "fit: taken as committed"


def test_lines_are_some_seconds_apart(clock):
    told = []
    tracker = Tracker([Lines(told.append, clock)], clock)
    tracker.start("validate")
    tracker.begin("read", 1e9, unit="bytes")
    for _ in range(22):
        clock.now += 0.5
        tracker.add(1e7, rows=100)
    tracker.say("this takes long")
    tracker.finish("validate", 11.0, reused=False, peak=Peak(412_000_000))
    tracker.start("features")
    tracker.begin("features", 8)
    clock.now += 6
    tracker.add(1)
    assert told == [
        "validate: read: 100 MB of 1.0 GB, 1,000 rows, 200 rows/s, 45 s left",
        "validate: read: 200 MB of 1.0 GB, 2,000 rows, 200 rows/s, 40 s left",
        "this takes long",
        "validate: 11.0 s, peak memory 412 MB",
        "features: 1 of 8 buckets, 6.0 s each",
    ]


@pytest.fixture
def terminal(clock):
    """Bars on a terminal of 100 columns, and what is on it."""
    out = io.StringIO()
    screen = Console(file=out, force_terminal=True, width=100, color_system=None)
    bars = Bars(lambda text: out.write(text + "\n"), screen)

    def shown():
        bars._display.refresh()
        text = out.getvalue()
        out.seek(0)
        out.truncate()
        return text

    yield Tracker([bars], clock), shown, bars
    bars.close()


def test_a_bar_shows_the_step_of_the_moment(terminal, clock):
    tracker, shown, _ = terminal
    tracker.start("validate")
    assert "validate" in shown()
    tracker.begin("read", 1e9, unit="bytes")
    for _ in range(10):
        clock.now += 1
        tracker.add(5e7, rows=1_000)
    text = shown()
    assert "validate: read" in text
    assert "500 MB of 1.0 GB, 10,000 rows, 1,000 rows/s, 10 s left" in text
    clock.now += 1
    assert "9 s left" in shown()
    tracker.add(5e8)
    tracker.begin("reduce", 64)
    text = shown()
    assert "validate: reduce" in text
    assert "0 of 64 buckets" in text
    tracker.say("this takes long")
    assert "this takes long" in shown()
    tracker.finish("validate", 11.0, reused=False, peak=Peak(412_000_000))
    assert shown().endswith("validate: 11.0 s, peak memory 412 MB\n")


def test_a_bar_goes_away_where_a_run_fails(terminal):
    tracker, shown, bars = terminal
    tracker.start("fit")
    assert bars._display.live.is_started
    bars.close()
    assert not bars._display.live.is_started
    bars.close()
    shown()
    tracker.begin("fit", unit="passes")
    assert "fit" not in shown()


def test_what_comes_before_the_first_stage_has_a_bar(terminal):
    tracker, shown, bars = terminal
    tracker.say("starting dask workers")
    assert "starting dask workers" in shown()
    tracker.start("validate")
    text = shown()
    assert "validate" in text.splitlines()[-1]
    assert len(bars._display.tasks) == 1


def test_stages_that_are_reused_need_no_bar(terminal):
    tracker, shown, bars = terminal
    tracker.finish("validate", 0.0, reused=True)
    assert not bars._display.live.is_started
    assert shown().endswith("validate: taken as committed\n")


@pytest.mark.parametrize(
    ("is_terminal", "verbose", "kind"), [(True, False, "Bars"), (False, True, "Lines"), (False, False, "Progress")]
)
def test_what_is_shown_depends_on_stderr(monkeypatch, is_terminal, verbose, kind):
    monkeypatch.setattr(console.sys.stderr, "isatty", lambda: is_terminal, raising=False)
    monkeypatch.setattr(console.settings, "verbose", verbose)
    with console.progress() as progress:
        assert type(progress).__name__ == kind
