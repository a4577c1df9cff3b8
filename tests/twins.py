"""Slow and obviously right twins of what gpuseg computes: dictionaries, Decimal, Fraction and zoneinfo, no NumPy.

They follow docs and ARCHITECTURE.md, not the code, and are what the tests compare with by `==`.
"""

import datetime as dt
import itertools
import math
import zoneinfo
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from fractions import Fraction
from typing import Any

EPOCH = dt.datetime(1970, 1, 1)
EPOCH_UTC = EPOCH.replace(tzinfo=dt.UTC)
MICROSECOND = dt.timedelta(microseconds=1)
MASK = 2**64 - 1
PRIMES = (0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5)


@dataclass(frozen=True)
class Line:
    """One purchase line, before any rounding; `wall` is what the clock on the wall of the source's zone shows."""

    profile: int | str
    wall: dt.datetime
    amount: Decimal
    order: int | str | None = None
    category: str | None = None
    source: str = "orders"


def xxh64(data: bytes, seed: int = 0) -> int:
    """XXH64 of bytes, after the xxHash specification 0.1.1."""
    p1, p2, p3, p4, p5 = PRIMES

    def rotate(value: int, bits: int) -> int:
        return ((value << bits) | (value >> (64 - bits))) & MASK

    def lane_round(accumulator: int, lane: int) -> int:
        return rotate((accumulator + lane * p2) & MASK, 31) * p1 & MASK

    at = 0
    if len(data) >= 32:
        lanes = [(seed + p1 + p2) & MASK, (seed + p2) & MASK, seed, (seed - p1) & MASK]
        while at + 32 <= len(data):
            for number in range(4):
                word = int.from_bytes(data[at : at + 8], "little")
                lanes[number] = lane_round(lanes[number], word)
                at += 8
        found = sum(rotate(lane, bits) for lane, bits in zip(lanes, (1, 7, 12, 18), strict=True)) & MASK
        for lane in lanes:
            found = ((found ^ lane_round(0, lane)) * p1 + p4) & MASK
    else:
        found = (seed + p5) & MASK
    found = (found + len(data)) & MASK
    while at + 8 <= len(data):
        found ^= lane_round(0, int.from_bytes(data[at : at + 8], "little"))
        found = (rotate(found, 27) * p1 + p4) & MASK
        at += 8
    if at + 4 <= len(data):
        found ^= int.from_bytes(data[at : at + 4], "little") * p1 & MASK
        found = (rotate(found, 23) * p2 + p3) & MASK
        at += 4
    for byte in data[at:]:
        found = rotate(found ^ (byte * p5 & MASK), 11) * p1 & MASK
    found = (found ^ (found >> 33)) * p2 & MASK
    found = (found ^ (found >> 29)) * p3 & MASK
    return found ^ (found >> 32)


def id_bytes(profile: int | str) -> bytes:
    """The bytes that are hashed, and that text ids sort by."""
    return profile.encode() if isinstance(profile, str) else (profile & MASK).to_bytes(8, "little")


def id_order(profile: int | str) -> Any:
    """Sort key of ids: integers by value, text by UTF-8 bytes."""
    return profile.encode() if isinstance(profile, str) else profile


def to_us(moment: dt.datetime) -> int:
    """Microseconds since 1970 of an aware moment, or of a wall clock taken at face value."""
    return (moment - (EPOCH_UTC if moment.tzinfo else EPOCH)) // MICROSECOND


def from_us(at_us: int) -> dt.datetime:
    """The moment in UTC."""
    return EPOCH_UTC + at_us * MICROSECOND


