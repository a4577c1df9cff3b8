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
from gpuseg.segments.model import Model
from gpuseg.segments.sample import SampleRule, sample_profiles
from gpuseg.segments.sums import MICRO_CLUSTER, MILLION, Collected, Sums


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


def totals_of(model: Model, collected: Collected) -> Totals:
    """Totals by segment."""
    sums, sample, k = collected.sums, collected.sample, model.n_segments
    if model.hierarchy is not None:
        sums, labels = sums.merged(model.segment_of_micro_clusters, k + 1), segment_ids(model, sample)
        sample = sample.drop_columns([MICRO_CLUSTER]).append_column("segment_id", as_arrow(labels))
    names = [feature["name"] for feature in model.features]
    return Totals(
        counts=sums.counts,
        n_no_data=sums.n_no_data,
        sums=dict(zip(names, sums.figures / _units_of(model), strict=True)),
        n_known=dict(zip(names, sums.n_known, strict=True)),
        sample=sample,
    )


def group_of(labels: npt.NDArray[np.int32], n_segments: int) -> npt.NDArray[np.int32]:
    """Segments with noise as one more group after them."""
    return np.where(labels < 0, np.int32(n_segments), labels)


def _units_of(model: Model) -> npt.NDArray[np.float64]:
    """How many units of `Sums` make one, for each feature, shape (n_features, 1)."""
    return np.array([[1.0 if feature["dtype"] == "int64" else MILLION] for feature in model.features])


def labelled_sample(model: Model, rule: SampleRule, engine: Engine, *, files: Sequence[Path]) -> pa.Table:
    """The sample of `Totals`, read again from the feature files."""
    sample = sample_profiles(rule, engine, files=files)
    return sample.append_column("segment_id", as_arrow(model.place(sample, engine.device).segment_id))


def segment_ids(model: Model, sample: pa.Table) -> npt.NDArray[np.int32]:
    """Segments of sampled profiles whose micro-clusters are known."""
    found: npt.NDArray[np.int32] = model.segment_of_micro_clusters[as_numpy(sample[MICRO_CLUSTER])]
    return found


def totals_of_sample(model: Model, sample: pa.Table, labels: npt.NDArray[np.int32]) -> Totals:
    """Totals of the sampled profiles alone; enough to find names."""
    names = [feature["name"] for feature in model.features]
    k = model.n_segments
    found = Sums.of(sample, names, group_of(labels, k), k + 1)
    return Totals(
        counts=found.counts,
        n_no_data=0,
        sums=dict(zip(names, found.figures / _units_of(model), strict=True)),
        n_known=dict(zip(names, found.n_known, strict=True)),
        sample=sample.append_column("segment_id", as_arrow(labels)),
    )
