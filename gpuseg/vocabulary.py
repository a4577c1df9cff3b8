"""The canonical columns of every source kind: name, type, unit and what a null means.

A configuration maps the names of a file's columns to these; past the reading plan nothing knows any other name.
"""

from dataclasses import dataclass
from typing import Literal

ColumnType = Literal["id", "time", "amount", "key", "text"]


@dataclass(frozen=True)
class Column:
    """One canonical column.

    Parameters
    ----------
    name : str
        Canonical name.
    type : {"id", "time", "amount", "key", "text"}
        `id` and `key` hold int64 or text, `time` an instant, `amount` money, `text` UTF-8 text.
    meaning : str
        One line for people.
    required : bool
        Must be in every file of the source, and present and finite in every row.
    """

    name: str
    type: ColumnType
    meaning: str
    required: bool = True


@dataclass(frozen=True)
class Kind:
    """A kind of source.

    Parameters
    ----------
    name : str
        The word a configuration uses.
    columns : tuple of Column
        Canonical columns.
    has_attributes : bool
        Whether further columns may be named freely; they describe the profile, not an event.
    """

    name: str
    columns: tuple[Column, ...]
    has_attributes: bool

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names of the canonical columns, in order."""
        return tuple(column.name for column in self.columns)


_PROFILE_ID = Column("profile_id", "id", "the person or household; int64 or text, byte for byte")

KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(
            "purchases",
            (
                _PROFILE_ID,
                Column("at", "time", "when the line was bought"),
                Column("amount", "amount", "money of the line, negative for a refund"),
                Column("order_id", "key", "basket or order; without it an order is a distinct time", required=False),
                Column("category", "text", "what was bought, for the interests family", required=False),
            ),
            has_attributes=False,
        ),
        Kind("crm", (_PROFILE_ID,), has_attributes=True),
    )
}

NO_SEGMENT = -1

EARLIEST_US = 0
"""1970-01-01T00:00:00Z. Earlier times are placeholder dates (1900-01-01 and the like), not purchases."""

DAY_US = 86_400_000_000
