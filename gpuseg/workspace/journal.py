"""The log of a version, `run.jsonl`: one JSON object a line, written as things happen.

It is for those who watch. It is in no checksum, a full disk never fails a run through it, and lost power may take its
last lines.
"""

import datetime as dt
import json
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gpuseg.progress import Finished, Progress, Step

NAME = "run.jsonl"
_SECONDS = 5.0
"""Least time between two lines of progress."""


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


class Journal(Progress):
    """Writes to the log of a version, after what earlier attempts wrote.

    Parameters
    ----------
    folder : Path
        The version's.
    now : callable, optional
        Time of day, with its zone.
    clock : callable, optional
        Seconds that only grow.
    """

    def __init__(
        self, folder: Path, *, now: Callable[[], dt.datetime] = _now, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._now, self._clock = now, clock
        self._told = clock()
        self._stage = ""
        self._file: int | None = None
        self._torn = False
        with suppress(OSError):
            self._file = os.open(folder / NAME, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
            size = os.fstat(self._file).st_size
            # A process that was killed, or a disk that was full, may have left half a line.
            self._torn = size > 0 and os.pread(self._file, 1, size - 1) != b"\n"

    def write(self, event: str, **facts: Any) -> None:
        """Add a line: the time, the event, and its facts as JSON values."""
        if self._file is None:
            return
        content = {"time": self._now().isoformat(timespec="milliseconds"), "event": event, **facts}
        line = ("\n" if self._torn else "") + json.dumps(content, ensure_ascii=False) + "\n"
        # File names may hold bytes that are no text.
        data = line.encode("utf-8", "backslashreplace")
        try:
            self._torn = os.write(self._file, data) < len(data)
        except OSError:
            return

    def start(self, stage: str) -> None:
        """A stage begins."""
        self._stage, self._told = stage, self._clock()
        self.write("stage_started", stage=stage)

    def move(self, step: Step) -> None:
        """A step begins, or goes on: a line for that where the last is some seconds old."""
        if not step.done:
            self.write("step_started", stage=self._stage, step=step.name, unit=step.unit, total=_rounded(step.total))
            return
        if self._clock() - self._told < _SECONDS:
            return
        self._told = self._clock()
        self.write(
            "progress",
            stage=self._stage,
            step=step.name,
            unit=step.unit,
            done=_rounded(step.done),
            total=_rounded(step.total),
            part=_rounded(step.part),
            rate=_rounded(step.rate),
            rows=step.rows,
            rows_per_second=_rounded(step.rows_rate),
            seconds_left=_rounded(step.seconds_left),
        )

    def say(self, text: str) -> None:
        """A line for people."""
        self.write("note", stage=self._stage, message=text)

    def finish(self, finished: Finished) -> None:
        """A stage is committed."""
        for warning in finished.warnings:
            self.write("warning", stage=finished.stage, message=warning)
        rows, seconds, peak = finished.rows, finished.seconds, finished.peak
        memory = {f"peak_{name}": n for name, n in asdict(peak).items()} if peak else {}
        self.write(
            "stage_finished",
            stage=finished.stage,
            reused=finished.reused,
            seconds=_rounded(seconds),
            rows=rows,
            rows_per_second=_rounded(rows / seconds) if rows and seconds else None,
            **memory,
        )

    @contextmanager
    def with_warnings(self) -> Iterator[None]:
        """Write what gpuseg logs as a warning, too; a record may name an event and facts of its own."""
        logger, handler = logging.getLogger("gpuseg"), _Warnings(self)
        logger.addHandler(handler)
        try:
            yield
        finally:
            logger.removeHandler(handler)

    def close(self) -> None:
        """Write no more."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


class _Warnings(logging.Handler):
    """Passes warnings on to a journal, and to where they would have gone without it."""

    def __init__(self, journal: Journal) -> None:
        super().__init__(logging.WARNING)
        self._journal = journal

    def emit(self, record: logging.LogRecord) -> None:
        event, facts = getattr(record, "gpuseg_event", "warning"), getattr(record, "gpuseg_facts", {})
        self._journal.write(event, stage=self._journal._stage, message=record.getMessage(), **facts)
        others = [h for name in (None, "gpuseg") for h in logging.getLogger(name).handlers if h is not self]
        if not others and logging.lastResort is not None:
            logging.lastResort.handle(record)


def _rounded(value: float | None) -> float | None:
    """Six digits are enough to look at."""
    if value is None:
        return None
    return int(value) if value == int(value) else float(f"{value:.6g}")
