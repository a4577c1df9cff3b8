"""Rows rounded to bfloat16, on every device, and what K-means makes of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuseg.engine.coarse import coarse_rows, rounded_rows


@given(st.lists(st.floats(-(2.0**126), 2.0**126, width=32), min_size=1, max_size=40))
def test_the_nearest_number_of_8_bits(values):
    rows = np.array([values], np.float32)
    found = rounded_rows(rows, np.float32(0))
    fraction, exponent = np.frexp(rows.astype(np.float64))
    normal = np.abs(rows) >= np.finfo(np.float32).tiny
    # np.rint takes half-way cases to even ones as well.
    expected = np.ldexp(np.rint(fraction * 2**8), exponent - 8)
    assert found[normal].tolist() == expected[normal].tolist()
    assert np.abs(found[~normal] - rows[~normal]).max(initial=0) <= 2.0**-134


@pytest.mark.parametrize(("n", "d"), [(0, 3), (5, 1), (65_537, 3), (7, 8)])
def test_patterns_are_padded(n, d):
    rows = np.random.default_rng(0).normal(size=(n, d)).astype(np.float32)
    shift = rows.mean(axis=0) if n else np.float32(0)
    found = coarse_rows(np, rows, shift)
    assert found.patterns.shape == (n, -(-d // 4) * 4)
    assert (len(found), found.shape, found.dtype) == (n, (n, d), np.float32)
    assert not found.patterns[:, d:].any()
    assert found.widened().tolist() == rounded_rows(rows, shift).tolist()
    assert found[2:4].widened().tolist() == rounded_rows(rows[2:4], shift).tolist()


def test_passes_over_coarse_rows_are_those_over_rounded_ones(device):
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(500, 6)).astype(np.float32)
    for held in (device.hold(rows), device.hold(rows.astype(np.float64))):
        shift = rows[0].astype(held.dtype)
        coarse = device.coarse(held, shift)
        rounded = rounded_rows(rows, rows[0])
        assert np.abs(device.to_host(coarse) - rounded).max() <= 2.0**-7 * np.abs(rounded).max()
        rounded = device.to_host(coarse)
        found = device.assign_accumulate(coarse, rows[:5], want_labels=True)
        expected = device.assign_accumulate(device.asarray(rounded), rows[:5], want_labels=True)
        assert found.sums.tolist() == expected.sums.tolist()
        assert np.array_equal(*(device.to_host(each.labels) for each in (found, expected)))


def test_what_tells_rows_apart_far_from_zero_is_kept():
    rows = (1e6 + np.arange(12).reshape(6, 2)).astype(np.float32)
    assert len(np.unique(rounded_rows(rows, rows[0]), axis=0)) == 6
    assert len(np.unique(rounded_rows(rows, np.float32(0)), axis=0)) == 1


def test_what_float32_cannot_hold():
    found = rounded_rows(np.array([[1e300, -1e39, 2.0]]), np.zeros(3))
    assert found.tolist() == [[np.inf, -np.inf, 2.0]]
