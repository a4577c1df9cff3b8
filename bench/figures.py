"""What gpuseg's families `rfm`, `tempo` and `interests` compute by default, for those that compute it another way."""

from collections.abc import Sequence

AMOUNT_SCALE = 10_000
WINDOWS_DAYS = (30, 90, 365)
N_CATEGORIES = 20


def spans() -> dict[str, int | None]:
    """Column suffix and length of the lifetime and of every window."""
    return {"": None} | {f"_{days}d": days for days in WINDOWS_DAYS}


def named_of(categories: Sequence[str]) -> list[str]:
    """The largest of categories in order of size; one called `other` goes with all others."""
    return [category for category in categories[:N_CATEGORIES] if category != "other"]
