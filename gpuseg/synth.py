"""Deterministic synthetic events of all five kinds, at any size, with planted segments and their truth.

Profiles are made in blocks of about a million events, each from its own seed, so memory does not grow with
the size asked for. The same `SynthSpec` gives the same bytes under the same NumPy and PyArrow.
"""

import datetime as dt
import itertools
import zoneinfo
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from gpuseg.config import nearest
from gpuseg.errors import ConfigError
from gpuseg.vocabulary import DAY_US, KINDS

Array = npt.NDArray[Any]
Columns = dict[str, Array]

TIMEZONE = "America/New_York"
BLOCK_EVENTS = 1 << 20
BLOCK_PROFILES = 1 << 17
SECOND_US = 1_000_000
ITEMS = 40
TASTE_SLOTS = 1024

# Parts of all events, in the order in which kinds vouch for a profile's first event.
EVENT_PARTS = {"purchases": 35, "web": 45, "social": 12, "feedback": 8}
SYNTH_KINDS = ("web", "social", "purchases", "feedback", "crm")
CRM_SHARE = 0.9
REFUND_SHARE = 0.03
# Below the default quality.max_null_share, so that the written configuration runs as it is.
NULL_SHARE = 0.02

# Percent of the profiles per segment.
SEGMENT_PERCENT = {
    2: (60, 40),
    3: (45, 33, 22),
    4: (38, 28, 20, 14),
    5: (35, 25, 18, 13, 9),
    6: (35, 21, 16, 12, 9, 7),
    7: (34, 19, 14, 11, 9, 7, 6),
    8: (34, 16, 12, 10, 9, 7, 6, 6),
}

# Median price of a line, in cents.
DEPARTMENTS = {
    "grocery": 450, "produce": 350, "bakery": 400, "household": 700, "baby": 1500, "pharmacy": 1100,
    "beauty": 1600, "fashion": 3200, "electronics": 11000, "sports": 4200, "garden": 2600, "toys": 2000,
}  # fmt: skip

# Openings, closings; in the order of Persona.sentiment.
PHRASES = (
    (("Disappointed with", "Not happy with", "Had trouble with"), ("Please fix this.", "Never again.")),
    (("No strong feelings about", "It was fine with", "Average experience of"), ("Okay.", "As expected.")),
    (("Really happy with", "Love", "Great experience of"), ("Thank you!", "Will come back.")),
)
TOPICS = (
    "the delivery",
    "the prices",
    "the staff",
    "the quality",
    "the website",
    "the returns",
    "the choice",
)

WORDS: dict[str, tuple[str, ...]] = {
    "department": tuple(DEPARTMENTS),
    "url": (
        *("/", "/cart", "/checkout"),
        *(f"/search?q={name}" for name in DEPARTMENTS),
        *(f"/shop/{name}" for name in DEPARTMENTS),
        *(f"/shop/{name}/{item:03d}" for name in DEPARTMENTS for item in range(ITEMS)),
    ),
    "event": ("page_view", "add_to_cart", "purchase"),
    "network": ("instagram", "tiktok", "facebook", "youtube"),
    "action": ("like", "comment", "share", "follow"),
    "comment": tuple(
        f"{opening} {topic}. {closing}"
        for openings, closings in PHRASES
        for opening, topic, closing in itertools.product(openings, TOPICS, closings)
    ),
    "income_band": ("under 25k", "25k-50k", "50k-75k", "75k-100k", "over 100k"),
    "region": ("northeast", "midwest", "south", "west", "pacific"),
    "loyalty_tier": ("none", "bronze", "silver", "gold"),
}

TEXT = pa.dictionary(pa.int32(), pa.string())
UTC = pa.timestamp("us", tz="UTC")
FILE_COLUMNS: dict[str, dict[str, pa.DataType]] = {
    "purchases": {
        "ordered_at": pa.timestamp("us"),
        "order_number": pa.int64(),
        "department": TEXT,
        "line_amount": pa.float64(),
    },
    "web": {"ts": UTC, "url": TEXT, "event": TEXT, "dwell_ms": pa.int32()},
    "social": {"ts": UTC, "network": TEXT, "action": TEXT},
    "feedback": {"ts": UTC, "rating": pa.int32(), "nps": pa.int32(), "comment": TEXT},
    "crm": {
        "age": pa.int32(),
        "income_band": TEXT,
        "region": TEXT,
        "loyalty_tier": TEXT,
        "signup_date": pa.date32(),
        "marketing_consent": pa.bool_(),
    },
    "truth": {"segment": pa.int32(), "segment_name": TEXT},
}

