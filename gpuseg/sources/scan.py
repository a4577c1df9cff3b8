"""Reads the sources part by part into buckets; parts depend on the files alone, so that any executor has the same."""

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from gpuseg.engine.arrow import as_arrow, as_numpy
from gpuseg.engine.base import Device
from gpuseg.engine.opening import opened, readable, streamed_bytes
from gpuseg.engine.parquet_parts import row_group_parts
from gpuseg.engine.program import ReadPlan, Tally
from gpuseg.engine.shortage import shortage
from gpuseg.engine.spill import Room, Run, RunWriter
from gpuseg.sources.pulse import Pulse
from gpuseg.vocabulary import KINDS
from gpuseg.workspace.ledger import Entry

PART_BYTES = 256 * 2**20
LEAST_CHUNK_ROWS = 4_096
"""Rows that are read at a time where there is no memory for more."""

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Part:
    """Some of a source's files.

    Parameters
    ----------
    number : int
        Place among the parts of all sources.
    source : int
        Place of the source among the plans.
    low, high : int
        The first of its files, and the first that is not.
    row_groups : tuple of int or None
        Of its only file, the first row group and the first that is not; None for all.
    first_row : int
        Number of the first row in each file.
    name : str
        Of the source, for messages.
    """

    number: int
    source: int
    low: int
    high: int
    row_groups: tuple[int, int] | None = None
    first_row: int = 1
    name: str = field(default="", compare=False)

    def __str__(self) -> str:
        return f"{self.number:05d}"

    @property
    def told(self) -> str:
        """The part in words for people."""
        return f"{self.number} (source {self.name}, files {self.low + 1} to {self.high})"


def parts_of(reads: Sequence[ReadPlan], sizes: Mapping[str, int]) -> list[Part]:
    """Parts of every source, in order: successive files of together at most `PART_BYTES`, or one that is larger.

    A larger Parquet file is parted between row groups. A source of attributes is one part, for its files are compared
    with each other.

    Parameters
    ----------
    reads : sequence of ReadPlan
    sizes : mapping of file to bytes
        Of those that are known.
    """
    found: list[Part] = []
    for source, plan in enumerate(reads):
        bytes_of = [sizes.get(file, 0) for file in plan.files]
        whole = KINDS[plan.kind].has_attributes
        for low, high in pairwise([0, *([] if whole else _cuts(bytes_of)), len(plan.files)]):
            if plan.format == "parquet" and not whole and sum(bytes_of[low:high]) > PART_BYTES:
                with readable(plan.files[low], "Parquet", plan.source), opened(plan.files[low], "parts") as file:
                    groups = row_group_parts(pq.read_metadata(file), PART_BYTES)
                found += [
                    Part(len(found) + i, source, low, high, (a, b), row, plan.source)
                    for i, (a, b, row) in enumerate(groups)
                ]
            else:
                found.append(Part(len(found), source, low, high, name=plan.source))
    return found


