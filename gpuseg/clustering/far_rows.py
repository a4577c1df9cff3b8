"""Where empty clusters go: to rows that are far from every center."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from gpuseg.clustering.nearest import row_distances, row_keys
from gpuseg.engine.base import Device

_SHORTLIST_MARGIN = 1e-4
_ROUNDING = 8


def rows_of(block: Any, device: Device) -> Any:
    """The rows of a block, which is an array of the device or gives one."""
    return block(device) if callable(block) else block


def farthest_rows(blocks: Sequence[Any], centers: npt.NDArray[Any], device: Device, n: int) -> npt.NDArray[Any]:
    """At most n distinct rows farthest from their center, none on it; ties go to the row of least coordinates."""
    found = []
    for block in blocks:
        on_device = rows_of(block, device)
        told = device.assign_accumulate(on_device, centers, want_labels=True)
        nearest, labels = device.to_host(told.nearest), device.to_host(told.labels)
        if not nearest.size:
            continue
        # Single precision only shortlists: every row within a rounding error of the n-th distance stays.
        chosen = np.flatnonzero(nearest >= np.unique(nearest)[-n:][0] * (1 - _SHORTLIST_MARGIN))
        rows = device.to_host(on_device)[chosen]
        first = np.unique(row_keys(rows), return_index=True)[1]
        found.append(_farthest(rows[first], row_distances(rows[first], centers[labels[chosen[first]]]), n))
    rows, gaps = (np.concatenate(parts) for parts in zip(*found, strict=True))
    first = np.unique(row_keys(rows), return_index=True)[1]
    rows, gaps = _farthest(rows[first], gaps[first], n)
    # A center is the rounded mean of its rows, so not quite where they all lie.
    rounding = _ROUNDING * float(np.finfo(rows.dtype).eps) * np.sqrt(np.square(rows, dtype=np.float64).sum(axis=1))
    far: npt.NDArray[Any] = rows[gaps > rounding]
    return far


def _farthest(
    rows: npt.NDArray[Any], gaps: npt.NDArray[np.float64], n: int
) -> tuple[npt.NDArray[Any], npt.NDArray[np.float64]]:
    """The n rows of the largest gaps, largest first."""
    if len(rows) > n:
        kept = gaps >= np.partition(gaps, -n)[-n]
        rows, gaps = rows[kept], gaps[kept]
    order = np.lexsort([*(rows[:, c] for c in reversed(range(rows.shape[1]))), -gaps])[:n]
    return rows[order], gaps[order]
