"""Amounts become fixed-point integers: exact from decimals and text, `rint` from floats, checked for overflow."""

from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuseg.errors import InvalidValueError, SchemaError
from tests.twins import minor_units

SCALES = [1, 100, 10_000, 10**8]
SENTINEL = "31415926535"


@pytest.fixture(scope="session")
def amounts(scan):
    """Minor units and the number of roundings of a column of amounts."""

    def read(column, scale=10_000, chunk_rows=1000):
        n = len(column)
        frame = pa.table(
            {"profile_id": pa.array([1] * n), "at": pa.array([0] * n, pa.timestamp("us")), "amount": column}
        )
        columns, tally = scan(frame, run={"amount_scale": scale, "chunk_rows": chunk_rows})
        return columns["amount_minor"], tally.amounts_rounded

    return read


@pytest.mark.parametrize("scale", SCALES)
def test_text_rounds_half_to_even(amounts, scale):
    unit = Decimal(1) / scale
    halves = [unit * (Decimal(n) + Decimal("0.5")) for n in (-3, -2, -1, 0, 1, 2, 12345)]
    around = [half + unit * nudge for half in halves for nudge in (Decimal("-0.001"), Decimal(0), Decimal("0.001"))]
    minor, n_rounded = amounts(pa.array([format(value, "f") for value in around]), scale)
    assert minor == [minor_units(value, scale) for value in around]
    assert n_rounded == len(around)


@pytest.mark.parametrize(
    ("text", "minor"),
    [
        ("1e5", 1_000_000_000),
        ("1.5E-3", 15),
        ("+.5", 5_000),
        ("5.", 50_000),
        ("-0", 0),
        ("  12.34 ", 123_400),
        ("007.10", 71_000),
        ("1." + "0" * 30, 10_000),
        ("-0.00005", 0),
        ("0.00015", 2),
        ("0.00025", 2),
    ],
)
def test_ways_of_writing_a_number(amounts, text, minor):
    assert amounts(pa.array([text]))[0] == [minor]


@pytest.mark.parametrize(
    "text",
    [
        " ",
        "-",
        ".",
        "1,5",
        "1 000",
        "1_000",
        "0x1F",
        "nan",
        "inf",
        "-Infinity",
        "1e",
        "1e5e5",
        "½",
        "٣",
        "$5",
        "5-",
    ],
)
def test_what_is_no_number(amounts, text):
    with pytest.raises(InvalidValueError, match=r"^orders: frame, row 3, column 'amount': not a finite decimal number"):
        amounts(pa.array(["1", "2", text, "x"]))


def test_a_bad_number_is_not_quoted(amounts):
    with pytest.raises(InvalidValueError) as caught:
        amounts(pa.array(["1", f"EUR {SENTINEL}"]))
    assert SENTINEL not in str(caught.value)
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("text", ["9" * 37, "1e99", "0." + "0" * 24 + "1", "1e-25"])
def test_too_many_digits(amounts, text):
    with pytest.raises(InvalidValueError, match="row 2, column 'amount': the amount has more than 36 digits"):
        amounts(pa.array(["1", text]))


@pytest.mark.parametrize("scale", SCALES)
def test_the_whole_of_int64_and_not_one_more(amounts, scale):
    with_point = [Decimal(2**63 - 1) / scale, Decimal(-(2**63)) / scale]
    minor, n_rounded = amounts(pa.array([format(value, "f") for value in with_point]), scale)
    assert minor == [2**63 - 1, -(2**63)]
    assert n_rounded == 0
    for beyond in (Decimal(2**63) / scale, Decimal(-(2**63) - 1) / scale):
        with pytest.raises(InvalidValueError, match=r"row 3, .*larger than 2\^63 minor units"):
            amounts(pa.array(["1", "2", format(beyond, "f"), "4"]), scale)


@given(
    values=st.lists(
        st.decimals(-(10**9), 10**9, places=12, allow_nan=False, allow_infinity=False), min_size=1, max_size=20
    ),
    scale=st.sampled_from(SCALES),
    chunk_rows=st.integers(1, 7),
)
def test_text_and_decimal_columns_agree_with_python(amounts, values, scale, chunk_rows):
    expected = [minor_units(value, scale) for value in values]
    n_rounded = sum(value * scale != minor for value, minor in zip(values, expected, strict=True))
    for column in (
        pa.array([format(value, "f") for value in values]),
        pa.array([f"{value:e}" for value in values]),
        pa.array(values, pa.decimal128(38, 12)),
        pa.array(values, pa.decimal256(70, 12)),
    ):
        assert amounts(column, scale, chunk_rows) == (expected, n_rounded)


@pytest.mark.parametrize("kind", [pa.int8(), pa.int32(), pa.int64(), pa.uint16(), pa.uint64()], ids=str)
def test_integers(amounts, kind):
    assert amounts(pa.array([0, 5, 127], kind), 100) == ([0, 500, 12_700], 0)


