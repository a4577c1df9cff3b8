"""What becomes of a run whose scheduler is gone."""

import socket
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest

pytest.importorskip("distributed")

from gpuseg.engine.dask import slots
from gpuseg.engine.dask.slots import Slots
from gpuseg.errors import EngineError


@dataclass
class Client:
    """A client that looks for its scheduler so many times more, and then has it again."""

    port: int
    left: int = 10**9
    asked: list = field(default_factory=list)

    @property
    def scheduler(self):
        return SimpleNamespace(address=f"tcp://127.0.0.1:{self.port}")

    @property
    def status(self):
        self.left -= 1
        return "connecting" if self.left >= 0 else "running"

    def scheduler_info(self, n_workers):
        self.asked.append(n_workers)
        return {"workers": {"w1": {"nthreads": 1}}}


@pytest.fixture
def port():
    """One that is bound and refuses connections."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    monkeypatch.setattr(slots, "_REFUSED_SECONDS", 0.3)
    monkeypatch.setattr(slots, "_MEANWHILE_SECONDS", 0.01)


def test_a_scheduler_that_nobody_listens_for_is_not_waited_for(port):
    client = Client(port)
    with pytest.raises(EngineError, match=r"cannot be reached any more \(ConnectionRefusedError\); start it anew"):
        Slots(client, wait_seconds=300).look()
    assert client.asked == []


def test_one_that_is_started_again_at_once_is(port):
    assert Slots(Client(port, left=3), wait_seconds=300).look() == {"w1": 1}


def test_a_client_that_gives_up_meanwhile(monkeypatch):
    monkeypatch.setattr(Client, "scheduler", None)
    assert Slots(Client(1), wait_seconds=300).look() == {"w1": 1}


def test_one_that_listens_is_asked_as_ever():
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = Client(server.getsockname()[1])
        assert Slots(client, wait_seconds=300).look() == {"w1": 1}
    assert len(client.asked) == 1
