"""What a caller may want to see while stages run: how much is done of how much, how fast, and how long it will take."""

import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

Result = TypeVar("Result")

_MEMORY_SECONDS, _MEMORY_SHARE, _MEMORY_REPORTS = 10.0, 1 / 2, 10
"""Speed is that of so many seconds past, of this share of a step's time, or of so many reports: of the longest."""


@dataclass(frozen=True)
class Peak:
    """The most memory that a stage took.

    Parameters
    ----------
    host_bytes : int
        Of this process; see `gpuseg.engine.peaks` for how near.
    workers_bytes, largest_worker_bytes : int or None
        Of all worker processes that answer at the end, added up, and of the largest; None where there are none.
    device_bytes : int or None
        Of a GPU's memory so far, of the largest worker where there are workers; None on the CPU.
    """

    host_bytes: int
    workers_bytes: int | None = None
    largest_worker_bytes: int | None = None
    device_bytes: int | None = None


@dataclass(frozen=True)
class Finished:
    """A stage at its end.

    Parameters
    ----------
    stage : str
    seconds : float
    reused : bool
        Whether it was taken as it was committed before.
    rows : int or None
        Rows that it worked on, once for each pass; None where it counts none.
    peak : Peak or None
        None for a stage that is reused.
    warnings : tuple of str
    """

    stage: str
    seconds: float
    reused: bool
    rows: int | None = None
    peak: Peak | None = None
    warnings: tuple[str, ...] = ()


class Step:
    """One kind of work within a stage, while it is done.

    Parameters
    ----------
    name : str
        "read", "reduce", "features", "choose", "fit" or "assign".
    unit : str
        What `done` and `total` count, in the plural.
    total : float or None
        What there is to do; None where nobody can tell.
    clock : callable
        Seconds that only grow.
    """

    def __init__(self, name: str, unit: str, total: float | None, clock: Callable[[], float]) -> None:
        self.name, self.unit, self.total = name, unit, total
        self.done = 0.0
        self.rows = 0
        self.share: float | None = None
        self._clock = clock
        self._units, self._rows = _Speed(clock()), _Speed(clock())

    @property
    def part(self) -> float | None:
        """How much of the way is behind, 0 to 1: by what is done, else by how near the end is; None if unknown."""
        return min(self.done / self.total, 1.0) if self.total else self.share

    @property
    def rate(self) -> float | None:
        """Units a second of late; None before the first."""
        return self._units.rate

    @property
    def rows_rate(self) -> float | None:
        """Rows a second of late; None where none are counted."""
        return self._rows.rate

    @property
    def seconds_left(self) -> float | None:
        """Time to the end of this step; None where the total or the speed is not known."""
        return None if self.total is None else self._units.seconds_for(self.total - self.done, self._clock())

    def add(self, n: float, *, rows: int, anew: bool) -> None:
        """Take in what was done."""
        now = self._clock()
        self.done += n
        self.rows += rows
        for speed, amount in ((self._units, n), (self._rows, rows)):
            if amount and anew:
                speed.add(amount, now)
            elif not anew:
                speed.wait(now)


class _Speed:
    """Work and time, both fading, so that what is long past counts less; at first it is the plain mean.

    Between two reports the time left runs down. Where a report is overdue it stands still, then grows.
    """

    def __init__(self, now: float) -> None:
        self._begun = self._last = now
        self._n = 0
        self._work = self._time = self._reports = 0.0

    @property
    def rate(self) -> float | None:
        return self._work / self._time if self._time > 0 and self._work else None

    def wait(self, now: float) -> None:
        if not self._n:
            self._begun = self._last = now

    def add(self, n: float, now: float) -> None:
        gap, elapsed = now - self._last, now - self._begun
        self._n += 1
        memory = max(_MEMORY_SECONDS, elapsed * max(_MEMORY_SHARE, _MEMORY_REPORTS / self._n))
        keep = math.exp(-gap / memory)
        self._work = self._work * keep + n
        self._time = self._time * keep + gap
        self._reports = self._reports * keep + 1
        self._last = now

    def seconds_for(self, n: float, now: float) -> float | None:
        if n <= 0:
            return 0.0
        # The first report of several workers is not yet the speed of all.
        if self.rate is None or self._n < 2:
            return None
        since = now - self._last
        expected = 2 * self._time / self._reports
        overdue = max(0.0, since - expected)
        return max(0.0, n * (self._time + overdue) / self._work - min(since, expected))


