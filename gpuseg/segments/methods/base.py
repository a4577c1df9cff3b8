"""What the methods have in common: what they are given, and what they find."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gpuseg.config import Config
from gpuseg.engine import Engine
from gpuseg.engine.base import Executor
from gpuseg.progress import Meter
from gpuseg.segments.blocks import MatrixBlock
from gpuseg.segments.placing import Placer
from gpuseg.workspace.ledger import Ledger


@dataclass(frozen=True, eq=False)
class Clusters:
    """What a method found; the fields of `Model` of the same names, and what there is to say about it.

    Parameters
    ----------
    centers, counts, means, inertia, n_iter, choice, placer
        See `Model`.
    warnings : tuple of str
    names : tuple of str
        Names of the segments, where the method has some; else they are found by what sets the segments apart.
    """

    centers: npt.NDArray[np.float32]
    counts: npt.NDArray[np.int64]
    means: npt.NDArray[np.float64]
    inertia: float
    n_iter: int
    choice: Mapping[str, Any]
    placer: Placer
    warnings: tuple[str, ...] = ()
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rows:
    """The matrix of a fit.

    Parameters
    ----------
    sample : float32 array, shape (n_sample, n_features)
        Sampled rows in canonical order, in host memory.
    n_profiles : int
        Rows of all blocks together.
    blocks : sequence of MatrixBlock
        All rows, one block a bucket.
    features : Arrow table
        Every feature of the sampled profiles, in the same order.
    published : sequence of str
        Names of the features that a message may tell.
    """

    sample: npt.NDArray[np.float32]
    n_profiles: int
    blocks: Sequence[MatrixBlock]
    features: pa.Table
    published: Sequence[str]


@dataclass(frozen=True)
class Method:
    """A way to find clusters.

    Parameters
    ----------
    find : callable
        From configuration, engine, rows, ledger and progress to `Clusters`.
    read : callable
        From the model's folder, its JSON content and its centers to the placer that was saved there.
    on_host : bool
        Whether it needs rows in host memory.
    """

    find: Callable[[Config, Engine, Rows, Ledger, Meter], Clusters]
    read: Callable[[Path, Mapping[str, Any], npt.NDArray[np.float32]], Placer]
    on_host: bool = False


@dataclass(frozen=True)
class Telling:
    """An executor that tells how far a pass over all blocks is.

    Parameters
    ----------
    executor : Executor
    progress : Meter
    """

    executor: Executor
    progress: Meter

    def map(self, function: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[Any]:
        """Results in the order of the items; each has `counts`, the rows of every center."""
        for found in self.executor.map(function, items):
            yield found
            self.progress.add(1 / len(items), rows=int(found.counts.sum()))


def nine_digits(figure: float) -> float:
    """A sum over blocks as it is whatever the blocks: they add up in another order where there are other buckets."""
    return float(f"{figure:.9g}")
