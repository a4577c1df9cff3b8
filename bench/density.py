"""Density clustering on micro-clusters against exact HDBSCAN: what it finds, what it refuses, and how long it takes.

`python bench/density.py` compares both on rows of many shapes, with 5 to 1,000 rows for each micro-cluster: once with
all rows as the sample and, where they are many, once with a fifth of them. Then it measures both on growing numbers of
rows, prints tables and writes `bench/results/density.json`. Smaller: `python bench/density.py --rows 4000 --exact 2000
--micro 20000 --sampled 6000`.
"""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import script
from density_shapes import SHAPES, planted
from density_table import markdown
from measure import BenchmarkError
from sklearn.metrics import adjusted_rand_score

from gpuseg.clustering.density import Density, fit_density, resolved_density
from gpuseg.clustering.density_checks import LEAST_SAMPLED
from gpuseg.clustering.density_places import MicroDensity, place_all
from gpuseg.clustering.micro import MICRO_ROWS, micro_clusters, n_micro_of
from gpuseg.clustering.micro_density import fit_micro_density
from gpuseg.clustering.row_blocks import row_blocks
from gpuseg.engine import Engine, open_engine
from gpuseg.errors import ClusteringError

RATIOS = (5, 20, 100, 1_000)
FEATURES, GROUPS, NOISE = 16, 20, 0.05
_LEAST_SHARE = 0.01
_FEWEST, _THINNED = 8, 5
say = partial(script.say, "density")


class Comparison:
    """Both sides on the same rows.

    Parameters
    ----------
    engine : Engine
    seed : int
        Of rows and samples.
    """

    def __init__(self, engine: Engine, seed: int) -> None:
        self._engine, self._seed = engine, seed
        self._where: dict[str, Any] = {"device": engine.device, "executor": engine.executor}

    def agreement(self, n: int, sampled: int) -> Iterator[dict[str, Any]]:
        """For every shape and number of rows a micro-cluster: agreement with exact HDBSCAN, or why it is refused."""
        density = density_of(n)
        for name, shape in SHAPES.items():
            say(f"{name}: {n:,} rows, {sampled:,} sampled")
            draw = np.random.default_rng(self._seed)
            rows = np.ascontiguousarray(draw.permutation(shape(draw, n)).astype(np.float32))
            exact = fit_density(rows, device=self._engine.device, density=density)
            told = {"shape": name, "rows": n, "features": rows.shape[1], "sampled": sampled}
            told |= {"exact_clusters": len(exact.counts), "exact_noise": round(exact.n_noise / n, 4)}
            for ratio in RATIOS:
                n_micro = n // ratio
                if _FEWEST <= n_micro <= sampled // 2:
                    yield told | {"ratio": ratio} | self._against(exact.labels, rows, sampled, n_micro, density)

    def _against(
        self, exact: np.ndarray, rows: np.ndarray, sampled: int, n_micro: int, density: Density
    ) -> dict[str, Any]:
        try:
            fit, labels, _ = self.micro(rows, sampled, n_micro, density)
        except ClusteringError as error:
            return {"refused": str(error)}
        return {
            "refused": None,
            "clusters": fit.n_clusters,
            "cells": len(fit.centers),
            "noise": round(float((labels < 0).mean()), 4),
            "ari": round(float(adjusted_rand_score(exact, labels)), 4),
        }

    def micro(
        self, rows: np.ndarray, sampled: int, n_micro: int, density: Density
    ) -> tuple[MicroDensity, np.ndarray, dict[str, float]]:
        """The fit on micro-clusters, the cluster of every row, and the seconds of each step."""
        chosen = np.random.default_rng(self._seed).choice(len(rows), min(sampled, len(rows)), replace=False)
        sample, labels, times = np.ascontiguousarray(rows[chosen]), np.empty(len(rows), np.int32), [time.perf_counter()]
        blocks = row_blocks(rows, self._engine)
        micro = micro_clusters(blocks, sample, n_micro, **self._where)
        times.append(time.perf_counter())
        fit = fit_micro_density(micro, sample, n_rows=len(rows), density=density, **self._where)
        times.append(time.perf_counter())
        placed = place_all(blocks, fit, labels=labels, **self._where)
        times.append(time.perf_counter())
        steps = dict(zip(("micro_clusters", "fit", "place"), np.diff(times).round(3).tolist(), strict=True))
        return placed.density, labels, steps | {"wall_seconds": round(times[-1] - times[0], 3)}

    def exact_time(self, n: int) -> dict[str, Any]:
        """What exact HDBSCAN takes for so many rows."""
        say(f"exact, {n:,} x {FEATURES}")
        rows, own = self._planted(n)
        start = time.perf_counter()
        fit = fit_density(rows, device=self._engine.device, density=density_of(n))
        seconds = round(time.perf_counter() - start, 3)
        return {"side": "exact", "rows": n, "wall_seconds": seconds} | found(fit.labels, own)

    def micro_time(self, n: int, sampled: int) -> dict[str, Any]:
        """What density on micro-clusters takes for so many rows.

        Raises
        ------
        BenchmarkError
            If it is refused.
        """
        say(f"micro-clusters, {n:,} x {FEATURES}")
        rows, own = self._planted(n)
        try:
            fit, labels, seconds = self.micro(rows, sampled, n_micro_of(n), density_of(n))
        except ClusteringError as error:
            raise BenchmarkError(f"{n:,} rows: {error}") from error
        sizes = {"sampled": min(sampled, n), "cells": len(fit.centers), "agreement": round(fit.agreement, 4)}
        return {"side": "micro", "rows": n, **seconds, **sizes} | found(labels, own)

    def _planted(self, n: int) -> tuple[np.ndarray, np.ndarray]:
        draw = np.random.default_rng(self._seed)
        rows, own = planted(draw, n, d=FEATURES, k=GROUPS, noise=NOISE)
        order = draw.permutation(n)
        return np.ascontiguousarray(rows.astype(np.float32)[order]), own[order]


