"""What each device can run: an algorithm's name to a class and the names of its parameters."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
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
    """

    path: str
    rename: Mapping[str, str] = field(default_factory=dict)


CAPABILITIES: dict[tuple[str, str], Capability] = {
    ("kmeans", "cpu"): Capability("sklearn.cluster:KMeans", {"n_segments": "n_clusters", "seed": "random_state"}),
}


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
        If the table has no such row; the message names the alternatives.
    """
    row = CAPABILITIES.get((name, device))
    if row is None:
        here = ", ".join(sorted(algorithm for algorithm, where in CAPABILITIES if where == device)) or "nothing"
        elsewhere = ", ".join(sorted(where for algorithm, where in CAPABILITIES if algorithm == name))
        also = f"; {name} runs on: {elsewhere}" if elsewhere else ""
        raise UnsupportedOnDeviceError(f"{name} is not available on {device}, which has: {here}{also}")
    module, _, attribute = row.path.partition(":")
    renamed = {row.rename.get(key, key): value for key, value in parameters.items()}
    return getattr(import_module(module), attribute)(**renamed)
