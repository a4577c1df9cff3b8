"""Segment cards as plain text, for a terminal."""

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import Any

from gpuseg.segments.naming import amount_text, pretty

_WIDTH = 96
_SHOWN = ("recency_days", "n_orders", "amount_sum", "amount_per_order", "n_active_days", "gap_days_mean")


def card_text(card: Mapping[str, Any], features: Sequence[Mapping[str, Any]]) -> str:
    """One card: name, summary, worth, what sets the segment apart, what to try, and typical figures."""
    title = f"{card['segment_id']}  {card['name']}"
    lines = [title, "-" * len(title), fill(card["summary"], _WIDTH)]
    if card.get("worth"):
        lines += ["Worth:", fill(card["worth"], _WIDTH, initial_indent="  ", subsequent_indent="  ")]
    if card["distinguishing"]:
        lines.append("What sets it apart:")
        lines += [f"  {trait['effect_size']:+.1f}  {trait['phrase']}" for trait in card["distinguishing"]]
    if card.get("actions"):
        lines.append("What to try:")
        for action in card["actions"]:
            text = f"{action['text']} Why: {action['because']}."
            lines.append(fill(text, _WIDTH, initial_indent="  ", subsequent_indent="    "))
    known = {feature["name"]: feature for feature in features}
    shown = [known[name] for name in _SHOWN if name in known]
    if shown:
        lines.append("Typical figures (mean; median; mean of everyone):")
    for feature in shown:
        figure = card["features"][feature["name"]]
        numbers = [amount_text(value, feature["unit"]) for value in (figure["mean"], figure["median"], feature["mean"])]
        lines.append(f"  {pretty(feature['label']):<34} {numbers[0]:>12} {numbers[1]:>12} {numbers[2]:>12}")
    return "\n".join(lines)


def withheld_text(withheld: Mapping[str, Any]) -> str:
    """One line on the segments that are not described."""
    n = withheld["n_segments"]
    what = "1 segment is" if n == 1 else f"{n} segments are"
    return (
        f"{what} not described ({withheld['n_profiles']:,} profiles), so that no group of fewer than "
        f"{withheld['group_floor']:,} can be made out."
    )
