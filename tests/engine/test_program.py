import pytest

from gpuseg.engine.expression import (
    Arithmetic,
    Attribute,
    Constant,
    Reduction,
    is_integer,
    may_be_null,
    reductions_of,
    sqrt,
)
from gpuseg.engine.program import Tally

ONE = Reduction("t", "sum", "a")
TWO = Reduction("t", "max", "b", 5, "x")


@pytest.mark.parametrize(
    ("expression", "integer"),
    [
        (ONE, True),
        (ONE + 1, True),
        (1 - ONE * TWO, True),
        (ONE / 2, False),
        (ONE / 2 * TWO, False),
        (sqrt(ONE), False),
        (sqrt(ONE) - 1, False),
        (Constant(3), True),
    ],
)
def test_which_expressions_are_integers(expression, integer):
    assert is_integer(expression) is integer


def test_trees_grow_as_written():
    assert Arithmetic("-", ONE, Constant(1)) == ONE - 1
    assert Arithmetic("-", Constant(1), ONE) == 1 - ONE
    assert Arithmetic("/", Arithmetic("+", ONE, TWO), TWO) == (ONE + TWO) / TWO
    assert list(reductions_of(sqrt(ONE * TWO) - (3 - ONE))) == [ONE, TWO, ONE]
    assert list(reductions_of(Constant(1))) == []


def test_tallies_add_up():
    total = Tally()
    total.add(Tally(rows_read=3, rows_used=2, rows_after_as_of=1, first_day=5, last_day=9, null_counts={"a": 1}))
    total.add(
        Tally(rows_read=1, amounts_rounded=4, times_ambiguous=5, times_nonexistent=6, null_counts={"a": 2, "b": 3})
    )
    total.add(Tally(first_day=-1, last_day=3))
    total.add(Tally(rows_without_consent=7, rows_past_retention=8, rows_unmatched=9, rows_duplicate=10))
    total.add(Tally(rows_quarantined=11))
    assert vars(total) == {
        "rows_read": 4,
        "rows_used": 2,
        "rows_after_as_of": 1,
        "rows_past_retention": 8,
        "rows_without_consent": 7,
        "consents_unclear": 0,
        "rows_unmatched": 9,
        "rows_duplicate": 10,
        "rows_quarantined": 11,
        "amounts_rounded": 4,
        "times_ambiguous": 5,
        "times_nonexistent": 6,
        "first_day": -1,
        "last_day": 9,
        "null_counts": {"a": 3, "b": 3},
    }


COUNT, LATEST = Reduction("purchases.cells", "count", "day"), Reduction("purchases.cells", "max", "day")


@pytest.mark.parametrize(
    ("expression", "nullable"),
    [
        (COUNT, False),
        (LATEST, True),
        (COUNT - 1, False),
        (Constant(10) - LATEST, True),
        (COUNT / 10_000, False),
        (COUNT / 0, True),
        (COUNT / COUNT, True),
        (COUNT / 10 / 10, True),
        (COUNT / 10 + 1, True),
        (sqrt(COUNT), True),
        (Attribute("crm.attributes", "age"), True),
    ],
)
def test_what_may_be_without_a_value_is_told_by_the_expression(expression, nullable):
    assert may_be_null(expression) is nullable
