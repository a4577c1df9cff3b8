"""Files that cannot be read: one line, the right class, file and row named, and never a value of the file."""

import gzip
import pickle

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gpuseg.engine.cpu.checks import BadRows
from gpuseg.engine.opening import readable
from gpuseg.errors import DataError, EmptyDataError, InvalidValueError, SchemaError, SourceUnavailableError
from gpuseg.pipeline import execute

SENTINEL = "Xanthippe7355608"
HEADER = "profile_id,at,amount\n"
GOOD = "a,2017-01-01,1.5\n"


@pytest.fixture
def failing(tmp_path, config_of):
    """Runs the first stage over one file and gives the error, checked for what every error must keep to."""

    def run(name, content, expected, **source):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        config = config_of(
            {"name": "orders", "kind": "purchases", "uri": str(path), **source}, out=str(tmp_path / "run")
        )
        with pytest.raises(DataError) as caught:
            execute(config, until="validate")
        error, message = caught.value, str(caught.value)
        assert type(error) is expected
        assert error.exit_code == 3
        assert isinstance(error, ValueError)
        assert message.startswith("orders: ")
        assert len(message.splitlines()) == 1
        assert SENTINEL.lower() not in message.lower()
        assert repr(error) == repr(pickle.loads(pickle.dumps(error)))
        assert not list((tmp_path / "run").glob("v*")), "a version that failed at its first stage is kept"
        return message.replace(str(path), name)

    return run


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "short.csv",
            HEADER + GOOD + f"{SENTINEL},2017-01-01\n",
            "orders: short.csv, row 2: 2 fields where the header has 3; quote fields that hold commas",
        ),
        (
            "long.csv",
            HEADER + GOOD * 2 + f"{SENTINEL},2017-01-01,1,2\n" + GOOD,
            "orders: long.csv, row 3: 4 fields where the header has 3; quote fields that hold commas",
        ),
        (
            "twice.csv",
            "profile_id,at,amount,at\n",
            "orders: twice.csv: the header names a column more than once (columns 2 and 4)",
        ),
        (
            "headless.csv",
            f"{SENTINEL},2017-01-01,1.5\n{SENTINEL},2017-01-01,2\n",
            "orders: headless.csv: no column 'profile_id'; "
            "its first line holds figures: a CSV file starts with a header line",
        ),
        ("empty.csv", "", "orders: empty.csv: the file is empty; a CSV file starts with a header line"),
        (
            "latin.csv",
            (HEADER + GOOD + f"{SENTINEL}é,2017-01-01,1\n").encode("latin-1"),
            "orders: latin.csv, row 2, column 'profile_id': not UTF-8 text; convert the file to UTF-8",
        ),
        ("wide.csv", (HEADER + GOOD).encode("utf-16"), "orders: wide.csv: not UTF-8 text; convert the file to UTF-8"),
        (
            "cut.csv.gz",
            gzip.compress((HEADER + f"{SENTINEL},2017-01-01,1\n" * 50).encode())[:-9],
            "orders: cut.csv.gz: not readable as CSV: its compressed data ends early (truncated?)",
        ),
        (
            "text.parquet",
            HEADER + f"{SENTINEL},2017-01-01,1\n",
            "orders: text.parquet: not readable as Parquet: it does not end as a Parquet file does "
            "(truncated, or another format; for CSV set format: csv)",
        ),
        ("nothing.parquet", b"", "orders: nothing.parquet: not readable as Parquet: the file is empty"),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 20 else "",
)
def test_files_of_the_wrong_form(failing, name, content, message):
    assert failing(name, content, SchemaError) == message


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (f"{SENTINEL},2017-01-01,{SENTINEL}", "column 'amount': not a finite decimal number such as 1234.50"),
        (f"{SENTINEL},2017-01-01,", "column 'amount': the value is missing"),
        (f"{SENTINEL},2017-01-01,1e40", "column 'amount': the amount has more than 36 digits"),
        (f"{SENTINEL},2017-01-01,1e30", "column 'amount': the amount is larger than 2^63"),
        (f"{SENTINEL},{SENTINEL},1", "column 'at': not an ISO 8601 time"),
        (f"{SENTINEL},1969-12-31T23:59:59Z,1", "column 'at': the time lies before 1970-01-01"),
        (f"{SENTINEL},,1", "column 'at': the value is missing"),
        (",2017-01-01,1", "column 'profile_id': the value is missing"),
        ('"",2017-01-01,1', "column 'profile_id': the value is missing"),
    ],
)
def test_bad_cells(failing, row, message):
    found = failing("bad.csv", HEADER + GOOD * 4 + row + "\n" + GOOD, InvalidValueError)
    assert found.startswith(f"orders: bad.csv, row 5, {message}")


