"""Settings of dask itself, which come from its files and variables: what to tell where they, or its workers, fail."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from gpuseg.errors import ConfigError, EngineError, GpusegError

_PREFIX = "DASK_"
_WORKER = "worker process"
_WRONG = (ValueError, TypeError, KeyError, AttributeError, ImportError, AssertionError)


@contextmanager
def told_settings() -> Iterator[None]:
    """Turn what dask raises over one of its own settings into one line without a value.

    Raises
    ------
    ConfigError
        Names the variables that are set.
    """
    try:
        yield
    except GpusegError:
        raise
    except _WRONG as error:
        raise _wrong_setting(error) from None


def not_started(error: BaseException, *, encrypted: bool) -> GpusegError:
    """The error for workers of this machine that could not be started.

    Parameters
    ----------
    error : Exception
        What dask raised; its first cause tells.
    encrypted : bool
        Whether dask's settings ask for encryption.
    """
    if encrypted:
        return ConfigError(
            "dask: its own setting distributed.comm.require-encryption asks for TLS, and without certificates "
            f"(distributed.comm.tls) no worker can be started here; take it back ({_places()}), or name a running "
            "cluster (dask.address)"
        )
    while (before := error.__cause__ or error.__context__) is not None:
        error = before
    if isinstance(error, _WRONG):
        return _wrong_setting(error)
    if isinstance(error, RuntimeError) and _WORKER in str(error):
        return EngineError(
            f"dask: no workers could be started ({type(error).__name__}); a script must call gpuseg under "
            "`if __name__ == '__main__':`, for every worker imports it"
        )
    why = (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
    return EngineError(f"dask: no workers could be started on this machine: {why}; executor: local needs none")


def _wrong_setting(error: BaseException) -> ConfigError:
    return ConfigError(f"dask: a setting of dask itself cannot be used ({type(error).__name__}); see {_places()}")


def _places() -> str:
    """Where dask's settings are; values may be secret and are not shown."""
    names = sorted(name for name in os.environ if name.startswith(_PREFIX))
    return ", ".join([*names, "~/.config/dask"])
