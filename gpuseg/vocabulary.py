"""The canonical columns of every source kind, and the integer state that is kept of each: names, types, units, nulls.

A configuration maps the names of a file's columns to these; past the reading plan nothing knows any other name. The
devices read from here what to keep, and know nothing about customers themselves.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from gpuseg.words import CONTACT_WORDS, SOCIAL_WORDS, WEB_PATHS, WEB_WORDS

ColumnType = Literal["id", "time", "amount", "number", "key", "text", "label", "url", "comment"]


@dataclass(frozen=True)
class Column:
    """One canonical column.

    Parameters
    ----------
    name : str
        Canonical name.
    type : str
        `id` and `key` hold int64 or text, `time` an instant, `amount` money, `number` a figure, `text` UTF-8 text,
        `label` a word that is sorted into the kind's classes, `url` a page that is, `comment` free text.
    meaning : str
        One line for people.
    required : bool
        Must be in every file of the source, and present and finite in every row.
    least, most : float
        Bounds of a `number`; a value beyond is an error.
    whole : bool
        Whether a `number` with a fraction is an error.
    """

    name: str
    type: ColumnType
    meaning: str
    required: bool = True
    least: float = float("-inf")
    most: float = float("inf")
    whole: bool = False


@dataclass(frozen=True)
class Measure:
    """One int64 that is added up in the day cells.

    Parameters
    ----------
    name : str
        Column of the state; the suffix is the unit.
    column : str
        Canonical column that it is made of; 0 where that is missing or null.
    rule : str
        `amount`: money in minor units. `scaled`: the number times `by`, rounded half to even. `known`: 1 where there
        is a value. `at_least`, `at_most`: 1 where the number is so. `is`: 1 where the row's class is among `classes`.
        `sentiment`: score of a comment from -1 to 1, times `by`.
    by : int
    classes : tuple of str
    """

    name: str
    column: str
    rule: Literal["amount", "scaled", "known", "at_least", "at_most", "is", "sentiment"]
    by: int = 1
    classes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sessions:
    """How rows of a kind are cut into sessions.

    Parameters
    ----------
    gap_us : int
        A longer silence starts a new session.
    flags : mapping of str to tuple of str
        Column of the state to the classes of which a session must hold a row for a 1.
    """

    gap_us: int
    flags: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Kind:
    """A kind of source.

    Parameters
    ----------
    name : str
        The word a configuration uses, but for `contacts`: a `crm` source with a time.
    meaning : str
        One line for people.
    columns : tuple of Column
        Canonical columns.
    has_attributes : bool
        Whether rows describe the profile, not an event; further columns may be named freely.
    measures : tuple of Measure
        What day cells add up besides lines.
    category : str or None
        What splits day cells: a canonical column, or "class".
    has_orders : bool
        Whether distinct orders are kept.
    classes : mapping of str to str
        Lower-case word to class, for the column of type `label`.
    class_order : tuple of str
        All classes; where word and page disagree, the later one holds.
    path_classes : mapping of str to str
        Segment of a page's path to class.
    default_class : str
        Class of a row without a word; that of unknown words is the first of `class_order`.
    sessions : Sessions or None
    one_of : tuple of str
        Optional columns of which a source must have at least one.
    """

    name: str
    meaning: str
    columns: tuple[Column, ...]
    has_attributes: bool = False
    measures: tuple[Measure, ...] = ()
    category: str | None = None
    has_orders: bool = False
    classes: Mapping[str, str] = field(default_factory=dict)
    class_order: tuple[str, ...] = ()
    path_classes: Mapping[str, str] = field(default_factory=dict)
    default_class: str = ""
    sessions: Sessions | None = None
    one_of: tuple[str, ...] = ()

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names of the canonical columns, in order."""
        return tuple(column.name for column in self.columns)

    @property
    def label(self) -> str | None:
        """Name of the column whose words are sorted into classes."""
        return next((column.name for column in self.columns if column.type == "label"), None)


