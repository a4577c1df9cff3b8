"""Fits the model: the matrix's transformation on a sample of profiles, then the clusters of all of them."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gpuseg.config import Config
from gpuseg.engine import Engine
from gpuseg.engine.held import Held
from gpuseg.errors import ClusteringError, EmptyDataError
from gpuseg.matrix.transform import MatrixTransform, fit_transform_of
from gpuseg.progress import Meter
from gpuseg.segments.blocks import MatrixBlock
from gpuseg.segments.cards import deciding_cards
from gpuseg.segments.methods import METHODS
from gpuseg.segments.methods.base import Rows
from gpuseg.segments.model import Model
from gpuseg.segments.naming import name_segments
from gpuseg.segments.sample import SampleRule, sample_profiles
from gpuseg.segments.totals import totals_of_sample
from gpuseg.workspace.ledger import Ledger


@dataclass(frozen=True)
class Fitted:
    """A model and what there is to say about it.

    Parameters
    ----------
    model : Model
    warnings : tuple of str
    rows : dict of bucket file name to MatrixBlock
        The matrix that it was fitted on, as `Model.place` takes it.
    """

    model: Model
    warnings: tuple[str, ...]
    rows: dict[str, MatrixBlock]


def fit_model(
    config: Config,
    engine: Engine,
    *,
    files: Sequence[Path],
    described: Sequence[Mapping[str, Any]],
    n_profiles: int,
    ledger: Ledger,
    progress: Meter,
) -> Fitted:
    """Fit transformation and centers on the feature files.

    Parameters
    ----------
    config : Config
    engine : Engine
    files : sequence of Path
        Feature files, one a bucket.
    described : sequence of mapping
        What `_features.json` says.
    n_profiles : int
        Rows of all files together.
    ledger : Ledger
        How far an earlier attempt came; rows lie in its folder where they are too many for memory.
    progress : Meter
        Told of the steps "choose" and "fit" (passes over all rows), and of what takes long.

    Returns
    -------
    Fitted

    Raises
    ------
    EmptyDataError
        If there are fewer than two profiles.
    ClusteringError
        If no feature varies, or the method finds no segments.
    EngineError
        If the method cannot work on so many profiles on this device.
    ConfigError
        If more segments, or larger ones, are asked for than there can be.
    """
    if n_profiles < 2:
        raise EmptyDataError(f"{n_profiles} profile has events before as_of; segments need at least 2")
    sample = sample_profiles(SampleRule(config.run.seed, n_profiles), engine, files=files)
    transform, warnings = _fit_matrix(config, sample, described)
    method = METHODS[config.cluster.method]
    # Workers may outlive an attempt, and must not take its rows for those of the next.
    attempt = uuid4().hex
    stored, held = ledger.folder / "matrix" / attempt, Held(attempt, engine.device.held_bytes)
    shutil.rmtree(stored.parent, ignore_errors=True)
    blocks = [MatrixBlock(file, stored / f"{file.stem}.npy", transform, held, method.on_host) for file in files]
    published = [item["name"] for item in described if item.get("published", True)]
    rows = Rows(transform.apply(sample), n_profiles, blocks, sample, published)
    clusters = method.find(config, engine, rows, ledger, progress)
    model = Model(
        transform=transform,
        centers=clusters.centers,
        counts=clusters.counts,
        means=clusters.means,
        inertia=clusters.inertia,
        n_iter=clusters.n_iter,
        choice=clusters.choice,
        features=tuple(dict(item) for item in described),
        method=config.cluster.method,
        seed=config.run.seed,
        placer=clusters.placer,
        names=clusters.names,
    )
    by_bucket = {file.name: block for file, block in zip(files, blocks, strict=True)}
    if not model.names:
        model = named(model, sample, model.place(sample, engine.device).segment_id)
    return Fitted(model, (*warnings, *clusters.warnings), by_bucket)


def named(model: Model, sample: pa.Table, labels: npt.NDArray[np.int32]) -> Model:
    """The model with names for its segments, by sampled profiles and their segments."""
    totals = totals_of_sample(model, sample, labels)
    names = name_segments(deciding_cards(model, totals), totals.means())
    return replace(model, names=tuple(names))


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
