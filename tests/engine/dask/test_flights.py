"""Who is blamed for workers that die: on a played cluster, whose workers tell as late as they like what they ended."""

import logging
import random
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("distributed")

from distributed.client import FutureCancelledError

from gpuseg.engine.dask.executor import DaskExecutor
from gpuseg.engine.dask.flights import Flights
from gpuseg.engine.dask.slots import Slots
from gpuseg.errors import EngineError, InvalidValueError

ALWAYS = 99


class Square:
    """What the workers are given; they play it."""

    def told(self, item):
        return f"bucket {item}"


@dataclass(eq=False)
class Future:
    cluster: "Cluster"
    item: int
    status: str = "pending"
    callbacks: list = field(default_factory=list)

    def result(self, timeout):
        error = self.exception(timeout)
        if error is not None:
            raise error
        if self.cancelled():
            raise FutureCancelledError(str(self.item), "played")
        if self.status == "lost":
            raise TimeoutError
        return self.item * self.item

    def exception(self, timeout):
        if self.status == "pending":
            self.cluster.work()
        if self.status == "pending":
            raise TimeoutError
        return InvalidValueError(f"item {self.item}") if self.status == "error" else None

    def end(self, status):
        self.status = status
        for callback in self.callbacks:
            callback(self)

    def add_done_callback(self, callback):
        self.callbacks.append(callback)
        if self.status != "pending":
            callback(self)

    def cancelled(self):
        return self.status == "cancelled"

    def release(self):
        for queue in self.cluster.queues.values():
            if self in queue:
                queue.remove(self)
        self.end("cancelled")


@dataclass
class Cluster:
    """A client and its workers, which work whenever somebody waits for them.

    A worker tells what it ended at the latest when it has nothing more to do; with `moments`, sometimes before.
    """

    n_workers: int = 1
    n_threads: int = 1
    kills: Counter = field(default_factory=Counter)
    raises: frozenset = frozenset()
    forgets: list = field(default_factory=list)
    moments: random.Random | None = None
    status: str = "running"

    def __post_init__(self):
        self.names = (f"w{number:03}" for number in count())
        self.queues = {next(self.names): [] for _ in range(self.n_workers)}
        self.told, self.sent, self.let_go = {name: [] for name in self.queues}, [], []

    def scheduler_info(self, n_workers):
        return {"workers": {name: {"nthreads": self.n_threads} for name in self.queues}}

    def submit(self, call, pickled, item, run, *, key, pure, workers):
        future = Future(self, item)
        self.sent.append(item)
        if item in self.forgets:
            self.forgets.remove(item)
            future.end("cancelled")
        else:
            self.queues.get(workers[0], []).append(future)
        return future

    def cancel(self, futures, force):
        self.let_go = [future.item for future in futures]

    def work(self):
        for name, queue in list(self.queues.items()):
            ended = []
            while queue:
                place = self.moments.randrange(min(self.n_threads, len(queue))) if self.moments else 0
                if self.kills[queue[place].item] > 0:
                    self.kills[queue[place].item] -= 1
                    self.die(name)
                    break
                ended.append(queue.pop(place))
                if not queue or (self.moments and self.moments.random() < 0.5):
                    self.tell(name, ended)

    def tell(self, name, ended):
        for future in ended:
            future.end("error" if future.item in self.raises else "finished")
        self.told[name] += ended
        ended.clear()

    def die(self, name):
        new = next(self.names)
        del self.queues[name]
        for future in self.told.pop(name):
            future.status = "lost"
        self.queues[new], self.told[new] = [], []


def mapped(cluster, n_items=12):
    return list(DaskExecutor(cluster, lambda: None).map(Square(), range(n_items)))


def blamed(caplog):
    return [(record.gpuseg_facts["pieces"], record.gpuseg_facts["n_deaths"]) for record in caplog.records]


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("n_workers", [1, 2, 3])
def test_the_item_that_kills_is_named_though_others_could_not_tell_their_end(n_workers, n_threads):
    cluster = Cluster(n_workers, n_threads, Counter({3: ALWAYS}))
    with pytest.raises(EngineError, match="4 workers died one after the other while they worked on bucket 3;"):
        mapped(cluster)
    assert cluster.kills[3] >= ALWAYS - 7


def test_a_suspect_goes_before_the_others(caplog):
    cluster = Cluster(2, 1, Counter({3: 3}))
    with caplog.at_level(logging.WARNING):
        assert mapped(cluster, 4) == [0, 1, 4, 9]
    assert blamed(caplog) == [(["bucket 1"], 1), (["bucket 3"], 1), (["bucket 3"], 2)]
    assert cluster.sent == [0, 1, 2, 3, 1, 3, 3, 3]


@given(
    n_workers=st.integers(1, 3),
    n_threads=st.integers(1, 3),
    some=st.dictionaries(st.integers(0, 19), st.integers(1, 2), max_size=4),
    always=st.sets(st.integers(0, 19), max_size=2),
    moments=st.none() | st.randoms(use_true_random=False),
)
def test_no_innocent_item_ends_a_run(n_workers, n_threads, some, always, moments):
    cluster = Cluster(n_workers, n_threads, Counter(some | dict.fromkeys(always, ALWAYS)), moments=moments)
    if always:
        with pytest.raises(EngineError, match=rf"worked on bucket ({'|'.join(map(str, always))});"):
            mapped(cluster, 20)
    else:
        assert mapped(cluster, 20) == [item * item for item in range(20)]


@pytest.fixture
def held():
    """Flights whose first item is held, its result lost, until the second has ended, which killed a worker."""

    def begin(**facts):
        cluster = Cluster(kills=Counter({1: 1}), **facts)
        flights = Flights(cluster, Slots(cluster, wait_seconds=300), Square(), "")
        flights.start(0)
        cluster.work()
        flights.start(1)
        cluster.work()
        return cluster, flights

    return begin


def test_what_a_suspect_raises_is_raised_when_it_lands(held):
    cluster, flights = held(raises=frozenset({1}))
    assert flights.land() == 0
    assert cluster.sent == [0, 1, 1, 0]
    with pytest.raises(InvalidValueError, match="item 1"):
        flights.land()


def test_a_suspect_that_the_scheduler_forgets_is_sent_again(held):
    cluster, flights = held()
    cluster.forgets += [1, 1]
    assert [flights.land(), flights.land()] == [0, 1]
    assert cluster.sent == [0, 1, 1, 1, 1, 0]


def test_new_items_are_held_with_the_others(held):
    cluster, flights = held()
    cluster.kills[1] += 1
    work = partial(Cluster.work, cluster)
    cluster.work = lambda: (flights.start(len(flights.waiting)), work())
    assert flights.land() == 0
    assert cluster.sent[:5] == [0, 1, 1, 1, 0]


def test_held_items_are_let_go(held):
    cluster, flights = held()
    cluster.kills[1] += ALWAYS
    flights.start(2)
    with pytest.raises(EngineError, match="bucket 1;"):
        flights.land()
    flights.cancel()
    assert cluster.let_go == [1]
