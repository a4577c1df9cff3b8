"""Conditions on features, as intervals and in words."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite
from typing import Any

import numpy as np
import numpy.typing as npt

from gpuseg.segments.naming import pretty

FeatureRow = Mapping[str, Any]


@dataclass(frozen=True)
class Interval:
    """Values that a rule allows of one feature.

    Parameters
    ----------
    lower : float
        Values must be above it; infinity allows none.
    upper : float
        Values must be at most this.
    unknown : bool
        Whether an unknown value is allowed.
    """

    lower: float = -inf
    upper: float = inf
    unknown: bool = True

    def below(self, cut: float, *, unknown: bool) -> "Interval":
        """What of it is at most `cut`."""
        return Interval(self.lower, min(self.upper, cut), self.unknown and unknown)

    def above(self, cut: float, *, unknown: bool) -> "Interval":
        """What of it is above `cut`; above infinity there is only the unknown."""
        return Interval(max(self.lower, cut), self.upper, self.unknown and unknown)

    def holds(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
        """Which values it allows; NaN is an unknown one."""
        inside = (values > self.lower) & (values <= self.upper)
        return inside | np.isnan(values) if self.unknown else inside


def conditions(item: FeatureRow, interval: Interval, *, floor: float) -> list[dict[str, Any]]:
    """Conditions that say what an interval does, none where it allows everything.

    Parameters
    ----------
    item : mapping
        The feature's name, label, saying, unit and dtype.
    interval : Interval
    floor : float
        A number below every value of the feature. "Known" is written as being above it, and "unknown" as not being so.

    Returns
    -------
    list of dict
        Keys `feature`, `label`, `unit`, `operator`, `value`, `or_unknown`, `text`; all of them must hold, each holds
        for an unknown value where `or_unknown` says so.
    """
    if interval.lower == inf:
        return [_condition(item, "<=", floor, interval, f"{subject(item)} unknown")]
    bounds = [(">", interval.lower), ("<=", interval.upper)]
    found = [(operator, bound) for operator, bound in bounds if isfinite(bound)]
    if not found and not interval.unknown:
        return [_condition(item, ">", floor, interval, f"{subject(item)} known")]
    return [
        _condition(item, operator, bound, interval, interval_text(item, _only(operator, bound, interval.unknown)))
        for operator, bound in found
    ]


def interval_text(item: FeatureRow, interval: Interval) -> str:
    """An interval with at least one bound in words, such as "last bought 31 to 90 days ago"."""
    text = _singular(_bounded(item, interval), item["unit"])
    return f"{text} (or unknown)" if interval.unknown else text


def rule_text(items: Sequence[FeatureRow], intervals: Sequence[Interval]) -> str:
    """All intervals of a rule in one phrase, "everyone" where there is none."""
    parts = []
    for item, interval in zip(items, intervals, strict=True):
        if interval.lower == inf:
            parts.append(f"{subject(item)} unknown")
        elif isfinite(interval.lower) or isfinite(interval.upper):
            parts.append(interval_text(item, interval))
        elif not interval.unknown:
            parts.append(f"{subject(item)} known")
    if len(parts) < 2:
        return parts[0] if parts else "everyone"
    return f"{'; '.join(parts[:-1])}; and {parts[-1]}"


def figure_text(value: float | None, unit: str) -> str:
    """A figure with every digit that it has, up to ten."""
    if value is None:
        return "unknown"
    if unit == "share":
        return f"{value * 100:.10g}%"
    if unit == "currency":
        return f"{value:,.0f}" if value.is_integer() else f"{value:,.2f}"
    return f"{value:,.10g}"


def _condition(item: FeatureRow, operator: str, value: float, interval: Interval, text: str) -> dict[str, Any]:
    return {
        "feature": item["name"],
        "label": item["label"],
        "unit": item["unit"],
        "operator": operator,
        "value": value,
        "or_unknown": interval.unknown,
        "text": text,
    }


def _only(operator: str, bound: float, unknown: bool) -> Interval:  # noqa: FBT001
    return Interval(bound, inf, unknown) if operator == ">" else Interval(-inf, bound, unknown)


def subject(item: FeatureRow) -> str:
    """What may be known or unknown, such as "days between purchases"."""
    return str(item["name"]).partition("=")[0].replace("_", " ") if is_mark(item) else pretty(item["label"])


def is_mark(item: FeatureRow) -> bool:
    """Whether a feature says with 0 or 1 that an attribute has one of its values; true shares are no whole numbers."""
    return item["unit"] == "share" and item["dtype"] == "int64" and "=" in item["name"]


def _mark(item: FeatureRow, *, present: bool) -> str:
    column, _, value = item["name"].partition("=")
    return f"{column.replace('_', ' ')} is {'' if present else 'not '}{pretty(value)}"


def _bounded(item: FeatureRow, interval: Interval) -> str:
    if is_mark(item):
        return _mark(item, present=interval.lower >= 0)
    saying, whole = pretty(item["saying"]), item["dtype"] == "int64"
    lower, upper = (figure_text(bound, item["unit"]) for bound in (interval.lower, interval.upper))
    # A time from one to the next: a short one means often.
    often = "every {value}" in saying
    if not isfinite(interval.lower):
        if whole and interval.upper == 0 and saying.startswith("{value} "):
            return saying.format(value="no")
        return f"{saying.format(value=upper)} or more often" if often else saying.format(value=f"at most {upper}")
    if not isfinite(interval.upper):
        if often:
            return saying.replace("every {value}", "less often than every {value}").format(value=lower)
        return saying.format(value=f"more than {lower}")
    if not whole:
        return saying.format(value=f"{lower} to {upper}" if often else f"between {lower} and {upper}")
    least = interval.lower + 1
    return saying.format(value=upper if least == interval.upper else f"{figure_text(least, item['unit'])} to {upper}")


def said(item: FeatureRow, value: float, figure: str) -> str:
    """What a feature's value, written as `figure`, says of somebody, such as "last bought 1 day ago"."""
    if is_mark(item):
        return _mark(item, present=value > 0)
    return _singular(pretty(item["saying"]).format(value=figure), item["unit"])


def _singular(text: str, unit: str) -> str:
    if not unit.endswith("s"):
        return text
    return re.sub(rf"(?<![\w.,])1 {re.escape(unit)}\b", f"1 {unit[:-1]}", text)
