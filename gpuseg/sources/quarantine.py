"""Rows that cannot be used, set apart with their place and the reason."""

from collections.abc import Collection
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from gpuseg.engine.arrow import text_arrow
from gpuseg.engine.program import ReadPlan
from gpuseg.workspace.files import write_table


class Quarantine:
    """Bad rows of all sources, in the order in which they were read."""

    def __init__(self) -> None:
        self._tables: dict[str, list[pa.Table]] = {}
        self._plans: dict[str, ReadPlan] = {}

    def add(self, plan: ReadPlan, rejected: pa.Table | None) -> None:
        """Take in the bad rows of one batch."""
        if rejected is not None:
            self._tables.setdefault(plan.source, []).append(rejected)
            self._plans[plan.source] = plan

    def write(self, folder: Path, refused: Collection[str]) -> dict[str, int]:
        """Write one file a source, without the rows of profiles that refused consent.

        Parameters
        ----------
        folder : Path
        refused : collection of str
            Profile ids, as text.

        Returns
        -------
        dict of str to int
            Rows of each source that were left out for want of consent.
        """
        left_out = {}
        for source, tables in self._tables.items():
            table = pa.concat_tables(tables, promote_options="default")
            if refused:
                known = pc.is_in(self._profiles(source, table), value_set=text_arrow(sorted(refused)))
                kept = table.filter(pc.invert(known))
                left_out[source] = table.num_rows - kept.num_rows
                table = kept
            write_table(folder / f"{source}.parquet", table)
        return left_out

    def _profiles(self, source: str, table: pa.Table) -> pa.ChunkedArray:
        """Profile ids of quarantined rows, as text."""
        given = table["value_profile_id"]
        identity = self._plans[source].identity
        if identity is None:
            return given
        place = pc.index_in(given, value_set=identity["key"].combine_chunks().cast(pa.string()))
        return identity["profile_id"].cast(pa.string()).take(place)
