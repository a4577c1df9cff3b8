"""Rows of web, social, feedback and contacts sources as state: cells, sessions, and what no order or split changes."""

import datetime as dt
from collections import defaultdict
from decimal import ROUND_HALF_EVEN, Decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuseg.engine.expression import DECAY_UNIT, Reduction
from tests import event_worlds as worlds
from tests.event_twins import CONTACT_WORDS, FUNNEL, SOCIAL_WORDS, WEB_WORDS, decayed_weight, sessions_of
from tests.event_worlds import AS_OF, ZONE, build, config_of_world, frames_of, instants_of, make_world

FAMILIES = ("browsing", "intent", "social", "feedback", "engagement", "lifecycle", "attributes")
MIDNIGHT = dt.datetime(2017, 12, 5, 5)
SECOND = dt.timedelta(seconds=1)


def whole(made):
    """State and features in the order of profiles, whatever bucket they came from."""
    tables = {"features": made.features, **made.state}
    return {name: table.sort_by("profile_id") for name, table in tables.items()}


@settings(max_examples=15)
@given(
    seed=st.integers(0, 30),
    n_profiles=st.integers(3, 9),
    order=st.integers(0, 10**6),
    n_files=st.integers(1, 4),
    buckets=st.sampled_from([1, 2, 7]),
    chunk_rows=st.one_of(st.integers(1, 3), st.integers(4, 200)),
)
def test_no_order_split_bucket_or_chunk_changes_a_bit(
    engine, config_of, tmp_path_factory, seed, n_profiles, order, n_files, buckets, chunk_rows
):
    world = make_world(seed, n_profiles)
    frames = {name: table for name, table in frames_of(world).items() if table.num_rows}
    rng = np.random.default_rng(order)
    folder = tmp_path_factory.mktemp("sources")
    files = {}
    for name, table in frames.items():
        places = np.array_split(rng.permutation(table.num_rows), n_files)
        for part, mine in enumerate(places):
            pq.write_table(table.take(mine), folder / f"{name}-{part}.parquet", row_group_size=5)
        files[name] = f"{folder}/{name}-*.parquet"
    found = []
    for number, uris in (
        ({"buckets": 1, "chunk_rows": 10**6}, {}),
        ({"buckets": buckets, "chunk_rows": chunk_rows}, files),
    ):
        sources = [worlds.source_settings(name, **({"uri": uris[name]} if uris else {})) for name in frames]
        config = config_of(
            *sources,
            sections={"features": {"families": FAMILIES, "windows_days": [30]}},
            as_of=AS_OF,
            timezone=ZONE,
            engine=engine.device.name,
            **number,
        )
        found.append(whole(build(engine, config, None if uris else frames)))
    assert found[0].keys() == found[1].keys()
    for name, table in found[0].items():
        assert table.schema.equals(found[1][name].schema), name
        assert table.to_pylist() == found[1][name].to_pylist(), name


def measures_of(kind, instant):
    """The figures that an event adds to its day cell, and what splits the cells."""
    if kind == "web":
        dwell = instant["dwell_ms"]
        return instant["class"], {"dwell_ms": dwell or 0, "n_dwells": int(dwell is not None)}
    if kind == "social":
        return instant["network"], {"n_created": int(SOCIAL_WORDS.get(instant["action"]) == "create")}
    if kind == "contacts":
        name = CONTACT_WORDS.get(instant["event"], "contact" if instant["event"] is None else "other")
        return None, {"n_contacts": int(name == "contact"), "n_responses": int(name == "response")}
    rating, nps, comment = instant["rating"], instant["nps"], instant["comment"]
    said = comment is not None and bool(comment.strip())
    milli = 0 if rating is None else int((Decimal(rating) * 1000).to_integral_value(ROUND_HALF_EVEN))
    return None, {
        "rating_milli": milli,
        "n_ratings": int(rating is not None),
        "n_nps": int(nps is not None),
        "n_promoters": int(nps is not None and nps in (9, 10)),
        "n_detractors": int(nps is not None and nps in range(7)),
        "sentiment_e4": int(worlds.tone_of(comment) * 10_000) if said else 0,
        "n_comments": int(said),
    }


@pytest.mark.parametrize("kind", ["web", "social", "feedback", "contacts"])
def test_cells_are_sums_over_profile_day_and_category(engine, config_of, kind):
    world = make_world(4, 40)
    config = config_of_world(config_of, world, families=("lifecycle",), engine=engine.device.name)
    table = build(engine, config, frames_of(world)).state[f"{kind}.cells"]
    groups = defaultdict(list)
    for instant in instants_of(world, kind):
        category, measures = measures_of(kind, instant)
        groups[instant.event.profile, instant.day, category].append((instant.at_us, measures))
    twin = {
        key: {
            "n_lines": len(rows),
            **{name: sum(measures[name] for _, measures in rows) for name in rows[0][1]},
            "first_us": min(at for at, _ in rows),
            "span_us": max(at for at, _ in rows) - min(at for at, _ in rows),
        }
        for key, rows in groups.items()
    }
    rows = table.to_pylist()
    found = {(row.pop("profile_id"), row.pop("day"), row.pop("category", None)): row for row in rows}
    assert len(found) == len(rows) > 30
    assert found == twin


