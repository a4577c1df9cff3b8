"""What an exact HDBSCAN costs: memory by its rows, time by the pairs of them."""

from dataclasses import dataclass
from math import sqrt

from gpuseg.engine.base import Device
from gpuseg.engine.capabilities import capability
from gpuseg.errors import DeviceMemoryError, UnsupportedOnDeviceError

_FLOAT64_BYTES = 8


@dataclass(frozen=True)
class Cost:
    """An estimate, of which the time may be three times as much or a third.

    Parameters
    ----------
    n_rows, n_features : int
    n_bytes : int
        Memory of the device besides what is there already.
    seconds : float or None
        None where no such device was ever timed.
    """

    n_rows: int
    n_features: int
    n_bytes: int
    seconds: float | None

    @property
    def text(self) -> str:
        """The same for people."""
        time = "in a time never measured there" if self.seconds is None else duration(self.seconds)
        return (
            f"hdbscan of {self.n_rows:,} profiles with {self.n_features} features: by estimate {time}, "
            f"with {size(self.n_bytes)} of memory"
        )


def density_cost(n_rows: int, n_features: int, *, device: Device, min_samples: int) -> Cost:
    """What HDBSCAN of so many rows takes on a device."""
    row = capability("hdbscan", device.name)
    n_bytes = n_rows * _bytes_per_row(n_features, device=device, min_samples=min_samples)
    seconds = None if row.seconds_per_work is None else n_rows**2 * n_features * row.seconds_per_work
    return Cost(n_rows, n_features, n_bytes, seconds)


EXACT_SECONDS = 300.0
"""Estimate up to which rows are compared exactly without being asked to."""


def is_exact(cost: Cost, *, device: Device, min_samples: int) -> bool:
    """Whether the exact algorithm fits on a device and takes minutes at most; on one never timed, whether it fits."""
    try:
        check_fits(cost.n_rows, cost.n_features, device=device, min_samples=min_samples)
    except (DeviceMemoryError, UnsupportedOnDeviceError):
        return False
    return cost.seconds is None or cost.seconds <= EXACT_SECONDS


def check_fits(n_rows: int, n_features: int, *, device: Device, min_samples: int) -> None:
    """Refuse what the exact algorithm cannot do on this device; nothing is ever sampled instead.

    Parameters
    ----------
    n_rows, n_features : int
    device : Device
    min_samples : int

    Raises
    ------
    DeviceMemoryError
        With the estimate, what is free, and the largest number of rows that fits.
    UnsupportedOnDeviceError
        If there is memory, but more rows than the capability table allows.
    """
    row = capability("hdbscan", device.name)
    per_row = _bytes_per_row(n_features, device=device, min_samples=min_samples)
    free = device.free_bytes()
    in_memory = free // per_row
    most = int(min(in_memory, sqrt(row.most_work / n_features)))
    if n_rows <= most:
        return
    what = f"exact hdbscan of {n_rows:,} profiles with {n_features} features"
    rest = f"at most {most:,} profiles fit; use method kmeans, or fewer profiles"
    if n_rows > in_memory:
        needed = f"needs about {size(n_rows * per_row)} of memory on the {device.name}, where {size(free)} is free"
        raise DeviceMemoryError(f"{what} {needed}; {rest}")
    pairs = f"{n_rows**2 / 2:.0e} of them"
    raise UnsupportedOnDeviceError(
        f"{what} compares every pair, {pairs}, which takes hours on the {device.name}; {rest}"
    )


def size(n_bytes: float) -> str:
    """Bytes in words."""
    return f"{n_bytes / 1e9:,.1f} GB" if n_bytes >= 1e9 else f"{n_bytes / 1e6:,.1f} MB"


def duration(seconds: float) -> str:
    """An estimated time in words."""
    steps = ((90, 1, "second"), (5_400, 60, "minute"), (float("inf"), 3_600, "hour"))
    unit, word = next((unit, word) for most, unit, word in steps if seconds < most)
    count = max(round(seconds / unit), 1)
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def _bytes_per_row(n_features: int, *, device: Device, min_samples: int) -> int:
    row = capability("hdbscan", device.name)
    return row.row_bytes(n_features, {"min_samples": min_samples}) + _FLOAT64_BYTES * n_features
