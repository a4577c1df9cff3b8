"""The sample of profiles on which the matrix is fitted, medians are taken and pictures are drawn."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gpuseg.engine import Engine
from gpuseg.engine.arrow import as_arrow
from gpuseg.engine.base import Device
from gpuseg.workspace.files import read_table

SAMPLE_PROFILES = 131_072
_MARGIN = 1.1


@dataclass(frozen=True)
class SampleRule:
    """Picks the profiles whose ids hash lowest: by ids and seed alone, not by files, buckets or the order of rows.

    Parameters
    ----------
    seed : int
        The run's seed.
    n_profiles : int
        Profiles of the run.
    """

    seed: int
    n_profiles: int

    def pick(self, table: pa.Table, device: Device) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint64]]:
        """Rows of a part of the profiles that may be in the sample, and their hashes."""
        # A seed of its own keeps the sample independent of the buckets, which use the plain hash.
        hashes = device.hash_ids(table["profile_id"], (self.seed << 1) | 1)
        share = SAMPLE_PROFILES * _MARGIN / self.n_profiles
        if share >= 1.0:
            return np.arange(hashes.size), hashes
        rows = np.flatnonzero(hashes <= np.uint64(int(share * 2**64)))
        return rows, hashes[rows]

    def order(self, hashes: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
        """The sample among all picked rows, in its canonical order."""
        return np.argsort(hashes, kind="stable")[:SAMPLE_PROFILES]


def sample_profiles(rule: SampleRule, engine: Engine, *, files: Sequence[Path]) -> pa.Table:
    """Features of the sampled profiles, at most `SAMPLE_PROFILES`, in canonical order, without ids."""
    parts = list(engine.executor.map(_Picker(rule, engine.device), files))
    order = rule.order(np.concatenate([hashes for _, hashes in parts]))
    return pa.concat_tables([table for table, _ in parts]).take(as_arrow(order))


@dataclass(frozen=True)
class _Picker:
    """The part of one feature file that may be in the sample."""

    rule: SampleRule
    device: Device

    def __call__(self, file: Path) -> tuple[pa.Table, npt.NDArray[np.uint64]]:
        table = read_table(file)
        rows, hashes = self.rule.pick(table, self.device)
        kept = table if rows.size == table.num_rows else table.take(as_arrow(rows))
        return kept.drop_columns(["profile_id"]), hashes