class Progress:
    """Shows nothing; override what should be seen."""

    def start(self, stage: str) -> None:
        """Announce that a stage begins."""

    def move(self, step: Step) -> None:
        """Announce that a step began or went on; its figures are those of the moment at which they are asked for."""

    def say(self, text: str) -> None:
        """Pass on a line for people, about what takes long from now on."""

    def finish(self, finished: Finished) -> None:
        """Announce that a stage is committed."""


class Meter:
    """Takes in what a stage does, from any thread; this one forgets it."""

    def begin(self, step: str, total: float | None = None, *, unit: str = "buckets") -> None:
        """Say that another kind of work begins, and how much there is of it."""

    def add(self, n: float = 1, *, rows: int = 0, anew: bool = True) -> None:
        """Say that so many more units and rows are done; without `anew`, that an earlier attempt did them."""

    def near(self, share: float) -> None:
        """Say how much of the way is behind, where there is no total."""

    def say(self, text: str) -> None:
        """Say something to people."""


class Tracker(Meter):
    """Keeps account of a run and tells observers.

    Parameters
    ----------
    observers : sequence of Progress
    clock : callable, optional
        Seconds that only grow.
    """

    def __init__(self, observers: Sequence[Progress], clock: Callable[[], float] = time.monotonic) -> None:
        self._observers, self._clock = observers, clock
        self._lock = threading.RLock()
        self._step: Step | None = None
        self._rows = 0

    def start(self, stage: str) -> None:
        """Say that a stage begins."""
        with self._lock:
            self._step, self._rows = None, 0
            for observer in self._observers:
                observer.start(stage)

    def begin(self, step: str, total: float | None = None, *, unit: str = "buckets") -> None:
        """Say that another kind of work begins, and how much there is of it."""
        with self._lock:
            self._step = Step(step, unit, total, self._clock)
            self._moved()

    def add(self, n: float = 1, *, rows: int = 0, anew: bool = True) -> None:
        """Say that so many more units and rows are done; without `anew`, that an earlier attempt did them."""
        with self._lock:
            self._rows += rows
            if self._step is not None:
                self._step.add(n, rows=rows, anew=anew)
                self._moved()

    def near(self, share: float) -> None:
        """Say how much of the way is behind, where there is no total; it never goes back."""
        with self._lock:
            if self._step is not None:
                self._step.share = max(share, self._step.share or 0.0)
                self._moved()

    def say(self, text: str) -> None:
        """Say something to people."""
        with self._lock:
            for observer in self._observers:
                observer.say(text)

    def finish(
        self, stage: str, seconds: float, *, reused: bool, peak: Peak | None = None, warnings: Sequence[str] = ()
    ) -> None:
        """Say that a stage is committed."""
        with self._lock:
            rows = None if reused else self._rows or None
            for observer in self._observers:
                observer.finish(Finished(stage, seconds, reused, rows, peak, tuple(warnings)))

    def _moved(self) -> None:
        assert self._step is not None
        for observer in self._observers:
            observer.move(self._step)


def way_behind(first: float, now: float) -> float:
    """Share of the way from a first move to one of 1, for moves that shrink by about the same factor each time."""
    if now <= 1:
        return 1.0
    return max(0.0, 1 - math.log(now) / math.log(max(first, now)))


def counted(
    progress: Meter,
    step: str,
    results: Iterable[Result],
    held: Sequence[bool],
    *,
    rows: Callable[[Result], int] = lambda _: 0,
) -> Iterator[Result]:
    """Results as they come, each told once its consumer asks for the next.

    Parameters
    ----------
    progress : Meter
    step : str
    results : iterable
        One a bucket.
    held : sequence of bool
        Of each, whether an earlier attempt had it.
    rows : callable, optional
        Rows that a result tells of.
    """
    progress.begin(step, len(held))
    for result, before in zip(results, held, strict=True):
        yield result
        progress.add(1, rows=rows(result), anew=not before)
