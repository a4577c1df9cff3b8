"""Customer segments the usual way: pandas for the features, scikit-learn for the clusters.

It computes what gpuseg's families `rfm`, `tempo` and `interests` compute, under the same names, and is what
`end_to_end.py` measures gpuseg against: `python bench/naive.py --data DIR --out FILE --segments 8`, where DIR holds
the purchases that `gpuseg.synth` writes.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import script
from figures import AMOUNT_SCALE, named_of, spans

COLUMNS = {
    "customer_id": "profile_id",
    "ordered_at": "at",
    "order_number": "order_id",
    "department": "category",
    "line_amount": "amount",
}


def read_lines(data: Path, *, as_of: str, timezone: str) -> pd.DataFrame:
    """Read the purchases before `as_of`, one row a line, with `age_days` (1: the day before `as_of`)."""
    lines = pd.read_parquet(sorted(data.glob("purchases-*.parquet")), columns=list(COLUMNS)).rename(columns=COLUMNS)
    return aged(lines, as_of=as_of, timezone=timezone)


def aged(lines: pd.DataFrame, *, as_of: str, timezone: str) -> pd.DataFrame:
    """Lines before `as_of`, with their age and their amount as an integer."""
    at = lines["at"].dt.tz_localize("UTC").dt.tz_convert(timezone).dt.tz_localize(None)
    lines["age_days"] = (pd.Timestamp(as_of) - at.dt.normalize()).dt.days
    lines["amount_minor"] = (lines["amount"] * AMOUNT_SCALE).round().astype("int64")
    lines["category"] = lines["category"].astype("category")
    return lines.loc[at < pd.Timestamp(as_of)].drop(columns=["at", "amount"])


def features(data: Path, *, as_of: str, timezone: str) -> pd.DataFrame:
    """Features of every profile with a purchase before `as_of`.

    Parameters
    ----------
    data : Path
        Folder with the Parquet files; times are naive UTC.
    as_of : str
        Exclusive end of the observation window, a date in `timezone`.
    timezone : str
        IANA zone in which days are counted.

    Returns
    -------
    DataFrame, indexed by `profile_id`
    """
    lines = read_lines(data, as_of=as_of, timezone=timezone)
    return features_of(lines, largest(lines["category"].value_counts()))


def features_of(lines: pd.DataFrame, categories: Sequence[str]) -> pd.DataFrame:
    """Features of every profile with a line."""
    return pd.concat([rfm(lines), tempo(lines), interests(lines, categories)], axis=1)


def largest(counts: pd.Series) -> list[str]:
    """The categories with most lines, of a table of their sizes by name."""
    # Sorted by name first, so that of two equally large categories the first by name is taken.
    return named_of(counts.sort_index().sort_values(ascending=False, kind="stable").index)


def rfm(lines: pd.DataFrame) -> pd.DataFrame:
    """Recency, frequency and monetary value; an order counts on the day of its first line."""
    orders = lines.groupby(["profile_id", "order_id"], as_index=False)["age_days"].max()
    table = lines.groupby("profile_id")["age_days"].min().to_frame("recency_days")
    for suffix, window in spans().items():
        amounts = within(lines, window).groupby("profile_id")["amount_minor"]
        n_orders = within(orders, window).groupby("profile_id").size()
        table[f"n_orders{suffix}"] = n_orders.reindex(table.index, fill_value=0)
        table[f"n_lines{suffix}"] = amounts.size().reindex(table.index, fill_value=0)
        table[f"amount_minor{suffix}"] = amounts.sum().reindex(table.index, fill_value=0)
        table[f"amount_sum{suffix}"] = table[f"amount_minor{suffix}"] / AMOUNT_SCALE
    table["amount_per_order"] = table["amount_sum"] / table["n_orders"]
    return table


def tempo(lines: pd.DataFrame) -> pd.DataFrame:
    """Active days, the time they span, and mean and standard deviation of the gaps between them."""
    days = lines[["profile_id", "age_days"]].drop_duplicates().sort_values(["profile_id", "age_days"])
    days["gap"] = days.groupby("profile_id")["age_days"].diff()
    profiles = days.groupby("profile_id")
    table = (profiles["age_days"].max() - profiles["age_days"].min()).to_frame("tenure_days")
    for suffix, window in spans().items():
        active = within(days, window).groupby("profile_id").size()
        table[f"n_active_days{suffix}"] = active.reindex(table.index, fill_value=0)
    table["gap_days_mean"] = profiles["gap"].mean()
    table["gap_days_std"] = profiles["gap"].std()
    return table


def interests(lines: pd.DataFrame, named: Sequence[str]) -> pd.DataFrame:
    """Share of lines in each of some categories, and in all others together."""
    n_lines = lines.groupby("profile_id").size()
    counts = lines.groupby(["profile_id", "category"], observed=True).size().unstack(fill_value=0)
    counts = counts.reindex(index=n_lines.index, columns=named, fill_value=0)
    table = counts.div(n_lines, axis=0).add_prefix("share_")
    table["share_other"] = (n_lines - counts.sum(axis=1)) / n_lines
    return table


def within(rows: pd.DataFrame, window: int | None) -> pd.DataFrame:
    """Rows of the last `window` days, or all."""
    return rows if window is None else rows[rows["age_days"] <= window]


def segments(table: pd.DataFrame, *, n_segments: int, seed: int) -> np.ndarray:
    """Cluster the profiles: fill gaps with the median, take the logarithm of skewed columns, scale, K-means."""
    from sklearn.cluster import KMeans
    from sklearn.preprocessing import StandardScaler

    numbers = table.drop(columns=[name for name in table if name.startswith("amount_minor")])
    numbers = numbers.fillna(numbers.median())
    skewed = numbers.columns[numbers.skew() > 1]
    # Refunds can outweigh purchases, so the logarithm keeps the sign.
    numbers[skewed] = np.sign(numbers[skewed]) * np.log1p(numbers[skewed].abs())
    matrix = StandardScaler().fit_transform(numbers)
    return KMeans(n_clusters=n_segments, n_init="auto", random_state=seed).fit_predict(matrix)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = script.Parser("naive", "Segment customers with pandas and scikit-learn.")
    parser.add_argument("--data", type=Path, required=True, help="folder with purchases-*.parquet")
    parser.add_argument("--out", type=Path, required=True, help="Parquet file for the assignments")
    parser.add_argument("--segments", type=script.whole, default=8)
    parser.add_argument("--as-of", type=script.date, default="2026-01-01", help="exclusive end of the window")
    parser.add_argument("--timezone", type=script.zone, default="America/New_York", help="zone of the days")
    parser.add_argument("--seed", type=script.seed, default=0)
    options = parser.parse_args(arguments)
    table = features(options.data, as_of=options.as_of.isoformat(), timezone=options.timezone)
    found = segments(table, n_segments=options.segments, seed=options.seed)
    pd.DataFrame({"profile_id": table.index, "segment_id": found}).to_parquet(options.out)


if __name__ == "__main__":
    main()
