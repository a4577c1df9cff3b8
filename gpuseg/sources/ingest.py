"""Reads every source once into buckets and reduces each bucket to the state that is kept."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from gpuseg.engine import Engine
from gpuseg.engine.arrow import as_arrow, text_arrow
from gpuseg.engine.program import ReadPlan, Tally
from gpuseg.engine.spill import Room, Spill
from gpuseg.progress import Meter, counted
from gpuseg.sources.consent import Consents, read_consents
from gpuseg.sources.identity import read_identity
from gpuseg.sources.locate import check_unchanged
from gpuseg.sources.plan import Plans
from gpuseg.sources.pulse import Pulse
from gpuseg.sources.quarantine import Quarantine
from gpuseg.sources.reduce import STATE, Reducer
from gpuseg.sources.reduced import Reduced, ReducedCodec
from gpuseg.sources.scan import ScannedCodec, Scanner, part_sizes, parts_of
from gpuseg.workspace.files import write_table
from gpuseg.workspace.ledger import Ledger, Once

QUARANTINE = "quarantine"


@dataclass
class Ingested:
    """What reading found.

    Parameters
    ----------
    tallies : dict of source name to Tally
    n_profiles : int
        Distinct profiles over all sources.
    n_with_events : int
        Those that any dated source knows.
    profiles_per_source : dict of source name to int
    rows_checked : dict of source name to int
        Rows whose null values were counted.
    same_files : dict of source name to list of tuple of str
        Local files of equal bytes, together.
    n_refused_without_record : int
        Profiles left out because a consent table lacks them; none said no.
    n_used_without_record : int
        Profiles used though no consent table knows them; 0 where there is no such table.
    """

    tallies: dict[str, Tally] = field(default_factory=dict)
    n_profiles: int = 0
    n_with_events: int = 0
    profiles_per_source: dict[str, int] = field(default_factory=dict)
    rows_checked: dict[str, int] = field(default_factory=dict)
    same_files: dict[str, list[tuple[str, ...]]] = field(default_factory=dict)
    n_refused_without_record: int = 0
    n_used_without_record: int = 0


def ingest(
    plans: Plans,
    engine: Engine,
    *,
    folder: Path,
    ledger: Ledger,
    progress: Meter,
    count_repeats: bool = False,
    dedupe: bool = False,
) -> Ingested:
    """Scan, bucket and reduce all sources.

    Parameters
    ----------
    plans : Plans
    engine : Engine
    folder : Path
        Version folder; the state goes to `state/` in it, rows set apart to `quarantine/`.
    ledger : Ledger
        Parts and buckets that are done; rows lie in its folder until the buckets are.
    progress : Meter
        Told of the steps "read" (stored bytes, and rows) and "reduce" (buckets).
    count_repeats, dedupe : bool, default False
        Whether to count events that repeat another in every column, and to leave them out.

    Returns
    -------
    Ingested
    """
    found = Ingested()
    reads = [_with_identity(plan, plans, engine) for plan in plans.reads]
    consents = read_consents(reads, engine)
    reads = [replace(plan, consent=consents.rule) for plan in reads]
    quarantine = Quarantine()
    spill = _scan(reads, plans, engine, ledger, found, quarantine, consents, progress)
    check_unchanged(plans.located)
    device = engine.device
    reducer = Reducer(reads, device, spill, folder / STATE, count_repeats=count_repeats or dedupe, dedupe=dedupe)
    whole = Reduced()
    work = Once(reducer, ledger, ReducedCodec(), "bucket", reducer.files)
    held = [ledger.holds(f"bucket-{bucket}") for bucket in range(plans.n_buckets)]
    for bucket in counted(progress, "reduce", engine.executor.map(work, range(plans.n_buckets)), held):
        whole.add(bucket)
    found.n_profiles, found.n_with_events = whole.n_profiles, whole.n_with_events
    found.profiles_per_source = whole.profiles_per_source
    _settle(found, whole, dedupe=dedupe)
    found.n_refused_without_record, found.n_used_without_record = consents.n_without_record(), whole.n_without_record
    quarantine.write(folder / QUARANTINE, whole.rejected)
    found.same_files = {plan.source: same for plan in reads if (same := equal_files(plan.files))}
    write_table(
        folder / STATE / "categories.parquet", _category_table(whole.categories, whole.category_profiles), nullable=()
    )
    values = whole.value_counts()
    if values:
        write_table(folder / STATE / "attributes.parquet", _attribute_table(values), nullable=())
    if whole.text_kinds:
        write_table(folder / STATE / "attribute_kinds.parquet", _kind_table(whole), nullable=())
    return found


def _settle(found: Ingested, whole: Reduced, *, dedupe: bool) -> None:
    """Bring the counts of the scan up to what was left of its rows."""
    for source, tally in found.tallies.items():
        found.rows_checked[source] = tally.rows_used + tally.rows_unmatched
        n_again = sum(table.num_rows for table in whole.rejected.get(source, ()))
        tally.rows_quarantined += n_again
        tally.rows_used -= n_again
        tally.first_day, tally.last_day = whole.days.get(source, (None, None))
        tally.rows_duplicate += whole.repeated.get(source, 0)
        tally.rows_used -= whole.repeated.get(source, 0) if dedupe else 0


def equal_files(files: Sequence[str]) -> list[tuple[str, ...]]:
    """Local files, empty ones aside, whose bytes are equal, in groups; only those of equal size are read."""
    by_size: dict[int, list[str]] = {}
    for file in files:
        path = Path(file)
        if path.is_file() and (size := path.stat().st_size):
            by_size.setdefault(size, []).append(file)
    groups: dict[str, list[str]] = {}
    for alike in by_size.values():
        for file in alike if len(alike) > 1 else ():
            with Path(file).open("rb") as handle:
                groups.setdefault(hashlib.file_digest(handle, "sha256").hexdigest(), []).append(file)
    return [tuple(group) for group in groups.values() if len(group) > 1]


def _with_identity(plan: ReadPlan, plans: Plans, engine: Engine) -> ReadPlan:
    given = plans.identities.get(plan.source)
    if given is None:
        return plan
    return replace(plan, identity=read_identity(given, engine, id_type=plan.id_type))


def _scan(
    reads: Sequence[ReadPlan],
    plans: Plans,
    engine: Engine,
    ledger: Ledger,
    found: Ingested,
    quarantine: Quarantine,
    consents: Consents,
    progress: Meter,
) -> Spill:
    """Read all parts of all sources, and take in what they hold in the order of the parts."""
    found.tallies = {plan.source: Tally() for plan in reads}
    sizes = _sizes(plans)
    parts = parts_of(reads, sizes)
    held = [ledger.holds(f"part-{part}") for part in parts]
    pulse, spill = Pulse(progress, part_sizes(parts, reads, sizes)), Spill(plans.n_buckets)
    scanner = Scanner(reads, engine.device, ledger.folder, plans.n_buckets, Room(), pulse)
    work = Once(scanner, ledger, ScannedCodec(ledger.folder), "part", scanner.files)
    for number, part in enumerate(engine.executor.map(work, parts, stop=pulse.stop)):
        pulse.end(number, part.tally.rows_read, anew=not held[number])
        found.tallies[part.run.source].add(part.tally)
        for rejected in part.rejected:
            quarantine.add(part.run.source, rejected)
        consents.add(part.refused)
        spill.add(part.run)
    return spill


def _sizes(plans: Plans) -> dict[str, int]:
    """Bytes of every file whose size is known."""
    return {file: size for located in plans.located for file, size in zip(located.files, located.sizes, strict=True)}


def n_parts(plans: Plans) -> int:
    """In how many parts the sources are read."""
    return len(parts_of(plans.reads, _sizes(plans)))


def _category_table(lines: Mapping[tuple[str, str], int], profiles: Mapping[tuple[str, str], int]) -> pa.Table:
    """Categories of each kind by lines, largest first, ties by the bytes of their names."""
    ordered = sorted(lines.items(), key=lambda item: (item[0][0], -item[1], item[0][1].encode()))
    return pa.table(
        {
            "kind": text_arrow([kind for (kind, _), _ in ordered]),
            "category": text_arrow([name for (_, name), _ in ordered]),
            "n_lines": _int64([count for _, count in ordered]),
            "n_profiles": _int64([profiles[key] for key, _ in ordered]),
        }
    )


def _attribute_table(profiles: Mapping[tuple[str, str, str], int]) -> pa.Table:
    """Values of each text attribute by profiles, largest first, ties by their bytes."""
    ordered = sorted(profiles.items(), key=lambda item: (item[0][:2], -item[1], item[0][2].encode()))
    return pa.table(
        {
            "source": text_arrow([key[0] for key, _ in ordered]),
            "column": text_arrow([key[1] for key, _ in ordered]),
            "value": text_arrow([key[2] for key, _ in ordered]),
            "n_profiles": _int64([count for _, count in ordered]),
        }
    )


def _kind_table(whole: Reduced) -> pa.Table:
    """What the text attributes hold, and how many of their values are figures."""
    ordered = sorted(whole.text_kinds.items())
    return pa.table(
        {
            "source": text_arrow([key[0] for key, _ in ordered]),
            "column": text_arrow([key[1] for key, _ in ordered]),
            "kind": text_arrow([kind for _, kind in ordered]),
            "n_values": _int64([whole.n_texts[key] for key, _ in ordered]),
            "n_figures": _int64([whole.n_figures[key] for key, _ in ordered]),
        }
    )


def _int64(values: Sequence[int]) -> pa.Array:
    return as_arrow(np.array(values, np.int64))
