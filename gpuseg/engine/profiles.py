"""Sets of profiles in little memory, looked up exactly: 8 bytes a profile, and its text where ids are text."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from gpuseg.engine.arrow import as_arrow, as_numpy


@dataclass(frozen=True, eq=False)
class Profiles:
    """Profile ids of rows.

    Parameters
    ----------
    marks : int64 or uint64 array, shape (n_rows,)
        The ids themselves where they are integers, else hashes of them.
    known : bool array, shape (n_rows,)
        Whether the row has an id; its mark means nothing where it has none.
    text : Arrow large_string array, shape (n_rows,), or None
        Ids where they are text.
    """

    marks: npt.NDArray[Any]
    known: npt.NDArray[np.bool_]
    text: pa.Array | None = None


@dataclass(frozen=True, eq=False)
class ProfileSet:
    """A set of profiles; text ids of equal hash are told apart by their text.

    Parameters
    ----------
    marks : int64 or uint64 array, shape (n,)
        Ascending; as of `Profiles`.
    text : Arrow large_string array, shape (n,), or None
        Text ids in the order of the marks.
    """

    marks: npt.NDArray[Any]
    text: pa.Array | None = None

    def contains(self, profiles: Profiles) -> npt.NDArray[np.bool_]:
        """Where rows have an id that is in the set, shape (n_rows,)."""
        found = np.zeros(profiles.known.size, np.bool_)
        rows = np.flatnonzero(profiles.known)
        places = np.searchsorted(self.marks, profiles.marks[rows])
        while rows.size:
            inside = places < self.marks.size
            rows, places = rows[inside], places[inside]
            alike = self.marks[places] == profiles.marks[rows]
            rows, places = rows[alike], places[alike]
            if self.text is None or profiles.text is None:
                found[rows] = True
                break
            same = as_numpy(pc.equal(self.text.take(as_arrow(places)), profiles.text.take(as_arrow(rows))))
            found[rows[same]] = True
            # Another id may have the same hash: it is the next in the set.
            rows, places = rows[~same], places[~same] + 1
        return found


def profiles_of(ids: pa.Array, hash_ids: Callable[[pa.Array, int], npt.NDArray[np.uint64]]) -> Profiles:
    """Profiles by their ids.

    Parameters
    ----------
    ids : Arrow int64 or large_string array
        Null where a row has no id.
    hash_ids : callable
        That of the device.
    """
    known = as_numpy(ids.is_valid())
    if pa.types.is_integer(ids.type):
        return Profiles(as_numpy(pc.if_else(ids.is_valid(), ids, as_arrow(np.zeros(1, np.int64))[0])), known)
    return Profiles(hash_ids(ids, 0), known, ids)


def profile_set(profiles: Profiles) -> ProfileSet:
    """The set of all profiles of rows; rows without an id are left out."""
    rows = np.flatnonzero(profiles.known)
    order = rows[np.argsort(profiles.marks[rows], kind="stable")]
    text = None if profiles.text is None else profiles.text.take(as_arrow(order))
    return ProfileSet(profiles.marks[order], text)
