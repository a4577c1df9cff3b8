"""Arrays of the model as `.npy` files, never pickle."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gpuseg.clustering.neighbourhood import LEAST_SAMPLES, Neighbourhood
from gpuseg.errors import IntegrityError
from gpuseg.workspace.files import replacing

_NEIGHBOURHOOD = ("rows", "labels", "strengths", "cores", "reaches")


def write_array(path: Path, array: npt.NDArray[Any]) -> None:
    """Write one array atomically."""
    with replacing(path) as temporary, temporary.open("wb") as handle:
        np.save(handle, array, allow_pickle=False)


def read_array(path: Path) -> npt.NDArray[Any]:
    """Read one array.

    Raises
    ------
    IntegrityError
        If it is missing or damaged.
    """
    try:
        found: npt.NDArray[Any] = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise IntegrityError(f"{path}: cannot be read ({type(error).__name__})") from None
    return found


def write_neighbourhood(folder: Path, neighbourhood: Neighbourhood) -> None:
    """Write the arrays of a neighbourhood, `neighbourhood_rows.npy` and so on."""
    for name in _NEIGHBOURHOOD:
        write_array(folder / f"neighbourhood_{name}.npy", getattr(neighbourhood, name))


def read_neighbourhood(folder: Path, settings: Mapping[str, Any]) -> Neighbourhood:
    """Read what `write_neighbourhood` wrote.

    Parameters
    ----------
    folder : Path
    settings : mapping
        With `min_samples` and `noise`.

    Raises
    ------
    IntegrityError
        If an array is missing or damaged.
    """
    arrays = {name: read_array(folder / f"neighbourhood_{name}.npy") for name in _NEIGHBOURHOOD}
    min_samples = max(settings["min_samples"], LEAST_SAMPLES)
    return Neighbourhood(**arrays, min_samples=min_samples, takes_noise=settings["noise"] == "nearest")
