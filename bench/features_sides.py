"""The features of `naive.py` as other libraries compute them best, each in a process of its own, for `features.py`.

`python bench/features_sides.py --side polars --data DIR --out FILE` reads the purchases that `gpuseg.synth` writes
and writes a Parquet file, or a folder of them, of one row a profile, with the columns of `naive.features`.
"""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from figures import AMOUNT_SCALE, named_of, spans

# What a side does not need is not loaded: libraries take time and memory.

Side = Callable[[argparse.Namespace, list[str]], None]


def pandas_side(options: argparse.Namespace, _files: list[str]) -> None:
    """All rows in memory, one thread."""
    import naive

    table = naive.features(options.data, as_of=options.as_of, timezone=options.timezone)
    table.reset_index().to_parquet(options.out)


def polars_side(options: argparse.Namespace, files: list[str]) -> None:
    """The streaming engine, all three groupings in one lazy plan."""
    import polars as pl

    lines = _polars_lines(options, files)
    sizes = (
        lines.group_by("category").len().collect(engine="streaming").sort(["len", "category"], descending=[True, False])
    )
    named = named_of(sizes["category"].to_list())
    windows = spans()

    def within(window: int | None) -> Any:
        return pl.len() if window is None else (pl.col("age_days") <= window).sum()

    def counts(name: str) -> list[Any]:
        return [within(window).cast(pl.Int64).alias(name + suffix) for suffix, window in windows.items()]

    amounts = [
        pl.when(pl.col("age_days") <= (window or 1 << 30)).then("amount_minor").otherwise(0).sum()
        for window in windows.values()
    ]
    per_profile = lines.group_by("profile_id").agg(
        pl.col("age_days").min().cast(pl.Int64).alias("recency_days"),
        *counts("n_lines"),
        *(amount.alias(f"amount_minor{suffix}") for amount, suffix in zip(amounts, windows, strict=True)),
        *((pl.col("category") == category).sum().alias(f"share_{category}") for category in named),
    )
    orders = lines.group_by("profile_id", "order_id").agg(pl.col("age_days").max())
    days, age = lines.group_by("profile_id", "age_days").agg(), pl.col("age_days")
    tempo = days.group_by("profile_id").agg(
        *counts("n_active_days"),
        (age.max() - age.min()).cast(pl.Int64).alias("tenure_days"),
        age.sort().diff().mean().alias("gap_days_mean"),
        age.sort().diff().std().alias("gap_days_std"),
    )
    table = per_profile.join(orders.group_by("profile_id").agg(counts("n_orders")), on="profile_id")
    n_lines, shares = pl.col("n_lines"), [f"share_{category}" for category in named]
    table.join(tempo, on="profile_id").with_columns(
        *((pl.col(f"amount_minor{suffix}") / AMOUNT_SCALE).alias(f"amount_sum{suffix}") for suffix in windows),
        ((n_lines - pl.sum_horizontal(shares)) / n_lines).alias("share_other"),
        *(pl.col(share) / n_lines for share in shares),
    ).with_columns(amount_per_order=pl.col("amount_sum") / pl.col("n_orders")).sink_parquet(options.out)


def _polars_lines(options: argparse.Namespace, files: list[str]) -> Any:
    import polars as pl

    at = pl.col("ordered_at").dt.replace_time_zone("UTC").dt.convert_time_zone(options.timezone)
    as_of = pl.lit(options.as_of).str.to_date()
    return (
        pl.scan_parquet(files)
        .select(
            pl.col("customer_id").alias("profile_id"),
            pl.col("order_number").alias("order_id"),
            pl.col("department").alias("category"),
            (pl.col("line_amount") * AMOUNT_SCALE).round().cast(pl.Int64).alias("amount_minor"),
            (as_of - at.dt.date()).dt.total_days().cast(pl.Int32).alias("age_days"),
        )
        .filter(pl.col("age_days") >= 1)
    )


