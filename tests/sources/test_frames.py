import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from gpuseg.errors import SchemaError
from gpuseg.sources.frames import frame_fingerprint, frame_table

COLUMNS = {"id": ["a", "b"], "n": [1, 2]}


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame(COLUMNS),
        pd.DataFrame(COLUMNS, index=[7, 5]),
        pl.DataFrame(COLUMNS),
        pa.table(COLUMNS),
        pa.RecordBatch.from_pydict(COLUMNS),
        {"id": ["a", "b"], "n": np.array([1, 2])},
    ],
    ids=lambda frame: type(frame).__module__ + "." + type(frame).__name__,
)
def test_frames_of_every_kind(frame):
    table = frame_table(frame, "orders")
    assert isinstance(table, pa.Table)
    assert table.select(["id", "n"]).to_pydict() == COLUMNS


@pytest.mark.parametrize(
    "frame", [[1, 2], "orders.csv", 5, pl.LazyFrame(COLUMNS)], ids=lambda frame: type(frame).__name__
)
def test_what_is_no_frame(frame):
    with pytest.raises(
        SchemaError, match=f"^orders: {type(frame).__name__} is no frame; give a pandas, Polars or Arrow"
    ):
        frame_table(frame, "orders")


@pytest.mark.parametrize(
    "frame", [pd.DataFrame({"id": ["a", 5, None]}, dtype=object), {"id": [1], "n": [1, 2]}], ids=["mixed", "uneven"]
)
def test_frames_that_arrow_cannot_hold(frame):
    with pytest.raises(SchemaError, match=r"^orders: the frame cannot be taken as Arrow") as caught:
        frame_table(frame, "orders")
    assert "\n" not in str(caught.value)


def test_the_fingerprint_follows_the_content():
    table = pa.table(COLUMNS)
    chunked = pa.concat_tables([table.slice(0, 1), table.slice(1)])
    assert frame_fingerprint(table) == frame_fingerprint(chunked)
    others = [
        pa.table(COLUMNS | {"n": [1, 3]}),
        pa.table({"id": ["a", "b"], "m": [1, 2]}),
        pa.table(COLUMNS | {"n": pa.array([1, 2], pa.int32())}),
        table.slice(0, 1),
    ]
    assert len({frame_fingerprint(frame) for frame in [table, *others]}) == 5
