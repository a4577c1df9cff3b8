"""The algebra in which families are written: tables of the state, reductions over them, arithmetic on those.

A family never sees data. It says, for example, ``orders.count(window=30)``; a device lowers that to its fastest
execution. Arithmetic and reductions are `gpuseg.engine.expression` trees.
"""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from gpuseg.engine.expression import (
    DECAY_UNIT,
    AtMost,
    Attribute,
    Constant,
    Expression,
    Reduction,
    as_expression,
    is_integer,
    sqrt,
)

__all__ = [
    "DECAY_UNIT",
    "Attribute",
    "AttributeColumn",
    "Constant",
    "Context",
    "Expression",
    "Family",
    "Feature",
    "Table",
    "at_most",
    "escaped",
    "sqrt",
]

EPOCH = dt.date(1970, 1, 1)


@dataclass(frozen=True)
class Table:
    """One table of the state, as families see it.

    Parameters
    ----------
    name : str
        Such as "purchases.cells".
    as_of_day : int
        Exclusive end of the observation window, epoch day.
    """

    name: str
    as_of_day: int

    def sum(self, column: str, *, window: int | None = None, category: str | None = None) -> Reduction:
        """Sum of an integer column over the rows of a window; 0 where there are none."""
        return Reduction(self.name, "sum", column, self._since(window), category)

    def decayed(self, column: str, *, half_life_days: int, category: str | None = None) -> Reduction:
        """Sum of an integer column in which a row counts half as much every `half_life_days`, in `DECAY_UNIT`ths."""
        return Reduction(self.name, "sum", column, None, category, half_life_days, self.as_of_day)

    def count(self, *, window: int | None = None) -> Reduction:
        """Number of rows of a window."""
        return Reduction(self.name, "count", "day", self._since(window))

    def count_days(self, *, window: int | None = None) -> Reduction:
        """Number of distinct days of a window."""
        return Reduction(self.name, "count_distinct", "day", self._since(window))

    def min(self, column: str) -> Reduction:
        """Smallest value; null where there are no rows."""
        return Reduction(self.name, "min", column)

    def max(self, column: str) -> Reduction:
        """Largest value; null where there are no rows."""
        return Reduction(self.name, "max", column)

    def squared_gaps(self) -> Reduction:
        """Sum of squares of the days between consecutive distinct days."""
        return Reduction(self.name, "sum_squared_gaps", "day")

    def _since(self, window: int | None) -> int | None:
        return None if window is None else self.as_of_day - window


@dataclass(frozen=True)
class AttributeColumn:
    """One attribute of profiles.

    Parameters
    ----------
    table : str
        Table of the state, such as "crm.attributes".
    name : str
    kind : {"number", "date", "text"}
        Booleans are numbers.
    values : tuple of str
        For text: its values that may be named, by profiles, most frequent first.
    n_values : int
        For text: how many values there are.
    """

    table: str
    name: str
    kind: Literal["number", "date", "text"]
    values: tuple[str, ...] = ()
    n_values: int = 0


@dataclass(frozen=True)
class Context:
    """What a family may know when it declares its features.

    Parameters
    ----------
    as_of : date
        Exclusive end of the observation window.
    windows_days : tuple of int
        Lengths of the windows that end at `as_of`.
    amount_scale : int
        Minor units per currency unit.
    categories : sequence of str
        The largest categories of the data by lines, at most 20, largest first.
    has_categories : bool
        Whether any purchases source has a category.
    networks : sequence of str
        The largest social networks of the data by actions.
    columns : mapping of str to frozenset of str
        Kind of source to the canonical columns that any source of it has.
    attributes : sequence of AttributeColumn
    """

    as_of: dt.date
    windows_days: tuple[int, ...]
    amount_scale: int
    categories: Sequence[str] = ()
    has_categories: bool = False
    networks: Sequence[str] = ()
    columns: Mapping[str, frozenset[str]] = field(default_factory=dict)
    attributes: Sequence[AttributeColumn] = ()

    def has(self, kind: str, *names: str) -> bool:
        """Whether any source of a kind has one of these columns."""
        return bool(self.columns.get(kind, frozenset()) & set(names))

    @property
    def as_of_day(self) -> int:
        """Epoch day of `as_of`."""
        return (self.as_of - EPOCH).days

    def table(self, name: str) -> Table:
        """A table of the state by name."""
        return Table(name, self.as_of_day)

    @property
    def spans(self) -> tuple[int | None, ...]:
        """None for the lifetime, then the windows: the lengths that `Feature.over` and `Table` take."""
        return (None, *self.windows_days)


@dataclass(frozen=True)
class Feature:
    """One column.

    Parameters
    ----------
    name : str
        Stable column name; the suffix is the unit or the window.
    expression : Expression
        What it is.
    label : str
        What the figure is, for a table.
    saying : str
        What it says of somebody, with `{value}` where the figure goes.
    unit : str
        "days", "orders", "currency", "share", …
    in_matrix : bool
        Whether it takes part in the clustering by default; False for one that another column repeats.
    """

    name: str
    expression: Expression
    label: str
    saying: str
    unit: str
    in_matrix: bool = True

    @property
    def dtype(self) -> str:
        """`int64` or `float64`."""
        return "int64" if is_integer(self.expression) else "float64"

    def over(self, window: int | None) -> "Feature":
        """The same figure of a window, named and worded so (`n_orders_30d`); itself for the lifetime, None."""
        if window is None:
            return self
        when = f" in the last {window} days"
        return replace(self, name=f"{self.name}_{window}d", label=f"{self.label}{when}", saying=f"{self.saying}{when}")


@dataclass(frozen=True)
class Family:
    """A named group of features.

    Parameters
    ----------
    name : str
        The word a configuration uses.
    needs : str
        Kind of source without which the family is skipped.
    declare : callable
        Context to features, in column order.
    """

    name: str
    needs: str
    declare: Callable[[Context], Sequence[Feature]]


def at_most(left: Expression, right: Expression | int) -> Expression:
    """1 where one integer is at most another, else 0."""
    return AtMost(left, as_expression(right))


def escaped(text: str) -> str:
    """Text that stands for itself in a saying."""
    return text.replace("{", "{{").replace("}", "}}")
