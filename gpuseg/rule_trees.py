"""Conditions over features as trees of plain data; `gpuseg.rule_language` reads them from text."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

KEYWORDS = frozenset({"and", "or", "not", "between", "in", "is", "null"})
"""Words that name a feature only in quotes."""


@dataclass(frozen=True)
class Number:
    """A number; a whole one beyond 2^53 is the nearest that float64 has."""

    value: float


@dataclass(frozen=True)
class FeatureName:
    """A feature and the character at which it is named, from 1."""

    name: str
    at: int = field(compare=False)


@dataclass(frozen=True)
class Negative:
    """A value with the other sign."""

    operand: "Value"


@dataclass(frozen=True)
class Arithmetic:
    """A value and the steps after it, each one of + - * / and its operand, taken from left to right."""

    first: "Value"
    steps: tuple[tuple[str, "Value"], ...]


@dataclass(frozen=True)
class Comparison:
    """Two values and one of = != < <= > >=."""

    operator: str
    left: "Value"
    right: "Value"


@dataclass(frozen=True)
class OneOf:
    """Whether a value equals one of several."""

    operand: "Value"
    options: tuple["Value", ...]


@dataclass(frozen=True)
class IsNull:
    """Whether a value is unknown."""

    operand: "Value"


@dataclass(frozen=True)
class Not:
    """The opposite of a condition; of one that is unknown it is unknown too."""

    operand: "Truth"


@dataclass(frozen=True)
class AllOf:
    """Conditions that must all hold."""

    operands: tuple["Truth", ...]


@dataclass(frozen=True)
class AnyOf:
    """Conditions of which one must hold."""

    operands: tuple["Truth", ...]


Value = Number | FeatureName | Negative | Arithmetic
Truth = Comparison | OneOf | IsNull | Not | AllOf | AnyOf


@dataclass(frozen=True)
class Condition:
    """A condition as it was written, and its tree.

    Parameters
    ----------
    text : str
        Does not count in comparisons.
    tree : Truth
        Conditions of equal trees match the same profiles.
    """

    text: str = field(compare=False)
    tree: Truth

    @property
    def features(self) -> tuple[FeatureName, ...]:
        """Every feature once, where it is first named."""
        found: dict[str, FeatureName] = {}
        for feature in sorted(_named(self.tree), key=lambda feature: feature.at):
            found.setdefault(feature.name, feature)
        return tuple(found.values())


def spelled(name: str) -> str:
    """A feature's name as a condition writes it: in double quotes where it is no plain word."""
    plain = re.fullmatch(r"[^\W\d]\w*", name) and name.lower() not in KEYWORDS
    return name if plain else '"' + name.replace('"', '""') + '"'


def _named(node: Value | Truth) -> Iterator[FeatureName]:
    below: tuple[Value | Truth, ...] = ()
    match node:
        case FeatureName():
            yield node
        case Negative(operand) | IsNull(operand) | Not(operand):
            below = (operand,)
        case Comparison(_, left, right):
            below = (left, right)
        case Arithmetic(first, steps):
            below = (first, *(operand for _, operand in steps))
        case OneOf(operand, options):
            below = (operand, *options)
        case AllOf(operands) | AnyOf(operands):
            below = operands
        case _:
            return
    for each in below:
        yield from _named(each)
