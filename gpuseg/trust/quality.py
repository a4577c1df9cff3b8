"""The quality record of a run and the gates on it."""

import datetime as dt
from typing import Any

from gpuseg.config import Config
from gpuseg.errors import EmptyDataError, GateFailed
from gpuseg.features.algebra import EPOCH
from gpuseg.sources.ingest import Ingested
from gpuseg.sources.plan import Plans


def quality_record(config: Config, plans: Plans, found: Ingested) -> dict[str, Any]:
    """Content of `quality.json`: what was read, kept, filtered, rounded and shifted, source by source."""
    sources = []
    warnings = []
    for section, plan in zip(config.sources, plans.reads, strict=True):
        tally = found.tallies[section.name]
        sources.append(
            {
                "name": section.name,
                "kind": section.kind,
                "n_files": len(plan.files),
                "rows_read": tally.rows_read,
                "rows_used": tally.rows_used,
                "rows_after_as_of": tally.rows_after_as_of,
                "amounts_rounded": tally.amounts_rounded,
                "times_ambiguous": tally.times_ambiguous,
                "times_nonexistent": tally.times_nonexistent,
                "null_counts": {name: count for name, count in tally.null_counts.items() if count},
                "first_day": _date(tally.first_day),
                "last_day": _date(tally.last_day),
                "purpose": section.purpose,
                "lawful_basis": section.lawful_basis,
            }
        )
        if tally.amounts_rounded:
            warnings.append(
                f"{section.name}: {tally.amounts_rounded} amounts were finer than 1/{config.run.amount_scale} "
                "and were rounded half to even"
            )
        if tally.rows_after_as_of:
            warnings.append(f"{section.name}: {tally.rows_after_as_of} rows at or after as_of were left out")
    return {
        "format": 1,
        "sources": sources,
        "n_profiles": found.n_profiles,
        "profiles_per_source": {
            section.name: found.profiles_per_source.get(section.name, 0) for section in config.sources
        },
        "warnings": warnings,
    }


def check_not_empty(config: Config, found: Ingested) -> None:
    """Refuse a run without events.

    Raises
    ------
    EmptyDataError
        Saying whether there were none, or all lie at or after `as_of`.
    """
    events = [section.name for section in config.sources if section.kind != "crm"]
    tallies = [found.tallies[name] for name in events]
    if any(tally.rows_used for tally in tallies):
        return
    if not events:
        raise EmptyDataError("no source holds events; add a source of kind purchases")
    late = sum(tally.rows_after_as_of for tally in tallies)
    if late:
        raise EmptyDataError(
            f"{', '.join(events)}: all {late} rows lie at or after as_of {config.run.as_of}; move run.as_of"
        )
    raise EmptyDataError(f"{', '.join(events)}: the files hold no rows")


def check_null_shares(config: Config, found: Ingested) -> None:
    """Apply `quality.max_null_share` to every optional column that was read.

    Raises
    ------
    GateFailed
        Naming source, column, share and limit.
    """
    limit = config.quality.max_null_share
    for section in config.sources:
        tally = found.tallies[section.name]
        for column, count in tally.null_counts.items():
            share = count / tally.rows_read if tally.rows_read else 0.0
            if share > limit:
                raise GateFailed(
                    f"gate max_null_share: {section.name}: column {section.columns.get(column, column)!r} is null in "
                    f"{share:.1%} of rows, the limit is {limit:.1%}; mend the data or raise quality.max_null_share"
                )


def _date(day: int | None) -> str | None:
    return None if day is None else (EPOCH + dt.timedelta(days=day)).isoformat()
