"""What `synthesize` wrote, read back."""

from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

EVENT_KINDS = ("web", "social", "purchases", "feedback")
TIME = {"purchases": "ordered_at", "web": "ts", "social": "ts", "feedback": "ts"}


def read(out: Path, kind: str) -> pd.DataFrame:
    return pd.concat([pq.read_table(path).to_pandas() for path in sorted(out.glob(f"{kind}*.parquet"))])


def utc(times: pd.Series) -> pd.Series:
    return times if times.dt.tz else times.dt.tz_localize("UTC")


def file_bytes(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(out.iterdir())}