def part_sizes(parts: Sequence[Part], reads: Sequence[ReadPlan], sizes: Mapping[str, int]) -> list[int]:
    """About how many stored bytes each part has; 0 where nobody tells. Parts of one file share its size evenly."""
    sharing = Counter((part.source, part.low, part.high) for part in parts)
    found = []
    for part in parts:
        plan = reads[part.source]
        whole = sum(sizes.get(file, 0) for file in plan.files[part.low : part.high])
        whole = plan.frame.nbytes if plan.format == "frame" else whole
        found.append(whole // sharing[part.source, part.low, part.high])
    return found


def _cuts(sizes: Sequence[int]) -> Iterator[int]:
    held = 0
    for place, size in enumerate(sizes):
        if held and held + size > PART_BYTES:
            yield place
            held = 0
        held += size


@dataclass
class Scanned:
    """What a part held.

    Parameters
    ----------
    run : Run
    tally : Tally
    rejected : list of Arrow table
        Rows set apart.
    refused : array or None
        Marks of profiles that may not be used, each once.
    """

    run: Run
    tally: Tally = field(default_factory=Tally)
    rejected: list[pa.Table] = field(default_factory=list)
    refused: npt.NDArray[Any] | None = None


@dataclass(frozen=True)
class Scanner:
    """Reads one part and partitions its rows; safe to call from several threads and processes.

    Parameters
    ----------
    reads : sequence of ReadPlan
    device : Device
    folder : Path
        Where rows go that are not held in memory.
    n_buckets : int
    room : Room
    pulse : Pulse
    """

    reads: Sequence[ReadPlan]
    device: Device
    folder: Path
    n_buckets: int
    room: Room
    pulse: Pulse

    def __call__(self, part: Part) -> Scanned:
        """Read one part."""
        whole = self.reads[part.source]
        plan = replace(
            whole, files=whole.files[part.low : part.high], row_groups=part.row_groups, first_row=part.first_row
        )
        coded = not KINDS[plan.kind].has_attributes
        room = self.room
        while True:
            rows = RunWriter(self.folder / f"part-{part}", plan.source, self.n_buckets, room, coded=coded)
            try:
                return self._scanned(plan, rows, part.number)
            except MemoryError as error:
                rows.discard()
                if plan.chunk_rows <= LEAST_CHUNK_ROWS:
                    what = f"read {plan.source} {plan.chunk_rows:,} rows at a time"
                    raise shortage(error, self.device, what, "give this process more") from None
            plan = replace(plan, chunk_rows=max(plan.chunk_rows // 2, LEAST_CHUNK_ROWS))
            # What was held in memory goes to files from now on.
            room = Room(0)
            _LOG.warning("memory is full: reading part %s anew, %d rows at a time", part.told, plan.chunk_rows)

    def files(self, _part: Part, scanned: Scanned) -> list[Path]:
        """Where the rows of a part lie."""
        return [piece.path for piece in scanned.run.pieces if piece.path is not None]

    def _scanned(self, plan: ReadPlan, rows: RunWriter, part: int) -> Scanned:
        """Read all of a plan."""
        found, before = Scanned(Run(plan.source, None, ())), streamed_bytes()
        refused: list[npt.NDArray[Any]] = []
        for batch in self.device.scan(plan):
            found.tally.add(batch.tally)
            self.pulse.beat(part, found.tally.rows_read, streamed_bytes() - before)
            if batch.rejected is not None:
                found.rejected.append(batch.rejected)
            if batch.refused is not None:
                refused.append(np.unique(batch.refused))
            rows.append(*self.device.partition_to_host(batch, self.n_buckets))
        found.run = rows.finish()
        found.refused = np.unique(np.concatenate(refused)) if refused else None
        return found


@dataclass(frozen=True)
class ScannedCodec:
    """Stores what a part held, where all its rows are in files.

    Parameters
    ----------
    folder : Path
        Of the files.
    """

    folder: Path

    def store(self, result: Scanned) -> Entry | None:
        """The counts as JSON, rows set apart and refused profiles as tables."""
        if not result.run.is_stored:
            return None
        tables = {f"rejected{place}": table for place, table in enumerate(result.rejected)}
        if result.refused is not None:
            tables["refused"] = pa.table({"mark": as_arrow(result.refused)})
        return Entry({"run": result.run.saved(), "tally": asdict(result.tally)}, tables)

    def restore(self, entry: Entry) -> Scanned:
        """What `store` was given."""
        rejected = [entry.tables[name] for name in _rejected_names(entry.tables)]
        refused = as_numpy(entry.tables["refused"]["mark"]) if "refused" in entry.tables else None
        run = Run.restored(entry.content["run"], self.folder)
        return Scanned(run, Tally(**entry.content["tally"]), rejected, refused)


def _rejected_names(tables: Mapping[str, pa.Table]) -> Iterator[str]:
    place = 0
    while f"rejected{place}" in tables:
        yield f"rejected{place}"
        place += 1
