import threading
import time

import pytest

from gpuseg.engine.local import LocalExecutor


@pytest.fixture
def executor():
    opened = LocalExecutor(3)
    yield opened
    opened.close()


def test_results_come_in_the_order_of_the_items(executor):
    def work(item):
        time.sleep(0.02 if item % 3 == 0 else 0)
        return item * item

    assert list(executor.map(work, range(20))) == [item * item for item in range(20)]
    assert list(executor.map(work, [])) == []


def test_items_are_taken_only_as_threads_become_free(executor):
    taken = []

    def items():
        for item in range(50):
            taken.append(item)
            yield item

    results = executor.map(lambda item: item, items())
    next(results)
    assert len(taken) <= executor.n_threads


def test_work_is_spread_over_threads(executor):
    meeting = threading.Barrier(3, timeout=10)
    assert sorted(executor.map(lambda _: meeting.wait(), range(3))) == [0, 1, 2]


def test_an_error_reaches_the_caller_and_stops_the_rest(executor):
    done = []

    def work(item):
        if item == 2:
            raise KeyError("the third")
        done.append(item)

    with pytest.raises(KeyError, match="the third"):
        list(executor.map(work, range(1000)))
    executor.close()
    assert len(done) < 10


def test_threads_follow_the_processors_of_the_process():
    import os

    opened = LocalExecutor()
    assert opened.n_threads == len(os.sched_getaffinity(0))
    opened.close()
