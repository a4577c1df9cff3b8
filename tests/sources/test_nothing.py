"""A column without a value has no type, and a figure that must be whole is."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gpuseg.errors import InvalidValueError, SchemaError

N = 4
NOTHING = {
    "float": pa.array([None, float("nan"), None, float("nan")], pa.float64()),
    "int": pa.nulls(N, pa.int64()),
    "bool": pa.nulls(N, pa.bool_()),
    "date": pa.nulls(N, pa.date32()),
    "null": pa.nulls(N),
}
COLUMNS = {
    ("purchases", "category"): "amount",
    ("purchases", "order_id"): "amount",
    ("web", "event"): None,
    ("web", "url"): None,
    ("web", "dwell_ms"): None,
    ("social", "action"): None,
    ("social", "network"): None,
    ("feedback", "comment"): "rating",
    ("feedback", "nps"): "rating",
}


def table(kind, column, values):
    beside = COLUMNS[kind, column]
    columns = {"profile_id": ["a", "b", "c", "d"], "at": ["2017-01-01"] * N}
    return pa.table(columns | ({beside: ["1"] * N} if beside else {}) | {column: values})


@pytest.mark.parametrize("form", ["frame", "parquet"])
@pytest.mark.parametrize("nothing", NOTHING)
@pytest.mark.parametrize(("kind", "column"), COLUMNS)
def test_a_column_of_nothing_is_missing_values(scan, tmp_path, kind, column, nothing, form):
    if form == "parquet" and column == "order_id" and nothing in ("float", "bool", "date"):
        pytest.skip("ids of a file are refused by their type before a row is read")
    plain, _ = scan(table(kind, column, pa.nulls(N, pa.string())), kind=kind)
    given = table(kind, column, NOTHING[nothing])
    if form == "parquet":
        pq.write_table(given, tmp_path / "t.parquet")
        found, tally = scan(kind=kind, uri=str(tmp_path / "t.parquet"))
    else:
        found, tally = scan(given, kind=kind)
    assert found == plain
    assert tally.rows_used == N


def test_a_pandas_frame_without_categories(scan):
    frame = pd.DataFrame({"profile_id": list("ab"), "at": ["2017-01-01"] * 2, "amount": [1.0, 2.0], "category": np.nan})
    assert scan(frame)[0]["category"] == [None, None]
    assert scan(frame)[1].null_counts["category"] == 2


def test_one_value_has_a_type(scan):
    with pytest.raises(SchemaError, match="the type is double, but category needs text"):
        scan(table("purchases", "category", pa.array([None, None, None, 1.5])))


@pytest.mark.parametrize(
    "values",
    [["9.7"], [9.7], pa.array([9.7], pa.float32()), pa.array(["9.7"]).cast(pa.decimal128(4, 2)), ["1e-1"]],
    ids=["text", "float64", "float32", "decimal", "exponent"],
)
def test_a_recommendation_is_a_whole_number(scan, values):
    columns = {"profile_id": ["a"], "at": ["2017-01-01"], "nps": values}
    with pytest.raises(InvalidValueError, match="row 1, column 'nps': the figure is not a whole number"):
        scan(pa.table(columns), kind="feedback")


def test_whole_recommendations_of_every_type(scan):
    whole = [["9.0"], ["9"], ["0.9e1"], [9.0], [9], pa.array(["9.0"]).cast(pa.decimal128(4, 2)), [None]]
    for values in whole:
        columns, _ = scan(pa.table({"profile_id": ["a"], "at": ["2017-01-01"], "nps": values}), kind="feedback")
        assert columns["n_promoters"] == [int(values is not whole[-1])]
