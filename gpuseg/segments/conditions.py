"""Conditions on features, as intervals and in words."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite
from typing import Any

import numpy as np
import numpy.typing as npt

from gpuseg.segments.figures import pretty, singular
from gpuseg.segments.people import network

FeatureRow = Mapping[str, Any]

_WINDOW = re.compile(r"_\d+d$")
# What a feature's own words leave to people who know how it is reckoned: in words, and where it is zero.
_PLAIN = {
    "intent_score": ("recent interest in buying: {value} points", "no recent interest in buying"),
    "n_intent_events": (
        "{value} searches, product views, carts or checkouts",
        "no searches, product views, carts or checkouts",
    ),
    "n_social_actions": ("active {value} times on social networks", "not active on social networks"),
    "nps_score": ("net promoter score of {value}, on a scale from -1 to 1", ""),
    "sentiment_mean": ("tone of comments {value}, on a scale from -1 to 1", ""),
    "n_contacts": ("got {value} messages", "got no messages"),
    "n_responses": ("responded {value} times", "did not respond"),
    "n_feedback": ("gave feedback {value} times", "gave no feedback"),
    "n_active_days": ("shopped on {value} days", "did not shop"),
    "n_sessions": ("visited {value} times", "did not visit"),
    "n_page_views": ("opened {value} pages", "opened no pages"),
    "n_orders": ("{value} orders", "no orders"),
    "n_lines": ("{value} items bought", "no items bought"),
    "amount_sum": ("spent {value}", "spent nothing"),
}


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
    text = singular(_bounded(item, interval), _noun(item))
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
    (saying, nothing), whole = _sayings(item), item["dtype"] == "int64"
    lower, upper = (figure_text(bound, item["unit"]) for bound in (interval.lower, interval.upper))
    # A time from one to the next: a short one means often.
    often = "every {value}" in saying
    if not isfinite(interval.lower):
        if whole and interval.upper == 0 and (nothing or saying.startswith("{value} ")):
            return nothing or saying.format(value="no")
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
    saying, nothing = _sayings(item)
    if value == 0 and nothing:
        return nothing
    return singular(saying.format(value=figure), _noun(item))


def _noun(item: FeatureRow) -> str:
    """What is counted: the word after the figure, such as "messages"."""
    counted = re.search(r"\{value\} (\w+)", _sayings(item)[0])
    return counted[1] if counted else str(item["unit"])


def _sayings(item: FeatureRow) -> tuple[str, str]:
    """A feature's saying in plain words, and what is said of zero, "" where that needs no words of its own."""
    window = _WINDOW.search(item["name"])
    stem = item["name"][: window.start()] if window else item["name"]
    if stem not in _PLAIN:
        saying, name = pretty(item["saying"]), stem.removeprefix("share_on_")
        if stem.startswith("share_on_") and saying.endswith(f" {name}"):
            saying = saying.removesuffix(name) + network(name)
        nothing = f"no {saying.removeprefix('{value} of ')}" if saying.startswith("{value} of items ") else ""
        return saying, nothing.format()
    saying, nothing = _PLAIN[stem]
    when = f" in the last {window[0][1:-1]} days" if window else ""
    return f"{saying}{when}", nothing and f"{nothing}{when}"
