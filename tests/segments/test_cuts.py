import math
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuseg.segments.cuts import N_CUTS, codes_between, readable_cuts, roundest

NUMBERS = st.floats(-1e12, 1e12).map(lambda value: value + 0.0)
WHOLE = st.integers(-(10**15), 10**15).map(float)


@pytest.mark.parametrize(
    ("low", "high", "whole", "found"),
    [
        (28.0, 33.0, True, 30.0),
        (28.0, 29.0, True, 28.0),
        (101.0, 130.0, True, 120.0),
        (1.0, 2.0, True, 1.0),
        (0.0, 1.0, True, 0.0),
        (-4.0, 9.0, True, 0.0),
        (-3.0, -1.0, True, -2.0),
        (60.0, 250.0, False, 200.0),
        (29.31, 29.7, False, 29.5),
        (29.4, 29.5, False, 29.4),
        (0.1171, 0.1312, False, 0.12),
        (1e-7, 2.3e-7, False, 2e-7),
        (999.0, 1001.0, False, 1000.0),
    ],
)
def test_the_roundest_number(low, high, whole, found):
    assert roundest(low, high, whole=whole) == found


@given(st.lists(NUMBERS, min_size=2, max_size=2, unique=True))
def test_it_lies_between(pair):
    low, high = sorted(pair)
    assert low <= roundest(low, high, whole=False) < high


@given(st.lists(WHOLE, min_size=2, max_size=2, unique=True))
def test_between_whole_numbers_it_is_whole(pair):
    low, high = sorted(pair)
    found = roundest(low, high, whole=True)
    assert low <= found < high
    assert found.is_integer()


@given(st.floats(1e-9, 1e9), st.floats(0.01, 0.2))
def test_it_has_no_more_digits_than_the_gap_needs(low, width):
    found = roundest(low, low * (1 + width), whole=False)
    digits = Decimal(repr(found)).normalize().as_tuple().digits
    assert len(digits) <= 2 + math.ceil(-math.log10(width))


@given(st.lists(st.one_of(st.just(math.nan), NUMBERS), max_size=60), st.booleans())
def test_cuts_part_the_values_and_codes_say_where(listed, whole):
    values = np.round(np.array(listed, np.float64)) if whole else np.array(listed, np.float64)
    cuts = readable_cuts(values, whole=whole)
    assert cuts.size <= N_CUTS
    assert (np.diff(cuts) > 0).all()
    codes = codes_between(values, cuts)
    assert np.isnan(codes).tolist() == np.isnan(values).tolist()
    for number, cut in enumerate(cuts):
        assert (codes <= number).tolist() == (values <= cut).tolist()
        assert (values <= cut).any()
        assert (values > cut).any()


def test_every_value_of_few_has_its_cut():
    values = np.array([1.0, 5.0, 2.0, 5.0, math.nan, 40.0])
    assert readable_cuts(values, whole=True).tolist() == [1.0, 4.0, 20.0]
    assert readable_cuts(np.full(3, math.nan), whole=True).size == 0
    assert readable_cuts(np.full(3, 7.0), whole=True).size == 0
