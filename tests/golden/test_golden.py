"""A run over fifteen lines whose state and features were checked by hand; a change of either shows as a diff.

The lines hold a repeated hour, a skipped hour, an order over midnight, a return, an amount finer than the scale, an
id and a category that CSV must quote, a missing order, a missing category, and rows on both sides of `as_of`.
"""

import csv
import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gpuseg.pipeline import execute

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def outcome(tmp_path_factory, config_of):
    config = config_of(
        {"name": "orders", "kind": "purchases", "uri": str(HERE / "events.csv"), "timezone": "America/New_York"},
        timezone="America/New_York",
        out=str(tmp_path_factory.mktemp("golden")),
        buckets=3,
        engine="cpu",
        sections={
            "features": {"windows_days": [30], "families": ["rfm", "tempo", "interests"]},
            "quality": {"max_null_share": 0.1},
        },
    )
    return execute(config, until="features")


def as_csv(folder: Path) -> str:
    table = pa.concat_tables(
        [pq.read_table(file) for file in sorted(folder.glob("*.parquet"))], promote_options="permissive"
    )
    rows = sorted(table.to_pylist(), key=lambda row: row["profile_id"].encode())
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(table.column_names)
    writer.writerows(row.values() for row in rows)
    return out.getvalue()


@pytest.mark.parametrize("name", ["state/purchases.cells", "state/purchases.orders", "state/profiles", "features"])
def test_tables(outcome, name):
    expected = HERE / f"{name.rpartition('/')[2]}.csv"
    assert as_csv(outcome.version.path / name) == expected.read_text(encoding="utf-8")


def test_quality(outcome):
    (source,) = outcome.run.quality["sources"]
    assert source | {"name": "orders", "kind": "purchases"} == source
    assert {name: source[name] for name in ("rows_read", "rows_used", "rows_after_as_of", "amounts_rounded")} == {
        "rows_read": 15,
        "rows_used": 13,
        "rows_after_as_of": 2,
        "amounts_rounded": 2,
    }
    assert (source["times_ambiguous"], source["times_nonexistent"]) == (2, 1)
    assert source["null_counts"] == {"order_id": 1, "category": 1}
    assert (source["first_day"], source["last_day"]) == ("2016-02-29", "2017-12-31")
