"""Makes the profiles of a block: segment, traits, and how many events of each kind."""

import datetime as dt
import zoneinfo
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gpuseg.synth.blocks import Block, random_stream
from gpuseg.synth.columns import Array
from gpuseg.synth.personas import PERSONAS, SEGMENT_PERCENT, TASTE_SLOTS, TASTES
from gpuseg.synth.spec import TIMEZONE, SynthSpec

SECOND_US = 1_000_000


class History(NamedTuple):
    """The time in which events lie: first and end instant in microseconds UTC, and the days between them."""

    start_us: int
    end_us: int
    days: int


@dataclass(frozen=True)
class Profiles:
    """Traits of a block's profiles; arrays have shape (n_profiles,).

    Parameters
    ----------
    ids : pyarrow.Array
        Ids as in the files.
    segment : int64 array
        Position in `PERSONAS`.
    opens, active : float64 array
        Share of the history at which activity starts, and that it lasts.
    energy, spend : float64 array
        Factor on the number of events and on amounts.
    favourite : uint8 array
        Position in `DEPARTMENTS`.
    history : History
        The same for every profile.
    """

    ids: pa.Array
    segment: Array
    opens: Array
    active: Array
    energy: Array
    spend: Array
    favourite: Array
    history: History

    def trait(self, name: str) -> Array:
        """Look up a persona's figure for every profile."""
        return _trait(name, self.segment)


def make_profiles(spec: SynthSpec, block: Block) -> Profiles:
    """Draw segments and traits of the profiles of a block."""
    rng = random_stream(spec, block, "profiles")
    segment = _segments(spec, block, rng)
    quiet = _drawn(rng, "quiet", segment)
    active = _drawn(rng, "active", segment)
    return Profiles(
        ids=_ids(spec, block),
        segment=segment,
        opens=1 - quiet - active,
        active=active,
        energy=rng.lognormal(0, 0.3, block.size),
        spend=rng.lognormal(0, 0.2, block.size),
        favourite=TASTES[segment, rng.integers(0, TASTE_SLOTS, block.size)],
        history=_history(spec),
    )


def count_events(spec: SynthSpec, block: Block, profiles: Profiles) -> dict[str, Array]:
    """Events per profile and kind, int64 (n_profiles,); each kind adds up to the block's rows of it."""
    rng = random_stream(spec, block, "counts")
    order = rng.permutation(block.size)
    counts = {}
    covered = 0
    for kind, n in block.rows.items():
        # Where CRM rows can stand in for events, a kind with few of them leaves them to chance.
        promised = min(n, block.size - covered) if "crm" not in spec.kinds or n >= block.size else 0
        base = np.zeros(block.size, dtype=np.int64)
        base[order[covered : covered + promised]] = 1
        covered += promised
        weights = profiles.trait(kind) * profiles.energy
        counts[kind] = base + rng.multinomial(n - promised, weights / weights.sum())
    return counts


def _trait(name: str, segment: Array) -> Array:
    return np.array([getattr(persona, name) for persona in PERSONAS])[segment]


def _drawn(rng: np.random.Generator, name: str, segment: Array) -> Array:
    """Draw from the persona's range for every profile."""
    low, high = _trait(name, segment).T
    drawn: Array = rng.uniform(low, high)
    return drawn


def _history(spec: SynthSpec) -> History:
    zone = zoneinfo.ZoneInfo(TIMEZONE)
    days = (spec.as_of - dt.timedelta(days=spec.history_days), spec.as_of)
    start, end = (int(dt.datetime.combine(day, dt.time(), zone).timestamp()) * SECOND_US for day in days)
    return History(start, end, spec.history_days)


def _segments(spec: SynthSpec, block: Block, rng: np.random.Generator) -> Array:
    """Deal the segments so that every hundred profiles hold them in their percentages."""
    hundred = np.repeat(np.arange(spec.n_segments), SEGMENT_PERCENT[spec.n_segments])
    np.random.Generator(np.random.PCG64(spec.seed)).shuffle(hundred)
    # The first profiles take one segment each, so that none is empty however few the profiles are.
    profile = np.arange(block.first, block.first + block.size)
    segment: Array = np.where(profile < spec.n_segments, profile, hundred[profile % 100])
    rng.shuffle(segment)
    return segment


def _ids(spec: SynthSpec, block: Block) -> pa.Array:
    numbers = pa.array(np.arange(block.first + 1, block.first + block.size + 1))
    if spec.id_type == "int64":
        return numbers
    width = max(7, len(str(spec.n_profiles)))
    return pc.binary_join_element_wise("C-", pc.utf8_lpad(numbers.cast(pa.string()), width, "0"), "")
