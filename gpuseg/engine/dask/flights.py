"""Items on their way through the workers of a cluster.

Every item is bound to one worker, and this process looks whether it lives: tasks that the scheduler may move itself
wait for ever where all workers went at once, and are blamed for what another task of their worker did.
"""

import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from uuid import uuid4

from distributed import Client, Future, KilledWorker
from distributed.client import ClosedClientError, FutureCancelledError
from distributed.comm import CommClosedError
from distributed.protocol.pickle import dumps

from gpuseg.engine.dask.slots import POLL_SECONDS, Slots, unreachable
from gpuseg.engine.dask.tasks import call
from gpuseg.errors import EngineError

_LOG = logging.getLogger(__name__)
_PER_THREAD = 2
_EMBEDDED_BYTES = 2**20
_MOST_DEATHS = 4
_MOST_LOSSES = 10


@dataclass
class _Flight:
    item: Any
    number: int
    worker: str = ""
    future: Any = None
    order: int = 0
    n_deaths: int = 0
    n_losses: int = 0
    was_done: bool = False

    @property
    def is_open(self) -> bool:
        """Whether it is on its way and has not ended."""
        return self.future is not None and not self.was_done

    @property
    def is_suspect(self) -> bool:
        """Whether a worker died that had begun it, and none has ended it yet."""
        return self.n_deaths > 0 and not self.was_done

    def note(self, future: Future) -> None:
        """Once done it is no danger, though its result may be lost with its worker."""
        self.was_done = self.was_done or not future.cancelled()

    def hold(self) -> None:
        """Take it back; a worker that comes again under its old address must not find it."""
        if self.future is not None:
            self.future.release()
        self.future = None


@dataclass
class Flights:
    """The items of one function, landing in the order in which they started.

    What a worker had begun when it died is suspected: each suspect goes alone to a worker without other work, and what
    is not on its way is held until all have ended. A worker may die before it could tell what it had ended, and an
    innocent item would be blamed again and again for the one that follows it.

    Parameters
    ----------
    client : Client
    slots : Slots
    function : callable
        Names an item for people by its method `told`, if it has one.
    run : str
        What the workers take the items to belong to.
    """

    client: Client
    slots: Slots
    function: Callable[[Any], Any]
    run: str
    waiting: deque[_Flight] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self._pickled: bytes = dumps(self.function)
        self._shared: Future | None = None
        self._numbers, self._orders = count(), count()

    @property
    def are_enough(self) -> bool:
        """Whether every worker has work, and more to go on with."""
        return len(self.waiting) >= _PER_THREAD * max(1, self.slots.n_threads)

    def start(self, item: Any) -> None:
        """Send an item on its way."""
        self.waiting.append(_Flight(item, next(self._numbers)))
        self._release()

    def land(self) -> Any:
        """The result of the first item that is under way.

        Raises
        ------
        EngineError
            If the item kills the workers that take it, or the cluster cannot be reached.
        Exception
            What the function raised.
        """
        first = self.waiting[0]
        while True:
            self._release()
            flight = first if first.future is not None else next((f for f in self.waiting if f.is_open), None)
            if flight is None:
                # The last suspect has ended just now.
                continue
            try:
                if flight is first:
                    result = flight.future.result(timeout=POLL_SECONDS)
                    self.waiting.popleft()
                    return result
                self._await(flight)
            except KilledWorker:
                raise self._given_up(flight) from None
            except FutureCancelledError as error:
                self._shared = None
                self._count_loss(flight, error)
            except (TimeoutError, CommClosedError) as error:
                if flight is first and flight.future.status == "error":
                    raise
                self._look_after()
                if not isinstance(error, TimeoutError):
                    self._count_loss(flight, error)

    def cancel(self) -> None:
        """Let go of all items."""
        self.client.cancel([flight.future for flight in self.waiting if flight.future is not None], force=True)

    def _await(self, flight: _Flight) -> None:
        """Wait for the end of an item that another is held for; what it raised is told when it lands."""
        flight.future.exception(timeout=POLL_SECONDS)
        if flight.future.cancelled():
            flight.future.result(timeout=POLL_SECONDS)
        flight.note(flight.future)

    def _release(self) -> None:
        """Send what is held; as long as there are suspects only those, each to a worker without other work."""
        suspects = [flight for flight in self.waiting if flight.is_suspect]
        for flight in suspects or self.waiting:
            if flight.future is None:
                worker = self.slots.of(flight.number)
                if not suspects or not any(f.is_open and f.worker == worker for f in self.waiting):
                    self._send(flight, worker)

    def _look_after(self) -> None:
        """Hold the items of workers that died, and suspect those that they had begun."""
        live = self.slots.look()
        sent = [flight for flight in self.waiting if flight.future is not None]
        for worker in sorted({flight.worker for flight in sent} - set(live)):
            lost = sorted((f for f in sent if f.worker == worker), key=lambda flight: flight.order)
            # A worker takes its items in order: these it had begun, if not ended without being able to tell.
            begun = [f for f in lost if not f.was_done][: self.slots.threads.get(worker, 1)]
            for flight in begun:
                flight.n_deaths += 1
                if flight.n_deaths == _MOST_DEATHS:
                    raise self._given_up(flight)
            self._tell_lost(worker, begun)
            for flight in lost:
                flight.hold()

    def _tell_lost(self, worker: str, begun: Sequence[_Flight]) -> None:
        """Log that a worker is gone, and at what: a line, and an event for the log of the version."""
        pieces = [self._told(flight) for flight in begun]
        n_deaths = max((flight.n_deaths for flight in begun), default=0)
        at = f" while it worked on {', '.join(pieces)}" if pieces else ""
        again = f"; {_MOST_DEATHS - n_deaths} more over the same piece end the run" if n_deaths > 1 else ""
        facts = {"worker": worker, "pieces": pieces, "n_deaths": n_deaths}
        _LOG.warning(
            "dask: worker %s was lost%s; others do its work again%s",
            worker,
            at,
            again,
            extra={"gpuseg_event": "worker_lost", "gpuseg_facts": facts},
        )

    def _count_loss(self, flight: _Flight, error: BaseException) -> None:
        flight.n_losses += 1
        if flight.n_losses == _MOST_LOSSES:
            raise unreachable(error) from None
        flight.hold()

    def _send(self, flight: _Flight, worker: str) -> None:
        flight.worker, flight.order = worker, next(self._orders)
        try:
            flight.future = self.client.submit(
                call,
                self._sent_function(),
                flight.item,
                self.run,
                key=f"gpuseg-{uuid4().hex}",
                pure=False,
                workers=[flight.worker],
            )
            flight.future.add_done_callback(flight.note)
        except (ClosedClientError, CommClosedError, OSError, RuntimeError) as error:
            raise unreachable(error) from None

    def _sent_function(self) -> Any:
        if len(self._pickled) <= _EMBEDDED_BYTES:
            return self._pickled
        if self._shared is None or self._shared.status != "finished":
            self._shared = self.client.scatter(self._pickled, broadcast=True, hash=False)
        return self._shared

    def _told(self, flight: _Flight) -> str:
        return str(getattr(self.function, "told", str)(flight.item))

    def _given_up(self, flight: _Flight) -> EngineError:
        return EngineError(
            f"dask: {_MOST_DEATHS} workers died one after the other while they worked on {self._told(flight)}; give "
            "each more memory (dask.memory_bytes, or fewer dask.workers), or make the pieces smaller (run.buckets)"
        )