# Canonical name to the file's name; the written configuration takes the ones that the vocabulary knows.
SOURCE_COLUMNS: dict[str, dict[str, str]] = {
    "purchases": {
        "at": "ordered_at",
        "amount": "line_amount",
        "order_id": "order_number",
        "category": "department",
    },
    "web": {"at": "ts", "url": "url", "event": "event", "dwell_ms": "dwell_ms"},
    "social": {"at": "ts", "network": "network", "action": "action"},
    "feedback": {"at": "ts", "rating": "rating", "nps": "nps", "comment": "comment"},
    "crm": {name: name for name in FILE_COLUMNS["crm"]},
}


@dataclass(frozen=True)
class Persona:
    """How the profiles of one planted segment behave.

    Parameters
    ----------
    name : str
        Name for people, as in the truth file.
    tastes : dict of str to int
        Weight of the favoured departments; every other department weighs 1.
    lines, web, social, feedback : float
        Events relative to other segments.
    basket : float
        Lines per order, before the cap of six.
    price : float
        Factor on the department's price.
    regular : float
        0: orders fall anywhere in the active time; 1: evenly spaced.
    quiet, active : tuple of float
        Smallest and largest share of the history between the active time and `as_of`, and of the active time.
    sentiment : tuple of float
        Probability of negative and of neutral feedback.
    buys_online : float
        Probability that a long enough web session ends in a purchase.
    age, income, tier, consent : float
        Mean age in years, mean position in the income bands and loyalty tiers, share that consents.
    network : int
        Favoured social network, a position in `WORDS`.
    """

    name: str
    tastes: dict[str, int]
    lines: float
    basket: float
    price: float
    regular: float
    quiet: tuple[float, float]
    active: tuple[float, float]
    web: float
    social: float
    feedback: float
    sentiment: tuple[float, float]
    buys_online: float
    age: float
    income: float
    tier: float
    consent: float
    network: int


PERSONAS = (
    Persona("loyal grocery planners", {"grocery": 30, "produce": 24, "bakery": 14}, 1.5, 3.2, 1.0, 0.9,
            (0.0, 0.01), (0.88, 0.98), 0.8, 0.5, 1.2, (0.08, 0.22), 0.15, 48, 2.4, 2.5, 0.75, 2),
    Persona("lapsed bargain hunters", {"household": 48, "grocery": 6, "toys": 6}, 0.6, 1.6, 0.6, 0.2,
            (0.45, 0.65), (0.15, 0.30), 0.5, 0.4, 0.6, (0.55, 0.30), 0.08, 41, 0.8, 0.4, 0.35, 2),
    Persona("young fashion browsers", {"fashion": 40, "beauty": 28}, 0.8, 1.5, 0.9, 0.1,
            (0.0, 0.05), (0.70, 0.95), 2.2, 2.8, 0.9, (0.18, 0.37), 0.10, 25, 1.2, 1.0, 0.60, 1),
    Persona("premium electronics enthusiasts", {"electronics": 44, "sports": 20}, 0.6, 1.2, 1.7, 0.3,
            (0.08, 0.20), (0.55, 0.75), 1.2, 0.8, 1.0, (0.25, 0.25), 0.20, 37, 3.5, 1.6, 0.55, 3),
    Persona("new family starters", {"baby": 44, "pharmacy": 22, "toys": 8}, 1.0, 3.0, 1.1, 0.6,
            (0.0, 0.01), (0.10, 0.20), 1.5, 1.6, 1.4, (0.12, 0.28), 0.25, 31, 2.2, 0.7, 0.80, 0),
    Persona("spring home gardeners", {"garden": 56, "sports": 4}, 0.7, 2.0, 1.2, 0.5,
            (0.18, 0.30), (0.30, 0.45), 0.7, 0.3, 0.8, (0.15, 0.35), 0.12, 58, 2.6, 1.8, 0.50, 2),
    Persona("wellness regulars", {"pharmacy": 34, "sports": 26, "produce": 6}, 1.0, 1.3, 1.0, 0.95,
            (0.0, 0.02), (0.80, 0.95), 1.0, 1.1, 1.1, (0.10, 0.25), 0.18, 44, 2.8, 2.1, 0.70, 0),
    Persona("holiday gift givers", {"toys": 52, "electronics": 4, "beauty": 4}, 0.7, 4.5, 1.3, 0.2,
            (0.04, 0.10), (0.05, 0.08), 0.9, 0.7, 0.5, (0.20, 0.40), 0.22, 52, 3.0, 0.9, 0.45, 3),
)  # fmt: skip

