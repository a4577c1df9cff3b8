"""Checks that both sides computed the same features, before anything is said about their speed."""

from pathlib import Path

import naive
import numpy as np
import pandas as pd
from measure import BenchmarkError

TOLERANCE = 1e-9


class MismatchError(BenchmarkError):
    """The two sides differ; the message names the column."""


def compare_results(data: Path, version: Path, *, as_of: str, timezone: str) -> dict[str, float]:
    """Compute the naive features anew and compare them with those that a version of a gpuseg run holds.

    Parameters
    ----------
    data : Path
        Folder with the purchases.
    version : Path
        Folder of the version, with `features/`.
    as_of, timezone : str
        End of the observation window, and the zone in which days are counted.

    Returns
    -------
    dict
        How much was compared, and the largest relative difference.

    Raises
    ------
    MismatchError
        See `compare_tables`.
    """
    theirs = naive.features(data, as_of=as_of, timezone=timezone)
    return compare_tables(theirs, read_features(version / "features"))


def read_features(path: Path) -> pd.DataFrame:
    """A table of features by profile, from a Parquet file or all of a folder."""
    files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    return pd.read_parquet(files).set_index("profile_id")


def compare_tables(naive_table: pd.DataFrame, gpuseg_table: pd.DataFrame) -> dict[str, float]:
    """Compare two tables of features, each indexed by profile: integers exactly, ratios within `TOLERANCE`.

    Raises
    ------
    MismatchError
        Naming the first column that is missing on a side, or differs in type, in nulls or in value.
    """
    for name in naive_table.columns.symmetric_difference(gpuseg_table.columns):
        side = "gpuseg" if name in naive_table else "naive"
        raise MismatchError(f"column {name}: missing from {side}")
    if not naive_table.index.is_unique or not gpuseg_table.index.is_unique:
        raise MismatchError("column profile_id: a profile has more than one row")
    if len(naive_table.index.symmetric_difference(gpuseg_table.index)):
        raise MismatchError("column profile_id: the sides have different profiles")
    aligned = gpuseg_table.reindex(naive_table.index)
    largest = max(_compare_column(name, naive_table[name], aligned[name]) for name in naive_table)
    return {
        "n_profiles": len(naive_table),
        "n_columns": len(naive_table.columns),
        "relative_tolerance": TOLERANCE,
        "largest_relative_difference": largest,
    }


def _compare_column(name: str, naive_column: pd.Series, gpuseg_column: pd.Series) -> float:
    """Largest relative difference, 0 for integers."""
    if naive_column.dtype != gpuseg_column.dtype:
        raise MismatchError(f"column {name}: {naive_column.dtype} in naive, {gpuseg_column.dtype} in gpuseg")
    left, right = naive_column.to_numpy(), gpuseg_column.to_numpy()
    if naive_column.dtype.kind == "i":
        _require(name, left == right)
        return 0.0
    _require(name, np.isnan(left) == np.isnan(right))
    with np.errstate(invalid="ignore"):
        gaps = np.abs(left - right)
        scales = np.maximum(np.abs(left), np.abs(right))
        near = (gaps <= TOLERANCE * scales) & np.isfinite(scales)
    _require(name, near | (left == right) | np.isnan(left))
    relative = np.divide(gaps, scales, out=np.zeros_like(gaps), where=near & (scales > 0))
    return float(relative.max(initial=0.0))


def _require(name: str, equal: np.ndarray) -> None:
    n_different = int(np.count_nonzero(~equal))
    if n_different:
        raise MismatchError(f"column {name}: {n_different} of {equal.size} profiles differ")
