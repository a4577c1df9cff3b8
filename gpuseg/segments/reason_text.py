"""The reasons for a profile's segment in words, for a terminal."""

from collections.abc import Mapping
from math import fsum
from typing import Any

_MOST_SHOWN, _MOST_AGAINST = 5, 3
_LEAST_SHOWN = 0.01
# Confidence from which on a profile is clearly of its segment (half as far from it as from the next), and leans to it.
_CLEAR, _LEANING = 0.5, 0.2
_LEAST_TYPICAL, _MOST_TIMES = 1e-9, 100


def reasons_text(told: Mapping[str, Any]) -> str:
    """What `Run.explain` gives, for a terminal."""
    if told["status"] == "no_data":
        return "No segment: the profile has no events before the end of the data (as_of)."
    if told["status"] == "noise":
        return "\n".join(
            [
                "No segment: too few profiles are like this one for a segment of their own, or to join one (noise).",
                *_apart(told),
            ]
        )
    title = f"{told['segment_id']}  {told['segment_name']}"
    lines = [title, "-" * len(title)]
    other = told["runner_up"]
    if other is None:
        return "\n".join([*lines, "There is no other segment."])
    lines.append(_fit(told))
    if told["margin"] < 0:
        why = "its nearest neighbours are here" if told["method"] == "hdbscan" else "it is here all the same"
        return "\n".join([*lines, f"On average {other['segment_name']} are more alike; {why}."])
    if told["margin"] <= 0:
        return "\n".join([*lines, "The profile is equally like both."])
    shown = [reason for reason in told["reasons"] if reason["share"] >= _LEAST_SHOWN][:_MOST_SHOWN]
    against = [reason for reason in reversed(told["reasons"]) if reason["share"] <= -_LEAST_SHOWN][:_MOST_AGAINST]
    lines.append(f"Why here rather than there ({other['segment_name']}), each with its part of the whole reason:")
    lines += [_line(reason) for reason in shown]
    if against:
        lines += [f"What speaks for {other['segment_name']}:", *(_line(reason) for reason in against)]
    listed = len(shown) + len(against)
    if listed < len(told["reasons"]):
        rest = 1.0 - fsum(reason["share"] for reason in [*shown, *against])
        n = len(told["reasons"]) - listed
        # Adding zero turns a negative zero into a plain one.
        lines.append(f"{round(rest, 2) + 0.0:+6.0%}  everything else ({n} {'figure' if n == 1 else 'figures'})")
    return "\n".join(lines)


def _apart(told: Mapping[str, Any]) -> list[str]:
    """How far noise is from the nearest segment, and what keeps it apart."""
    other = told["runner_up"]
    if other is None:
        return []
    name, ratio = other["segment_name"], other["distance"] / max(other["typical_distance"], _LEAST_TYPICAL)
    if ratio <= 1.0:
        return [f"The average of {name} is near, but hardly anybody is close to this profile."]
    far = f"{ratio:.1f} times as far" if ratio < _MOST_TIMES else "much farther"
    than = "as a typical profile there" if ratio < _MOST_TIMES else "than a typical profile there"
    shown = [reason for reason in told["reasons"] if reason["share"] >= _LEAST_SHOWN][:_MOST_SHOWN]
    return [
        f"Nearest segment: {name}; from its average this profile is {far} {than}.",
        "What keeps it apart, each with its part of the squared distance:",
        *(_line(reason) for reason in shown),
    ]


def _fit(told: Mapping[str, Any]) -> str:
    """How clearly the profile is of its segment, in words."""
    mine, other = told["segment_name"], told["runner_up"]["segment_name"]
    if told["method"] == "rules":
        rule = "it matches no rule" if told["rule"] is None else f"it matches {told['rule']}"
        return f"Fit: {rule}; the average of {other} is the next most alike."
    if told["method"] == "hdbscan":
        return f"Fit: {_place(told['confidence'])}; the average of {other} is the next most alike."
    if told["confidence"] >= _CLEAR:
        return f"Fit: clearly this segment; the next most alike is {other}."
    if told["confidence"] >= _LEANING:
        return f"Fit: more like this segment than like the next, {other}."
    return f"Fit: on the border between {mine} and {other}."


def _place(strength: float) -> str:
    """Where a membership strength lies, in words."""
    if strength >= _CLEAR:
        return "in the dense middle of this segment"
    return "in the thinner part of this segment" if strength > 0 else "in no dense group, but nearest to this segment"


def _line(reason: Mapping[str, Any]) -> str:
    return f"{reason['share']:+6.0%}  {reason['text']}"
