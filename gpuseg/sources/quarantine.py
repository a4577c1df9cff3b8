"""Rows that cannot be used, set apart with their place and the reason."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gpuseg.engine.arrow import as_arrow, as_numpy, text_arrow
from gpuseg.engine.program import PLACE_FILE, PLACE_ROW, ReadPlan
from gpuseg.workspace.files import write_table

_AGAIN = "an earlier row describes the same profile; a crm source needs one row per profile"


class Quarantine:
    """Bad rows of all sources, in the order in which they were read."""

    def __init__(self) -> None:
        self._tables: dict[str, list[pa.Table]] = {}

    def add(self, source: str, rejected: pa.Table | None) -> None:
        """Take in the bad rows of one batch."""
        if rejected is not None:
            self._tables.setdefault(source, []).append(rejected)

    def write(self, folder: Path, repeated: Mapping[str, Sequence[pa.Table]]) -> None:
        """Write one file a source.

        Parameters
        ----------
        folder : Path
        repeated : mapping of source name to sequence of Arrow table
            Further rows, from `split_repeated`.

        Notes
        -----
        Rows are in order of file and row, however they were read. A source without bad rows has no file.
        """
        for source in {**self._tables, **repeated}:
            tables = [*self._tables.get(source, ()), *repeated.get(source, ())]
            table = pa.concat_tables(tables, promote_options="default")
            ordered = table.take(pc.sort_indices(table, [("file", "ascending"), ("row", "ascending")]))
            write_table(folder / f"{source}.parquet", ordered)


def split_repeated(rows: pa.Table, plan: ReadPlan) -> tuple[pa.Table, pa.Table | None]:
    """Part rows of attributes into the first of each profile, by file and row, and all others.

    Parameters
    ----------
    rows : Arrow table
        Canonical rows of one bucket with their places.
    plan : ReadPlan

    Returns
    -------
    first : Arrow table
        One row a profile.
    again : Arrow table or None
        The others in the form of `Batch.rejected`; None where no profile has two rows. Values are those after
        reading, so where there is an identity map, `value_profile_id` is the profile.
    """
    if pc.count_distinct(rows["profile_id"]).as_py() == rows.num_rows:
        return rows, None
    places = [(name, "ascending") for name in ("profile_id", PLACE_FILE, PLACE_ROW)]
    ordered = rows.take(pc.sort_indices(rows, places)).combine_chunks()
    ids = ordered["profile_id"]
    again = np.concatenate([[False], as_numpy(pc.equal(ids.slice(1), ids.slice(0, len(ids) - 1)))])
    apart = ordered.filter(as_arrow(again))
    n = apart.num_rows
    columns = {
        "file": apart[PLACE_FILE],
        "row": apart[PLACE_ROW],
        "column": text_arrow([plan.columns["profile_id"]] * n),
        "reason": text_arrow([_AGAIN] * n),
    }
    columns |= {f"value_{name}": apart[name].cast(pa.string()) for name in ("profile_id", *plan.attributes)}
    return ordered.filter(as_arrow(~again)), pa.table(columns)
