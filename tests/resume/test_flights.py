"""What is told of workers that go while they work."""

import logging
from dataclasses import dataclass, field

import pytest

pytest.importorskip("distributed")

from gpuseg.engine.dask import flights
from gpuseg.engine.dask.flights import Flights
from gpuseg.errors import EngineError


class Piece:
    def __call__(self, item):
        return item

    def told(self, item):
        return f"bucket {item}"


@dataclass
class Future:
    cluster: "Cluster"
    worker: str
    item: int
    status: str = "pending"
    callback: object = None

    def add_done_callback(self, callback):
        self.callback = callback
        if (self.worker, self.item) in self.cluster.done_early:
            callback(self)

    def cancelled(self):
        return False

    def release(self):
        self.status = "released"

    def exception(self, timeout):
        self.result(timeout)

    def result(self, timeout):
        if self.worker not in self.cluster.live:
            raise TimeoutError
        self.callback(self)
        return self.item


@dataclass
class Cluster:
    """Stands for a client and for the places of its workers."""

    live: list
    n_threads: int = 1
    done_early: set = field(default_factory=set)

    @property
    def threads(self):
        return dict.fromkeys(["w1", "w2", "w3"], self.n_threads)

    def of(self, number):
        return self.live[number % len(self.live)]

    def look(self):
        return dict.fromkeys(self.live, self.n_threads)

    def submit(self, _call, _function, item, _run, *, workers, **_):
        return Future(self, workers[0], item)


def started(cluster, n):
    found = Flights(cluster, cluster, Piece(), "run")
    for item in range(n):
        found.start(item)
    return found


def test_one_line_a_death(caplog):
    cluster = Cluster(["w1", "w2"])
    under_way = started(cluster, 4)
    cluster.live = ["w3", "w2"]
    with caplog.at_level(logging.WARNING):
        assert [under_way.land() for _ in range(4)] == [0, 1, 2, 3]
    assert [record.getMessage() for record in caplog.records] == [
        "dask: worker w1 was lost while it worked on bucket 0; others do its work again"
    ]
    (record,) = caplog.records
    assert record.gpuseg_event == "worker_lost"
    assert record.gpuseg_facts == {"worker": "w1", "pieces": ["bucket 0"], "n_deaths": 1}


def test_a_worker_that_had_finished_is_blamed_for_nothing(caplog):
    cluster = Cluster(["w1"], done_early={("w1", 0), ("w1", 1)})
    under_way = started(cluster, 2)
    cluster.live = ["w2"]
    with caplog.at_level(logging.WARNING):
        assert [under_way.land(), under_way.land()] == [0, 1]
    assert [record.getMessage() for record in caplog.records] == ["dask: worker w1 was lost; others do its work again"]


def test_how_often_is_told(caplog):
    cluster = Cluster(["w1"], n_threads=2)
    under_way = started(cluster, 2)
    with caplog.at_level(logging.WARNING):
        for now in (["w2"], ["w3"], ["w1"]):
            cluster.live = now
            under_way._look_after()
            under_way._release()
        cluster.live = ["w2"]
        with pytest.raises(EngineError, match="4 workers died one after the other while they worked on bucket 0"):
            under_way._look_after()
    assert [record.getMessage().partition("; ")[2] for record in caplog.records] == [
        "others do its work again",
        "others do its work again; 2 more over the same piece end the run",
        "others do its work again; 1 more over the same piece end the run",
    ]
    # After that they went one at a time.
    first, *others = [record.getMessage() for record in caplog.records]
    assert "while it worked on bucket 0, bucket 1;" in first
    assert all("while it worked on bucket 0;" in line for line in others)
    assert flights._MOST_DEATHS == 4
