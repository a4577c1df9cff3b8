"""What to tell where the memory of this machine ends."""

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gpuseg.engine.base import Device
from gpuseg.errors import DeviceMemoryError

_SIZE = re.compile(r"size ([0-9]+)")


def shortage(error: MemoryError, device: Device, what: str, advice: str) -> DeviceMemoryError:
    """The error for work that cannot be cut any further.

    Parameters
    ----------
    error : MemoryError
        Of NumPy, Arrow or Python; the first two know how much they asked for.
    device : Device
    what : str
        What there is no memory for.
    advice : str
        What to do.
    """
    needed = _needed_bytes(error)
    asked = "" if needed is None else f"{needed:,} bytes more needed, "
    return DeviceMemoryError(f"there is no memory to {what}: {asked}{device.free_bytes():,} free; {advice}")


@contextmanager
def enough_memory(device: Device, stage: str) -> Iterator[None]:
    """Turn the end of memory into one line.

    Raises
    ------
    DeviceMemoryError
        Names the stage, and the bytes needed, where they are known, and free.
    """
    try:
        yield
    except MemoryError as error:
        advice = "raise run.buckets, or give this process and its workers more"
        raise shortage(error, device, f"go on with {stage}", advice) from None


def _needed_bytes(error: Any) -> int | None:
    if hasattr(error, "shape") and hasattr(error, "dtype"):
        return int(math.prod(error.shape) * error.dtype.itemsize)
    found = _SIZE.search(str(error))
    return int(found[1]) if found else None