_PROFILE_ID = Column("profile_id", "id", "the person or household; int64 or text, byte for byte")
FUNNEL = ("view", "search", "product", "cart", "checkout", "purchase")

KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(
            "web",
            "page and app events",
            (
                _PROFILE_ID,
                Column("at", "time", "when it happened"),
                Column("event", "label", "what happened, such as page_view or add_to_cart", required=False),
                Column("url", "url", "page or screen; says what happened where event does not", required=False),
                Column("dwell_ms", "number", "milliseconds on the page", required=False, least=0, most=86_400_000),
            ),
            measures=(Measure("dwell_ms", "dwell_ms", "scaled"), Measure("n_dwells", "dwell_ms", "known")),
            category="class",
            classes=WEB_WORDS,
            class_order=("other", *FUNNEL),
            path_classes=WEB_PATHS,
            default_class="view",
            sessions=Sessions(30 * 60 * 1_000_000, {"n_carts": ("cart",), "n_purchases": ("purchase",)}),
        ),
        Kind(
            "social",
            "activity on social networks",
            (
                _PROFILE_ID,
                Column("at", "time", "when it happened"),
                Column("action", "label", "what was done, such as like, comment or share", required=False),
                Column("network", "text", "where", required=False),
            ),
            measures=(Measure("n_created", "action", "is", classes=("create",)),),
            category="network",
            classes=SOCIAL_WORDS,
            class_order=("other", "react", "create"),
            default_class="other",
        ),
        Kind(
            "purchases",
            "lines of orders",
            (
                _PROFILE_ID,
                Column("at", "time", "when the line was bought"),
                Column("amount", "amount", "money of the line, negative for a refund"),
                Column("order_id", "key", "basket or order; without it an order is a distinct time", required=False),
                Column("category", "text", "what was bought, for the interests family", required=False),
            ),
            measures=(Measure("amount_minor", "amount", "amount"),),
            category="category",
            has_orders=True,
        ),
        Kind(
            "feedback",
            "ratings, recommendations and comments",
            (
                _PROFILE_ID,
                Column("at", "time", "when it was given"),
                Column("rating", "number", "stars or points, the more the better", required=False),
                Column("nps", "number", "would recommend, 0 to 10", required=False, least=0, most=10, whole=True),
                Column("comment", "comment", "free text; only its sentiment is kept", required=False),
            ),
            measures=(
                Measure("rating_milli", "rating", "scaled", by=1000),
                Measure("n_ratings", "rating", "known"),
                Measure("n_nps", "nps", "known"),
                Measure("n_promoters", "nps", "at_least", by=9),
                Measure("n_detractors", "nps", "at_most", by=6),
                Measure("sentiment_e4", "comment", "sentiment", by=10_000),
                Measure("n_comments", "comment", "known"),
            ),
            one_of=("rating", "nps", "comment"),
        ),
        Kind("crm", "attributes, one row a profile; with a time, contacts", (_PROFILE_ID,), has_attributes=True),
        Kind(
            "contacts",
            "messages sent to a profile and its responses",
            (
                _PROFILE_ID,
                Column("at", "time", "when it was sent or answered"),
                Column("event", "label", "contact or response, such as sent, opened or redeemed", required=False),
            ),
            measures=(
                Measure("n_contacts", "event", "is", classes=("contact",)),
                Measure("n_responses", "event", "is", classes=("response",)),
            ),
            classes=CONTACT_WORDS,
            class_order=("other", "contact", "response"),
            default_class="contact",
        ),
    )
}

SOURCE_KINDS = tuple(name for name in KINDS if name != "contacts")
"""The words that a configuration may use."""

NO_SEGMENT = -1
SEGMENT_STATUSES = ("assigned", "no_data", "noise")
"""Of a profile in a segment, of one without events, and of one that a density method puts into no segment."""

EARLIEST_US = 0
"""1970-01-01T00:00:00Z. Earlier times are placeholder dates (1900-01-01 and the like), not events."""

DAY_US = 86_400_000_000