def localized(wall: dt.datetime, zone_name: str) -> tuple[int, str]:
    """Microseconds UTC of a wall clock's time, and whether it is "plain", "ambiguous" or "nonexistent"."""
    zone = zoneinfo.ZoneInfo(zone_name)
    first, second = (wall.replace(tzinfo=zone, fold=fold).astimezone(dt.UTC) for fold in (0, 1))
    if first.astimezone(zone).replace(tzinfo=None) == wall:
        return to_us(first), "plain" if first == second else "ambiguous"
    low, high = to_us(second), to_us(first)
    offset = from_us(low).astimezone(zone).utcoffset()
    while high - low > 1:
        middle = (low + high) // 2
        if from_us(middle).astimezone(zone).utcoffset() == offset:
            low = middle
        else:
            high = middle
    return high, "nonexistent"


def epoch_day(at_us: int, zone_name: str) -> int:
    """Epoch day of an instant in a zone."""
    return from_us(at_us).astimezone(zoneinfo.ZoneInfo(zone_name)).date().toordinal() - EPOCH.toordinal()


def minor_units(amount: Decimal, scale: int) -> int:
    """Fixed-point amount, rounded half to even."""
    with localcontext() as context:
        context.prec = 200
        return int((amount * scale).to_integral_value(rounding=ROUND_HALF_EVEN))


@dataclass(frozen=True)
class Seen:
    """A line as integers."""

    line: Line
    at_us: int
    day: int
    minor: int


def seen_lines(
    lines: Iterable[Line], *, as_of: dt.date, zone: str, source_zone: str, scale: int = 10_000
) -> list[Seen]:
    """Lines before midnight of `as_of` in `zone`."""
    end, _ = localized(dt.datetime.combine(as_of, dt.time()), zone)
    found = []
    for line in lines:
        at_us, _ = localized(line.wall, source_zone)
        if at_us < end:
            found.append(Seen(line, at_us, epoch_day(at_us, zone), minor_units(line.amount, scale)))
    return found


def state_of(lines: Sequence[Seen]) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    """Day cells and orders, in the order of the state.

    A cell is (profile, day, category, n_lines, amount_minor, first_us, span_us); an order is
    (profile, source, order_id, order_us, day).
    """
    cells: dict[tuple[Any, ...], list[Seen]] = {}
    orders: dict[tuple[Any, ...], list[Seen]] = {}
    for seen in lines:
        line = seen.line
        cells.setdefault((line.profile, seen.day, line.category), []).append(seen)
        by_time = line.order is None
        key = (line.profile, line.source, None if by_time else line.order, seen.at_us if by_time else None)
        orders.setdefault(key, []).append(seen)

    def cell_order(key: tuple[Any, ...]) -> Any:
        profile, day, category = key
        return id_order(profile), day, category is not None, (category or "").encode()

    def order_order(key: tuple[Any, ...]) -> Any:
        profile, source, order, at_us = key
        return id_order(profile), source, order is None, id_order(at_us if order is None else order)

    cell_rows = [
        (
            *key,
            len(cells[key]),
            sum(seen.minor for seen in cells[key]),
            min(seen.at_us for seen in cells[key]),
            max(seen.at_us for seen in cells[key]) - min(seen.at_us for seen in cells[key]),
        )
        for key in sorted(cells, key=cell_order)
    ]
    order_rows = [(*key, min(orders[key], key=lambda seen: seen.at_us).day) for key in sorted(orders, key=order_order)]
    return cell_rows, order_rows


def ratio(numerator: float, denominator: float) -> float | None:
    """A quotient, None by zero."""
    return None if denominator == 0 else numerator / denominator


def feature_rows(
    lines: Sequence[Seen], *, as_of: dt.date, windows: Sequence[int], scale: int = 10_000, with_categories: bool = True
) -> dict[int | str, dict[str, Any]]:
    """The families rfm, tempo, interests and lifecycle of every profile with lines, ordered by id."""
    tallies = Counter(seen.line.category for seen in lines if seen.line.category is not None)
    ranked = sorted(tallies, key=lambda name: (-tallies[name], name.encode()))[:20]
    top = [name for name in ranked if name != "other"]
    mine: dict[int | str, list[Seen]] = {}
    for seen in lines:
        mine.setdefault(seen.line.profile, []).append(seen)
    end = as_of.toordinal() - EPOCH.toordinal()
    found = {}
    for profile in sorted(mine, key=id_order):
        features = {**_rfm(mine[profile], end, windows, scale), **_tempo(mine[profile], end, windows)}
        if with_categories:
            features |= _interests(mine[profile], top)
        found[profile] = features | lifecycle([seen.day for seen in mine[profile]], end)
    return found