def test_sessions_are_those_of_the_twin(engine, config_of):
    world = make_world(4, 40)
    config = config_of_world(config_of, world, families=("lifecycle",), engine=engine.device.name)
    table = build(engine, config, frames_of(world)).state["web.sessions"]
    mine = defaultdict(list)
    for instant in instants_of(world, "web"):
        mine[instant.event.profile].append(instant)
    twin = {profile: [vars(session) for session in sessions_of(rows)] for profile, rows in mine.items()}
    found = defaultdict(list)
    for row in table.to_pylist():
        found[row.pop("profile_id")].append(row)
    assert found == twin
    spans = [session["span_us"] for rows in twin.values() for session in rows]
    assert 0 in spans
    assert any(session["n_lines"] > 1 and session["span_us"] == 0 for rows in twin.values() for session in rows)


def web_state(engine, config_of, *sources):
    """State of web sources, each a list of (seconds after New York's midnight, word)."""
    frames = {
        f"web{number}": pa.table(
            {
                "profile_id": pa.array([7] * len(rows), pa.int64()),
                "at": pa.array([MIDNIGHT + seconds * SECOND for seconds, _ in rows], pa.timestamp("us")),
                "event": pa.array([word for _, word in rows], pa.string()),
            }
        )
        for number, rows in enumerate(sources)
    }
    settings = [{"name": name, "kind": "web"} for name in frames]
    return build(engine, config_of(*settings, as_of=AS_OF, timezone=ZONE, engine=engine.device.name), frames).state


@pytest.mark.parametrize(
    ("steps", "n_lines"),
    [
        ([0, 1800], [2]),
        ([0, 1800.000001], [1, 1]),
        ([0, 0, 0], [3]),
        ([-60, 60], [2]),
        ([0, 1800, 3600, 5400.000001, 7000], [3, 2]),
    ],
    ids=["thirty minutes", "a microsecond more", "equal times", "over midnight", "a chain"],
)
def test_where_sessions_are_cut(engine, config_of, steps, n_lines):
    table = web_state(engine, config_of, [(step, "page_view") for step in reversed(steps)])["web.sessions"]
    assert table["n_lines"].to_pylist() == n_lines
    first = (dt.date(2017, 12, 4 if steps[0] < 0 else 5) - dt.date(1970, 1, 1)).days
    assert table["day"].to_pylist() == [first] * len(n_lines)


def test_a_session_spans_sources(engine, config_of):
    """Two sources of one kind are one stream of events: their cells and sessions are those of one source."""
    rows = [(number * 900, word) for number, word in enumerate(WEB_WORDS)]
    apart, one = web_state(engine, config_of, rows[::2], rows[1::2]), web_state(engine, config_of, rows)
    assert one["web.sessions"].num_rows == 1
    for name in ("web.cells", "web.sessions"):
        assert apart[name].equals(one[name])


@pytest.mark.parametrize("name", FUNNEL)
def test_depth_is_the_latest_step_of_a_session(engine, config_of, name):
    word = next(word for word, its in WEB_WORDS.items() if its == name)
    earlier = [(0, word)] if name == "other" else [(0, word), (1, "page_view"), (2, "hovered")]
    (row,) = web_state(engine, config_of, earlier)["web.sessions"].to_pylist()
    assert row["depth"] == FUNNEL.index(name)
    assert (row["n_carts"], row["n_purchases"]) == (int(name == "cart"), int(name == "purchase"))


def test_every_day_of_decay_has_its_weight(device):
    """A row weighs 2^20 halved every 14 days, to the nearest whole number; the day before the end has age 0."""
    ages = [*range(330), 5_000]
    days = pa.array([20_000 - 1 - age for age in ages], pa.int32())
    table = pa.table({"profile_id": pa.array(range(len(ages)), pa.int64()), "day": days, "n_lines": [1] * len(ages)})
    score = Reduction("web.cells", "sum", "n_lines", None, None, 14, 20_000)
    found = device.evaluate({"web.cells": table}, {"score": score})["score"].to_pylist()
    assert found == [decayed_weight(age) for age in ages]
    assert (found[0], found[14], found[280], found[294]) == (DECAY_UNIT, DECAY_UNIT // 2, 1, 0)
