"""Sums over the profiles of each segment, from which cards are made."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import fsum
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gpuseg.engine import Engine
from gpuseg.engine.arrow import as_arrow, as_numpy
from gpuseg.engine.base import Device
from gpuseg.matrix.transform import feature_values
from gpuseg.segments.model import Model
from gpuseg.segments.sample import SampleRule, sample_profiles

_MILLION = 1_000_000


@dataclass(frozen=True)
class Totals:
    """What one pass over profiles found.

    Parameters
    ----------
    counts : int64 array, shape (n_segments + 1,)
        Profiles of each segment, and last of noise, as in all arrays here.
    n_no_data : int
        Profiles without events.
    sums : mapping of feature name to float64 array, shape (n_segments + 1,)
        Sum of the feature over the profiles that have it.
    n_known : mapping of feature name to int64 array, shape (n_segments + 1,)
        How many have it.
    sample : Arrow table
        Features and `segment_id` of the sampled profiles, in canonical order, without ids.
    """

    counts: npt.NDArray[np.int64]
    n_no_data: int
    sums: Mapping[str, npt.NDArray[np.float64]]
    n_known: Mapping[str, npt.NDArray[np.int64]]
    sample: pa.Table

    def means(self) -> dict[str, float | None]:
        """Mean of each feature over everyone who has it, noise included."""
        n_known = {name: int(known.sum()) for name, known in self.n_known.items()}
        return {name: fsum(sums) / n_known[name] if n_known[name] else None for name, sums in self.sums.items()}

    def without_noise(self) -> "Totals":
        """The same without the profiles that are in no segment."""
        if not self.counts[-1]:
            return self

        def emptied(groups: npt.NDArray[Any]) -> npt.NDArray[Any]:
            return np.append(groups[:-1], np.zeros(1, groups.dtype))

        return Totals(
            counts=emptied(self.counts),
            n_no_data=self.n_no_data,
            sums={name: emptied(groups) for name, groups in self.sums.items()},
            n_known={name: emptied(groups) for name, groups in self.n_known.items()},
            sample=self.sample.filter(as_arrow(as_numpy(self.sample["segment_id"]) >= 0)),
        )


def group_of(labels: npt.NDArray[np.int32], n_segments: int) -> npt.NDArray[np.int32]:
    """Segments with noise as one more group after them."""
    return np.where(labels < 0, np.int32(n_segments), labels)


def segment_sums(
    table: pa.Table, names: Sequence[str], labels: npt.NDArray[np.int32], n_segments: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Sum and number of the known values of each feature by segment, both of shape (n_features, n_segments).

    Sums are in the units of `units_of`, in which values are whole numbers, so that up to 2^53 no sum depends on the
    order of the profiles.
    """
    sums, n_known = np.zeros((len(names), n_segments)), np.zeros((len(names), n_segments), np.int64)
    places = labels.astype(np.intp)
    everyone = np.bincount(places, minlength=n_segments)
    for position, name in enumerate(names):
        values = feature_values(table, name)
        if pa.types.is_floating(table.schema.field(name).type):
            values *= _MILLION
            np.rint(values, out=values)
        if table[name].null_count:
            known = ~np.isnan(values)
            sums[position] = np.bincount(places[known], weights=values[known], minlength=n_segments)
            n_known[position] = np.bincount(places[known], minlength=n_segments)
        else:
            sums[position] = np.bincount(places, weights=values, minlength=n_segments)
            n_known[position] = everyone
    return sums, n_known


def units_of(model: Model) -> npt.NDArray[np.float64]:
    """How many units of `segment_sums` make one, for each feature, shape (n_features, 1): floats go in millionths."""
    return np.array([[1.0 if feature["dtype"] == "int64" else _MILLION] for feature in model.features])


def labelled_sample(model: Model, rule: SampleRule, engine: Engine, *, files: Sequence[Path]) -> pa.Table:
    """The sample of `Totals`, read again from the feature files."""
    sample = sample_profiles(rule, engine, files=files)
    return sample.append_column("segment_id", as_arrow(model.place(sample, engine.device).segment_id))


def totals_of_sample(model: Model, sample: pa.Table, device: Device) -> Totals:
    """Totals of the sampled profiles alone, with the counts of the whole fit; enough to find names."""
    labels = model.place(sample, device).segment_id
    names = [feature["name"] for feature in model.features]
    k = model.n_segments
    sums, n_known = segment_sums(sample, names, group_of(labels, k), k + 1)
    counts, _ = model.groups()
    return Totals(
        counts=np.append(counts, 0)[: k + 1],
        n_no_data=0,
        sums=dict(zip(names, sums / units_of(model), strict=True)),
        n_known=dict(zip(names, n_known, strict=True)),
        sample=sample.append_column("segment_id", as_arrow(labels)),
    )
