"""What is told of a run while it works, on a clock that the test moves."""

import threading
from itertools import pairwise

import pytest

from gpuseg.progress import Finished, Meter, Peak, Progress, Step, Tracker, counted, way_behind

PEAK = Peak(5, 7, 4, 1)


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self):
        self.now = 1_000.0

    def __call__(self):
        return self.now


class Seen(Progress):
    """Keeps what it is told."""

    def __init__(self):
        self.told = []

    def start(self, stage):
        self.told.append(("start", stage))

    def move(self, step):
        self.told.append((step.name, step.done, step.rows))

    def say(self, text):
        self.told.append(("say", text))

    def finish(self, finished):
        self.told.append(finished)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def step(clock):
    """Takes reports, each after some seconds."""

    class Timed(Step):
        def after(self, seconds, n, rows=0, *, anew=True):
            clock.now += seconds
            self.add(n, rows=rows, anew=anew)

    return Timed("reduce", "buckets", 100, clock)


# --- speed and time left ---


def test_nothing_is_known_before_the_first_report(step, clock):
    clock.now += 5
    assert (step.rate, step.rows_rate, step.seconds_left, step.part) == (None, None, None, 0.0)


def test_an_even_speed_is_told_exactly(step, clock):
    for _ in range(20):
        step.after(2, 1, rows=50)
    assert step.rate == pytest.approx(0.5)
    assert step.rows_rate == pytest.approx(25)
    assert step.seconds_left == pytest.approx(160)
    assert (step.done, step.part, step.rows) == (20, 0.2, 1_000)


def test_the_time_left_runs_down_between_reports_then_stands_still_then_grows(step, clock):
    for _ in range(20):
        step.after(2, 1)
    left = []
    for _ in range(12):
        clock.now += 1
        left.append(step.seconds_left)
    assert left[:4] == pytest.approx([159, 158, 157, 156])
    assert left[4] > left[3]
    assert all(later > earlier for earlier, later in pairwise(left[4:]))


def test_the_time_left_does_not_jump_when_reports_come_in_pairs(step, clock):
    """As those of two workers do."""
    told = []
    clock.now += 3
    for place in range(40):
        step.after(0.1 if place % 2 else 0.9, 1)
        for _ in range(3 if place % 2 else 0):
            told.append(clock.now + (step.seconds_left or 0))
            clock.now += 1
    assert max(told) - min(told) < 4


def test_a_lasting_change_of_speed_is_followed(step):
    for _ in range(30):
        step.after(1, 1)
    for _ in range(30):
        step.after(4, 1)
    assert step.rate == pytest.approx(0.25, rel=0.2)


def test_one_slow_report_hardly_counts(step):
    for _ in range(40):
        step.after(3, 1)
    before = step.seconds_left
    step.after(9, 1)
    assert step.seconds_left == pytest.approx(before, rel=0.15)


def test_what_an_earlier_attempt_did_is_done_but_is_no_speed(step, clock):
    for _ in range(60):
        step.after(0.001, 1, rows=10, anew=False)
    assert (step.done, step.rows, step.rate, step.seconds_left) == (60, 600, None, None)
    for _ in range(4):
        step.after(2, 1)
    assert step.rate == pytest.approx(0.5)
    assert step.seconds_left == pytest.approx(72)


def test_nothing_is_left_at_the_end(step):
    for _ in range(100):
        step.after(1, 1)
    assert (step.part, step.seconds_left) == (1.0, 0.0)


def test_without_a_total_the_share_is_the_part(clock):
    step = Step("fit", "passes", None, clock)
    step.add(1, rows=10, anew=True)
    assert (step.part, step.seconds_left) == (None, None)
    step.share = 0.25
    assert (step.part, step.seconds_left) == (0.25, None)


@pytest.mark.parametrize(
    ("first", "now", "share"), [(100, 100, 0), (100, 10, 0.5), (100, 1, 1), (100, 0, 1), (10, 100, 0), (0.5, 0.2, 1)]
)
def test_the_way_of_moves_that_shrink(first, now, share):
    assert way_behind(first, now) == pytest.approx(share)


# --- who is told what ---


def test_observers_are_told_in_order(clock):
    seen, also = Seen(), Seen()
    tracker = Tracker([seen, also], clock)
    tracker.start("validate")
    tracker.begin("read", 10, unit="bytes")
    tracker.add(4, rows=2)
    tracker.add(6, rows=3)
    tracker.begin("reduce", 1)
    tracker.add()
    tracker.finish("validate", 1.5, reused=False, peak=PEAK, warnings=["few rows"])
    tracker.finish("features", 0.0, reused=True)
    tracker.start("fit")
    tracker.say("this takes long")
    tracker.finish("fit", 2.0, reused=False)
    assert seen.told == [
        ("start", "validate"),
        ("read", 0, 0),
        ("read", 4, 2),
        ("read", 10, 5),
        ("reduce", 0, 0),
        ("reduce", 1, 0),
        Finished("validate", 1.5, reused=False, rows=5, peak=PEAK, warnings=("few rows",)),
        Finished("features", 0.0, reused=True),
        ("start", "fit"),
        ("say", "this takes long"),
        Finished("fit", 2.0, reused=False),
    ]
    assert also.told == seen.told


def test_a_share_never_goes_back(clock):
    shares = []

    class Shares(Progress):
        def move(self, step):
            shares.append(step.share)

    tracker = Tracker([Shares()], clock)
    tracker.near(0.5)
    tracker.begin("fit", unit="passes")
    for share in (0.2, 0.6, 0.4, 0.7):
        tracker.near(share)
    assert shares == [None, 0.2, 0.6, 0.6, 0.7]


def test_threads_may_tell_at_once(clock):
    tracker = Tracker([Progress()], clock)
    tracker.start("validate")
    tracker.begin("read", 8_000, unit="bytes")
    seen = Seen()
    threads = [threading.Thread(target=lambda: [tracker.add(1, rows=1) for _ in range(1_000)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    tracker._observers = [seen]
    tracker.add(0, rows=0)
    assert seen.told == [("read", 8_000, 8_000)]


def test_results_are_counted_once_their_consumer_is_done_with_them(clock):
    seen = Seen()
    tracker = Tracker([seen], clock)
    found = []
    for result in counted(tracker, "assign", iter([5, 6]), [True, False], rows=lambda result: result * 10):
        found.append((result, seen.told[-1]))
    assert found == [(5, ("assign", 0, 0)), (6, ("assign", 1, 50))]
    assert seen.told[-1] == ("assign", 2, 110)


def test_the_plain_meter_and_the_plain_observer_forget_everything(clock):
    for each in (Meter(), Tracker([Progress()], clock)):
        each.begin("read", 1)
        each.add(1, rows=1, anew=False)
        each.near(0.5)
        each.say("text")
        assert list(counted(each, "reduce", iter("ab"), [False, False])) == ["a", "b"]
