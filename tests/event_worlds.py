"""Varied sources of every kind as Arrow tables, whole builds over them, and what their features must be."""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from gpuseg.feature_build import BucketFeatures, columns_needed, context_of
from gpuseg.features.registry import declare_features
from gpuseg.progress import Meter
from gpuseg.sources.ingest import Ingested, ingest
from gpuseg.sources.plan import plan_sources
from gpuseg.sources.reduce import bucket_files
from gpuseg.workspace.ledger import Ledger
from tests import event_twins as twins
from tests.event_twins import Event, Instant
from tests.twins import lifecycle

AS_OF = dt.date(2018, 1, 1)
WINDOWS = (1, 30, 90)
ZONE = "America/New_York"
ZONES = {"app": "Asia/Kathmandu"}
APP_WORDS = {"Hovered": "product", "page-view": "other", "*": "search"}
OWN = {"web": {}, "app": {"hovered": "product", "page_view": "other", " Page View ": "other", "*": "search"}}
MINUTE = dt.timedelta(minutes=1)
STEPS = [dt.timedelta(0), dt.timedelta(microseconds=1), MINUTE, 30 * MINUTE]
STEPS += [30 * MINUTE + dt.timedelta(microseconds=1), 180 * MINUTE, dt.timedelta(days=14), dt.timedelta(days=95)]
NETWORKS = [*(f"net{number:02}" for number in range(22)), "é", "other"]
COMMENTS = [
    None,
    "",
    " \t ",
    "Great shoes, I love them!",
    "Awful, broken and late.",
    "It came.",
    "so " * 1_667 + "awful",
]
CITIES = [*(f"city {number}" for number in range(12)), "other"]
TYPES = {
    "dwell_ms": pa.int64(),
    "rating": pa.float64(),
    "nps": pa.int64(),
    "amount": pa.string(),
    "age": pa.int32(),
    "joined": pa.date32(),
    "born": pa.timestamp("ns"),
    "vip": pa.bool_(),
    "limit": pa.decimal128(12, 2),
}
KINDS = {
    "web": "web",
    "app": "web",
    "posts": "social",
    "stars": "feedback",
    "survey": "feedback",
    "mails": "contacts",
    "orders": "purchases",
}
FAMILY_KINDS = {
    "browsing": "web",
    "intent": "web",
    "social": "social",
    "feedback": "feedback",
    "engagement": "contacts",
    "lifecycle": "purchases",
}


@dataclass(frozen=True)
class World:
    """Events by source, and CRM rows by profile."""

    events: Mapping[str, Sequence[Event]]
    people: Mapping[int, Mapping[str, Any]]


@dataclass(frozen=True)
class Built:
    """What gpuseg made of a world."""

    features: pa.Table
    dtypes: Mapping[str, str]
    state: Mapping[str, pa.Table]
    found: Ingested


def pick(rng, values):
    return values[int(rng.integers(len(values)))]


def _values(rng, source):
    if source in ("web", "app"):
        word, page = pick(rng, [None, *twins.WEB_WORDS]), pick(rng, [None, None, *twins.PAGES])
        return {"event": word, "url": page, "dwell_ms": pick(rng, [None, 0, 999, 86_400_000])}
    if source == "posts":
        skewed = int(min(rng.integers(len(NETWORKS), size=2)))
        network = None if rng.random() < 0.1 else NETWORKS[skewed]
        return {"action": pick(rng, [None, *twins.SOCIAL_WORDS]), "network": network}
    if source == "stars":
        nps = pick(rng, [None, 0, 6, 7, 8, 9, 10])
        return {"rating": pick(rng, [None, "1", "4.5", "3.333"]), "nps": nps, "comment": pick(rng, COMMENTS)}
    if source == "survey":
        return {"rating": pick(rng, [None, "4.0005", "4.0015", "+3", "-2.5e0"]), "nps": None, "comment": None}
    if source == "mails":
        return {"event": pick(rng, [None, *twins.CONTACT_WORDS])}
    return {"amount": str(Decimal(int(rng.integers(-500, 2_000))) / 100)}


def _events(rng, source, profile):
    """Bursts around New York's midnight, with the steps at which sessions are cut, and now and then after `as_of`."""
    walls = []
    for _ in range(int(rng.choice([1, 1, 2, 4]))):
        days = int(rng.integers(-1, int(rng.choice([3, 60, 700, 4_000]))))
        at = dt.datetime(2018, 1, 1, 5) - dt.timedelta(days=days) + int(rng.integers(-45, 20)) * MINUTE
        for _ in range(int(rng.choice([1, 3, 8]))):
            walls.append(at)
            at += pick(rng, STEPS)
    shift = dt.timedelta(hours=5, minutes=45) if source == "app" else dt.timedelta(0)
    return [Event(profile, wall + shift, _values(rng, source), source) for wall in walls]


