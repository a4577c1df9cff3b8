"""The tie between a part that is read and the process that waits for it: how far it is, and whether to stop."""

import threading
from collections.abc import Sequence

from gpuseg.progress import Meter


class Stopped(Exception):
    """A part ended before its time, for nobody waits for it any more."""


class Pulse:
    """Tells the process that waits how far a part is, and the part whether to stop; elsewhere it does neither.

    Parameters
    ----------
    progress : Meter, optional
    sizes : sequence of int
        Stored bytes of every part, by its number. Where one is not known (0), progress counts rows.
    """

    def __init__(self, progress: Meter | None = None, sizes: Sequence[int] = ()) -> None:
        self._progress, self._sizes = progress, sizes
        self._told: dict[int, tuple[int, int]] = {}
        self._lock = threading.Lock()
        self._stopped = False
        self._in_bytes = all(sizes)
        if progress is not None:
            progress.begin("read", sum(sizes) if self._in_bytes else None, unit="bytes" if self._in_bytes else "rows")

    def __reduce__(self) -> tuple[type["Pulse"], tuple[()]]:
        return Pulse, ()

    def stop(self) -> None:
        """Let every part end at its next chunk."""
        self._stopped = True

    def beat(self, part: int, n_rows: int, n_bytes: int) -> None:
        """Say how many rows and about how many stored bytes of a part were read by now.

        Raises
        ------
        Stopped
            If the part is to end.
        """
        if self._stopped:
            raise Stopped
        if self._progress is not None:
            self._tell(part, n_rows, min(n_bytes, self._sizes[part]), anew=True)

    def end(self, part: int, n_rows: int, *, anew: bool) -> None:
        """Say that a part is read, `anew` or by an earlier attempt, and how many rows it has."""
        if self._progress is not None:
            self._tell(part, n_rows, self._sizes[part], anew=anew)

    def _tell(self, part: int, n_rows: int, n_bytes: int, *, anew: bool) -> None:
        assert self._progress is not None
        with self._lock:
            rows_before, bytes_before = self._told.get(part, (0, 0))
            # A part may be read anew from its start, in smaller chunks.
            rows, more = max(n_rows - rows_before, 0), max(n_bytes - bytes_before, 0)
            self._told[part] = (rows_before + rows, bytes_before + more)
            self._progress.add(more if self._in_bytes else rows, rows=rows, anew=anew)
