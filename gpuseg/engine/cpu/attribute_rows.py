"""The part of `aggregate` that concerns rows of attributes, one a profile."""

import numpy as np
import pyarrow as pa

from gpuseg.engine.arrow import as_arrow
from gpuseg.engine.cpu.ranks import rank_ids
from gpuseg.engine.program import PLACE_FILE, PLACE_ROW
from gpuseg.errors import InvalidValueError


def attribute_rows(source: str, rows: pa.Table) -> dict[str, pa.Table]:
    """Order the CRM rows of one source and bucket by profile.

    Parameters
    ----------
    source : str
        Name of the source, for messages.
    rows : Arrow table
        `profile_id`, attributes, and `PLACE_FILE` (text) and `PLACE_ROW` (int64), the place of each row.

    Returns
    -------
    dict of Arrow tables
        "SOURCE.attributes" without the places, and "profiles".

    Raises
    ------
    InvalidValueError
        If a profile has more than one row; names both places.
    """
    ranks, profiles = rank_ids(rows["profile_id"])
    order = np.argsort(ranks, kind="stable")
    if len(profiles) < rows.num_rows:
        ordered = ranks[order]
        at = int(np.argmax(ordered[1:] == ordered[:-1]))
        places = sorted(
            (rows[PLACE_FILE][int(row)].as_py(), rows[PLACE_ROW][int(row)].as_py()) for row in order[at : at + 2]
        )
        first, second = (f"{file}, row {row}" for file, row in places)
        raise InvalidValueError(
            f"{source}: {first} and {second} describe the same profile; a crm source needs one row per profile"
        )
    return {
        f"{source}.attributes": rows.drop_columns([PLACE_FILE, PLACE_ROW]).take(as_arrow(order)),
        "profiles": pa.table({"profile_id": profiles, f"in_{source}": as_arrow(np.ones(len(profiles), np.bool_))}),
    }
