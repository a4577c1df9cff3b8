"""What runs on a worker."""

import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from distributed.protocol.pickle import loads

_lock = threading.Lock()
_last: list[tuple[bytes, Callable[[Any], Any]]] = []
_at_work: Counter[str] = Counter()


def call(pickled: bytes, item: Any, run: str) -> Any:
    """Work on one item of a run; a function is unpickled once for all its items."""
    with _lock:
        if not _last or _last[0][0] != pickled:
            _last[:] = [(pickled, loads(pickled))]
        function = _last[0][1]
        _at_work[run] += 1
    try:
        return function(item)
    finally:
        with _lock:
            _at_work[run] -= 1


def looked(folder: str) -> tuple[str, bool, bool]:
    """The version of gpuseg here, whether a folder is seen, and whether an item of its run is being worked on."""
    from gpuseg import __version__

    return __version__, Path(folder).is_dir(), _at_work[folder] > 0
