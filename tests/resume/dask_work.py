"""What workers do in tests; they import it as a module of its own, for `tests` may be another package there."""

import os
import signal
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from distributed import get_worker

from gpuseg.errors import InvalidValueError


@dataclass(frozen=True)
class Work:
    """Something to do with an item, on a worker."""

    action: str
    folder: str = ""

    def __call__(self, item):
        if item == 3:
            getattr(self, f"_{self.action}")()
        return item * item

    def told(self, item):
        return f"bucket {item}"

    def _kill(self):
        os.kill(os.getpid(), signal.SIGKILL)

    def _kill_once(self):
        marks = len(list(Path(self.folder).iterdir()))
        if marks < 2:
            (Path(self.folder) / f"died{marks}").touch()
            os.kill(os.getpid(), signal.SIGKILL)

    def _take_memory(self):
        held = []
        while True:
            held.append(np.ones(2**23))

    def _refuse(self):
        raise InvalidValueError("orders: x.csv, row 3: bad")

    def _time_out(self):
        raise TimeoutError("of the task itself")

    def _no_memory(self):
        raise MemoryError

    def _nothing(self):
        pass


@dataclass(frozen=True)
class LateWork(Work):
    """The same by a worker that tells what it ended half a second later, if it lives as long."""

    def __call__(self, item):
        worker = get_worker()
        if not hasattr(worker, "is_late"):
            worker.is_late, stream = True, worker.batched_stream
            stream.send = partial(worker.loop.call_later, 0.5, stream.send)
        return super().__call__(item)


@dataclass(frozen=True)
class WaitForFile:
    """Ends when it is let."""

    path: str

    def __call__(self, item):
        while not Path(self.path).exists():
            time.sleep(0.02)
        return item
