"""Numbers as a person would write them: separators, percentages and money without false precision."""

import math
from datetime import date
from typing import Any

from gpuseg.segments.figures import pretty, share_text

NOTHING = "–"
_MINUS = "\N{MINUS SIGN}"
_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_METHODS = {"kmeans": "k-means", "hierarchical": "Ward's hierarchy", "hdbscan": "HDBSCAN", "rules": "rules"}


def finite(value: Any) -> float | None:
    """Return a finite float, or None for anything that is not one."""
    if value is None or isinstance(value, str):
        return None
    number = float(value)
    return number if math.isfinite(number) else None


def count(value: Any) -> str:
    """Write a whole number with thousands separators."""
    number = finite(value)
    return NOTHING if number is None else _fixed(number, 0)


def count_of(value: Any, noun: str, many: str = "") -> str:
    """Write a count with its noun, in the plural unless the count is one; `many` is a plural without an s."""
    return f"{count(value)} {noun if finite(value) == 1 else many or noun + 's'}"


def percent(share: Any) -> str:
    """Write a share between 0 and 1 as a percentage, in the manner of the segment cards."""
    number = finite(share)
    return NOTHING if number is None else share_text(number).replace("-", _MINUS)


def money(value: Any) -> str:
    """Write money with two decimals; from ten thousand on, in whole units."""
    number = finite(value)
    if number is None:
        return NOTHING
    return _fixed(number, 2 if abs(number) < 10_000 else 0)


def short_money(value: Any) -> str:
    """Write money for a headline: 4,596,039.58 as 4.6 million."""
    number = finite(value)
    for size, word in ((1e12, "trillion"), (1e9, "billion"), (1e6, "million")):
        if number is not None and abs(number) >= size:
            return f"{_significant(number / size)} {word}"
    return money(value)


def quantity(value: Any, *, unit: str) -> str:
    """Write a feature's value in the manner of its unit."""
    number = finite(value)
    if number is None:
        return NOTHING
    if unit == "share":
        return percent(number)
    if unit == "currency":
        return money(number)
    return _significant(number)


def decimals(value: Any, places: int) -> str:
    """Write a measure with a fixed number of decimals."""
    number = finite(value)
    return NOTHING if number is None else _fixed(number, places)


def signed(effect: Any) -> str:
    """Write an effect size with its sign and one decimal."""
    number = finite(effect)
    if number is None:
        return NOTHING
    rounded = round(number, 1)
    if rounded == 0:
        return "0"
    return f"{'+' if rounded > 0 else _MINUS}{abs(rounded):,.1f}"


def times(ratio: float) -> str:
    """Write a ratio: 2.6 times, 14 times."""
    return f"{_fixed(ratio, 1 if ratio < 10 else 0).removesuffix('.0')} times"


def day(value: Any) -> str:
    """Write an ISO date as 1 January 2018; anything else is returned as it is."""
    if value is None:
        return NOTHING
    try:
        when = date.fromisoformat(str(value)[:10])
    except ValueError:
        return str(value)
    return f"{when.day} {_MONTHS[when.month - 1]} {when.year}"


def method(value: str) -> str:
    """Write the name of a segmentation method."""
    return _METHODS.get(value, value)


def shortened(value: str, length: int) -> str:
    """Cut a text that is longer than `length` characters, with an ellipsis."""
    return value if len(value) <= length else f"{value[: length - 1].rstrip()}…"


def label(value: str) -> str:
    """Write a feature's label with a capital letter, and shouted words of the data as names."""
    return capital(pretty(value))


def capital(value: str) -> str:
    """Return the text with its first letter in upper case, the rest untouched."""
    return value[:1].upper() + value[1:]


def sentence(value: str) -> str:
    """Begin a clause with a capital letter and end it with a full stop."""
    return f"{capital(value)}." if value and value[-1] not in ".!?" else capital(value)


def _fixed(number: float, places: int) -> str:
    text = f"{abs(number):,.{places}f}"
    return f"{_MINUS}{text}" if number < 0 and float(text.replace(",", "")) else text


def _significant(number: float) -> str:
    places = 0 if abs(number) >= 100 else 1 if abs(number) >= 10 else 2
    text = _fixed(number, places)
    return text.rstrip("0").rstrip(".") if "." in text else text
