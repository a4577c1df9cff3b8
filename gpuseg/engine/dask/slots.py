"""Places of workers: one that comes takes the place of one that went, so that items stay where they were."""

import socket
import time
from collections.abc import Callable, Mapping

from distributed import Client
from distributed.client import ClosedClientError
from distributed.comm import CommClosedError, get_address_host_port

from gpuseg.errors import EngineError

GONE = (ClosedClientError, CommClosedError, OSError, TimeoutError, RuntimeError, KeyError)
POLL_SECONDS = 1.0
_MEANWHILE_SECONDS = 0.2
_REFUSED_SECONDS = 60.0
"""How long a machine may refuse connections to its scheduler: long enough for one that is started again at once."""


class Slots:
    """The workers of a cluster, in an order that changes as little as they do.

    Parameters
    ----------
    client : Client
    wait_seconds : float
        How long there may be none.
    """

    def __init__(self, client: Client, wait_seconds: float) -> None:
        self._client, self._wait_seconds = client, wait_seconds
        self._slots: list[str] = []
        self._looked = -POLL_SECONDS
        self.threads: dict[str, int] = {}
        """Of every worker that lives or lived."""
        self.live: Mapping[str, int] = {}

    @property
    def n_threads(self) -> int:
        """Of all workers that live."""
        return sum(self.live.values())

    def of(self, number: int) -> str:
        """The worker for the n-th item of any work.

        Raises
        ------
        EngineError
            If the cluster cannot be reached, or no worker comes in time.
        """
        if time.monotonic() - self._looked >= POLL_SECONDS:
            self.look()
        self.wait_until(
            lambda: bool(self.live or self.look()),
            f"no worker came within {self._wait_seconds:g} seconds; start some, or wait longer (dask.wait_seconds)",
        )
        slot = self._slots[number % len(self._slots)]
        return slot if slot in self.live else sorted(self.live)[number % len(self.live)]

    def look(self) -> Mapping[str, int]:
        """See which workers live.

        Raises
        ------
        EngineError
            If the cluster cannot be reached.
        """
        self._refuse_dead()
        try:
            workers = self._client.scheduler_info(n_workers=-1)["workers"]
        except GONE as error:
            raise unreachable(error) from None
        self._looked = time.monotonic()
        self.live = {address: max(int(facts["nthreads"]), 1) for address, facts in workers.items()}
        self.threads |= self.live
        new = [address for address in sorted(self.live) if address not in self._slots]
        for place, address in enumerate(self._slots):
            if new and address not in self.live:
                self._slots[place] = new.pop(0)
        self._slots += new
        return self.live

    def _refuse_dead(self) -> None:
        """Wait while the client looks for its scheduler and nobody listens there, but not as long as for an answer."""
        begun = time.monotonic()
        # A client that gives up, in its own thread, has no scheduler any more.
        while (
            self._client.status == "connecting"
            and (scheduler := self._client.scheduler) is not None
            and _is_refused(scheduler.address)
        ):
            if time.monotonic() - begun > _REFUSED_SECONDS:
                raise unreachable(ConnectionRefusedError())
            time.sleep(_MEANWHILE_SECONDS)

    def wait_until(self, ready: Callable[[], bool], problem: str) -> None:
        """Wait for a state of the cluster.

        Raises
        ------
        EngineError
            With the problem, if it does not come in time.
        """
        begun = time.monotonic()
        while not ready():
            if time.monotonic() - begun > self._wait_seconds:
                raise EngineError(f"dask: {problem}")
            time.sleep(_MEANWHILE_SECONDS)


def _is_refused(address: str) -> bool:
    """Whether the machine of an address says that nobody listens there."""
    try:
        with socket.create_connection(get_address_host_port(address), timeout=POLL_SECONDS):
            return False
    except ConnectionRefusedError:
        return True
    except (OSError, ValueError):
        return False


def unreachable(error: BaseException) -> EngineError:
    """The error for a scheduler that is gone."""
    return EngineError(
        f"dask: the cluster cannot be reached any more ({type(error).__name__}); start it anew, then go on with "
        "`gpuseg run --resume`"
    )
