"""What the checks of a run have to say, sorted into what a reader must act on and what went as it was asked for."""

import re
from collections.abc import Sequence

# Each says that a setting did its work, or that something was left out which could tell nothing.
_ROUTINE = (
    r"amounts were finer than ",
    r" rows (?:at or after as_of|without consent|past their retention) were left out$",
    r" rows that repeat another were left out$",
    r" have no record of consent in it and were left out$",
    r": no features of .*: they never vary",
    r"^constant features left out of the matrix: ",
    r" not described \([0-9,]+ profiles?\), so that no group of fewer than ",
)
_ONE = re.compile(r"(?<![\w.,])1 (row|amount|profile)s\b(.*?)\b(were|have|are)\b")
_VERBS = {"were": "was", "have": "has", "are": "is"}


def is_routine(notice: str) -> bool:
    """Whether a notice asks nothing of its reader; one of an unknown kind is taken as a warning."""
    return any(re.search(pattern, notice) for pattern in _ROUTINE)


def sorted_notices(notices: Sequence[object]) -> tuple[list[str], list[str]]:
    """Warnings, and routine notes, each in its order and with the singular where there is one of a thing."""
    texts = [str(notice) for notice in notices]
    return [_agreeing(t) for t in texts if not is_routine(t)], [_agreeing(t) for t in texts if is_routine(t)]


def _agreeing(text: str) -> str:
    def one(match: re.Match[str]) -> str:
        between = match[2].replace(" repeat ", " repeats ")
        return f"1 {match[1]}{between}{_VERBS[match[3]]}"

    return _ONE.sub(one, text)
