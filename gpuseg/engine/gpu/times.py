"""Instants and days by searching a zone's transition table on the device; the rules are those of `engine.cpu.times`."""

from typing import Any

import numpy as np

from gpuseg.engine.program import ZoneTable
from gpuseg.vocabulary import DAY_US


def localize(cupy: Any, wall_us: Any, zone: ZoneTable) -> tuple[Any, int, int]:
    """Instants of wall-clock times in a zone, and how many were ambiguous and how many never existed.

    Parameters
    ----------
    cupy : module
    wall_us : int64 array of the device, shape (n,)
    zone : ZoneTable

    Returns
    -------
    at_us : int64 array of the device, shape (n,)
    n_ambiguous, n_nonexistent : int
    """
    n_transitions = zone.transitions_us.size
    if not n_transitions:
        return wall_us - int(zone.offsets_us[0]), 0, 0
    transitions, offsets = cupy.asarray(zone.transitions_us), cupy.asarray(zone.offsets_us)
    index = cupy.searchsorted(transitions + offsets[:-1], wall_us, side="right")
    at_us = wall_us - offsets[index]
    jumped = transitions[cupy.maximum(index - 1, 0)]
    never = (index > 0) & (at_us < jumped)
    following = cupy.minimum(index, n_transitions - 1)
    again = wall_us >= transitions[following] + offsets[following + 1]
    ambiguous = ~never & (index < n_transitions) & again
    return cupy.where(never, jumped, at_us), int(ambiguous.sum()), int(never.sum())


def local_days(cupy: Any, at_us: Any, zone: ZoneTable) -> Any:
    """int32 epoch day of each instant in a zone."""
    transitions, offsets = cupy.asarray(zone.transitions_us), cupy.asarray(zone.offsets_us)
    index = cupy.searchsorted(transitions, at_us, side="right")
    return ((at_us + offsets[index]) // DAY_US).astype(np.int32)
