"""Cells of cross-tables: none that is withheld can be worked out from the row and column sums."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from gpuseg.trust.floor import withheld_cells


def widths(counts, hidden):
    """Of every withheld cell, between which numbers it lies for who knows all sums and all other cells."""
    places = np.argwhere(hidden)
    sums = [(places[:, axis] == line).astype(float) for axis in (0, 1) for line in range(counts.shape[axis])]
    known = [
        np.where(hidden, counts, 0).sum(axis=1 - axis)[line] for axis in (0, 1) for line in range(counts.shape[axis])
    ]
    found = []
    for cell in range(len(places)):
        cost = np.eye(len(places))[cell]
        ends = [linprog(sign * cost, A_eq=np.array(sums), b_eq=known).fun for sign in (1, -1)]
        found.append(-ends[1] - ends[0])
    return found


@pytest.mark.parametrize(
    ("counts", "floor", "hidden"),
    [
        ([[50, 20], [30, 40]], 10, [[0, 0], [0, 0]]),
        ([[50, 9], [30, 40]], 10, [[1, 1], [1, 1]]),
        ([[50, 0], [0, 40]], 10, [[0, 0], [0, 0]]),
        ([[50, 1], [30, 40]], 1, [[0, 0], [0, 0]]),
        # Of several rectangles that with the fewest profiles.
        ([[3, 90, 20], [40, 80, 30], [70, 60, 50]], 10, [[1, 0, 1], [1, 0, 1], [0, 0, 0]]),
        # A second small cell at a corner of a rectangle costs nothing more.
        ([[3, 90, 20], [40, 80, 5], [70, 60, 50]], 10, [[1, 0, 1], [1, 0, 1], [0, 0, 0]]),
        # Nothing can move: what is beside the cell is empty.
        ([[5, 0], [0, 40]], 10, [[1, 1], [1, 1]]),
        ([[5, 50]], 10, [[1, 1]]),
    ],
)
def test_what_is_withheld(counts, floor, hidden):
    assert withheld_cells(np.array(counts), floor).tolist() == np.array(hidden, bool).tolist()


tables = st.tuples(st.integers(1, 4), st.integers(1, 4)).flatmap(
    lambda shape: st.lists(
        st.lists(st.integers(0, 60), min_size=shape[1], max_size=shape[1]), min_size=shape[0], max_size=shape[0]
    )
)


@settings(max_examples=60, deadline=None)
@given(counts=tables, floor=st.integers(1, 20))
def test_no_cell_can_be_worked_out(counts, floor):
    counts = np.array(counts)
    hidden = withheld_cells(counts, floor)
    assert ((counts >= floor) | (counts == 0))[~hidden].all()
    if not hidden.all():
        assert all(width >= floor - 1e-6 for width in widths(counts, hidden))


def test_one_withheld_cell_alone_would_be_worked_out():
    counts = np.array([[50, 9], [30, 40]])
    assert widths(counts, counts < 10) == [0.0]
