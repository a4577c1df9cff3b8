"""What conditions mean: SQL's three-valued logic over columns of float64 in which NaN is null.

A comparison with null is neither true nor false but unknown; so is its opposite. `and` is false where one side is,
`or` true where one side is, and both are unknown where the known sides do not decide (ISO/IEC 9075-2; as in every
database). Only what is true counts as matched. Arithmetic with null is null; so is a division by zero, and a result
too large for float64.
"""

import operator
from collections.abc import Callable, Mapping
from functools import reduce
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gpuseg.rule_trees import (
    AllOf,
    AnyOf,
    Arithmetic,
    Comparison,
    Condition,
    FeatureName,
    IsNull,
    Negative,
    Not,
    Number,
    OneOf,
    Truth,
    Value,
)

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Columns = Mapping[str, Floats]

_COMPARE: dict[str, Callable[[Floats, Floats], Bools]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_STEPS: dict[str, Callable[[Floats, Floats], Floats]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}


def matches(condition: Condition, columns: Columns) -> Bools:
    """Where a condition is true.

    Parameters
    ----------
    condition : Condition
    columns : mapping of str to float64 array, shape (n_rows,)
        Every feature that it names; NaN for null.

    Returns
    -------
    bool array, shape (n_rows,)
        False where the condition is false or unknown.
    """
    # Infinite and undefined results become null, so that numpy need not warn of them.
    with np.errstate(all="ignore"):
        return _outcome(condition.tree, columns).true


class _Outcome(NamedTuple):
    """Where a condition is true and where it is false; elsewhere it is unknown."""

    true: Bools
    false: Bools

    def both(self, other: "_Outcome") -> "_Outcome":
        return _Outcome(self.true & other.true, self.false | other.false)

    def either(self, other: "_Outcome") -> "_Outcome":
        return _Outcome(self.true | other.true, self.false & other.false)


def _outcome(node: Truth, columns: Columns) -> _Outcome:
    match node:
        case Comparison(sign, left, right):
            return _compared(sign, _values(left, columns), _values(right, columns))
        case OneOf(operand, options):
            value = _values(operand, columns)
            return reduce(_Outcome.either, (_compared("=", value, _values(option, columns)) for option in options))
        case IsNull(operand):
            null = np.isnan(_values(operand, columns))
            return _Outcome(null, ~null)
        case Not(operand):
            true, false = _outcome(operand, columns)
            return _Outcome(false, true)
        case AllOf(operands):
            return reduce(_Outcome.both, (_outcome(each, columns) for each in operands))
        case AnyOf(operands):
            return reduce(_Outcome.either, (_outcome(each, columns) for each in operands))


def _compared(sign: str, left: Floats, right: Floats) -> _Outcome:
    known = ~(np.isnan(left) | np.isnan(right))
    true = _COMPARE[sign](left, right) & known
    return _Outcome(true, known & ~true)


def _values(node: Value, columns: Columns) -> Floats:
    match node:
        case Number(value):
            return np.asarray(value)
        case FeatureName(name):
            return columns[name]
        case Negative(operand):
            return -_values(operand, columns)
        case Arithmetic(first, steps):
            found = _values(first, columns)
            for sign, operand in steps:
                found = _STEPS[sign](found, _values(operand, columns))
                found = np.where(np.isfinite(found), found, np.nan)
            return found