def _lifecycle_borders():
    """Purchases on the last days of each stage and one day beyond, alone and in a rhythm of 20 and of 5 days."""
    days = [[30], [31], [60], [61], [180], [181], [1], [31, 1]]
    for gap in (20, 5):
        for recency in {2 * gap, 2 * gap + 1, 4 * gap, 4 * gap + 1, 14, 15, 28, 29}:
            days.append([recency + gap * step for step in range(4)])
    return [
        Event(10_000 + number, dt.datetime(2018, 1, 1, 12) - dt.timedelta(days=day), {"amount": "-1"}, "orders")
        for number, mine in enumerate(days)
        for day in mine
    ]


def _person(rng):
    def or_none(value):
        return None if rng.random() < 0.15 else value

    born = dt.datetime(1900, 1, 1) + dt.timedelta(days=int(rng.integers(40_000)), hours=int(rng.integers(24)))
    return {
        "age": or_none(int(rng.integers(-3, 99))),
        "joined": or_none(dt.date(2018, 1, 1) - dt.timedelta(days=int(rng.integers(-5, 9_000)))),
        "born": or_none(born),
        "city": or_none(CITIES[int(min(rng.integers(len(CITIES), size=2)))]),
        "grade": or_none("ABCDEFGHIJ"[int(rng.integers(10))]),
        "score": or_none(pick(rng, [" 7", "+1.5", "00012", "-3e2", ".5", "8."])),
        "vip": or_none(bool(rng.random() < 0.5)),
        "limit": or_none(Decimal(int(rng.integers(10**6))) / 100),
    }


@lru_cache(maxsize=4)
def make_world(seed: int, n_profiles: int = 90) -> World:
    """Sources in which many profiles are known to one source alone."""
    rng = np.random.default_rng(seed)
    events: dict[str, list[Event]] = {}
    for source in KINDS:
        known = [int(p) for p in rng.permutation(n_profiles) if rng.random() < 0.4]
        events[source] = [event for profile in known for event in _events(rng, source, profile)]
    if n_profiles >= 50:
        events["orders"] += _lifecycle_borders()
    # The two web sources share instants, so that a tie in time meets rows of different classes.
    events["app"] += [
        Event(event.profile, event.wall + dt.timedelta(hours=5, minutes=45), _values(rng, "app"), "app")
        for event in events["web"][::7]
    ]
    people = {int(profile): _person(rng) for profile in rng.permutation(n_profiles + 20) if rng.random() < 0.7}
    return World(events, people)


def event_table(events: Sequence[Event], source: str) -> pa.Table:
    """The rows of a dated source."""
    columns = {"profile_id": pa.array([event.profile for event in events], pa.int64())}
    columns["at"] = pa.array([event.wall for event in events], pa.timestamp("us"))
    for name in events[0].values if events else ():
        values = [event.values[name] for event in events]
        kind = TYPES.get(name, pa.string())
        if name == "rating":
            kind = pa.string() if source == "survey" else kind
            values = [None if value is None else value if source == "survey" else float(value) for value in values]
        if source != "survey" or name == "rating":
            columns[name] = pa.array(values, kind)
    return pa.table(columns)


def people_table(people: Mapping[int, Mapping[str, Any]]) -> pa.Table:
    """The rows of the CRM source."""
    columns = {"profile_id": pa.array(list(people), pa.int64())}
    for name in next(iter(people.values())):
        columns[name] = pa.array([row[name] for row in people.values()], TYPES.get(name, pa.string()))
    return pa.table(columns)


def frames_of(world: World) -> dict[str, pa.Table]:
    """All sources of a world."""
    tables = {source: event_table(events, source) for source, events in world.events.items()}
    return tables | {"people": people_table(world.people)}


def source_settings(name: str, **more: Any) -> dict[str, Any]:
    """The section of a world's source in a configuration."""
    if name == "people":
        columns = {column: column for column in ("age", "joined", "born", "city", "grade", "score", "vip", "limit")}
        return {"name": name, "kind": "crm", "columns": columns, **more}
    kind = KINDS[name]
    settings: dict[str, Any] = {"name": name, "kind": kind, "timezone": ZONES.get(name, "UTC"), **more}
    if kind == "contacts":
        settings |= {"kind": "crm", "columns": {"at": "at"}}
    return settings | ({"events": APP_WORDS} if name == "app" else {})


