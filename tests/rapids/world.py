"""What the proxies of one set of stand-ins share: what RAPIDS has, and every call that was made."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import gpuseg

PACKAGE = Path(gpuseg.__file__).parent
HERE = str(Path(__file__).parent)
WATCHED = (
    *sorted((PACKAGE / "engine" / "gpu").rglob("*.py")),
    *(PACKAGE / "engine" / "dask" / f"{n}.py" for n in ("gpus", "solver")),
)
"""Files whose calls on RAPIDS are held against it."""


@dataclass(frozen=True, order=True)
class Call:
    """One call, as it was made.

    Parameters
    ----------
    name : str
        Dotted name in RAPIDS, such as "cudf.DataFrame.groupby".
    n_positional : int
        Positional arguments, without the object itself.
    keywords : tuple of str
    file : str
        Relative to the package.
    line : int
        Where the call begins.
    end : (int, int)
        Line and column where it ends, which tell calls on one line apart.
    """

    name: str
    n_positional: int
    keywords: tuple[str, ...]
    file: str
    line: int
    end: tuple[int, int]


@dataclass(frozen=True)
class OnHost:
    """An array that has left the device."""

    array: Any


@dataclass
class World:
    """What proxies share.

    Parameters
    ----------
    attributes : mapping of str to set of str
        Public names of modules and classes in RAPIDS; what is absent is not checked.
    types : mapping of type to str
        Name in RAPIDS of the values of a type.
    replaced : mapping of str to object
        Dotted name to what stands for it where the module behind lacks it or differs: a function of the value for
        methods, or a `property`.
    calls : set of Call
        Every call from inside the package so far.
    names : set of str
        Every name that was asked for.
    """

    attributes: Mapping[str, set[str]]
    types: Mapping[type, str]
    replaced: Mapping[str, Any]
    calls: set[Call] = field(default_factory=set)
    names: set[str] = field(default_factory=set)

    def refuse_unknown(self, owner: str, name: str) -> None:
        """Raise what RAPIDS would for a name that it lacks."""
        known = self.attributes.get(owner)
        if known is not None and name not in known:
            raise AttributeError(f"{owner} of RAPIDS has no attribute {name!r}")
        self.names.add(f"{owner}.{name}")

    def record(self, name: str, n_positional: int, keywords: Mapping[str, Any]) -> None:
        """Remember a call, if code of the package makes it."""
        place = caller()
        if place is not None:
            file, line, end = place
            self.calls.add(Call(name, n_positional, tuple(sorted(keywords)), file, line, end))

    def wrap(self, value: Any, *, on_device: bool) -> Any:
        """A proxy for what lives on the device; anything else as it is.

        `on_device` says whether numbers of NumPy stay there too, as results of CuPy do and those of cuDF do not.
        """
        from tests.rapids.proxies import Proxy

        if isinstance(value, OnHost):
            return value.array
        if isinstance(value, np.generic):
            return Proxy(self, "cupy.ndarray", np.asarray(value)) if on_device else value
        if isinstance(value, tuple):
            return tuple(self.wrap(item, on_device=on_device) for item in value)
        if isinstance(value, list):
            return [self.wrap(item, on_device=on_device) for item in value]
        name = next((self.types[kind] for kind in type(value).__mro__ if kind in self.types), None)
        return value if name is None else Proxy(self, name, value)


def caller() -> tuple[str, int, tuple[int, int]] | None:
    """File, line and end of the innermost call in the package that is being made; None outside of it."""
    frame = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(HERE):
        frame = frame.f_back
    if frame is None or not frame.f_code.co_filename.startswith(f"{PACKAGE}/"):
        return None
    line, end_line, _, end_column = list(frame.f_code.co_positions())[frame.f_lasti // 2]
    return frame.f_code.co_filename.removeprefix(f"{PACKAGE}/"), line, (end_line, end_column)