WORDS["segment_name"] = tuple(persona.name for persona in PERSONAS)


@dataclass(frozen=True)
class SynthSpec:
    """What to make.

    Parameters
    ----------
    n_profiles : int
        Profiles, at least 1.
    n_events : int
        Rows over all event kinds together, exactly; CRM rows do not count.
    seed : int, default 0
        From 0 to 2**32 - 1.
    n_segments : int, default 5
        Planted segments, 2 to 8 and at most `n_profiles`.
    kinds : tuple of str
        Kinds to write; all five where not given.
    id_type : {"int64", "text"}, default "int64"
        `text` gives ids such as "C-0000123".
    as_of : datetime.date, default 2026-01-01
        Every event lies before its midnight in New York.
    history_days : int, default 365
        Days before `as_of` in which events lie.
    rows_per_file : int, default 2 000 000
        Most rows of a file; the truth is always one file.

    Raises
    ------
    ConfigError
        If a value cannot be, with the nearest one that can.
    """

    n_profiles: int
    n_events: int
    _: KW_ONLY
    seed: int = 0
    n_segments: int = 5
    kinds: tuple[str, ...] = SYNTH_KINDS
    id_type: Literal["int64", "text"] = "int64"
    as_of: dt.date = dt.date(2026, 1, 1)
    history_days: int = 365
    rows_per_file: int = 2_000_000

    def __post_init__(self) -> None:
        most_days = (self.as_of - dt.date(1970, 1, 1)).days if _is_day(self.as_of) else 0
        if not 1 <= most_days <= (dt.date(2200, 1, 1) - dt.date(1970, 1, 1)).days:
            raise ConfigError(f"as_of: {str(self.as_of)!r}: must be a date from 1970-01-02 to 2200-01-01")
        _in_range("n_profiles", self.n_profiles, 1, 2**40)
        _in_range("n_events", self.n_events, 0, 2**50)
        _in_range("seed", self.seed, 0, 2**32 - 1)
        _in_range("history_days", self.history_days, 1, most_days)
        _in_range("rows_per_file", self.rows_per_file, 1, 2**40)
        _in_range("n_segments", self.n_segments, 2, max(SEGMENT_PERCENT))
        if self.n_segments > self.n_profiles:
            raise ConfigError(f"n_segments: {self.n_segments}: must be at most n_profiles, {self.n_profiles}")
        if self.id_type not in ("int64", "text"):
            raise ConfigError(
                f"id_type: {self.id_type!r}: must be int64 or text{nearest(self.id_type, ['int64', 'text'])}"
            )
        self._check_kinds()

    def _check_kinds(self) -> None:
        for kind in self.kinds:
            if kind not in SYNTH_KINDS:
                raise ConfigError(
                    f"kinds: {kind!r}: must be one of {', '.join(SYNTH_KINDS)}{nearest(kind, SYNTH_KINDS)}"
                )
        if not self.kinds or len(set(self.kinds)) != len(self.kinds):
            raise ConfigError("kinds: name at least one kind, and each once")
        if self.n_events and not self.event_kinds:
            raise ConfigError(f"n_events: {self.n_events}: crm has no events; ask for 0 or for another kind")
        if "crm" not in self.kinds and self.n_events < self.n_profiles:
            raise ConfigError(
                f"n_events: {self.n_events}: must be at least n_profiles, {self.n_profiles}, where kinds has "
                "no crm: a profile needs an event or a CRM row"
            )

    @property
    def event_kinds(self) -> tuple[str, ...]:
        """The requested kinds that hold events, in a fixed order."""
        return tuple(kind for kind in EVENT_PARTS if kind in self.kinds)


