"""Figures and words of the data as text."""

import re
from collections.abc import Sequence
from decimal import ROUND_CEILING, Context, Decimal


def amount_text(value: float | None, unit: str) -> str:
    """A figure with as many digits as it deserves."""
    if value is None:
        return "none"
    if unit == "share":
        return share_text(value)
    if unit == "currency":
        return f"{value:,.2f}"
    text = f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.{1 if abs(value) >= 1 else 2}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def share_text(share: float) -> str:
    """A percentage: whole from 10 on, one decimal below, and never 0 or 100 for a share that is not."""
    size = abs(share) * 100
    sign = "-" if share < 0 else ""
    if 0 < size < 0.05:
        return f"under {sign}0.1%"
    if 99.95 <= size < 100:
        return f"over {sign}99.9%"
    places = 1 if size < 9.95 or 99.5 <= size < 100 else 0
    return f"{sign}{size:.{places}f}".removesuffix(".0") + "%"


def is_category(name: str, unit: str) -> bool:
    """Whether a feature is the share of what is bought that falls to one named category."""
    named = name.startswith("share_") and not name.startswith("share_on_") and name != "share_other"
    return named and unit == "share"


def pretty(text: str) -> str:
    """Shouted words, as in department names, in title case; everything else as it is."""
    return " ".join(word.title() if word.isupper() and len(word) > 2 else word for word in text.split(" "))


def singular(text: str, unit: str) -> str:
    """A text in which a unit after the number one stands in the singular: "1 day ago"."""
    if not unit.endswith("s"):
        return text
    one = unit[:-2] if unit.endswith(("ches", "shes", "sses", "xes")) else unit[:-1]
    return re.sub(rf"(?<![\w.,])1 {re.escape(unit)}\b", f"1 {one}", text)


def listed(words: Sequence[str]) -> str:
    """Words as a list in a sentence: "a, b and c"."""
    return " and ".join(part for part in (", ".join(words[:-1]), words[-1] if words else "") if part)


def rounded_up(figure: float, digits: int = 9) -> float:
    """The least number of so many digits that is not below a figure: as a height it cuts a tree where that does."""
    return float(Decimal(figure).normalize(Context(prec=digits, rounding=ROUND_CEILING)))


def height_text(height: float) -> str:
    """A height in six digits, so that cutting there gives what is told of it."""
    return f"{rounded_up(height, 6):.6g}"
