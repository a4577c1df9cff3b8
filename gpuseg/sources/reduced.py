"""What buckets held, to be added up, and stored where a later attempt may need it."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

import pyarrow as pa

from gpuseg.workspace.ledger import Entry

MOST_VALUES = 10_000
"""Values of a text attribute up to which they are counted one by one."""

_BY_NAMES = ("categories", "category_profiles", "attributes", "text_kinds", "n_texts", "n_figures")
Key = TypeVar("Key")


@dataclass
class Reduced:
    """What one bucket, or all of them together, held.

    Parameters
    ----------
    n_profiles, n_with_events : int
        Distinct profiles, and those that a dated source knows.
    profiles_per_source : dict of source name to int
    categories, category_profiles : dict of (kind, category) to int
        Lines.
    text_kinds : dict of (source, column) to str
        "number", "date" or "text", for text columns: what every value of them is.
    n_texts, n_figures : dict of (source, column) to int
        Profiles that have a value of a text column, and those whose value is a figure.
    attributes : dict of (source, column, value) to int
        Profiles, for text columns of few values in each bucket; `value_counts` has those of few values in all.
    crowded : set of (source, column)
        Text columns of very many values in some bucket.
    repeated : dict of source name to int
        Rows that repeat another.
    n_without_record : int
        Profiles that no consent table knows, where there is one.
    days : dict of source name to (int, int)
        First and last epoch day.
    rejected : dict of source name to list of Arrow table
        Rows set apart for describing a profile again, in the form of `Batch.rejected`.
    """

    n_profiles: int = 0
    n_with_events: int = 0
    profiles_per_source: dict[str, int] = field(default_factory=dict)
    categories: dict[tuple[str, str], int] = field(default_factory=dict)
    category_profiles: dict[tuple[str, str], int] = field(default_factory=dict)
    attributes: dict[tuple[str, str, str], int] = field(default_factory=dict)
    text_kinds: dict[tuple[str, str], str] = field(default_factory=dict)
    n_texts: dict[tuple[str, str], int] = field(default_factory=dict)
    n_figures: dict[tuple[str, str], int] = field(default_factory=dict)
    crowded: set[tuple[str, str]] = field(default_factory=set)
    repeated: dict[str, int] = field(default_factory=dict)
    n_without_record: int = 0
    days: dict[str, tuple[int, int]] = field(default_factory=dict)
    rejected: dict[str, list[pa.Table]] = field(default_factory=dict)

    def add(self, other: "Reduced") -> None:
        """Take in another bucket."""
        self.n_profiles += other.n_profiles
        self.n_with_events += other.n_with_events
        self.n_without_record += other.n_without_record
        self.crowded |= other.crowded
        _sum_into(self.profiles_per_source, other.profiles_per_source)
        _sum_into(self.categories, other.categories)
        _sum_into(self.category_profiles, other.category_profiles)
        _sum_into(self.attributes, other.attributes)
        _sum_into(self.repeated, other.repeated)
        for source, (first, last) in other.days.items():
            mine = self.days.get(source, (first, last))
            self.days[source] = (min(first, mine[0]), max(last, mine[1]))
        for source, tables in other.rejected.items():
            self.rejected.setdefault(source, []).extend(tables)
        _sum_into(self.n_texts, other.n_texts)
        _sum_into(self.n_figures, other.n_figures)
        for column, kind in other.text_kinds.items():
            self.text_kinds[column] = kind if self.text_kinds.get(column, kind) == kind else "text"

    def value_counts(self) -> dict[tuple[str, str, str], int]:
        """Profiles by (source, column, value) of the text columns with at most 10 000 values, over all buckets."""
        n_values = Counter((source, column) for source, column, _ in self.attributes)
        few = {name for name, n in n_values.items() if n <= MOST_VALUES} - self.crowded
        return {key: n for key, n in self.attributes.items() if key[:2] in few}


class ReducedCodec:
    """Stores what a bucket held."""

    def store(self, result: Reduced) -> Entry:
        """Counts by several names as lists of the names and the count, rows set apart as tables."""
        content: dict[str, Any] = {}
        for item in fields(result):
            value = getattr(result, item.name)
            if item.name in _BY_NAMES:
                content[item.name] = [[list(key), count] for key, count in value.items()]
            elif item.name == "crowded":
                content[item.name] = sorted(list(key) for key in value)
            elif item.name != "rejected":
                content[item.name] = value
        rejected = {source: pa.concat_tables(tables) for source, tables in result.rejected.items()}
        return Entry(content, {f"rejected-{source}": table for source, table in rejected.items()})

    def restore(self, entry: Entry) -> Reduced:
        """What `store` was given."""
        content = dict(entry.content)
        for name in _BY_NAMES:
            content[name] = {tuple(key): count for key, count in content[name]}
        content["crowded"] = {tuple(key) for key in content["crowded"]}
        content["days"] = {source: (first, last) for source, (first, last) in content["days"].items()}
        rejected = {name.removeprefix("rejected-"): [table] for name, table in entry.tables.items()}
        return Reduced(**content, rejected=rejected)


def _sum_into(mine: dict[Key, int], theirs: Mapping[Key, int]) -> None:
    for name, count in theirs.items():
        mine[name] = mine.get(name, 0) + count
