"""Turns raw columns of purchases into canonical integer columns on the device, or says that it cannot.

The device does what it does exactly: integers and text as ids, timestamps, amounts in floats and integers. A chunk of
anything else, or with any value that would be an error, is refused as a whole, and the CPU's code makes the message,
sets rows apart, or converts what the device does not know.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from gpuseg.engine.arrow import as_arrow
from gpuseg.engine.gpu.libraries import Libraries
from gpuseg.engine.gpu.reading import Column
from gpuseg.engine.gpu.times import local_days, localize
from gpuseg.engine.program import CONSENT, ReadPlan, Tally
from gpuseg.vocabulary import EARLIEST_US, KINDS

_EXACT = 2**53
_LARGEST = 2**63 - 1
_TICKS_TO_US = {"s": 10**6, "ms": 10**3, "us": 1}


@dataclass
class DeviceColumns:
    """Canonical columns of one chunk.

    Parameters
    ----------
    values : dict of str to Column
        As of `Column`.
    n_rows : int
    refused : int64 array in host memory, or None
        As of `Batch`.
    """

    values: dict[str, Column]
    n_rows: int
    refused: Any = None


class _NotPlain(Exception):
    """Something in the chunk is the CPU's to judge."""


def takes(plan: ReadPlan) -> bool:
    """Whether the device reads a source of this plan; other kinds, words and identity maps are the CPU's."""
    return plan.kind == "purchases" and plan.identity is None and plan.format in ("parquet", "arrow", "frame")


def canonical_on_device(
    columns: Mapping[str, Column], plan: ReadPlan, libraries: Libraries
) -> tuple[DeviceColumns, Tally] | None:
    """Convert one chunk of a plan that the device takes.

    Parameters
    ----------
    columns : mapping of str to Column
        Raw columns under canonical names, none of them missing.
    plan : ReadPlan
    libraries : Libraries

    Returns
    -------
    columns : DeviceColumns
        Rows with consent, inside the window and not older than is retained.
    tally : Tally
        As `canonical_columns` counts. None in place of both where the CPU has to convert the chunk.
    """
    cupy = libraries.cupy
    tally = Tally(rows_read=len(columns["profile_id"].values))
    try:
        rows, refused = _with_consent(dict(columns), plan, tally, cupy)
        rows = _in_window(rows, plan, tally, cupy)
        for column in KINDS[plan.kind].columns:
            if column.name in columns:
                tally.null_counts[column.name] = 0
        found = {name: rows[name] for name in ("profile_id", "at_us", "day")}
        found["amount_minor"], tally.amounts_rounded = _minor(rows["amount"], plan.amount_scale, cupy)
    except _NotPlain:
        return None
    if "category" in rows:
        found["category"] = rows["category"]
        tally.null_counts["category"] = int((rows["category"].values < 0).sum())
    if plan.order_type is not None:
        found["order_id"] = rows["order_id"]
    for name in ("profile_id", "order_id"):
        if name in found and found[name].type != pa.string():
            found[name] = Column(pa.int64(), found[name].values.astype(np.int64))
    tally.rows_used = len(found["profile_id"].values)
    if tally.rows_used:
        day = found["day"].values
        tally.first_day, tally.last_day = int(day.min()), int(day.max())
    return DeviceColumns(found, tally.rows_used, refused), tally


def _with_consent(rows: dict[str, Column], plan: ReadPlan, tally: Tally, cupy: Any) -> tuple[dict[str, Column], Any]:
    """Rows that say yes and that the consent tables do not forbid; the profiles that they do not know as allowed."""
    before, refused = tally.rows_read, None
    if CONSENT in rows:
        yes = rows.pop(CONSENT).values
        rows = _kept(rows, yes, cupy)
    rule = plan.consent
    if rule is not None:
        if plan.key_type != "int64":
            raise _NotPlain
        ids, marks = rows["profile_id"].values.astype(np.int64), cupy.asarray(rule.profiles.marks)
        listed = cupy.isin(ids, marks)
        if rule.may_be_used:
            refused = cupy.asnumpy(cupy.unique(ids[~listed]))
        rows = _kept(rows, listed if rule.may_be_used else ~listed, cupy)
    tally.rows_without_consent = before - len(rows["profile_id"].values)
    return rows, refused


def _in_window(rows: dict[str, Column], plan: ReadPlan, tally: Tally, cupy: Any) -> dict[str, Column]:
    """Rows before `as_of` that are not older than is retained, with `at_us` and `day` in place of `at`."""
    at = rows.pop("at")
    at_us = _microseconds(at)
    if at.type.tz is None:
        at_us, tally.times_ambiguous, tally.times_nonexistent = localize(cupy, at_us, plan.zone)
    if at_us.size and int(at_us.min()) < EARLIEST_US:
        raise _NotPlain
    day = local_days(cupy, at_us, plan.run_zone)
    keep = at_us < plan.as_of_us
    tally.rows_after_as_of = int((~keep).sum())
    if plan.oldest_day is not None:
        old = keep & (day < plan.oldest_day)
        tally.rows_past_retention = int(old.sum())
        keep &= ~old
    return _kept(rows | {"at_us": Column(pa.int64(), at_us), "day": Column(pa.int32(), day)}, keep, cupy)


def _microseconds(at: Column) -> Any:
    """As stored; nanoseconds are cut off."""
    if at.type.unit == "ns":
        return at.values // 1000
    return _times(at.values, _TICKS_TO_US[at.type.unit])


def _minor(amount: Column, scale: int, cupy: Any) -> tuple[Column, int]:
    """Amounts in minor units, and how many were finer and rounded half to even, by the steps of the CPU's code."""
    if pa.types.is_integer(amount.type):
        return Column(pa.int64(), _times(amount.values.astype(np.int64), scale)), 0
    with np.errstate(over="ignore"):
        scaled = amount.values.astype(np.float64) * scale
    if not bool((cupy.abs(scaled) <= _EXACT).all()):
        raise _NotPlain
    whole = cupy.rint(scaled)
    eps = np.finfo(np.float64 if amount.type == pa.float64() else np.float32).eps
    hair = float(eps) * cupy.abs(scaled)
    rounded = int((cupy.abs(scaled - whole) > cupy.maximum(1e-6, hair)).sum())
    return Column(pa.int64(), whole.astype(np.int64)), rounded


def _times(values: Any, factor: int) -> Any:
    """int64 products that do not overflow."""
    bound = _LARGEST // factor
    if not bool(((values <= bound) & (values >= -bound)).all()):
        raise _NotPlain
    return values * factor


def _kept(rows: dict[str, Column], keep: Any, cupy: Any) -> dict[str, Column]:
    if bool(keep.all()):
        return rows
    texts = any(isinstance(column.values, pa.Array) for column in rows.values())
    on_host = as_arrow(cupy.asnumpy(keep)) if texts else None
    return {
        name: Column(
            column.type,
            column.values.filter(on_host) if isinstance(column.values, pa.Array) else column.values[keep],
            column.words,
        )
        for name, column in rows.items()
    }
