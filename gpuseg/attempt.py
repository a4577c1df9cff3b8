"""One attempt at a version: the folder that it works in, its log, and what is left of it where it fails."""

import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

from gpuseg.errors import ClusteringError, ConfigError, DataError, GateFailed, GpusegError, IntegrityError
from gpuseg.outcome import Outcome
from gpuseg.progress import Progress, Tracker
from gpuseg.workspace.journal import Journal
from gpuseg.workspace.run_directory import RunDirectory
from gpuseg.workspace.version import Version

_SAME_AGAIN = (ConfigError, DataError, ClusteringError, GateFailed, IntegrityError)
"""What another attempt with the same configuration and data would meet again."""


@dataclass(frozen=True)
class Attempt:
    """What stages of one attempt have in common.

    Parameters
    ----------
    version : Version
    tracker : Tracker
        Tells whoever watches, and the log.
    journal : Journal
    begun : float
        `time.perf_counter` at the start.
    """

    version: Version
    tracker: Tracker
    journal: Journal
    begun: float

    def done(self, outcome: Outcome) -> None:
        """Write the log's last line."""
        self.journal.write(
            "run_finished",
            version=self.version.name,
            exit_code=outcome.exit_code,
            complete=self.version.is_complete,
            seconds=round(time.perf_counter() - self.begun, 3),
            rows_quarantined=outcome.rows_quarantined,
        )


@contextmanager
def attempt(
    directory: RunDirectory, progress: Progress, *, fresh: bool, first: str, facts: Mapping[str, Any]
) -> Iterator[Attempt]:
    """Open a version, and log how the attempt begins and how it fails.

    Parameters
    ----------
    directory : RunDirectory
        Locked.
    progress : Progress
        Of the caller.
    fresh : bool
        Whether to leave an unfinished version aside.
    first : str
        Name of the first stage: a version that does not even have that is not kept.
    facts : mapping
        JSON values for the log's first line.

    Yields
    ------
    Attempt
    """
    unfinished = directory.unfinished()
    version = _opened(directory, unfinished, fresh=fresh)
    journal = Journal(version.path)
    resumed = unfinished is not None and not fresh
    with closing(journal), journal.with_warnings():
        journal.write("run_started", version=version.name, resumed=resumed, **facts)
        try:
            yield Attempt(version, Tracker([progress, journal]), journal, time.perf_counter())
        except BaseException as error:
            journal.write("run_failed", version=version.name, **_failure(error))
            _let_go(directory, version, error, first)
            raise


def _opened(directory: RunDirectory, unfinished: Version | None, *, fresh: bool) -> Version:
    if unfinished is not None and fresh:
        directory.discard(unfinished)
        unfinished = None
    if unfinished is not None:
        unfinished.remove_temporaries()
    return unfinished or directory.begin()


def _let_go(directory: RunDirectory, version: Version, error: BaseException, first: str) -> None:
    """Leave of an unfinished version what a later attempt can go on with: nothing of data that cannot be used."""
    if not isinstance(error, _SAME_AGAIN) and any(version.scratch.glob("*/**/*.json")):
        return
    shutil.rmtree(version.scratch, ignore_errors=True)
    if version.stage(first) is None:
        directory.discard(version)


def _failure(error: BaseException) -> dict[str, Any]:
    """Exit code, code and message as the command line tells them; of a bug only its kind, for it may hold anything."""
    if isinstance(error, GpusegError):
        return {"exit_code": error.exit_code, "code": error.code, "message": " ".join(str(error).split())}
    code = "interrupted" if isinstance(error, KeyboardInterrupt) else getattr(error, "gpuseg_code", None)
    exit_code = {"interrupted": 130, "terminated": 143}.get(code or "", 1)
    return {"exit_code": exit_code, "code": code or type(error).__name__, "message": None}