@dataclass(frozen=True)
class SynthSummary:
    """What was written.

    Parameters
    ----------
    rows : dict of str to int
        Rows per requested kind.
    files : dict of str to tuple of str
        File names per requested kind and `truth`, in order.
    segments : dict of str to int
        Profiles per planted segment, by name.
    config : str or None
        Name of the ready-to-run configuration; None where no requested kind can be read yet.
    """

    rows: dict[str, int]
    files: dict[str, tuple[str, ...]]
    segments: dict[str, int]
    config: str | None


def synthesize(spec: SynthSpec, out: Path, *, progress: Callable[[int, int], None] | None = None) -> SynthSummary:
    """Write synthetic events, their truth and a configuration that reads them.

    Parameters
    ----------
    spec : SynthSpec
        What to make.
    out : Path
        Folder for the files; made where missing. `gpuseg.yaml` is written last.
    progress : callable, optional
        Called after every block with the profiles done and all profiles.

    Returns
    -------
    SynthSummary

    Raises
    ------
    ConfigError
        If `out` is not an empty folder and cannot be made one.
    """
    out = _claimed(Path(out))
    personas = PERSONAS[: spec.n_segments]
    sizes = np.zeros(spec.n_segments, dtype=np.int64)
    n_orders = 0
    with ExitStack() as stack:
        stores = {name: stack.enter_context(_Store(out, name, spec)) for name in (*spec.kinds, "truth")}
        for block in _plan(spec):
            profiles = _profiles(spec, block, personas)
            sizes += np.bincount(profiles.segment, minlength=spec.n_segments)
            has_event = np.zeros(block.size, dtype=bool)
            for kind, counts in _counts(spec, block, profiles).items():
                has_event |= counts > 0
                for rng, part in _parts(spec, block, kind, counts):
                    columns = MAKERS[kind](rng, profiles, part)
                    if kind == "purchases":
                        columns["order_number"] += n_orders
                        n_orders = int(columns["order_number"].max(initial=n_orders))
                    stores[kind].write(rng, profiles, columns)
            rng = _generator(spec, block, "truth")
            truth = {"customer_id": np.arange(block.size), "segment": profiles.segment}
            stores["truth"].write(rng, profiles, truth | {"segment_name": profiles.segment})
            if "crm" in spec.kinds:
                rng = _generator(spec, block, "crm")
                stores["crm"].write(rng, profiles, _crm(rng, profiles, has_event))
            if progress:
                progress(block.first + block.size, spec.n_profiles)
    return SynthSummary(
        rows={kind: stores[kind].n_rows for kind in spec.kinds},
        files={name: tuple(store.files) for name, store in stores.items()},
        segments={persona.name: int(n) for persona, n in zip(personas, sizes, strict=True)},
        config=_write_config(spec, out),
    )


@dataclass(frozen=True)
class _Block:
    """Consecutive profiles that are made together, and their events per kind."""

    index: int
    first: int
    size: int
    rows: dict[str, int]


@dataclass(frozen=True)
class _Profiles:
    """Traits of a block's profiles; arrays have shape (n_profiles,)."""

    personas: tuple[Persona, ...]
    ids: pa.Array
    segment: Array
    opens: Array  # share of the history at which activity starts
    active: Array  # share of the history that it lasts
    energy: Array  # factor on the number of events
    spend: Array  # factor on amounts
    favourite: Array  # department
    clock: tuple[int, int, int]  # first and end instant in microseconds UTC, days between them

    def trait(self, name: str) -> Array:
        """Look up a persona's figure for every profile."""
        return np.array([getattr(persona, name) for persona in self.personas])[self.segment]