def config_of_world(
    config_of: Callable[..., Any], world: World, *, families: Sequence[str], engine: str, **run: Any
) -> Any:
    """The configuration of a run over a world's frames."""
    run = {"as_of": AS_OF, "timezone": ZONE, "engine": engine, "buckets": 3, "chunk_rows": 100} | run
    sections = {"features": {"windows_days": WINDOWS, "families": families}, "privacy": {"group_floor": 1}}
    return config_of(*(source_settings(name) for name in (*world.events, "people")), sections=sections, **run)


def build(engine: Any, config: Any, frames: Mapping[str, Any] | None = None) -> Built:
    """Read, reduce and evaluate."""
    plans = plan_sources(config, frames)
    with TemporaryDirectory() as name:
        folder = Path(name)
        found = ingest(plans, engine, folder=folder, ledger=Ledger(folder / "ledger", "key"), progress=Meter())
        context = context_of(config, plans, folder / "state")
        declared, _ = declare_features(config.features, context, {plan.kind for plan in plans.reads})
        expressions = {item.feature.name: item.feature.expression for item in declared}
        assert len(expressions) == len(declared)
        evaluate = BucketFeatures(engine.device, expressions, columns_needed(expressions), folder)
        for bucket in bucket_files(folder / "state" / "profiles"):
            evaluate(bucket.name)
        state = {
            path.name: pa.concat_tables(pq.read_table(file) for file in bucket_files(path))
            for path in (folder / "state").iterdir()
            if path.is_dir()
        }
        files = bucket_files(folder / "features")
        features = pa.concat_tables(pq.read_table(file) for file in files) if files else pa.table({"profile_id": []})
    dtypes = {item.feature.name: item.feature.dtype for item in declared}
    return Built(features.sort_by("profile_id"), dtypes, state, found)


def instants_of(world: World, kind: str) -> list[Instant]:
    """Events of all sources of a kind that count, classes of web events filled in, in order of time."""
    found: list[Instant] = []
    for source, events in world.events.items():
        if KINDS[source] != kind:
            continue
        rows = list(events)
        if kind == "web":
            for number, event in enumerate(rows):
                name = twins.web_class(event.values["event"], event.values["url"], OWN[source])
                rows[number] = Event(event.profile, event.wall, {**event.values, "class": name}, source)
        found += twins.instants(rows, as_of=AS_OF, zone=ZONE, source_zone=ZONES.get(source, "UTC"))
    return sorted(found, key=lambda instant: instant.at_us)


def tone_of(text: str) -> Decimal:
    """VADER's compound score of the first 5 000 characters."""
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    return Decimal(str(SentimentIntensityAnalyzer().polarity_scores(text[:5_000])["compound"]))


def expected(world: World, families: Sequence[str]) -> dict[int, dict[str, Any]]:
    """Features of every profile that a source of the families' kinds knows, by id."""
    end = twins.end_day(AS_OF)
    kinds = dict.fromkeys(FAMILY_KINDS[family] for family in families if family != "attributes")
    mine: dict[str, dict[int, list[Instant]]] = {}
    for kind in kinds:
        mine[kind] = {}
        for instant in instants_of(world, kind):
            mine[kind].setdefault(instant.event.profile, []).append(instant)
    networks = twins.largest([i["network"] for rows in mine.get("social", {}).values() for i in rows], 20)
    tone = lru_cache(tone_of)
    of_family = {
        "browsing": lambda rows: twins.browsing(rows, end, WINDOWS),
        "intent": lambda rows: twins.intent(rows, end, WINDOWS),
        "social": lambda rows: twins.social(rows, end, WINDOWS, networks),
        "feedback": lambda rows: twins.feedback(rows, end, WINDOWS, tone),
        "engagement": lambda rows: twins.engagement(rows, end, WINDOWS),
        "lifecycle": lambda rows: lifecycle([row.day for row in rows], end),
    }
    found: dict[int, dict[str, Any]] = {}
    for profile in sorted({profile for rows in mine.values() for profile in rows}):
        found[profile] = {}
        for family in families:
            if family == "attributes":
                found[profile] |= twins.attributes(world.people, profile, AS_OF)
            else:
                found[profile] |= of_family[family](mine[FAMILY_KINDS[family]].get(profile, []))
    return found