def duckdb_side(options: argparse.Namespace, files: list[str]) -> None:
    """One statement of SQL; tables of lines are not stored."""
    import duckdb

    base = duckdb.connect()
    base.execute("SET preserve_insertion_order = false")
    base.execute(
        f"""CREATE TEMP TABLE lines AS SELECT * FROM (SELECT customer_id AS profile_id, order_number AS order_id,
        department AS category, CAST(round(line_amount * {AMOUNT_SCALE}) AS BIGINT) AS amount_minor,
        date_diff('day', CAST(ordered_at AT TIME ZONE 'UTC' AT TIME ZONE '{options.timezone}' AS DATE),
        DATE '{options.as_of}') AS age_days FROM read_parquet({files})) WHERE age_days >= 1"""
    )
    sizes = base.execute("SELECT category FROM lines GROUP BY 1 ORDER BY count(*) DESC, 1").fetchall()
    named = named_of([category for (category,) in sizes])
    windows = spans()

    def counts(name: str) -> str:
        return ", ".join(f"count(*){_where(window)} AS {name}{suffix}" for suffix, window in windows.items())

    amounts = ", ".join(
        f"coalesce(CAST(sum(amount_minor){_where(window)} AS BIGINT), 0) AS amount_minor{suffix}"
        for suffix, window in windows.items()
    )
    shares = [f'"share_{category}"' for category in named]
    n_of = [
        f"count(*) FILTER (category = '{category}') AS {share}" for category, share in zip(named, shares, strict=True)
    ]
    sums = [f"amount_minor{suffix} / {AMOUNT_SCALE} AS amount_sum{suffix}" for suffix in windows]
    sums += [f"amount_minor / {AMOUNT_SCALE} / n_orders AS amount_per_order"]
    base.execute(
        f"""COPY (
        WITH per_profile AS (SELECT profile_id, min(age_days) AS recency_days, {counts("n_lines")}, {amounts},
            {", ".join(n_of)} FROM lines GROUP BY 1),
        orders AS (SELECT profile_id, {counts("n_orders")} FROM (
            SELECT profile_id, order_id, max(age_days) AS age_days FROM lines GROUP BY 1, 2) GROUP BY 1),
        gaps AS (SELECT profile_id, age_days,
            age_days - lag(age_days) OVER (PARTITION BY profile_id ORDER BY age_days) AS gap
            FROM (SELECT DISTINCT profile_id, age_days FROM lines)),
        tempo AS (SELECT profile_id, {counts("n_active_days")}, max(age_days) - min(age_days) AS tenure_days,
            avg(gap) AS gap_days_mean, stddev_samp(gap) AS gap_days_std FROM gaps GROUP BY 1)
        SELECT * REPLACE ({", ".join(f"{share} / n_lines AS {share}" for share in shares)}),
            (n_lines - {" - ".join(shares)}) / n_lines AS share_other, {", ".join(sums)}
        FROM per_profile JOIN orders USING (profile_id) JOIN tempo USING (profile_id)
        ) TO '{options.out}' (FORMAT parquet)"""
    )


def _where(window: int | None) -> str:
    return "" if window is None else f" FILTER (age_days <= {window})"


def dask_side(options: argparse.Namespace, files: list[str]) -> None:
    """Rows shuffled by profile, then pandas on every partition."""
    import dask.dataframe as dd
    import naive

    raw = dd.read_parquet(files, columns=list(naive.COLUMNS)).rename(columns=naive.COLUMNS)
    lines = raw.map_partitions(naive.aged, as_of=options.as_of, timezone=options.timezone)
    sizes = lines["category"].value_counts().compute()
    named = naive.largest(sizes)
    by_profile = lines.shuffle("profile_id")
    few = naive.features_of(lines.head(2), named).reset_index()

    def features(part: Any) -> Any:
        return naive.features_of(part, named).reset_index()

    by_profile.map_partitions(features, meta=few).to_parquet(str(options.out))


SIDES: dict[str, Side] = {
    "pandas": pandas_side,
    "polars": polars_side,
    "duckdb": duckdb_side,
    "dask.dataframe": dask_side,
}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="The features of one library.")
    parser.add_argument("--side", choices=SIDES, required=True)
    parser.add_argument("--data", type=Path, required=True, help="folder with purchases-*.parquet")
    parser.add_argument("--out", type=Path, required=True, help="Parquet file, or folder of them")
    parser.add_argument("--as-of", default="2026-01-01", help="exclusive end of the observation window")
    parser.add_argument("--timezone", default="America/New_York", help="zone in which days are counted")
    options = parser.parse_args(arguments)
    SIDES[options.side](options, [str(file) for file in sorted(options.data.glob("purchases-*.parquet"))])


if __name__ == "__main__":
    main()
