"""Profiles and their features added up by group, exactly, and kept where another granularity is to be made of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gpuseg.errors import IntegrityError
from gpuseg.matrix.transform import feature_values
from gpuseg.segments.arrays import read_array, write_array
from gpuseg.workspace.files import read_json, read_table, write_json, write_table

MILLION = 1_000_000
MICRO_CLUSTER = "micro_cluster"
_ARRAYS = ("counts", "figures", "n_known")


@dataclass(frozen=True, eq=False)
class Sums:
    """What profiles add up to, by group.

    Parameters
    ----------
    counts : int64 array, shape (n_groups,)
        Profiles with events.
    figures : float64 array, shape (n_features, n_groups)
        Sums of the known values, floats in millionths: whole numbers, so that up to 2^53 no sum depends on the order of
        the profiles.
    n_known : int64 array, shape (n_features, n_groups)
        Profiles whose value is known.
    n_no_data : int
        Profiles without events, of no group.
    """

    counts: npt.NDArray[np.int64]
    figures: npt.NDArray[np.float64]
    n_known: npt.NDArray[np.int64]
    n_no_data: int = 0

    @classmethod
    def of(cls, table: pa.Table, names: Sequence[str], groups: npt.NDArray[Any], n_groups: int) -> "Sums":
        """Sums of the rows of a feature table whose groups are given, shape (n_rows,)."""
        figures, n_known = np.zeros((len(names), n_groups)), np.zeros((len(names), n_groups), np.int64)
        places = groups.astype(np.intp)
        everyone = np.bincount(places, minlength=n_groups)
        for position, name in enumerate(names):
            values = feature_values(table, name)
            if pa.types.is_floating(table.schema.field(name).type):
                values *= MILLION
                np.rint(values, out=values)
            if table[name].null_count:
                known = ~np.isnan(values)
                figures[position] = np.bincount(places[known], weights=values[known], minlength=n_groups)
                n_known[position] = np.bincount(places[known], minlength=n_groups)
            else:
                figures[position] = np.bincount(places, weights=values, minlength=n_groups)
                n_known[position] = everyone
        return cls(everyone, figures, n_known)

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(
            self.counts + other.counts,
            self.figures + other.figures,
            self.n_known + other.n_known,
            self.n_no_data + other.n_no_data,
        )

    def merged(self, into: npt.NDArray[Any], n_groups: int) -> "Sums":
        """Sums of fewer groups, where each of these goes into one of them, shape (n_groups of these,)."""

        def added(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
            found = np.zeros((*array.shape[:-1], n_groups), array.dtype)
            np.add.at(found.T, into, array.T)
            return found

        return Sums(added(self.counts), added(self.figures), added(self.n_known), self.n_no_data)


@dataclass(frozen=True, eq=False)
class Collected:
    """What one pass over all profiles leaves for the cards.

    Parameters
    ----------
    sums : Sums
        By micro-cluster where segments are made of these, else by segment, and last for noise.
    sample : Arrow table
        Features of the sampled profiles in canonical order, without ids, with `micro_cluster` or else `segment_id`.
    """

    sums: Sums
    sample: pa.Table

    def save(self, folder: Path) -> None:
        """Write the arrays and the sample."""
        for name in _ARRAYS:
            write_array(folder / f"{name}.npy", getattr(self.sums, name))
        write_json(folder / "totals.json", {"n_no_data": self.sums.n_no_data})
        write_table(folder / "sample.parquet", self.sample, nullable=self.sample.column_names)

    @classmethod
    def read(cls, folder: Path) -> "Collected":
        """Read what `save` wrote.

        Raises
        ------
        IntegrityError
            If a file is missing or damaged.
        """
        arrays = {name: read_array(folder / f"{name}.npy") for name in _ARRAYS}
        try:
            n_no_data = read_json(folder / "totals.json")["n_no_data"]
        except (KeyError, TypeError):
            raise IntegrityError(f"{folder / 'totals.json'}: is not whole") from None
        return cls(Sums(**arrays, n_no_data=n_no_data), read_table(folder / "sample.parquet"))
