"""SIGTERM and Ctrl-C end a command, wherever the interpreter is when they arrive."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_AGAIN_SECONDS = 0.05


class Terminated(BaseException):
    """SIGTERM arrived."""

    gpuseg_code = "terminated"


@contextmanager
def heeded() -> Iterator[None]:
    """Raise `Terminated` at SIGTERM, and it or KeyboardInterrupt once more where the interpreter would drop them.

    What a destructor or a callback of a library raises is only told (`sys.unraisablehook`), so that a signal
    that arrives there would end nothing.
    """
    dropped: list[BaseException] = []
    hook_before = sys.unraisablehook

    def again(_signal: int, _frame: FrameType | None) -> None:
        if dropped:
            raise dropped.pop()

    def hook(told: Any) -> None:
        if not isinstance(told.exc_value, Terminated | KeyboardInterrupt):
            hook_before(told)
            return
        dropped[:] = [type(told.exc_value)()]
        signal.setitimer(signal.ITIMER_REAL, _AGAIN_SECONDS)

    signal.signal(signal.SIGTERM, _terminate)
    alarm_before = signal.signal(signal.SIGALRM, again)
    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = hook_before
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, alarm_before)


def _terminate(_signal: int, _frame: FrameType | None) -> None:
    raise Terminated
