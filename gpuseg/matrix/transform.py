"""The saved transformation from feature columns to the matrix.

It is fitted on a sample of profiles that depends only on their ids and the seed, so it is the same over any
partitions. Matrix values lie on a grid of 2^-20: up to 2^32 rows of them add up in float64 without rounding, so sums
over rows, and with them the centers, do not depend on order, blocks or threads. What is fitted here is carried out by
a device (`gpuseg.engine.matrix` says how far devices agree), or for small tables by `MatrixTransform.apply`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gpuseg.config import FeaturesSection, MatrixSection
from gpuseg.engine.arrow import as_numpy
from gpuseg.engine.matrix import GRID, matrix_rows, shaped
from gpuseg.engine.program import MatrixColumn, MatrixPlan

_SKEW_FOR_LOG = 1.0
_LEAST_SPREAD = 1e-9
_MOST_VARIANCE_RATIO = 2.0


@dataclass(frozen=True)
class ColumnTransform:
    """How one feature becomes one column of the matrix.

    Parameters
    ----------
    feature : str
    transform : {"none", "log1p"}
        `log1p` is sign(x) * log(1 + |x|), so that refunds that outweigh purchases stay below zero.
    fill : float
        Value for nulls: the median of the sample, before the transform.
    center, spread : float
        Mean and standard deviation of the sample, after it.
    clip : float
        Largest distance from the mean kept, in deviations.
    weight : float
        Factor after scaling.
    """

    feature: str
    transform: Literal["none", "log1p"]
    fill: float
    center: float
    spread: float
    clip: float
    weight: float


@dataclass(frozen=True)
class MatrixTransform:
    """All columns of the matrix, and the features that are constant and so left out.

    Parameters
    ----------
    columns : tuple of ColumnTransform
        In the order of the matrix.
    constant : tuple of str
        Features without any spread.
    """

    columns: tuple[ColumnTransform, ...]
    constant: tuple[str, ...]

    @property
    def features(self) -> list[str]:
        """Names of the matrix's columns."""
        return [column.feature for column in self.columns]

    @property
    def plan(self) -> MatrixPlan:
        """What a device is told."""
        return MatrixPlan(
            tuple(
                MatrixColumn(
                    name=column.feature,
                    log1p=column.transform == "log1p",
                    fill=column.fill,
                    center=column.center,
                    factor=column.weight * GRID / column.spread,
                    bound=column.clip * column.weight * GRID,
                )
                for column in self.columns
            )
        )

    def apply(self, table: pa.Table) -> npt.NDArray[np.float32]:
        """Matrix of a table of features, by the arithmetic of the CPU on whatever device a run works.

        Parameters
        ----------
        table : Arrow table
            Holds every feature of `features`; nulls are filled.

        Returns
        -------
        float32 array, shape (n_profiles, n_features), C-ordered, on the grid of 2^-20
        """
        return matrix_rows(table, self.plan)

    def as_dict(self) -> dict[str, Any]:
        """JSON form; floats keep every bit."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "MatrixTransform":
        """Rebuild from the JSON form."""
        columns = tuple(ColumnTransform(**column) for column in content["columns"])
        return cls(columns, tuple(content["constant"]))


def fit_transform_of(
    sample: pa.Table,
    families: Mapping[str, Sequence[str]],
    *,
    matrix: MatrixSection,
    features: FeaturesSection,
) -> MatrixTransform:
    """Fit the transformation on a sample of profiles.

    A family's columns are divided by the root of the largest eigenvalue of their correlations, as in multiple factor
    analysis (Escofier & Pages 1994): one recency counts as much as twenty figures that all tell how active somebody
    is, while shares that tell different things each keep their say. No family gets more than twice the variance of
    the one with least, so that many unrelated columns do not decide everything. `features.weights` multiply on top.

    Parameters
    ----------
    sample : Arrow table, shape (n_sample, …)
        Feature columns in a canonical order of rows.
    families : mapping of family name to feature names
        The features that may take part.
    matrix, features : configuration sections

    Returns
    -------
    MatrixTransform
        Without dropped and without constant features.
    """
    constant: list[str] = []
    groups: list[tuple[list[ColumnTransform], float]] = []
    for names in families.values():
        fitted, scaled = [], []
        for name in names:
            if name in features.drop:
                continue
            found = _fit_column(name, feature_values(sample, name), matrix.clip)
            if found is None:
                constant.append(name)
            else:
                fitted.append(found[0])
                scaled.append(found[1])
        if fitted:
            groups.append((fitted, _distinct_variance(np.array(scaled))))
    columns: list[ColumnTransform] = []
    most = _MOST_VARIANCE_RATIO * min((variance for _, variance in groups), default=1.0)
    for fitted, variance in groups:
        # Nine digits are the same on every machine, whatever its linear algebra.
        weight = float(f"{np.sqrt(min(variance, most) / len(fitted)):.9g}")
        columns += [_weighted(column, weight * features.weights.get(column.feature, 1.0)) for column in fitted]
    return MatrixTransform(tuple(columns), tuple(constant))


def _distinct_variance(scaled: npt.NDArray[np.float64]) -> float:
    """Variance of standardised columns, shape (n_columns, n_rows), in units of that along their first axis."""
    correlations = np.atleast_2d(np.corrcoef(scaled))
    return float(len(scaled) / np.linalg.eigvalsh(correlations)[-1])


def feature_values(table: pa.Table, name: str) -> npt.NDArray[np.float64]:
    """A feature as a fresh float64 array, NaN for null."""
    return as_numpy(table[name]).astype(np.float64)


def _fit_column(
    name: str, values: npt.NDArray[np.float64], clip: float
) -> tuple[ColumnTransform, npt.NDArray[np.float64]] | None:
    """A column without its weight and the sample's standardised values; None where it does not vary."""
    present = values[~np.isnan(values)]
    if not present.size:
        return None
    fill = float(np.median(present))
    transform: Literal["none", "log1p"] = "log1p" if _heavy_tailed(present) else "none"
    values = shaped(np, values, fill=fill, log1p=transform == "log1p")
    center, spread = float(values.mean()), float(values.std())
    if spread <= _LEAST_SPREAD * max(1.0, abs(center)):
        return None
    scaled = np.clip((values - center) / spread, -clip, clip)
    return ColumnTransform(name, transform, fill, center, spread, clip, 1.0), scaled


def _weighted(column: ColumnTransform, weight: float) -> ColumnTransform:
    return ColumnTransform(**{**asdict(column), "weight": float(weight)})


def _heavy_tailed(values: npt.NDArray[np.float64]) -> bool:
    """Whether the sample skewness is beyond 1 and the logarithm brings it nearer to 0."""
    before = _skewness(values)
    if before <= _SKEW_FOR_LOG:
        return False
    return abs(_skewness(np.copysign(np.log1p(np.abs(values)), values))) < before


def _skewness(values: npt.NDArray[np.float64]) -> float:
    gaps = values - values.mean()
    squares = gaps * gaps
    spread = float(np.sqrt(squares.mean()))
    return float((squares * gaps).mean() / spread**3) if spread > 0 else 0.0
