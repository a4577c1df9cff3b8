"""Makes the CRM rows of a block."""

import numpy as np

from gpuseg.synth.columns import WORDS, Array, Columns
from gpuseg.synth.events import with_nulls
from gpuseg.synth.profiles import Profiles
from gpuseg.vocabulary import DAY_US

CRM_SHARE = 0.9


def make_crm(rng: np.random.Generator, profiles: Profiles, has_event: Array) -> Columns:
    """One row for most profiles and for every profile without an event; columns as in `events`."""
    row = np.flatnonzero((rng.random(len(has_event)) < CRM_SHARE) | ~has_event)
    n = len(row)

    def around(name: str, deviation: float, low: int, high: int) -> Array:
        drawn = profiles.trait(name)[row] + deviation * rng.standard_normal(n)
        return np.clip(np.rint(drawn), low, high).astype(np.int32)

    opened = profiles.history.start_us // DAY_US + np.floor(profiles.opens[row] * profiles.history.days)
    return {
        "customer_id": row,
        "age": with_nulls(rng, around("age", 7, 18, 95)),
        "income_band": around("income", 0.8, 0, len(WORDS["income_band"]) - 1),
        "region": rng.integers(0, len(WORDS["region"]), n),
        "loyalty_tier": around("tier", 0.7, 0, len(WORDS["loyalty_tier"]) - 1),
        "signup_date": (opened - rng.integers(0, 400, n)).astype(np.int32),
        "marketing_consent": rng.random(n) < profiles.trait("consent")[row],
    }