def density_of(n: int) -> Density:
    """The settings that `auto` gives so many rows."""
    return resolved_density(
        n, min_cluster_size="auto", min_samples="auto", noise="keep", min_share=_LEAST_SHARE, selection="eom"
    )


def samples_of(n: int) -> tuple[int, ...]:
    """All rows, and a fifth of them where that is enough for the smallest cluster."""
    return (n, n // _THINNED) if density_of(n).min_cluster_size >= LEAST_SAMPLED * _THINNED else (n,)


def found(labels: np.ndarray, own: np.ndarray) -> dict[str, Any]:
    """Clusters and noise, and the agreement with what was planted."""
    return {
        "clusters": int(labels.max()) + 1,
        "noise": round(float((labels < 0).mean()), 4),
        "planted_ari": round(float(adjusted_rand_score(own, labels)), 4),
    }


def judged(times: Sequence[dict[str, Any]], most_share: float) -> list[dict[str, Any]]:
    """Each time on micro-clusters as a share of that of exact HDBSCAN, by the square of the rows from the largest.

    What has to be met is met by the most rows; fewer are what exact HDBSCAN is for.
    """
    exact = max((line for line in times if line["side"] == "exact"), key=lambda line: line["rows"])
    most_rows, judgements = max(line["rows"] for line in times), []
    for line in times:
        if line["side"] == "micro":
            extrapolated = exact["wall_seconds"] * (line["rows"] / exact["rows"]) ** 2
            share = round(line["wall_seconds"] / extrapolated, 6)
            told = {"rows": line["rows"], "exact_seconds_extrapolated": round(extrapolated, 1), "from": exact["rows"]}
            told |= {"share": share, "noise_off": round(abs(line["noise"] - exact["noise"]), 4)}
            aim = {"at_most": most_share, "met": share <= most_share} if line["rows"] == most_rows else {}
            judgements.append(told | aim)
    return judgements


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    made = script.parser("density", "Compare density clustering on micro-clusters with exact HDBSCAN.")
    made.add_argument("--rows", type=script.whole, nargs="+", default=[10_000, 40_000], help="rows of each shape")
    made.add_argument("--exact", type=script.whole, nargs="+", default=[20_000, 40_000, 80_000], help="rows to time")
    made.add_argument("--micro", type=script.whole, nargs="+", default=[100_000, 1_000_000, 5_000_000])
    made.add_argument("--sampled", type=script.whole, default=MICRO_ROWS, help="sampled rows where times are measured")
    made.add_argument("--most-share", type=script.positive, default=0.1, help="most of exact HDBSCAN's time")
    made.add_argument("--seed", type=script.seed, default=0)
    made.add_argument("--engine", default="cpu", choices=("auto", "cpu", "gpu"))
    return made.parse_args(arguments)


def measured_results(options: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """Run everything and put the figures together; nothing is written to `scratch`."""
    with open_engine(engine=options.engine) as engine:
        compared = Comparison(engine, options.seed)
        lines = [line for n in options.rows for sampled in samples_of(n) for line in compared.agreement(n, sampled)]
        times = [compared.exact_time(n) for n in options.exact]
        times += [compared.micro_time(n, options.sampled) for n in options.micro]
    return {
        **script.circumstances(),
        "agreement": lines,
        "times": times,
        "judgements": judged(times, options.most_share),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    options = parsed(arguments)
    return script.shown("density", options, partial(measured_results, options), markdown)


if __name__ == "__main__":
    sys.exit(main())
