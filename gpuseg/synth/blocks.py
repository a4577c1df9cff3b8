"""Cuts the profiles into blocks that fit in memory, with random numbers that do not depend on each other."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate, pairwise

import numpy as np

from gpuseg.synth.columns import Array
from gpuseg.synth.spec import EVENT_PARTS, SYNTH_KINDS, SynthSpec

BLOCK_EVENTS = 1 << 20
BLOCK_PROFILES = 1 << 17
# A stream's position is part of its seed.
STREAMS = ("profiles", "counts", "truth", *SYNTH_KINDS)


@dataclass(frozen=True)
class Block:
    """Consecutive profiles that are made together, and their events per kind."""

    index: int
    first: int
    size: int
    rows: dict[str, int]


def plan_blocks(spec: SynthSpec) -> Iterator[Block]:
    """Blocks whose events add up exactly; each has at least one event per profile where the whole has."""
    left = _rows(spec)
    size = min(BLOCK_PROFILES, max(1, BLOCK_EVENTS * spec.n_profiles // max(1, spec.n_events)))
    for index, first in enumerate(range(0, spec.n_profiles, size)):
        waiting = spec.n_profiles - first
        n = min(size, waiting)
        rows = {kind: count * n // waiting for kind, count in left.items()}
        if sum(left.values()) >= waiting:
            for kind in rows:
                rows[kind] += max(0, min(n - sum(rows.values()), left[kind] - rows[kind]))
        left = {kind: count - rows[kind] for kind, count in left.items()}
        yield Block(index, first, n, rows)


def random_stream(spec: SynthSpec, block: Block, stream: str, part: int = 0) -> np.random.Generator:
    """Start the random numbers of one of `STREAMS`, the same whatever else was made before."""
    entropy = [spec.seed, block.index, STREAMS.index(stream), part]
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(entropy)))


def split_counts(counts: Array) -> Iterator[Array]:
    """Split the counts of a block whose few profiles have very many events; usually there is one part."""
    n = -(-int(counts.sum()) // (2 * BLOCK_EVENTS))
    for part in range(n):
        yield counts * (part + 1) // n - counts * part // n


def _rows(spec: SynthSpec) -> dict[str, int]:
    """Events per kind, in the proportions of `EVENT_PARTS`."""
    ends = list(accumulate((EVENT_PARTS[kind] for kind in spec.event_kinds), initial=0))
    bounds = [spec.n_events * end // max(1, ends[-1]) for end in ends]
    return {kind: end - start for kind, (start, end) in zip(spec.event_kinds, pairwise(bounds), strict=True)}
