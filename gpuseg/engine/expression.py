"""What a feature is: arithmetic over reductions of the integer state and over attributes, as plain data."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal


class Expression:
    """A feature's arithmetic; trees are built with + - * / and `sqrt`, their leaves are reductions."""

    def __add__(self, other: "Expression | int") -> "Expression":
        return Arithmetic("+", self, as_expression(other))

    def __sub__(self, other: "Expression | int") -> "Expression":
        return Arithmetic("-", self, as_expression(other))

    def __rsub__(self, other: int) -> "Expression":
        return Arithmetic("-", as_expression(other), self)

    def __mul__(self, other: "Expression | int") -> "Expression":
        return Arithmetic("*", self, as_expression(other))

    def __truediv__(self, other: "Expression | int") -> "Expression":
        return Arithmetic("/", self, as_expression(other))


@dataclass(frozen=True)
class Constant(Expression):
    """An integer."""

    value: int


@dataclass(frozen=True)
class Arithmetic(Expression):
    """Two operands and one of + - * /; integers stay integers but for `/`, which is float64, null by zero."""

    operator: Literal["+", "-", "*", "/"]
    left: Expression
    right: Expression


@dataclass(frozen=True)
class SquareRoot(Expression):
    """float64 square root; null for a negative operand."""

    operand: Expression


@dataclass(frozen=True)
class AtMost(Expression):
    """1 where the left operand is at most the right one, else 0; both are integers, null where either is."""

    left: Expression
    right: Expression


@dataclass(frozen=True)
class Attribute(Expression):
    """One column of a table of attributes; null for a profile without a row.

    Parameters
    ----------
    table : str
        Such as "crm.attributes".
    column : str
    value : str or None
        Given: 1 where the column holds this text, else 0. None: the column's figure as float64; text is read as a
        number, false and true are 0 and 1, a date is the number of days from it to `as_of_day`.
    as_of_day : int
    """

    table: str
    column: str
    value: str | None = None
    as_of_day: int = 0


Operation = Literal["sum", "count", "count_distinct", "min", "max", "sum_squared_gaps"]


@dataclass(frozen=True)
class Reduction(Expression):
    """One integer per profile from one table of the state.

    Parameters
    ----------
    table : str
        Table of the state, such as "purchases.cells".
    operation : str
        `sum` and `count` are 0 for a profile without rows, `min` and `max` null. `count_distinct` and
        `sum_squared_gaps` look at the distinct days of the rows, which the state keeps sorted.
    column : str
        int64 or int32 column; "day" for the operations on distinct days.
    since_day : int or None
        Only rows on or after this epoch day; None for the whole lifetime.
    category : str or None
        Only rows of this category.
    half_life_days : int or None
        For sums: each row weighs `DECAY_UNIT` times 2 to the power of minus its age in half-lives, rounded.
    as_of_day : int
        Epoch day from which ages are counted; the day before has age 0.
    """

    table: str
    operation: Operation
    column: str
    since_day: int | None = None
    category: str | None = None
    half_life_days: int | None = None
    as_of_day: int = 0


DECAY_UNIT = 2**20
"""Weight of a row of age 0 in a decayed sum, which so stays an integer."""


def as_expression(value: "Expression | int") -> Expression:
    """Wrap a plain integer."""
    return value if isinstance(value, Expression) else Constant(value)


def sqrt(operand: Expression) -> Expression:
    """float64 square root of an expression."""
    return SquareRoot(operand)


def leaves(expression: Expression) -> Iterator[Reduction | Attribute]:
    """Every reduction and attribute that an expression rests on, in reading order, as often as it stands there."""
    match expression:
        case Reduction() | Attribute():
            yield expression
        case Arithmetic(_, left, right) | AtMost(left, right):
            yield from leaves(left)
            yield from leaves(right)
        case SquareRoot(operand):
            yield from leaves(operand)
        case _:
            return


def reductions_of(expression: Expression) -> Iterator[Reduction]:
    """Every reduction that an expression rests on, in reading order."""
    return (leaf for leaf in leaves(expression) if isinstance(leaf, Reduction))


def attributes_of(expression: Expression) -> Iterator[Attribute]:
    """Every attribute that an expression rests on, in reading order."""
    return (leaf for leaf in leaves(expression) if isinstance(leaf, Attribute))


def is_integer(expression: Expression) -> bool:
    """Whether an expression's values are int64."""
    match expression:
        case Reduction() | Constant() | AtMost():
            return True
        case Attribute(value=value):
            return value is not None
        case Arithmetic(operator, left, right):
            return operator != "/" and is_integer(left) and is_integer(right)
        case _:
            return False


def may_be_null(expression: Expression) -> bool:
    """Whether a profile may be without a value, by the expression alone."""
    match expression:
        case Reduction(operation=operation):
            return operation in ("min", "max")
        case Constant():
            return False
        case AtMost(left, right):
            return may_be_null(left) or may_be_null(right)
        case Arithmetic("/", left, Constant(value)):
            return value == 0 or not is_integer(left) or may_be_null(left)
        case Arithmetic(_, left, right):
            return not is_integer(expression) or may_be_null(left) or may_be_null(right)
        case _:
            return True
