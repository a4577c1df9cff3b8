"""Chunks and row numbers where files come in several blocks, row groups and chunks."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gpuseg.engine.cpu import csv_reading, reading
from gpuseg.errors import InvalidValueError, SchemaError

HEADER = "profile_id,at,amount\n"


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(csv_reading, "_BLOCK_BYTES", 120)


def write(path, lines):
    path.write_text(HEADER + "\n".join(lines) + "\n", encoding="utf-8", newline="")
    return str(path)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("chunk_rows", [1, 3, 1000])
def test_csv_in_many_blocks(tmp_path, plan_of, chunk_rows):
    names = [f"name {n}\nwith, a line {'é' * (n % 9)}" for n in range(200)]
    uri = write(tmp_path / "a.csv", [f'"{name}",2017-01-01,{n}' for n, name in enumerate(names)])
    chunks = list(reading.read_chunks(plan_of(uri=uri, run={"chunk_rows": chunk_rows})))
    assert len(chunks) > 20
    assert max(chunk.table.num_rows for chunk in chunks) <= chunk_rows
    assert [value for chunk in chunks for value in chunk.table["profile_id"].to_pylist()] == names
    rows = [chunk.first_row + row for chunk in chunks for row in range(chunk.table.num_rows)]
    assert rows == list(range(1, 201))


@pytest.mark.usefixtures("small_blocks")
def test_bad_rows_far_from_the_first_block(tmp_path, scan):
    good = [f"p{n},2017-01-01,{n}" for n in range(150)]
    with pytest.raises(SchemaError, match=", row 151: 2 fields where the header has 3"):
        scan(uri=write(tmp_path / "a.csv", [*good, "x,2017-01-01", *good]))
    with pytest.raises(InvalidValueError, match=", row 151, column 'amount'"):
        scan(uri=write(tmp_path / "b.csv", [*good, "x,2017-01-01,x", *good]))


@pytest.mark.usefixtures("small_blocks")
def test_a_row_longer_than_a_block(tmp_path, scan):
    with pytest.raises(SchemaError, match=r"a row is longer than a block \(an unclosed quote\?\)$"):
        scan(uri=write(tmp_path / "a.csv", [f"{'x' * 500},2017-01-01,1"]))


def test_parquet_in_row_groups(tmp_path, plan_of):
    table = pa.table(
        {"profile_id": pa.array(range(25)), "at": pa.array(range(25), pa.timestamp("s")), "amount": pa.array(range(25))}
    )
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=4)
    pq.write_table(table.slice(0, 3), tmp_path / "b.parquet")
    for chunk_rows in (1, 3, 4, 100):
        chunks = list(reading.read_chunks(plan_of(uri=f"{tmp_path}/*.parquet", run={"chunk_rows": chunk_rows})))
        ids = [value for chunk in chunks for value in chunk.table["profile_id"].to_pylist()]
        assert ids == [*range(25), 0, 1, 2]
        assert next(chunk.first_row for chunk in chunks if chunk.file.endswith("b.parquet")) == 1
        assert max(chunk.table.num_rows for chunk in chunks) <= chunk_rows


def test_a_place_names_the_files_own_column(plan_of):
    table = pa.table({"who": pa.array([1]), "at": pa.array([0], pa.timestamp("us")), "amount": pa.array([1])})
    (chunk,) = reading.read_chunks(plan_of(table, columns={"profile_id": "who"}))
    assert chunk.place(4, "profile_id") == "orders: frame, row 5, column 'who'"


def test_one_column_of_a_file_may_stand_for_two(scan):
    table = pa.table(
        {"who": pa.array(["a", "b"]), "at": pa.array([0, 1], pa.timestamp("us")), "amount": pa.array([1, 2])}
    )
    columns, _ = scan(table, columns={"profile_id": "who", "category": "who"})
    assert columns["profile_id"] == columns["category"] == ["a", "b"]
