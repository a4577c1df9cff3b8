"""What an object store, a server or a disk says when it does not give a file, told in one line.

The libraries behind fsspec raise errors of their own, many of them no OSError. They are known by the package that they
come from and by the HTTP status they carry, so that none of those packages has to be there. What they say is never
passed on: it may quote keys, signed addresses and replies.
"""

import errno
from collections.abc import Iterator
from itertools import chain

from gpuseg.errors import GpusegError, IntegrityError, SchemaError, SourceUnavailableError

_STORES = (
    "adlfs",
    "aiobotocore",
    "aiohttp",
    "azure",
    "botocore",
    "fsspec",
    "gcsfs",
    "google",
    "requests",
    "s3fs",
    "urllib3",
)
_UNREACHED = "the store cannot be reached"
_STATUS = {
    400: "the request was refused",
    401: "permission denied",
    403: "permission denied",
    404: "no such file",
    409: "changed",
    412: "changed",
    416: "changed",
    429: "the store is asked too often",
    503: "the store is asked too often",
}
_ERRNO = {
    errno.EBUSY: "the store is asked too often",
    errno.ECONNREFUSED: "the connection was refused",
    errno.ECONNRESET: "the connection broke off",
    errno.EPIPE: "the connection broke off",
    errno.ETIMEDOUT: "no answer in time",
    errno.EHOSTUNREACH: "no way to the host",
    errno.ENETUNREACH: "no way to the host",
}
# Searched in the names of an error's class and of those it descends from.
_NAMES = {
    "FileExpired": "changed",
    "FileNotFoundError": "no such file",
    "PermissionError": "permission denied",
    "NoCredentials": "no credentials",
    "PartialCredentials": "no credentials",
    "DefaultCredentials": "no credentials",
    "ProfileNotFound": "no credentials",
    "TokenRetrieval": "no credentials",
    "ClientAuthentication": "no credentials",
    "RefreshError": "no credentials",
    "SSLError": "the certificate cannot be trusted",
    "ClientConnectorCertificate": "the certificate cannot be trusted",
    "gaierror": "the host is not known",
    "ClientConnectorDNS": "the host is not known",
    "Timeout": "no answer in time",
    "EndpointConnection": _UNREACHED,
    "ServiceRequestError": _UNREACHED,
    "ClientPayload": "the connection broke off",
    "IncompleteRead": "the connection broke off",
    "Disconnected": "the connection broke off",
    "ConnectionClosed": "the connection broke off",
    "ResponseStreaming": "the connection broke off",
    "ServiceResponse": "the connection broke off",
}


def is_remote(path: str) -> bool:
    """Whether a file lies elsewhere than in the file system of this machine."""
    return "://" in path


def place_error(error: BaseException, path: str, source: str, *, found: bool) -> GpusegError | None:
    """The error to raise where the place of a file is at fault, None where its content is or a bug.

    Parameters
    ----------
    error : Exception
    path : str
        Path or URL, as it is shown.
    source : str
    found : bool
        Whether the file was there before, so that one that is missing has vanished.

    Returns
    -------
    IntegrityError
        If the file was replaced or removed.
    SchemaError
        If there is no such file.
    SourceUnavailableError
        If the place gives no answer, does not let it be read, breaks off or asks to wait.
    """
    if isinstance(error, FileNotFoundError) and found:
        return IntegrityError(f"{source}: {path} vanished while it was read; run again")
    if not is_remote(path) or not any(_is_of_a_store(each) for each in _causes(error)):
        return None
    what = _what(error)
    if what == "no such file" and found:
        return IntegrityError(f"{source}: {path} vanished while it was read; run again")
    if what == "changed":
        return IntegrityError(f"{source}: {path} changed while it was read; run again")
    if what == "no such file":
        return SchemaError(f"{source}: {path}: {what}")
    if what == "permission denied":
        return SourceUnavailableError(f"{source}: {path}: {what}")
    if what == "no credentials":
        return SourceUnavailableError(f"{source}: {path}: no valid credentials are found; give them by the environment")
    if what == "the request was refused":
        refused = f"{what} ({type(error).__name__}); check the address and the credentials"
        return SourceUnavailableError(f"{source}: {path}: {refused}")
    return SourceUnavailableError(f"{source}: {path}: {what}; check its address, or try again later")


def _is_of_a_store(error: BaseException) -> bool:
    """Whether a store or the way to it raised an error; a reader's own errors are about what a file holds."""
    package = type(error).__module__.partition(".")[0]
    return package in _STORES or (isinstance(error, OSError) and error.errno != errno.ENOENT and _met_outside(error))


def _met_outside(error: BaseException) -> bool:
    """Whether the code of a store is among that which an error passed through."""
    trace = error.__traceback__
    while trace is not None:
        if str(trace.tb_frame.f_globals.get("__name__", "")).partition(".")[0] in _STORES:
            return True
        trace = trace.tb_next
    return False


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _what(error: BaseException) -> str:
    for each in _causes(error):
        names = [kind.__name__ for kind in type(each).__mro__]
        for sign, what in _NAMES.items():
            if any(sign in name for name in names):
                return what
        if (status := _status(each)) is not None:
            if status in _STATUS:
                return _STATUS[status]
            return "the store failed" if status >= 500 else "the request was refused"
        if isinstance(each, OSError) and each.errno in _ERRNO:
            return _ERRNO[each.errno]
        if any("ConnectionError" in name for name in names):
            return _UNREACHED
    return f"the store failed ({type(error).__name__})"


def _status(error: BaseException) -> int | None:
    """The HTTP status that an error carries, in the ways of the libraries behind fsspec."""
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        response = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    else:
        response = getattr(response, "status_code", None)
    codes = (getattr(error, name, None) for name in ("status", "status_code", "code"))
    return next((code for code in chain([response], codes) if isinstance(code, int) and 400 <= code < 600), None)
