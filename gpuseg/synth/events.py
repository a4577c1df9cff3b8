"""Makes the rows of each kind of event, in the order of their profiles.

Every maker takes the random numbers to use, the profiles of a block and the events of each, and returns columns:
`customer_id` is a position in the block, a text column a position in its `WORDS`.
"""

import numpy as np

from gpuseg.synth.columns import ITEMS, PHRASES, WORDS, Array, Columns
from gpuseg.synth.personas import DEPARTMENTS, TASTE_SLOTS, TASTES
from gpuseg.synth.profiles import SECOND_US, Profiles
from gpuseg.vocabulary import DAY_US

REFUND_SHARE = 0.03
# Below the default quality.max_null_share, so that the written configuration runs as it is.
NULL_SHARE = 0.02


def make_purchases(rng: np.random.Generator, profiles: Profiles, counts: Array) -> Columns:
    """Lines of orders, numbered from 1; cents as a decimal amount, negative for refunds."""
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


def make_web(rng: np.random.Generator, profiles: Profiles, counts: Array) -> Columns:
    """Page views in sessions; some begin at the home page, some end in the cart and the checkout."""
    owner, session, first = _occasions(rng, counts, mean=np.full(len(counts), 7.0), most=25)
    n = len(owner)
    dwell_ms = np.clip(rng.lognormal(9.9, 0.9, n), 500, 240_000).astype(np.int32)
    before = np.cumsum(dwell_ms, dtype=np.int64) - dwell_ms
    offset_us = (before - before[first][session]) * 1000
    department = _departments(rng, profiles, owner).astype(np.int32)
    what = rng.random(n)
    # Positions in WORDS["url"]: home, cart, checkout, then searches, departments and items.
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
    at = np.minimum(at, profiles.history.end_us - SECOND_US)
    return {"customer_id": owner, "ts": at, "url": url, "event": event, "dwell_ms": dwell_ms}


def make_social(rng: np.random.Generator, profiles: Profiles, counts: Array) -> Columns:
    """Actions, mostly on the favoured network."""
    owner = np.repeat(np.arange(len(counts)), counts)
    anywhere = rng.integers(0, len(WORDS["network"]), len(owner))
    network = np.where(rng.random(len(owner)) < 0.6, profiles.trait("network")[owner], anywhere)
    action = np.searchsorted([0.62, 0.82, 0.95], rng.random(len(owner)))
    return {"customer_id": owner, "ts": _instants(rng, profiles, owner), "network": network, "action": action}


def make_feedback(rng: np.random.Generator, profiles: Profiles, counts: Array) -> Columns:
    """Ratings from 1 to 5, recommendations from 0 to 10 and comments that agree; some of each are missing."""
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
        "rating": with_nulls(rng, rating),
        "nps": with_nulls(rng, nps),
        "comment": with_nulls(rng, comment),
    }


EVENT_MAKERS = {"purchases": make_purchases, "web": make_web, "social": make_social, "feedback": make_feedback}


def with_nulls(rng: np.random.Generator, values: Array) -> Array:
    """Mask a few of the values."""
    return np.ma.masked_array(values, mask=rng.random(len(values)) < NULL_SHARE)


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


def _instants(rng: np.random.Generator, profiles: Profiles, owner: Array) -> Array:
    """Place every occasion in daytime of the active time, int64 microseconds UTC; `owner` ascends."""
    start_us, end_us, days = profiles.history
    n = np.bincount(owner, minlength=len(profiles.segment))
    rank = np.arange(len(owner)) - (np.cumsum(n) - n)[owner]
    spread = (1 + (1 - profiles.trait("regular")) * (n - 1))[owner]
    place = (rank + 0.5 + spread * (rng.random(len(owner)) - 0.5)) / n[owner] % 1
    day = np.floor((profiles.opens[owner] + profiles.active[owner] * place) * days).astype(np.int64)
    # From 08:00 to 21:00: an hour gained or lost to summer time stays inside the day.
    second = (8 * 3600 + 6.5 * 3600 * (rng.random(len(owner)) + rng.random(len(owner)))).astype(np.int64)
    instants: Array = np.clip(start_us + day * DAY_US + second * SECOND_US, start_us, end_us - SECOND_US)
    return instants


def _departments(rng: np.random.Generator, profiles: Profiles, owner: Array) -> Array:
    """Draw a department for every row by taste; one in ten is the profile's own favourite."""
    slots = rng.integers(0, TASTE_SLOTS, len(owner), dtype=np.uint16)
    drawn = TASTES[profiles.segment[owner], slots]
    return np.where(rng.random(len(owner), dtype=np.float32) < 0.1, profiles.favourite[owner], drawn)