def _spans(windows: Sequence[int]) -> Mapping[str, float]:
    return {"": math.inf} | {f"_{days}d": days for days in sorted(windows)}


def _rfm(lines: Sequence[Seen], end: int, windows: Sequence[int], scale: int) -> dict[str, Any]:
    first_day: dict[Any, tuple[int, int]] = {}
    for seen in lines:
        order = (seen.line.source, "at", seen.at_us) if seen.line.order is None else (seen.line.source, seen.line.order)
        first_day[order] = min(first_day.get(order, (seen.at_us, seen.day)), (seen.at_us, seen.day))
    features: dict[str, Any] = {"recency_days": end - max(seen.day for seen in lines)}
    for suffix, days in _spans(windows).items():
        inside = [seen for seen in lines if seen.day >= end - days]
        minor = sum(seen.minor for seen in inside)
        features |= {
            f"n_orders{suffix}": sum(day >= end - days for _, day in first_day.values()),
            f"n_lines{suffix}": len(inside),
            f"amount_minor{suffix}": minor,
            f"amount_sum{suffix}": minor / scale,
        }
    features["amount_per_order"] = sum(seen.minor for seen in lines) / scale / len(first_day)
    return features


def _tempo(lines: Sequence[Seen], end: int, windows: Sequence[int]) -> dict[str, Any]:
    days = sorted({seen.day for seen in lines})
    gaps = [later - earlier for earlier, later in itertools.pairwise(days)]
    mean = Fraction(sum(gaps), len(gaps)) if gaps else None
    features: dict[str, Any] = {
        f"n_active_days{suffix}": sum(day >= end - span for day in days) for suffix, span in _spans(windows).items()
    }
    spread = None
    if mean is not None and len(gaps) > 1:
        spread = math.sqrt(sum((gap - mean) ** 2 for gap in gaps) / (len(gaps) - 1))
    return features | {
        "tenure_days": days[-1] - days[0],
        "gap_days_mean": None if mean is None else float(mean),
        "gap_days_std": spread,
    }


def _interests(lines: Sequence[Seen], top: Sequence[str]) -> dict[str, Any]:
    counts = Counter(seen.line.category for seen in lines)
    shares = {f"share_{name}": counts[name] / len(lines) for name in top}
    return shares | {"share_other": (len(lines) - sum(counts[name] for name in top)) / len(lines)}


def lifecycle(days: Sequence[int], end: int) -> dict[str, Any]:
    """The family lifecycle of a profile with purchases on these days."""
    names = ("is_new", "is_active", "is_at_risk", "is_lapsed")
    if not days:
        return dict.fromkeys((*names, "overdue_ratio"))
    active = sorted(set(days))
    recency = end - active[-1]
    gaps = [later - earlier for earlier, later in itertools.pairwise(active)]
    gap = Fraction(sum(gaps), len(gaps)) if gaps else None
    if end - active[0] <= 30:
        stage = "is_new"
    elif gap is None:
        stage = "is_active" if recency <= 60 else "is_at_risk" if recency <= 180 else "is_lapsed"
    elif recency <= max(2 * gap, 14):
        stage = "is_active"
    else:
        stage = "is_at_risk" if recency <= max(4 * gap, 28) else "is_lapsed"
    overdue = None if gap is None else float(recency / gap)
    return {name: int(name == stage) for name in names} | {"overdue_ratio": overdue}
