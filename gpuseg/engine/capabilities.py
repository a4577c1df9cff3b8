"""What each device can run: an algorithm's name to a class, the names and values of its parameters, and its limits."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from math import inf
from typing import Any

from gpuseg.errors import UnsupportedOnDeviceError


@dataclass(frozen=True)
class Capability:
    """One row of the table.

    Parameters
    ----------
    path : str
        "module:Class" of the estimator.
    rename : mapping of str to str
        Our parameter names to the library's, where they differ.
    convert : mapping of str to callable
        Our parameter names to what turns our value into the library's, where they count differently.
    always : mapping of str to object
        Parameters of the library that are passed whatever is asked for, unless the caller gives them.
    bounds : mapping of str to (int, int)
        Our parameter names to the least and the most that the library takes.
    row_bytes : callable
        (n_features, our parameters) to the bytes that a fit needs for each row, besides the rows themselves.
    most_work : float
        Largest square of the rows times features that a fit does in a bearable time, however much memory there is.
    seconds_per_work : float or None
        Time that a fit takes for each of these; None where it was never measured.
    """

    path: str
    rename: Mapping[str, str] = field(default_factory=dict)
    convert: Mapping[str, Callable[[Any], Any]] = field(default_factory=dict)
    always: Mapping[str, Any] = field(default_factory=dict)
    bounds: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    row_bytes: Callable[[int, Mapping[str, Any]], int] = lambda n_features, parameters: 0
    most_work: float = inf
    seconds_per_work: float | None = None


_KMEANS = {"n_segments": "n_clusters", "seed": "random_state"}

CAPABILITIES: dict[tuple[str, str], Capability] = {
    ("kmeans", "cpu"): Capability("sklearn.cluster:KMeans", _KMEANS),
    # From an array cuML's own `auto` makes ten equal fits.
    ("kmeans", "gpu"): Capability("cuml.cluster:KMeans", _KMEANS, always={"n_init": 1}),
    ("solver cuml", "gpu"): Capability("cuml.cluster:KMeans", _KMEANS, always={"n_init": 1}),
    ("solver cuml over dask", "gpu"): Capability("cuml.dask.cluster:KMeans", _KMEANS, always={"n_init": 1}),
    # Measured with scikit-learn 1.9: the rows in float64 twice, neighbours and their distances, and the trees; every
    # pair of rows is compared, at 0.5 to 1.5 ns a pair and feature (90 s for 30,000 rows of 70; 1.0, 3.8 and 34 s for
    # 10,000, 20,000 and 60,000 of 13; 3.4 s for 10,000 of 40), so one to two hours at most.
    ("hdbscan", "cpu"): Capability(
        "sklearn.cluster:HDBSCAN",
        always={"copy": True},
        row_bytes=lambda n_features, given: 250 + 16 * n_features + 28 * int(given["min_samples"]),
        most_work=5e12,
        seconds_per_work=1e-9,
    ),
    # cuML does not count the row itself among its neighbours; its sizes were read in its sources, not measured.
    ("hdbscan", "gpu"): Capability(
        "cuml.cluster:HDBSCAN",
        convert={"min_samples": lambda n: n - 1},
        bounds={"min_samples": (2, 1024)},
        row_bytes=lambda n_features, given: 72 + 140 * int(given["min_samples"]),
    ),
    ("neighbors", "cpu"): Capability("sklearn.neighbors:NearestNeighbors"),
    ("neighbors", "gpu"): Capability("cuml.neighbors:NearestNeighbors"),
}


def capability(name: str, device: str) -> Capability:
    """The row of the table for an algorithm on a device.

    Parameters
    ----------
    name : str
        The algorithm's name in gpuseg.
    device : str
        "cpu" or "gpu".

    Raises
    ------
    UnsupportedOnDeviceError
        If the table has no such row; the message names the alternatives.
    """
    row = CAPABILITIES.get((name, device))
    if row is None:
        here = ", ".join(sorted(algorithm for algorithm, where in CAPABILITIES if where == device)) or "nothing"
        elsewhere = ", ".join(sorted(where for algorithm, where in CAPABILITIES if algorithm == name))
        also = f"; {name} runs on: {elsewhere}" if elsewhere else ""
        raise UnsupportedOnDeviceError(f"{name} is not available on {device}, which has: {here}{also}")
    return row


def construct(name: str, device: str, parameters: Mapping[str, Any]) -> Any:
    """Build the estimator that stands for an algorithm on a device.

    Parameters
    ----------
    name : str
        The algorithm's name in gpuseg.
    device : str
        "cpu" or "gpu".
    parameters : mapping
        Parameters under gpuseg's names.

    Returns
    -------
    estimator

    Raises
    ------
    UnsupportedOnDeviceError
        If the table has no such row, or the library takes no such value of a parameter.
    """
    row = capability(name, device)
    keywords = library_parameters(row, parameters, what=f"{name} on {device}")
    module, _, attribute = row.path.partition(":")
    return getattr(import_module(module), attribute)(**keywords)


def library_parameters(row: Capability, parameters: Mapping[str, Any], *, what: str) -> dict[str, Any]:
    """Parameters under the library's names, with its values.

    Raises
    ------
    UnsupportedOnDeviceError
        If a value is out of the library's bounds.
    """
    for key, (least, most) in row.bounds.items():
        if key in parameters and not least <= parameters[key] <= most:
            nearest = min(max(parameters[key], least), most)
            raise UnsupportedOnDeviceError(
                f"{what}: {key}={parameters[key]} must lie between {least} and {most}; nearest valid: {nearest}"
            )
    found = dict(row.always)
    for key, value in parameters.items():
        found[row.rename.get(key, key)] = row.convert[key](value) if key in row.convert else value
    return found