def test_bad_cells_of_an_integer_id(failing):
    message = failing(
        "bad.csv", HEADER + "1,2017-01-01,1\n" + f"{SENTINEL},2017-01-01,1\n", InvalidValueError, id_type="int64"
    )
    assert message == "orders: bad.csv, row 2, column 'profile_id': not a whole number within int64"


def test_columns_are_called_what_the_file_calls_them(failing):
    content = f"who,when,paid\n{SENTINEL},2017-01-01,{SENTINEL}\n"
    columns = {"profile_id": "who", "at": "when", "amount": "paid"}
    assert failing("bad.csv", content, InvalidValueError, columns=columns).startswith(
        "orders: bad.csv, row 1, column 'paid'"
    )


def test_rows_are_records_even_where_a_field_spans_lines(failing):
    multiline = '"two\nlines",2017-01-01,1\n'
    message = failing("a.csv", HEADER + multiline * 3 + "x,2017-01-01,?\n", InvalidValueError)
    assert message.startswith("orders: a.csv, row 4, ")
    message = failing("b.csv", HEADER + multiline * 3 + "x,2017-01-01\n", SchemaError)
    assert message.startswith("orders: b.csv, row 4: ")


def test_an_unclosed_quote(failing):
    failing("quote.csv", HEADER + GOOD + f'"{SENTINEL},2017-01-01,1\n' + GOOD * 3, SchemaError)


def test_a_column_that_the_file_lacks(failing):
    message = failing("a.csv", f"profile_id,at,price\n{SENTINEL},2017-01-01,1\n", SchemaError)
    assert message == "orders: a.csv: no column 'amount'; it has profile_id, at, price"


@pytest.mark.parametrize("content", [HEADER, HEADER.strip(), "\ufeff" + HEADER], ids=["line", "bare", "bom"])
def test_a_header_alone(failing, content):
    assert failing("alone.csv", content, EmptyDataError) == "orders: the files hold no rows"


def test_everything_lies_after_as_of(failing):
    message = failing("late.csv", HEADER + f"{SENTINEL},2018-01-01,1\n" * 3, EmptyDataError)
    assert message == "orders: all 3 rows lie at or after as_of 2018-01-01; move run.as_of"


