"""Arrays that a process keeps: no more than it may, and for one run at a time."""

import pickle

import numpy as np
import pytest

from gpuseg.engine import held as held_module
from gpuseg.engine.held import Held, let_go

ROWS = np.arange(16, dtype=np.float32)


@pytest.fixture(autouse=True)
def nothing_held(monkeypatch):
    monkeypatch.setattr(held_module, "_of_this_process", [])


def test_arrays_are_kept_while_there_is_room():
    held = Held("a", ROWS.nbytes + 1)
    assert held.keep("one", ROWS)
    assert not held.keep("two", ROWS)
    assert held.get("one") is ROWS
    assert held.get("two") is None


def test_an_array_is_kept_and_counted_once():
    held = Held("a", 2 * ROWS.nbytes)
    assert held.keep("one", ROWS)
    assert held.keep("one", ROWS.copy())
    assert held.keep("two", ROWS)
    assert held.get("one") is ROWS


def test_what_is_taken_leaves_its_room():
    held = Held("a", ROWS.nbytes)
    held.keep("one", ROWS)
    assert held.take("one") is ROWS
    assert held.take("one") is None
    assert held.keep("two", ROWS)


def sent(held):
    """As it arrives at a worker."""
    return pickle.loads(pickle.dumps(held))


def test_a_worker_keeps_what_is_of_one_run_and_lets_go_of_another():
    first = sent(Held("a", ROWS.nbytes))
    first.keep("one", ROWS)
    assert sent(Held("a", ROWS.nbytes)) is first
    assert sent(Held("b", ROWS.nbytes)).get("one") is None
    assert sent(Held("a", ROWS.nbytes)).get("one") is None


def test_the_bound_goes_along_and_the_arrays_do_not():
    mine = Held("a", ROWS.nbytes)
    mine.keep("one", ROWS)
    there = sent(mine)
    assert there.get("one") is None
    assert there.keep("one", ROWS)
    assert not there.keep("two", ROWS)


def test_a_worker_lets_go():
    there = sent(Held("a", ROWS.nbytes))
    there.keep("one", ROWS)
    let_go()
    assert sent(Held("a", ROWS.nbytes)).get("one") is None
