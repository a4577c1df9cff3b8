"""Arrays that a process keeps between passes, up to a number of bytes."""

import threading
from typing import Any


class Held:
    """Arrays by name; each process that works on a run has its own.

    Parameters
    ----------
    run : str
        Names the work they belong to.
    n_bytes : int
        Most bytes that are kept.
    """

    def __init__(self, run: str, n_bytes: int) -> None:
        self._run, self._n_bytes = run, n_bytes
        self._left = n_bytes
        self._arrays: dict[str, Any] = {}
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[Any, tuple[str, int]]:
        return _here, (self._run, self._n_bytes)

    def get(self, name: str) -> Any:
        """An array, or None where it is not kept."""
        with self._lock:
            return self._arrays.get(name)

    def keep(self, name: str, array: Any) -> bool:
        """Keep an array if there is room, and say whether it is kept."""
        with self._lock:
            if name in self._arrays:
                return True
            if array.nbytes > self._left:
                return False
            self._left -= array.nbytes
            self._arrays[name] = array
            return True

    def take(self, name: str) -> Any:
        """An array that is not kept any longer, or None."""
        with self._lock:
            found = self._arrays.pop(name, None)
            self._left += 0 if found is None else found.nbytes
            return found


_lock = threading.Lock()
_of_this_process: list[Held] = []


def _here(run: str, n_bytes: int) -> Held:
    """What a worker's process keeps for a run; what it kept for another one goes."""
    with _lock:
        if not _of_this_process or _of_this_process[0]._run != run:
            _of_this_process[:] = [Held(run, n_bytes)]
        return _of_this_process[0]


def let_go() -> None:
    """Let go of what this process keeps for a run."""
    with _lock:
        _of_this_process.clear()
