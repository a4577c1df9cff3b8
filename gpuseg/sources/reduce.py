"""Reduces one bucket of canonical rows to the state that is kept of its profiles."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gpuseg.engine.arrow import as_arrow, as_numpy, codes_of, text_arrow
from gpuseg.engine.base import Device
from gpuseg.engine.program import ReadPlan
from gpuseg.engine.shortage import shortage
from gpuseg.engine.spill import Spill
from gpuseg.sources.quarantine import split_repeated
from gpuseg.sources.reduced import MOST_VALUES, Reduced
from gpuseg.vocabulary import KINDS
from gpuseg.workspace.files import write_table

STATE = "state"
MOST_HALVINGS = 6
_LOT_SEED = 0x6C6F74
_LOG = logging.getLogger(__name__)
_NULLABLE = ("category", "order_id", "order_us")
_FIGURE = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?$"
_DATE = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}([T ].*)?$"


@dataclass(frozen=True)
class Reducer:
    """Reduces one bucket and writes its state; safe to call from several threads and processes."""

    reads: Sequence[ReadPlan]
    device: Device
    spill: Spill
    folder: Path
    count_repeats: bool
    dedupe: bool

    def __call__(self, bucket: int) -> Reduced:
        """Write the state of one bucket and say what it holds.

        Raises
        ------
        DeviceMemoryError
            If there is no memory even for a small share of the bucket's profiles.
        """
        tables, found = self._reduced(bucket, Lot(self.device))
        for name, table in tables.items():
            nullable = () if name == "profiles" else None if name.endswith(".attributes") else _NULLABLE
            write_table(bucket_file(self.folder / name, bucket), _only_used_words(table), nullable=nullable)
        self.spill.discard(bucket)
        return found

    def files(self, bucket: int, _found: Reduced) -> list[Path]:
        """The state of a bucket."""
        return sorted(self.folder.glob(bucket_file(Path("*"), bucket).as_posix()))

    def _reduced(self, bucket: int, lot: "Lot") -> tuple[dict[str, pa.Table], Reduced]:
        """State of the profiles of a lot, cut in halves where memory ends, and what they hold."""
        try:
            return self._state(self.spill.read(bucket, lot.pick))
        except MemoryError as error:
            if lot.depth == MOST_HALVINGS:
                what = f"reduce bucket {bucket} even in {2**lot.depth} pieces"
                raise shortage(error, self.device, what, "raise run.buckets, or give this process more") from None
        _LOG.warning("memory is full: reducing bucket %d in %d pieces", bucket, 2 ** (lot.depth + 1))
        (left, found), (right, more) = (self._reduced(bucket, half) for half in lot.halves())
        found.add(more)
        return {name: together([half[name] for half in (left, right) if name in half]) for name in left | right}, found

    def _state(self, events: dict[str, pa.Table]) -> tuple[dict[str, pa.Table], Reduced]:
        """State of all profiles of events."""
        names = [plan.source for plan in self.reads]
        found = Reduced()
        events = self._once(events, found)
        if self.count_repeats:
            events = self._distinct(events, found)
        if not events:
            return {}, found
        known: list[pa.Table] = []
        state: dict[str, pa.Table] = {}
        for kind, mine in _by_kind(self.reads, events):
            tables = self.device.aggregate(kind, mine, self.spill.categories)
            known.append(tables.pop("profiles"))
            if KINDS[kind].category is not None:
                _count_categories(kind, tables.pop("categories"), found)
            if KINDS[kind].has_attributes:
                (table,) = tables.values()
                _count_values(next(iter(mine)), table, found)
            state |= tables
        profiles = state["profiles"] = _profiles(known, names)
        found.n_profiles = profiles.num_rows
        dated = [as_numpy(profiles[f"in_{p.source}"]) for p in self.reads if not KINDS[p.kind].has_attributes]
        found.n_with_events = int(np.count_nonzero(np.any(dated, axis=0))) if dated else 0
        asked = [as_numpy(profiles[f"in_{p.source}"]) for p in self.reads if p.tells_consent]
        found.n_without_record = int(np.count_nonzero(~np.any(asked, axis=0))) if asked else 0
        found.profiles_per_source = {name: pc.sum(profiles[f"in_{name}"]).as_py() for name in names}
        return state, found

    def _once(self, events: dict[str, pa.Table], found: Reduced) -> dict[str, pa.Table]:
        """Note the days of events; of profiles described twice keep the first row where bad rows are set apart."""
        kept = dict(events)
        for plan in self.reads:
            table = events.get(plan.source)
            if table is None:
                continue
            if not KINDS[plan.kind].has_attributes:
                days = as_numpy(table["day"])
                found.days[plan.source] = (int(days.min()), int(days.max()))
            elif plan.quarantine:
                kept[plan.source], again = split_repeated(table, plan)
                if again is not None:
                    found.rejected[plan.source] = [again]
        return kept

    def _distinct(self, events: dict[str, pa.Table], found: Reduced) -> dict[str, pa.Table]:
        """Count events that repeat another of their source in all that is kept of them; leave them out if asked."""
        dated = {plan.source for plan in self.reads if not KINDS[plan.kind].has_attributes}
        kept = dict(events)
        for source in dated & set(events):
            table = events[source]
            distinct = table.group_by(table.column_names, use_threads=False).aggregate([])
            found.repeated[source] = table.num_rows - distinct.num_rows
            if self.dedupe:
                kept[source] = distinct
        return kept


@dataclass(frozen=True)
class Lot:
    """Some of a bucket's profiles, by the lowest bits of a hash of their ids.

    Parameters
    ----------
    device : Device
    depth : int
        Bits that tell them; with none it is all profiles.
    bits : int
        Their value.
    """

    device: Device
    depth: int = 0
    bits: int = 0

    @property
    def pick(self) -> Callable[[pa.Table], pa.Table] | None:
        """Picks the rows of the lot; None where it is all rows."""
        return self._rows if self.depth else None

    def halves(self) -> tuple["Lot", "Lot"]:
        """Two lots that make up this one."""
        left, right = (Lot(self.device, self.depth + 1, self.bits | (bit << self.depth)) for bit in (0, 1))
        return left, right

    def _rows(self, rows: pa.Table) -> pa.Table:
        hashes = self.device.hash_ids(rows["profile_id"], _LOT_SEED)
        mask = np.uint64((1 << self.depth) - 1)
        return rows.filter(as_arrow((hashes & mask) == np.uint64(self.bits)))


def together(lots: Sequence[pa.Table]) -> pa.Table:
    """State tables of distinct profiles as one, the same as if they had been reduced at once."""
    if len(lots) == 1:
        return lots[0]
    texts = [name for name, kind in zip(lots[0].schema.names, lots[0].schema.types, strict=True) if _is_coded(kind)]
    plain = [table.cast(_plain(table.schema)) for table in lots]
    table = pa.concat_tables(plain, promote_options="permissive")
    # A stable sort: the rows of a profile, all of one lot, keep their order.
    table = table.take(pc.sort_indices(table["profile_id"])).combine_chunks()
    for name in texts:
        words = sorted({word for lot in lots for word in _one(lot[name]).dictionary.to_pylist()}, key=str.encode)
        codes = pc.index_in(table[name], value_set=text_arrow(words))
        coded = pa.DictionaryArray.from_arrays(_one(codes), text_arrow(words))
        table = table.set_column(table.column_names.index(name), name, coded)
    return table


def _is_coded(kind: pa.DataType) -> bool:
    return bool(pa.types.is_dictionary(kind))


def _plain(schema: pa.Schema) -> pa.Schema:
    """A schema with text in the place of codes."""
    return pa.schema([f.with_type(f.type.value_type) if _is_coded(f.type) else f for f in schema])


def bucket_file(folder: Path, bucket: int) -> Path:
    """The Parquet file of a bucket."""
    return folder / f"{bucket:04d}.parquet"


def bucket_files(folder: Path) -> list[Path]:
    """The Parquet files of all buckets that hold rows, in order."""
    return sorted(folder.glob("*.parquet")) if folder.is_dir() else []


def _by_kind(reads: Sequence[ReadPlan], events: Mapping[str, pa.Table]) -> Iterator[tuple[str, dict[str, pa.Table]]]:
    """The rows of a bucket, all sources of an event kind together, sources with attributes one by one."""
    groups: dict[tuple[str, str], tuple[str, dict[str, pa.Table]]] = {}
    for plan in reads:
        if plan.source in events:
            key = (plan.kind, plan.source if KINDS[plan.kind].has_attributes else "")
            groups.setdefault(key, (plan.kind, {}))[1][plan.source] = events[plan.source]
    yield from groups.values()


def _profiles(known: Sequence[pa.Table], sources: Sequence[str]) -> pa.Table:
    """Every profile of a bucket, in order of its id, and which sources know it."""
    profiles = known[0]["profile_id"]
    if len(known) > 1:
        together = pc.unique(pa.chunked_array([chunk for table in known for chunk in table["profile_id"].chunks]))
        profiles = together.take(pc.sort_indices(together))
    columns = {"profile_id": profiles}
    for source in sources:
        tables = [table for table in known if f"in_{source}" in table.column_names]
        if not tables:
            columns[f"in_{source}"] = as_arrow(np.zeros(len(profiles), np.bool_))
        elif len(known) == 1:
            columns[f"in_{source}"] = tables[0][f"in_{source}"]
        else:
            mine = tables[0].filter(tables[0][f"in_{source}"])["profile_id"]
            columns[f"in_{source}"] = pc.is_in(profiles, value_set=mine)
    return pa.table(columns)


def _one(column: pa.ChunkedArray) -> pa.Array:
    array = column.combine_chunks()
    return array.chunk(0) if isinstance(array, pa.ChunkedArray) else array


def _only_used_words(table: pa.Table) -> pa.Table:
    """Categories without the words that no row of the table has: a file holds its whole dictionary."""
    if "category" not in table.column_names:
        return table
    column = _one(table["category"])
    if not pa.types.is_dictionary(column.type):
        return table
    codes = codes_of(column)
    used = np.zeros(len(column.dictionary) + 1, np.bool_)
    used[codes] = True
    # The entry at the end is where code -1 marks and reads.
    used[-1] = False
    place = (np.cumsum(used) - 1).astype(np.int32)
    words = column.dictionary.filter(as_arrow(used[:-1]))
    spelt = pa.DictionaryArray.from_arrays(as_arrow(place[codes], codes < 0), words)
    return table.set_column(table.column_names.index("category"), "category", spelt)


def _count_categories(kind: str, counts: pa.Table, found: Reduced) -> None:
    """Note the lines and profiles of every category."""
    for row in counts.to_pylist():
        found.categories[kind, row["category"]] = row["n_lines"]
        found.category_profiles[kind, row["category"]] = row["n_profiles"]


def _count_values(source: str, attributes: pa.Table, found: Reduced) -> None:
    """How many profiles have each value of the text columns, and whether these are figures or dates."""
    for name in attributes.column_names[1:]:
        if not pa.types.is_string(attributes.schema.field(name).type):
            continue
        known = attributes[name].drop_null()
        if len(known):
            found.text_kinds[source, name] = text_kind(known)
            found.n_texts[source, name] = len(known)
            found.n_figures[source, name] = pc.sum(_are_figures(known)).as_py()
        counts = known.value_counts()
        if len(counts) > MOST_VALUES:
            found.crowded.add((source, name))
            continue
        for value, count in zip(counts.field("values").to_pylist(), counts.field("counts").to_pylist(), strict=True):
            found.attributes[source, name, value] = count


def text_kind(texts: pa.ChunkedArray) -> str:
    """Whether every text is a figure ("number") or an ISO 8601 date ("date"); else "text"."""
    if pc.all(_are_figures(texts)).as_py():
        return "number"
    trimmed = pc.utf8_trim_whitespace(texts)
    if pc.all(pc.match_substring_regex(trimmed, _DATE)).as_py():
        try:
            pc.utf8_slice_codeunits(trimmed, 0, 10).cast(pa.date32())
        except pa.ArrowException:
            return "text"
        return "date"
    return "text"


def _are_figures(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.match_substring_regex(pc.utf8_trim_whitespace(texts), _FIGURE)
