"""A scratch folder that goes with its process, or, where that was killed, with the next one that needs one."""

import fcntl
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gpuseg.errors import EngineError

PREFIX = "gpuseg-dask-"
_OWNER = "owner"


@contextmanager
def own_scratch() -> Iterator[str]:
    """Make a scratch folder, after those of processes that are dead are removed.

    The owner holds a lock in it, which the system lets go of when the process ends in whatever way.

    Raises
    ------
    EngineError
        If none can be made.
    """
    remove_ownerless(Path(tempfile.gettempdir()))
    try:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        handle = os.open(folder / _OWNER, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise EngineError(f"dask: no scratch folder can be made in {tempfile.gettempdir()}: {error.strerror}") from None
    try:
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Last: without a name nobody takes the folder for one that has lost its owner.
            os.pwrite(handle, _host(), 0)
        yield str(folder)
    finally:
        _remove(folder)
        os.close(handle)


def remove_ownerless(place: Path) -> None:
    """Remove the scratch folders of this user whose owner was a process of this machine and is dead."""
    for folder in place.glob(f"{PREFIX}*"):
        with suppress(OSError):
            if folder.is_symlink() or folder.lstat().st_uid != os.geteuid():
                continue
            handle = os.open(folder / _OWNER, os.O_RDWR | os.O_NOFOLLOW)
            try:
                # Locks of another machine need not be seen here, where both share the place.
                if os.pread(handle, 256, 0) == _host():
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    _remove(folder)
            finally:
                os.close(handle)


def _remove(folder: Path) -> None:
    """Remove a folder, and last what says whose it was."""
    with suppress(OSError):
        for path in folder.iterdir():
            if path.name != _OWNER:
                shutil.rmtree(path, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)


def _host() -> bytes:
    return socket.gethostname().encode()[:256]
