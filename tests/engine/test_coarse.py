"""Rows rounded to bfloat16, on every device, and what K-means makes of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuseg.engine.coarse import coarse_rows, rounded_rows


@given(st.lists(st.floats(-(2.0**126), 2.0**126, width=32), min_size=1, max_size=40))
def test_the_nearest_number_of_8_bits(values):
    rows = np.array([values], np.float32)
    found = rounded_rows(rows)
    fraction, exponent = np.frexp(rows.astype(np.float64))
    normal = np.abs(rows) >= np.finfo(np.float32).tiny
    # np.rint takes half-way cases to even ones as well.
    expected = np.ldexp(np.rint(fraction * 2**8), exponent - 8)
    assert found[normal].tolist() == expected[normal].tolist()
    assert np.abs(found[~normal] - rows[~normal]).max(initial=0) <= 2.0**-134


@pytest.mark.parametrize(("n", "d"), [(0, 3), (5, 1), (65_537, 3), (7, 8)])
def test_patterns_are_padded(n, d):
    rows = np.random.default_rng(0).normal(size=(n, d)).astype(np.float32)
    found = coarse_rows(np, rows)
    assert found.patterns.shape == (n, -(-d // 4) * 4)
    assert (len(found), found.shape, found.dtype) == (n, (n, d), np.float32)
    assert not found.patterns[:, d:].any()
    assert found.widened().tolist() == rounded_rows(rows).tolist()
    assert found[2:4].widened().tolist() == rounded_rows(rows[2:4]).tolist()


def test_passes_over_coarse_rows_are_those_over_rounded_ones(device):
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(500, 6)).astype(np.float32)
    for held in (device.hold(rows), device.hold(rows.astype(np.float64))):
        coarse = device.coarse(held)
        assert np.array_equal(device.to_host(coarse), rounded_rows(rows))
        found = device.assign_accumulate(coarse, rows[:5], want_labels=True)
        expected = device.assign_accumulate(device.asarray(rounded_rows(rows)), rows[:5], want_labels=True)
        assert found.sums.tolist() == expected.sums.tolist()
        assert np.array_equal(*(device.to_host(each.labels) for each in (found, expected)))
