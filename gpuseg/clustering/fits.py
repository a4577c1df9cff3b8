"""The fits of `Segmenter` that part all rows: K-means and the hierarchy.

`given` is the Segmenter itself, whose parameters are valid.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from gpuseg.clustering.choose import CHOICE_ROWS, choose_cut, choose_segments, n_distinct
from gpuseg.clustering.hierarchy import Hierarchy, fit_hierarchy, n_points_of
from gpuseg.clustering.kmeans import AUTO_STARTS, SEEDING_ROWS, Fit, best_of, lloyd
from gpuseg.clustering.micro import MICRO_ROWS
from gpuseg.clustering.parameters import MOST_IN_FLOAT32
from gpuseg.clustering.passes import Labels, assign, labels_for
from gpuseg.clustering.row_blocks import row_blocks, variance_of
from gpuseg.clustering.seeding import seed_centers
from gpuseg.engine import Engine
from gpuseg.engine.matrix import GRID
from gpuseg.errors import ClusteringError, ConfigError

AUTO_MIN_SHARE = 0.01
_AUTO_RANGE = (2, 12)
_LEAST_COARSE = 2.0**-40


def hierarchy_of(given: Any, rows: npt.NDArray[Any], engine: Engine) -> tuple[Hierarchy, Labels, int]:
    """The hierarchy, the micro-cluster of every row, and the number of segments."""
    blocks = row_blocks(rows, engine)
    # Centers start from the first of these, so they come in no order.
    drawn = np.random.default_rng(given.seed).permutation(len(rows))[:MICRO_ROWS]
    sample = np.ascontiguousarray(rows[drawn])
    n_micro = n_points_of(len(rows)) if given.micro_clusters == "auto" else int(given.micro_clusters)
    counts = [k for k in _counts(given, rows, sample) if k <= n_micro]
    if not counts:
        raise ClusteringError(
            f"n_segments={given.n_segments} is more than the {n_micro} micro-clusters; set micro_clusters higher"
        )
    labels = labels_for(len(rows), n_micro)
    where: dict[str, Any] = {"device": engine.device, "executor": engine.executor}
    hierarchy = fit_hierarchy(blocks, sample, n_micro, labels=labels, **where)
    counts = [k for k in counts if k <= hierarchy.tree.n_points] or [hierarchy.tree.n_points]
    if len(counts) == 1:
        return hierarchy, labels, counts[0]
    options = {**where, "seed": given.seed, "min_share": AUTO_MIN_SHARE, "variance": variance_of(blocks, engine)}
    return hierarchy, labels, choose_cut(hierarchy, sample, counts, **options).segments


def kmeans_of(given: Any, rows: npt.NDArray[Any], engine: Engine) -> tuple[Fit, Labels]:
    """K-means and the label of every row."""
    blocks = row_blocks(rows, engine, engine.device.pass_rows)
    own = not isinstance(given.init, str)
    chosen = given.n_segments == "auto" and not own
    variance = variance_of(blocks, engine) if given.tol > 0 or chosen else 1.0
    where: dict[str, Any] = {"device": engine.device, "executor": engine.executor}
    options = {**where, "max_iter": given.max_iter, "tol": given.tol, "variance": variance}
    if own:
        centers = np.asarray(given.init, rows.dtype)
        if centers.shape[1] != rows.shape[1] or not np.isfinite(centers).all():
            raise ConfigError(f"init of shape {centers.shape} must hold finite centers of {rows.shape[1]} features")
        if len(centers) > len(rows):
            raise ClusteringError(f"init of {len(centers)} centers is more than the {len(rows)} rows of X")
        labels = labels_for(len(rows), len(centers))
        return _iterated(given, blocks, centers, labels, options), labels
    sample = _sample(given, rows)
    counts = _counts(given, rows, sample)
    if len(counts) == 1:
        k = counts[0]
    else:
        choosing = {"seed": given.seed, "min_share": AUTO_MIN_SHARE, "variance": variance}
        k = choose_segments(sample[:CHOICE_ROWS], counts, **where, **choosing).segments
    n_starts = AUTO_STARTS if given.n_init == "auto" else int(given.n_init)
    if given.init == "random":
        draw = np.random.default_rng(given.seed)
        starts = [sample[draw.choice(len(sample), k, replace=False)] for _ in range(n_starts)]
    else:
        starts = seed_centers(sample, k, n_starts=n_starts, seed=given.seed)
    if len(starts) > 1 and len(sample) < len(rows):
        starts = [best_of(starts, [engine.device.asarray(sample)], **options).centers]
    labels = labels_for(len(rows), k)
    if len(starts) == 1:
        return _iterated(given, blocks, starts[0], labels, options), labels
    fit = best_of(starts, blocks, **options)
    assign(blocks, fit.centers, labels, **where)
    return fit, labels


def _iterated(
    given: Any, blocks: Sequence[Any], start: npt.NDArray[Any], labels: Labels, options: dict[str, Any]
) -> Fit:
    """K-means from one start, which coarse rows improve first where that is asked for."""
    n_first = 0
    if given.early_passes == "coarse" and given.max_iter > 1:
        # On the grid of a run's matrix, so that rows stay there.
        shift = (np.rint(start.mean(axis=0, dtype=np.float64) * GRID) / GRID).astype(start.dtype)
        gaps = start - shift
        if _LEAST_COARSE < np.abs(gaps).max() < MOST_IN_FLOAT32:
            first = _led(blocks, shift, gaps.astype(np.float32), options | {"max_iter": given.max_iter - 1})
            if first is not None:
                start, n_first = first.centers.astype(start.dtype) + shift, first.n_iter
    fit = lloyd(blocks, start, labels=labels, **options | {"max_iter": given.max_iter - n_first})
    return replace(fit, n_iter=n_first + fit.n_iter)


def _led(
    blocks: Sequence[Any], shift: npt.NDArray[Any], start: npt.NDArray[np.float32], options: dict[str, Any]
) -> Fit | None:
    """K-means of coarse rows from a start, both less a point; None where numbers are too large for float32."""
    device = options["device"]
    coarse = [device.coarse(block, shift) for block in blocks]
    for block in coarse:
        if not np.isfinite(device.assign_accumulate(block, start).inertia):
            return None
    return lloyd(coarse, start, **options)


def _counts(given: Any, rows: npt.NDArray[Any], sample: npt.NDArray[Any]) -> list[int]:
    """The number of segments that is asked for, or those to choose from, none above the number of distinct rows."""
    wanted = _AUTO_RANGE[1] if given.n_segments == "auto" else int(given.n_segments)
    distinct = n_distinct(sample, enough=wanted)
    if distinct < wanted and len(sample) < len(rows):
        distinct = n_distinct(rows, enough=wanted)
    if given.n_segments != "auto":
        if wanted > distinct:
            raise ClusteringError(
                f"n_segments={given.n_segments} is more than the {distinct} distinct rows of X "
                f"(n_samples={len(rows)}); ask for fewer segments"
            )
        return [wanted]
    candidates = [k for k in range(_AUTO_RANGE[0], _AUTO_RANGE[1] + 1) if k <= distinct and k < len(sample)]
    return candidates or [distinct]


def _sample(given: Any, rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if len(rows) <= SEEDING_ROWS:
        return rows
    chosen = np.random.default_rng(given.seed).choice(len(rows), SEEDING_ROWS, replace=False)
    return np.ascontiguousarray(rows[chosen])
