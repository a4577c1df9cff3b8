"""From raw events to governed, explained, living customer segments."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gpuseg.clustering.segmenter import Segmenter
    from gpuseg.pipeline import run
    from gpuseg.segments.model import Model, load
    from gpuseg.segments.run import Run, open_run

__version__ = "0.1.0"

__all__ = ["Model", "Run", "Segmenter", "__version__", "load", "open_run", "run"]

_HOME = {
    "Model": "gpuseg.segments.model",
    "Run": "gpuseg.segments.run",
    "Segmenter": "gpuseg.clustering.segmenter",
    "load": "gpuseg.segments.model",
    "open_run": "gpuseg.segments.run",
    "run": "gpuseg.pipeline",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'gpuseg' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
