"""Fits the model: the matrix's transformation on a sample of profiles, then K-means over all of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gpuseg.clustering.choose import Choice, choose_segments, n_distinct
from gpuseg.clustering.kmeans import AUTO_STARTS, SEEDING_ROWS, best_of, lloyd
from gpuseg.clustering.seeding import seed_centers
from gpuseg.config import Config
from gpuseg.engine import Engine
from gpuseg.errors import ClusteringError, ConfigError, EmptyDataError
from gpuseg.matrix.transform import MatrixTransform, fit_transform_of
from gpuseg.segments.cards import segment_cards
from gpuseg.segments.model import Model
from gpuseg.segments.naming import name_segments
from gpuseg.segments.sample import SampleRule, sample_profiles
from gpuseg.segments.totals import totals_of_sample
from gpuseg.workspace.files import read_table


@dataclass(frozen=True)
class Fitted:
    """A model and what there is to say about it.

    Parameters
    ----------
    model : Model
    warnings : tuple of str
    rows : dict of bucket file name to device array
        The matrix that it was fitted on.
    """

    model: Model
    warnings: tuple[str, ...]
    rows: dict[str, Any]


def fit_model(
    config: Config,
    engine: Engine,
    *,
    files: Sequence[Path],
    described: Sequence[Mapping[str, Any]],
    n_profiles: int,
    progress: Callable[[str, int], None],
) -> Fitted:
    """Fit transformation and centers on the feature files.

    Parameters
    ----------
    config : Config
    engine : Engine
    files : sequence of Path
        Feature files, one a bucket.
    described : sequence of mapping
        What `features.json` says.
    n_profiles : int
        Rows of all files together.
    progress : callable
        Called with ("fit", 1) after each pass over all rows.

    Returns
    -------
    Fitted

    Raises
    ------
    EmptyDataError
        If there are fewer than two profiles.
    ClusteringError
        If no feature varies.
    ConfigError
        If more segments are asked for than there are distinct profiles.
    """
    if n_profiles < 2:
        raise EmptyDataError(f"{n_profiles} profile has events before as_of; segments need at least 2")
    sample = sample_profiles(SampleRule(config.run.seed, n_profiles), engine, files=files)
    transform, warnings = _fit_matrix(config, sample, described)
    sampled = transform.apply(sample)
    variance = float(sampled.var(axis=0, dtype=np.float64).mean())
    choice = _choose(config, engine, sampled, variance)
    seeding = sampled[:SEEDING_ROWS]
    starts = seed_centers(seeding, choice.segments, n_starts=AUTO_STARTS, seed=config.run.seed)
    options: dict[str, Any] = {"device": engine.device, "executor": engine.executor, "variance": variance}
    best = best_of(starts, [engine.device.asarray(seeding)], **options)
    blocks = list(engine.executor.map(_Block(engine, transform), files))
    fit = lloyd(blocks, best.centers, on_pass=lambda: progress("fit", 1), **options)
    if not fit.counts.all():
        raise ClusteringError("a segment is empty after the last pass; ask for fewer segments")
    unnamed = Model(
        transform=transform,
        centers=fit.centers,
        counts=fit.counts,
        means=fit.sums / fit.counts[:, None],
        # Blocks add up in another order where there are other buckets; nine digits are the same.
        inertia=float(f"{fit.inertia:.9g}"),
        n_iter=fit.n_iter,
        choice=choice.as_dict(),
        features=tuple(dict(item) for item in described),
        method=config.cluster.method,
        seed=config.run.seed,
    )
    cards = segment_cards(unnamed, totals_of_sample(unnamed, sample, engine), medians=False)
    rows = {file.name: block for file, block in zip(files, blocks, strict=True)}
    return Fitted(replace(unnamed, names=tuple(name_segments(cards))), tuple(warnings), rows)


@dataclass(frozen=True)
class _Block:
    """Matrix rows of one feature file on the device."""

    engine: Engine
    transform: MatrixTransform

    def __call__(self, file: Path) -> Any:
        table = read_table(file, self.transform.features)
        return self.engine.device.asarray(self.transform.apply(table))


def _fit_matrix(
    config: Config, sample: pa.Table, described: Sequence[Mapping[str, Any]]
) -> tuple[MatrixTransform, list[str]]:
    families: dict[str, list[str]] = {}
    for item in described:
        # A weight on a feature is a wish to see it in the matrix.
        if item["in_matrix"] or item["name"] in config.features.weights:
            families.setdefault(item["family"], []).append(item["name"])
    transform = fit_transform_of(sample, families, matrix=config.matrix, features=config.features)
    warnings = []
    # Where there are few categories nothing is left for `share_other`, which is no news.
    constant = [name for name in transform.constant if name != "share_other"]
    if constant:
        warnings.append(f"constant features left out of the matrix: {', '.join(constant)}")
    if not transform.columns:
        raise ClusteringError("every feature is the same for all profiles; there is nothing to tell them apart by")
    return transform, warnings


def _choose(config: Config, engine: Engine, rows: npt.NDArray[np.float32], variance: float) -> Choice:
    section = config.cluster
    low, high = section.segments_range
    distinct = n_distinct(rows, enough=high if section.segments == "auto" else section.segments)
    if section.segments != "auto":
        if section.segments > distinct:
            raise ConfigError(
                f"cluster.segments: {section.segments} is more than the {distinct} distinct profiles; "
                f"nearest valid: {distinct}"
            )
        return Choice(section.segments, section.segments, f"{section.segments} segments were asked for")
    candidates = [k for k in range(low, high + 1) if k <= distinct and k < len(rows)]
    if not candidates:
        few = min(distinct, 2)
        return Choice(few, "auto", f"the data has only {distinct} distinct profiles")
    return choose_segments(
        rows,
        candidates,
        device=engine.device,
        executor=engine.executor,
        seed=config.run.seed,
        min_share=section.min_segment_share,
        variance=variance,
    )
