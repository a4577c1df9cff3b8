"""The quality record of a run."""

import datetime as dt
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gpuseg.config import Config
from gpuseg.config_sources import CLEAR_YES, SourceSection
from gpuseg.features.algebra import EPOCH
from gpuseg.sources.ingest import Ingested
from gpuseg.sources.plan import Plans
from gpuseg.trust.gates import left_out
from gpuseg.vocabulary import KINDS

# Reasons of `left_out` that a configuration asks for.
_ASKED_FOR = ("at or after as_of", "without consent", "past their retention")


def quality_record(config: Config, plans: Plans, found: Ingested) -> dict[str, Any]:
    """Content of `quality.json`: what was read, kept, filtered, rounded and shifted, source by source.

    `warnings` ask something of their reader; `notes` say that a setting did its work.
    """
    sources = []
    warnings: list[str] = []
    notes: list[str] = []
    for section, plan in zip(config.sources, plans.reads, strict=True):
        tally = found.tallies[section.name]
        sources.append(
            {
                "name": section.name,
                "kind": section.kind,
                "event_kind": section.event_kind,
                "n_files": len(plan.files),
                "rows_read": tally.rows_read,
                "rows_used": tally.rows_used,
                "rows_after_as_of": tally.rows_after_as_of,
                "rows_without_consent": tally.rows_without_consent,
                "consents_unclear": tally.consents_unclear,
                "rows_past_retention": tally.rows_past_retention,
                "rows_unmatched": tally.rows_unmatched,
                "rows_duplicate": tally.rows_duplicate if _counts_repeats(config, section) else None,
                "rows_quarantined": tally.rows_quarantined,
                "amounts_rounded": tally.amounts_rounded,
                "times_ambiguous": tally.times_ambiguous,
                "times_nonexistent": tally.times_nonexistent,
                "null_counts": {name: count for name, count in tally.null_counts.items() if count},
                "first_day": _date(tally.first_day),
                "last_day": _date(tally.last_day),
                "purpose": section.purpose,
                "lawful_basis": section.lawful_basis,
                "consent_column": section.consent_column,
                "consent_unknown": (section.consent_unknown or "refuse") if section.tells_consent else None,
                "retention_days": section.retention_days,
            }
        )
        if tally.amounts_rounded:
            notes.append(
                f"{section.name}: {counted(tally.amounts_rounded, 'amount')} finer than 1/{config.run.amount_scale}, "
                "rounded half to even"
            )
        for words, count in left_out(tally):
            if count:
                told = notes if words in _ASKED_FOR else warnings
                told.append(f"{section.name}: {counted(count, 'row')} {words} left out")
        if tally.consents_unclear:
            warnings.append(_unclear(section, tally.consents_unclear))
        if section.tells_consent and section.consent_unknown == "use" and tally.rows_quarantined:
            warnings.append(
                f"{section.name}: {counted(tally.rows_quarantined, 'row')} set apart; a refusal that could not be read "
                "may be among them (consent_unknown: use)"
            )
        warnings += [_same_files(section.name, group) for group in found.same_files.get(section.name, ())]
        if tally.rows_duplicate:
            repeated = f"{section.name}: {counted(tally.rows_duplicate, 'repeated row')}"
            if config.quality.dedupe:
                notes.append(f"{repeated} left out")
            else:
                warnings.append(f"{repeated} counted again; quality.dedupe: true counts each once")
    asked = ", ".join(section.name for section in config.sources if section.tells_consent)
    if found.n_refused_without_record:
        notes.append(
            f"{asked}: {counted(found.n_refused_without_record, 'profile')} without a record of consent left out"
        )
    if found.n_used_without_record:
        warnings.append(
            f"{asked}: {counted(found.n_used_without_record, 'profile')} without a record of consent used "
            "(consent_unknown: use)"
        )
    return {
        "format": 1,
        "sources": sources,
        "n_profiles": found.n_profiles,
        "n_with_events": found.n_with_events,
        "profiles_without_consent_record": {
            "refused": found.n_refused_without_record,
            "used": found.n_used_without_record,
        },
        "profiles_per_source": {
            section.name: found.profiles_per_source.get(section.name, 0) for section in config.sources
        },
        "warnings": warnings,
        "notes": notes,
    }


def _counts_repeats(config: Config, section: SourceSection) -> bool:
    """Repeats cost a pass over all rows, so they are only looked for where they are asked about."""
    asked = config.quality.dedupe or config.quality.max_duplicate_share is not None
    return asked and not KINDS[section.event_kind].has_attributes


def _same_files(source: str, group: Sequence[str]) -> str:
    """Names two files by their path below the folder that holds both, which is the same on every machine."""
    folder = os.path.commonpath([Path(file).parent for file in group])
    first, second, *others = (Path(file).relative_to(folder).as_posix() for file in group)
    more = f" and {len(others)} more" if others else ""
    return f"{source}: the files {first} and {second}{more} hold the same bytes; remove all but one"


def _unclear(section: SourceSection, count: int) -> str:
    """Never the values themselves: they are somebody's."""
    known = ", ".join([*CLEAR_YES, *(section.consent_yes or ())])
    return (
        f"{section.name}: {counted(count, 'value')} of {section.consent_column} neither a clear yes nor a clear no, "
        f"taken as no; clear yes: {known}; consent_yes adds words"
    )


def counted(count: int, word: str) -> str:
    """A count and its noun: "1 row", "1,204 rows"."""
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def _date(day: int | None) -> str | None:
    return None if day is None else (EPOCH + dt.timedelta(days=day)).isoformat()