def test_integers_overflow(amounts):
    assert amounts(pa.array([2**63 - 1, -(2**63)]), 1)[0] == [2**63 - 1, -(2**63)]
    with pytest.raises(InvalidValueError, match=r"row 2, .*larger than 2\^63"):
        amounts(pa.array([1, 2**60]), 100)
    with pytest.raises(InvalidValueError, match=r"row 1, .*larger than 2\^63"):
        amounts(pa.array([2**63], pa.uint64()), 1)


@pytest.mark.parametrize("digits", [9, 18], ids=["decimal32", "decimal64"])
def test_small_decimals(amounts, digits):
    kind = pa.decimal32(digits, 2) if digits == 9 else pa.decimal64(digits, 2)
    assert amounts(pa.array(["1.25", "-0.10"]).cast(pa.decimal128(digits, 2)).cast(kind)) == ([12_500, -1_000], 0)


@given(
    cents=st.lists(st.integers(-(10**11), 10**11), min_size=1, max_size=20),
    scale=st.sampled_from([100, 10_000]),
)
def test_floats_of_whole_cents_are_exact(amounts, cents, scale):
    minor, n_rounded = amounts(pa.array([cent / 100 for cent in cents]), scale)
    assert minor == [cent * scale // 100 for cent in cents]
    assert n_rounded == 0


@given(values=st.lists(st.floats(-1e11, 1e11), min_size=1, max_size=20), scale=st.sampled_from([1, 100, 10_000]))
def test_floats_are_rint_of_the_product(amounts, values, scale):
    assert amounts(pa.array(values), scale)[0] == [int(np.rint(value * scale)) for value in values]


def test_floats_finer_than_the_scale_are_counted(amounts):
    assert amounts(pa.array([0.5, 1.5, 2.5, -0.5, 3.0]), 1) == ([0, 2, 2, 0, 3], 4)
    assert amounts(pa.array([0.1, 0.2, 19.99, 1234567.89]), 100) == ([10, 20, 1999, 123456789], 0)


def test_single_precision_of_two_decimals_counts_as_exact(amounts):
    assert amounts(pa.array([0.1, 19.99], pa.float32()), 100) == ([10, 1999], 0)


def test_floats_up_to_two_to_the_53(amounts):
    limit = float(2**53)
    assert amounts(pa.array([limit, -limit]), 1)[0] == [2**53, -(2**53)]
    with pytest.raises(InvalidValueError, match=r"row 2, column 'amount': the amount is larger than 2\^53 minor units"):
        amounts(pa.array([1.0, limit + 2]), 1)
    with pytest.raises(InvalidValueError, match=r"row 1, .*larger than 2\^53"):
        amounts(pa.array([-limit / 50]), 100)


@pytest.mark.parametrize("value", [1e300, -1.7e308])
def test_floats_that_overflow_when_scaled(amounts, value):
    with pytest.raises(InvalidValueError, match=r"row 2, .*larger than 2\^53"):
        amounts(pa.array([1.0, value]), 10**8)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_floats_that_are_not_finite(amounts, value):
    with pytest.raises(InvalidValueError, match="row 2, column 'amount': the amount is not a finite number"):
        amounts(pa.array([1.0, value]))


@pytest.mark.parametrize(
    "column", [pa.array(["1", None]), pa.array(["1", ""]), pa.array([1.0, None]), pa.array([1, None])], ids=str
)
def test_missing_amounts(amounts, column):
    with pytest.raises(InvalidValueError, match="row 2, column 'amount': the value is missing"):
        amounts(column)


@pytest.mark.parametrize(
    "column", [pa.array([True]), pa.array([0], pa.timestamp("us")), pa.array([[1]]), pa.array([None])], ids=str
)
def test_types_that_are_no_amounts(amounts, column):
    with pytest.raises((SchemaError, InvalidValueError), match="column 'amount': "):
        amounts(column)


def test_the_row_counts_on_over_chunks(amounts):
    with pytest.raises(InvalidValueError, match="row 8, column 'amount'"):
        amounts(pa.array(["1"] * 7 + ["x"] + ["1"] * 3), chunk_rows=3)


@pytest.mark.parametrize(
    "text",
    [
        "17976931348623157" + "0" * 292,
        "1" + "0" * 231,
        "1" + "0" * 232,
        "9" * 77,
        "9" * 1000,
        "-" + "9" * 5000,
        "0." + "3" * 300,
    ],
    ids=lambda text: f"{len(text)} characters",
)
def test_more_digits_than_any_parser_holds_are_refused(amounts, text):
    with pytest.raises(
        InvalidValueError, match=r"row 2, column 'amount': .* more than 36 digits or more than 24 decimals"
    ):
        amounts(pa.array(["1.25", text]))