@pytest.fixture(scope="module")
def parquet(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "whole.parquet"
    n = 5_000
    rng = np.random.default_rng(0)
    table = pa.table(
        {
            "profile_id": pa.array([f"{SENTINEL}{number}" for number in range(n)]),
            "at": pa.array(rng.integers(1, 1_500_000_000, n), pa.timestamp("s")),
            "amount": pa.array(rng.normal(size=n)),
        }
    )
    pq.write_table(table, path, use_dictionary=False, compression="zstd")
    return path.read_bytes()


@pytest.mark.parametrize("kept", [1, 4, 8, 12, 1_000, -1, -8])
def test_truncated_parquet(failing, parquet, kept):
    message = failing("cut.parquet", parquet[:kept], SchemaError)
    assert message.startswith("orders: cut.parquet: not readable as Parquet: ")
    assert "truncated" in message


def test_parquet_with_a_hole(failing, parquet):
    message = failing("hole.parquet", parquet[:500] + b"\0" * 3_000 + parquet[3_500:], SchemaError)
    assert message.startswith("orders: hole.parquet: not readable as Parquet: the file is damaged")


def test_parquet_named_csv(failing, parquet):
    message = failing("p.csv", parquet, SchemaError)
    assert message == "orders: p.csv: is a Parquet file, not CSV; set format: parquet"


def test_bad_cells_of_parquet_name_the_row(failing, tmp_path):
    table = pa.table(
        {
            "profile_id": pa.array([SENTINEL] * 9),
            "at": pa.array([10] * 9, pa.timestamp("s")),
            "amount": pa.array([1.0] * 7 + [float("nan")] + [1.0]),
        }
    )
    pq.write_table(table, tmp_path / "source.parquet", row_group_size=2)
    content = (tmp_path / "source.parquet").read_bytes()
    message = failing("nan.parquet", content, InvalidValueError)
    assert message == "orders: nan.parquet, row 8, column 'amount': the amount is not a finite number"


def test_a_damaged_gzip(failing):
    packed = bytearray(
        gzip.compress("".join([HEADER, *(f"{n},2017-01-01,{n * 7919 % 997}\n" for n in range(9_999))]).encode())
    )
    packed[4_000:4_020] = bytes(20)
    message = failing("bad.csv.gz", bytes(packed), SchemaError)
    assert message.startswith("orders: bad.csv.gz")


def test_the_second_file_is_named(tmp_path, config_of):
    (tmp_path / "1.csv").write_text(HEADER + GOOD, encoding="utf-8")
    (tmp_path / "2.csv").write_text(HEADER + GOOD + "b,x,1\n", encoding="utf-8")
    config = config_of({"name": "orders", "kind": "purchases", "uri": f"{tmp_path}/*.csv"}, out=str(tmp_path / "run"))
    with pytest.raises(InvalidValueError, match=r"^orders: .*/2\.csv, row 2, column 'at'"):
        execute(config, until="validate")


def test_a_header_may_have_figures_among_its_names(tmp_path, scan):
    content = "profile_id,at,amount,2016,2017\na,2017-01-01,1.5,3,4\n"
    (tmp_path / "wide.csv").write_text(content, encoding="utf-8")
    columns, _ = scan(uri=str(tmp_path / "wide.csv"))
    assert columns["amount_minor"] == [15_000]


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"], ids=repr)
@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["plain", "bom"])
@pytest.mark.parametrize("last", [True, False], ids=["closed", "open"])
def test_ways_of_writing_csv_that_are_fine(tmp_path, scan, ending, mark, last):
    rows = ["profile_id,at,amount", 'a,2017-01-01,"1.5"', '"b,""\né",2017-01-02, 2 ', "c ,2017-01-03,3"]
    content = mark + ending.join(rows) + (ending if last else "")
    (tmp_path / "fine.csv").write_bytes(content.encode())
    columns, _ = scan(uri=str(tmp_path / "fine.csv"))
    assert columns["profile_id"] == ["a", 'b,"\né', "c "]
    assert columns["amount_minor"] == [15_000, 20_000, 30_000]


def test_a_quote_that_is_never_closed(failing):
    rows = "".join(f"{SENTINEL},2017-01-01,{n},x\n" for n in range(5))
    start = "profile_id,at,amount,category\na,2017-01-01,1,x\n"
    message = failing("open.csv", f'{start}a,2017-01-01,2,"{SENTINEL}\n{rows}', SchemaError)
    assert message == "orders: open.csv, row 2: a quote is opened and never closed"


def test_a_file_that_may_not_be_read_may_be_in_order():
    denied = pytest.raises(SourceUnavailableError, match=r"^orders: a\.csv: permission denied$")
    with denied as caught, readable("a.csv", "CSV", "orders"):
        raise PermissionError(13, f"may not read {SENTINEL}")
    assert caught.value.exit_code == 4


def test_what_an_error_comes_from_crosses_processes():
    error = BadRows("orders: bad", np.array([3, 5]), "amount", "no number")
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.rows.tolist()) == ("orders: bad", [3, 5])
    assert (again.column, again.reason) == ("amount", "no number")