def _plan(spec: SynthSpec) -> Iterator[_Block]:
    """Blocks whose events add up exactly; each has at least one event per profile where the whole has."""
    parts = np.cumsum([0] + [EVENT_PARTS[kind] for kind in spec.event_kinds])
    bounds = [spec.n_events * int(part) // int(parts[-1] or 1) for part in parts]
    left = {kind: bounds[i + 1] - bounds[i] for i, kind in enumerate(spec.event_kinds)}
    size = min(BLOCK_PROFILES, max(1, BLOCK_EVENTS * spec.n_profiles // max(1, spec.n_events)))
    for index, first in enumerate(range(0, spec.n_profiles, size)):
        waiting = spec.n_profiles - first
        n = min(size, waiting)
        rows = {kind: count * n // waiting for kind, count in left.items()}
        if sum(left.values()) >= waiting:
            for kind in rows:
                rows[kind] += max(0, min(n - sum(rows.values()), left[kind] - rows[kind]))
        left = {kind: count - rows[kind] for kind, count in left.items()}
        yield _Block(index, first, n, rows)


def _generator(spec: SynthSpec, block: _Block, stream: str, part: int = 0) -> np.random.Generator:
    number = ("profiles", "counts", "truth", *SYNTH_KINDS).index(stream)
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([spec.seed, block.index, number, part])))


def _profiles(spec: SynthSpec, block: _Block, personas: tuple[Persona, ...]) -> _Profiles:
    rng = _generator(spec, block, "profiles")
    segment = _segments(spec, block, rng)
    low, high = np.array([persona.quiet for persona in personas])[segment].T
    quiet = rng.uniform(low, high)
    low, high = np.array([persona.active for persona in personas])[segment].T
    active = rng.uniform(low, high)
    zone = zoneinfo.ZoneInfo(TIMEZONE)
    days = (spec.as_of - dt.timedelta(days=spec.history_days), spec.as_of)
    start, end = (int(dt.datetime.combine(day, dt.time(), zone).timestamp()) * SECOND_US for day in days)
    return _Profiles(
        personas=personas,
        ids=_ids(spec, block),
        segment=segment,
        opens=1 - quiet - active,
        active=active,
        energy=rng.lognormal(0, 0.3, block.size),
        spend=rng.lognormal(0, 0.2, block.size),
        favourite=_tastes(personas)[segment, rng.integers(0, TASTE_SLOTS, block.size)],
        clock=(start, end, spec.history_days),
    )


def _segments(spec: SynthSpec, block: _Block, rng: np.random.Generator) -> Array:
    """Deal the segments so that every hundred profiles hold them in their percentages."""
    hundred = np.repeat(np.arange(spec.n_segments), SEGMENT_PERCENT[spec.n_segments])
    np.random.Generator(np.random.PCG64(spec.seed)).shuffle(hundred)
    # The first profiles take one segment each, so that none is empty however few the profiles are.
    profile = np.arange(block.first, block.first + block.size)
    segment: Array = np.where(profile < spec.n_segments, profile, hundred[profile % 100])
    rng.shuffle(segment)
    return segment


def _ids(spec: SynthSpec, block: _Block) -> pa.Array:
    numbers = pa.array(np.arange(block.first + 1, block.first + block.size + 1))
    if spec.id_type == "int64":
        return numbers
    width = max(7, len(str(spec.n_profiles)))
    return pc.binary_join_element_wise("C-", pc.utf8_lpad(numbers.cast(pa.string()), width, "0"), "")


def _tastes(personas: tuple[Persona, ...]) -> Array:
    """Departments in proportion to every persona's tastes, uint8 (n_personas, TASTE_SLOTS)."""
    rows = []
    for persona in personas:
        weights = np.array([persona.tastes.get(name, 1) for name in DEPARTMENTS])
        ends = np.cumsum(weights) * TASTE_SLOTS // weights.sum()
        rows.append(np.repeat(np.arange(len(DEPARTMENTS), dtype=np.uint8), np.diff(ends, prepend=0)))
    return np.array(rows)


def _counts(spec: SynthSpec, block: _Block, profiles: _Profiles) -> dict[str, Array]:
    """Events per profile and kind, int64 (n_profiles,); each kind adds up to the block's rows of it."""
    rng = _generator(spec, block, "counts")
    order = rng.permutation(block.size)
    counts = {}
    covered = 0
    for kind, n in block.rows.items():
        promised = min(n, block.size - covered) if "crm" not in spec.kinds or n >= block.size else 0
        base = np.zeros(block.size, dtype=np.int64)
        base[order[covered : covered + promised]] = 1
        covered += promised
        weights = profiles.trait("lines" if kind == "purchases" else kind) * profiles.energy
        counts[kind] = base + rng.multinomial(n - promised, weights / weights.sum())
    return counts


def _parts(spec: SynthSpec, block: _Block, kind: str, counts: Array) -> Iterator[tuple[np.random.Generator, Array]]:
    """Split the counts of a block whose few profiles have very many events."""
    n = -(-int(counts.sum()) // (2 * BLOCK_EVENTS))
    for part in range(n):
        yield _generator(spec, block, kind, part), counts * (part + 1) // n - counts * part // n


def _occasions(rng: np.random.Generator, counts: Array, *, mean: Array, most: int) -> tuple[Array, Array, Array]:
    """Group each profile's rows into orders or sessions of `mean` rows, at most `most`.

    Returns the profile and the occasion of every row, and the first row of every occasion.
    """
    owner = np.repeat(np.arange(len(counts)), counts)
    rows = np.arange(len(owner))
    starts = rng.random(len(owner), dtype=np.float32) < (1 / mean).astype(np.float32)[owner]
    starts[(np.cumsum(counts) - counts)[counts > 0]] = True
    starts |= (rows - np.maximum.accumulate(np.where(starts, rows, 0))) % most == 0
    return owner, np.cumsum(starts) - 1, np.flatnonzero(starts)


def _instants(rng: np.random.Generator, profiles: _Profiles, owner: Array) -> Array:
    """Place every occasion in daytime of the active time, int64 microseconds UTC; `owner` ascends."""
    start, end, days = profiles.clock
    n = np.bincount(owner, minlength=len(profiles.segment))
    rank = np.arange(len(owner)) - (np.cumsum(n) - n)[owner]
    spread = (1 + (1 - profiles.trait("regular")) * (n - 1))[owner]
    place = (rank + 0.5 + spread * (rng.random(len(owner)) - 0.5)) / n[owner] % 1
    day = np.floor((profiles.opens[owner] + profiles.active[owner] * place) * days).astype(np.int64)
    # From 08:00 to 21:00: an hour gained or lost to summer time stays inside the day.
    second = (8 * 3600 + 6.5 * 3600 * (rng.random(len(owner)) + rng.random(len(owner)))).astype(np.int64)
    instants: Array = np.clip(start + day * DAY_US + second * SECOND_US, start, end - SECOND_US)
    return instants


def _departments(rng: np.random.Generator, profiles: _Profiles, owner: Array) -> Array:
    slots = rng.integers(0, TASTE_SLOTS, len(owner), dtype=np.uint16)
    drawn = _tastes(profiles.personas)[profiles.segment[owner], slots]
    return np.where(rng.random(len(owner), dtype=np.float32) < 0.1, profiles.favourite[owner], drawn)


def _purchases(rng: np.random.Generator, profiles: _Profiles, counts: Array) -> Columns:
    owner, order, first = _occasions(rng, counts, mean=profiles.trait("basket"), most=6)
    department = _departments(rng, profiles, owner)
    cents = np.array(list(DEPARTMENTS.values()), dtype=np.float64)[department]
    cents *= (profiles.trait("price") * profiles.spend)[owner] * rng.lognormal(0, 0.45, len(owner))
    sign = np.where(rng.random(len(owner), dtype=np.float32) < REFUND_SHARE, -1, 1)
    return {
        "customer_id": owner,
        "ordered_at": _instants(rng, profiles, owner[first])[order],
        "order_number": rng.permutation(len(first))[order] + 1,
        "department": department,
        "line_amount": sign * np.maximum(1, np.rint(cents)) / 100,
    }


def _web(rng: np.random.Generator, profiles: _Profiles, counts: Array) -> Columns:
    owner, session, first = _occasions(rng, counts, mean=np.full(len(counts), 7.0), most=25)
    n = len(owner)
    dwell_ms = np.clip(rng.lognormal(9.9, 0.9, n), 500, 240_000).astype(np.int32)
    before = np.cumsum(dwell_ms, dtype=np.int64) - dwell_ms
    offset_us = (before - before[first][session]) * 1000
    department = _departments(rng, profiles, owner).astype(np.int32)
    what = rng.random(n)
    item = 3 + 2 * len(DEPARTMENTS) + department * ITEMS + rng.integers(0, ITEMS, n, dtype=np.int32)
    url = np.select([what < 0.12, what < 0.32], [3 + department, 3 + len(DEPARTMENTS) + department], item)
    event = (what > 0.9).astype(np.int32)
    home = first[rng.random(len(first)) < 0.4]
    url[home], event[home] = 0, 0
    length = np.diff(first, append=n)
    bought = (length >= 3) & (rng.random(len(first)) < profiles.trait("buys_online")[owner[first]])
    last = (first + length - 1)[bought]
    url[last], event[last] = 2, 2
    url[last - 1], event[last - 1] = 1, 0
    at = _instants(rng, profiles, owner[first])[session] + offset_us
    at = np.minimum(at, profiles.clock[1] - SECOND_US)
    return {"customer_id": owner, "ts": at, "url": url, "event": event, "dwell_ms": dwell_ms}


def _social(rng: np.random.Generator, profiles: _Profiles, counts: Array) -> Columns:
    owner = np.repeat(np.arange(len(counts)), counts)
    anywhere = rng.integers(0, len(WORDS["network"]), len(owner))
    network = np.where(rng.random(len(owner)) < 0.6, profiles.trait("network")[owner], anywhere)
    action = np.searchsorted([0.62, 0.82, 0.95], rng.random(len(owner)))
    return {"customer_id": owner, "ts": _instants(rng, profiles, owner), "network": network, "action": action}


def _feedback(rng: np.random.Generator, profiles: _Profiles, counts: Array) -> Columns:
    owner = np.repeat(np.arange(len(counts)), counts)
    n = len(owner)
    mood = (rng.random(n)[:, None] > np.cumsum(profiles.trait("sentiment"), axis=1)[owner]).sum(axis=1)
    rating = np.array([1, 3, 4])[mood] + np.where(mood == 1, 0, rng.integers(0, 2, n))
    nps = np.array([0, 7, 9])[mood] + rng.integers(0, np.array([7, 2, 2])[mood], n)
    phrases = len(WORDS["comment"]) // len(PHRASES)
    comment = mood * phrases + rng.integers(0, phrases, n)
    return {
        "customer_id": owner,
        "ts": _instants(rng, profiles, owner),
        "rating": _with_nulls(rng, rating),
        "nps": _with_nulls(rng, nps),
        "comment": _with_nulls(rng, comment),
    }


MAKERS = {"purchases": _purchases, "web": _web, "social": _social, "feedback": _feedback}


def _crm(rng: np.random.Generator, profiles: _Profiles, has_event: Array) -> Columns:
    row = np.flatnonzero((rng.random(len(has_event)) < CRM_SHARE) | ~has_event)
    n = len(row)

    def around(name: str, deviation: float, low: int, high: int) -> Array:
        drawn = profiles.trait(name)[row] + deviation * rng.standard_normal(n)
        return np.clip(np.rint(drawn), low, high).astype(np.int32)

    start, _, days = profiles.clock
    opened = start // DAY_US + np.floor(profiles.opens[row] * days)
    return {
        "customer_id": row,
        "age": _with_nulls(rng, around("age", 7, 18, 95)),
        "income_band": around("income", 0.8, 0, len(WORDS["income_band"]) - 1),
        "region": rng.integers(0, len(WORDS["region"]), n),
        "loyalty_tier": around("tier", 0.7, 0, len(WORDS["loyalty_tier"]) - 1),
        "signup_date": (opened - rng.integers(0, 400, n)).astype(np.int32),
        "marketing_consent": rng.random(n) < profiles.trait("consent")[row],
    }


def _with_nulls(rng: np.random.Generator, values: Array) -> Array:
    return np.ma.masked_array(values, mask=rng.random(len(values)) < NULL_SHARE)


class _Store:
    """Numbered Parquet files of one kind; a file has its name only when it is whole."""

    def __init__(self, out: Path, name: str, spec: SynthSpec) -> None:
        self.files: list[str] = []
        self.n_rows = 0
        self._out = out
        self._name = name
        self._most = spec.rows_per_file if name != "truth" else spec.n_profiles
        id_type = TEXT if spec.id_type == "text" else pa.int64()
        self._schema = pa.schema({"customer_id": id_type} | FILE_COLUMNS[name])

    def __enter__(self) -> "_Store":
        self._open()
        return self

    def __exit__(self, failed: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        if failed is None:
            self._commit()
            return
        try:
            self._writer.close()
        finally:
            self._temporary.unlink(missing_ok=True)

    def write(self, rng: np.random.Generator, profiles: _Profiles, columns: Columns) -> None:
        """Append rows in a mixed order; `customer_id` holds positions in the block, text columns codes."""
        order = rng.permutation(len(columns["customer_id"]))
        arrays = [_arrow(field, columns[field.name][order], profiles.ids) for field in self._schema]
        table = pa.table(arrays, schema=self._schema)
        self.n_rows += table.num_rows
        done = 0
        while done < table.num_rows:
            if self._room == 0:
                self._commit()
                self._open()
            piece = table.slice(done, self._room)
            self._writer.write_table(piece)
            self._room -= piece.num_rows
            done += piece.num_rows

    def _open(self) -> None:
        number = "" if self._name == "truth" else f"-{len(self.files):04d}"
        self.files.append(f"{self._name}{number}.parquet")
        self._temporary = self._out / f".{self.files[-1]}.partial"
        self._room = self._most
        text = [field.name for field in self._schema if field.type == TEXT]
        # Without the Arrow schema in the file, dictionary columns are read back as plain text.
        self._writer = pq.ParquetWriter(
            self._temporary,
            self._schema,
            version="2.6",
            compression="snappy",
            use_dictionary=text,
            store_schema=False,
            write_page_checksum=True,
        )

    def _commit(self) -> None:
        self._writer.close()
        self._temporary.replace(self._out / self.files[-1])


def _arrow(field: pa.Field, values: Array, ids: pa.Array) -> pa.Array:
    if field.name == "customer_id":
        rows = pa.array(values, type=pa.int32())
        return pa.DictionaryArray.from_arrays(rows, ids) if field.type == TEXT else ids.take(rows)
    if field.type == TEXT:
        return pa.DictionaryArray.from_arrays(pa.array(values).cast(pa.int32()), pa.array(WORDS[field.name]))
    return pa.array(values).cast(field.type)


def _claimed(out: Path) -> Path:
    try:
        out.mkdir(parents=True, exist_ok=True)
        taken = any(out.iterdir())
    except OSError as error:
        raise ConfigError(f"out: {out}: cannot be used as a folder: {error.strerror}; name another one") from None
    if taken:
        raise ConfigError(f"out: {out}: the folder is not empty; empty it or name another one")
    return out


def _write_config(spec: SynthSpec, out: Path) -> str | None:
    sources = [_source(kind) for kind in SYNTH_KINDS if kind in spec.kinds and kind in KINDS]
    if not sources:
        return None
    name = "gpuseg.yaml"
    partial = out / f".{name}.partial"
    lines = (
        "version: 1",
        f"run: {{name: synth, out: run, as_of: {spec.as_of}, timezone: {TIMEZONE}, seed: {spec.seed}}}",
    )
    partial.write_text("\n".join((*lines, "sources:", *sources, "")), encoding="utf-8")
    partial.replace(out / name)
    return name


def _source(kind: str) -> str:
    kept = KINDS[kind]
    renamed = {"profile_id": "customer_id"} | SOURCE_COLUMNS[kind]
    columns = [f"{ours}: {name}" for ours, name in renamed.items() if ours in kept.column_names or kept.has_attributes]
    return (
        f'  - {{name: {kind}, kind: {kind}, uri: "{kind}-*.parquet", timezone: UTC,\n'
        f"     columns: {{{', '.join(columns)}}}}}"
    )


def _is_day(value: object) -> bool:
    return isinstance(value, dt.date) and not isinstance(value, dt.datetime)


def _in_range(name: str, value: object, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ConfigError(f"{name}: {value!r}: must be a whole number from {low} to {high}")
    if not low <= value <= high:
        closest = min(max(value, low), high)
        raise ConfigError(f"{name}: {value}: must be from {low} to {high}; nearest valid: {closest}")
