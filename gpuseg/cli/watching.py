"""What people see of a run while it works: a bar on a terminal, elsewhere lines."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gpuseg.progress import Finished, Progress, Step

if TYPE_CHECKING:
    from rich.console import Console

_SECONDS = 5.0
"""Least time between two lines."""
_UNITS = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"))
_BAR_WIDTH, _NEARLY, _REFRESHES = 24, 0.999, 5


class Lines(Progress):
    """A line for each committed stage, and some on the way there.

    Parameters
    ----------
    note : callable
        Shows one line.
    clock : callable, optional
        Seconds that only grow.
    """

    def __init__(self, note: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._note, self._clock = note, clock
        self._told = clock()
        self._stage = ""

    def start(self, stage: str) -> None:
        """A stage begins."""
        self._stage, self._told = stage, self._clock()

    def move(self, step: Step) -> None:
        """A step goes on: a line where the last is some seconds old."""
        if step.done and self._clock() - self._told >= _SECONDS:
            self._told = self._clock()
            self._note(f"{_label(self._stage, step)}: {step_text(step)}")

    def say(self, text: str) -> None:
        """A line for people."""
        self._note(text)

    def finish(self, finished: Finished) -> None:
        """A stage is committed."""
        self._note(finished_text(finished))


class Bars(Progress):
    """A bar for the step that is worked on, and a line for each committed stage.

    Parameters
    ----------
    note : callable
        Shows one line.
    console : rich Console, optional
        Where the bar goes; the terminal of stderr by default.
    """

    def __init__(self, note: Callable[[str], None], console: "Console | None" = None) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, ProgressColumn, SpinnerColumn, Task, TextColumn
        from rich.progress import Progress as Display
        from rich.table import Column
        from rich.text import Text

        class Figures(ProgressColumn):
            """The step's figures of this moment."""

            def render(self, task: Task) -> Text:
                step = task.fields["step"]
                return Text(task.fields["said"] if step is None else step_text(step))

        self._note = note
        self._display = Display(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=_BAR_WIDTH),
            Figures(Column(no_wrap=True, overflow="ellipsis")),
            console=console or Console(stderr=True),
            transient=True,
            refresh_per_second=_REFRESHES,
            redirect_stdout=False,
        )
        self._task: Any = None
        self._stage = ""

    def start(self, stage: str) -> None:
        """A stage begins."""
        self._stage = stage
        self._show(stage)

    def move(self, step: Step) -> None:
        """A step goes on."""
        if self._task is not None:
            part = step.part
            # A task that is complete stands still, but the stage goes on.
            self._display.update(
                self._task,
                description=_label(self._stage, step),
                total=None if part is None else 1.0,
                completed=min(part or 0.0, _NEARLY),
                step=step,
            )

    def say(self, text: str) -> None:
        """A line for people."""
        if self._task is None:
            self._show(text)
        else:
            self._display.update(self._task, step=None, said=text)

    def finish(self, finished: Finished) -> None:
        """A stage is committed."""
        self.close()
        self._note(finished_text(finished))

    def close(self) -> None:
        """Take the bar away."""
        if self._task is not None:
            self._display.remove_task(self._task)
            self._display.stop()
            self._task = None

    def _show(self, text: str) -> None:
        self.close()
        self._display.start()
        self._task = self._display.add_task(text, total=None, step=None, said="")


def step_text(step: Step) -> str:
    """How far a step is, how fast, and how long it will take: `1.2 GB of 4.5 GB, 7,000 rows, 650 rows/s, 12 s left`."""
    parts = [_done_text(step)] if _done_text(step) else []
    if step.rows:
        parts.append(f"{step.rows:,} rows")
    if step.total is None and step.share is not None:
        parts.append(f"{step.share:.0%} of the way")
    if step.rows_rate is not None:
        parts.append(f"{_figure(step.rows_rate)} rows/s")
    elif step.rate is not None:
        parts.append(f"{_figure(step.rate)} {step.unit}/s" if step.rate >= 1 else f"{_figure(1 / step.rate)} s each")
    left = step.seconds_left
    if left is not None and step.done < (step.total or 0):
        parts.append(f"{duration_text(left)} left")
    return ", ".join(parts)


def finished_text(finished: Finished) -> str:
    """How long a stage took and how much memory: `features: 1.2 s, peak memory 412 MB`."""
    if finished.reused:
        return f"{finished.stage}: taken as committed"
    parts, peak = [f"{finished.stage}: {finished.seconds:.1f} s"], finished.peak
    if peak is not None:
        parts.append(f"peak memory {size_text(peak.host_bytes)}")
        if peak.workers_bytes is not None and peak.largest_worker_bytes is not None:
            parts.append(f"workers {size_text(peak.workers_bytes)} (largest {size_text(peak.largest_worker_bytes)})")
        if peak.device_bytes is not None:
            parts.append(f"device {size_text(peak.device_bytes)}")
    return ", ".join(parts)


def size_text(n_bytes: float) -> str:
    """Bytes for people, in powers of ten."""
    for unit, name in _UNITS:
        if n_bytes >= unit:
            return f"{_figure(n_bytes / unit)} {name}"
    return f"{n_bytes:.0f} bytes"


def duration_text(seconds: float) -> str:
    """Seconds for people: `12 s`, `4 min`, `1 h 20 min`; coarser where there are more, so that it does not flicker."""
    if seconds < 20:
        return f"{seconds:.0f} s"
    if seconds < 90:
        return f"{round(seconds / 5) * 5} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"


def _label(stage: str, step: Step) -> str:
    return stage if step.name == stage else f"{stage}: {step.name}"


def _done_text(step: Step) -> str:
    if step.unit == "bytes" and step.total:
        return f"{size_text(step.done)} of {size_text(step.total)}"
    if step.total is not None:
        return f"{step.done:,.0f} of {step.total:,.0f} {step.unit}"
    # Of a pass, blocks are told in fractions that need not add up to one to the last bit.
    return f"pass {int(step.done + 1e-6) + 1}" if step.unit == "passes" else ""


def _figure(value: float) -> str:
    """Two or three digits of a small figure, all of a large one but the noise."""
    if value >= 1000:
        return f"{round(value, 2 - len(str(int(value)))):,.0f}"
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}"
