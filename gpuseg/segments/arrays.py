"""Arrays of the model as `.npy` files, never pickle."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gpuseg.errors import IntegrityError
from gpuseg.workspace.files import replacing


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
