"""The gates on the data: a run ends before its features are built where one of them does not hold."""

from gpuseg.config import Config
from gpuseg.config_sources import SourceSection
from gpuseg.engine.program import Tally
from gpuseg.errors import EmptyDataError, GateFailed
from gpuseg.features.algebra import EPOCH
from gpuseg.sources.ingest import Ingested
from gpuseg.vocabulary import KINDS

_SPARSE = ("number", "comment")
_SAYING = ("label", "url")


def check_not_empty(config: Config, found: Ingested) -> None:
    """Refuse a run without events.

    Raises
    ------
    EmptyDataError
        Saying whether there were none, or why all were left out.
    """
    events = [section.name for section in config.sources if not KINDS[section.event_kind].has_attributes]
    tallies = [found.tallies[name] for name in events]
    if any(tally.rows_used for tally in tallies):
        return
    if not events:
        raise EmptyDataError("no source holds events; add a source of kind purchases")
    names = ", ".join(events)
    late = sum(tally.rows_after_as_of for tally in tallies)
    read = sum(tally.rows_read for tally in tallies)
    if late and late >= read:
        raise EmptyDataError(f"{names}: all {late} rows lie at or after as_of {config.run.as_of}; move run.as_of")
    if read:
        total = Tally()
        for tally in tallies:
            total.add(tally)
        reasons = ", ".join(f"{count} {words}" for words, count in left_out(total) if count)
        raise EmptyDataError(f"{names}: no row of {read} is left: {reasons}{_why_no_consent(found)}")
    places = {_place(section) for section in config.sources if section.name in events}
    raise EmptyDataError(f"{names}: {places.pop() if len(places) == 1 else 'the sources hold'} no rows")


def _place(section: SourceSection) -> str:
    """What holds the rows of a source."""
    if not section.in_database:
        return "the files hold" if section.is_located else "the frame holds"
    return "the query gives" if section.table is None else f"table {section.table} holds"


def _why_no_consent(found: Ingested) -> str:
    """What may have gone wrong where consent leaves nobody."""
    unclear = sum(tally.consents_unclear for tally in found.tallies.values())
    if unclear:
        return f"; {unclear} values of consent are neither a clear yes nor a clear no: consent_yes adds words"
    if found.n_refused_without_record:
        return (
            f"; {found.n_refused_without_record} profiles are in no table of consent: do its ids match those of the "
            "events? consent_unknown: use lets them in"
        )
    return ""


def left_out(tally: Tally) -> list[tuple[str, int]]:
    """Why rows were left out, and how many for each reason."""
    return [
        ("at or after as_of", tally.rows_after_as_of),
        ("without consent", tally.rows_without_consent),
        ("past their retention", tally.rows_past_retention),
        ("with a key that the identity map lacks", tally.rows_unmatched),
        ("quarantined", tally.rows_quarantined),
    ]


def check_gates(config: Config, found: Ingested) -> None:
    """Apply the limits of `quality` and the sources' `max_age_days`.

    Raises
    ------
    GateFailed
        Naming the gate, what was found, and the limit.
    """
    for section in config.sources:
        tally = found.tallies[section.name]
        checked = found.rows_checked.get(section.name, tally.rows_used + tally.rows_unmatched)
        _check_nulls(config, section, tally, checked)
        _check_age(config, section.max_age_days, section.name, tally)
        limits = config.quality
        if limits.max_duplicate_share is not None:
            rows = tally.rows_used + (tally.rows_duplicate if limits.dedupe else 0)
            _check_share(
                "max_duplicate_share",
                section.name,
                "repeat another",
                tally.rows_duplicate,
                rows,
                limits.max_duplicate_share,
            )
        if section.identity is not None:
            rows = tally.rows_used + tally.rows_unmatched
            _check_share(
                "max_orphan_share",
                section.name,
                "have a key that the identity map lacks",
                tally.rows_unmatched,
                rows,
                limits.max_orphan_share,
            )
    covered = found.n_with_events / found.n_profiles if found.n_profiles else 1.0
    if covered < config.quality.min_coverage:
        raise GateFailed(
            f"gate min_coverage: {covered:.1%} of {found.n_profiles} profiles have events, the least is "
            f"{config.quality.min_coverage:.1%}; add sources of events or lower quality.min_coverage"
        )


def _check_share(gate: str, source: str, what: str, count: int, rows: int, limit: float) -> None:
    share = count / rows if rows else 0.0
    if share > limit:
        raise GateFailed(
            f"gate {gate}: {source}: {share:.1%} of rows {what}, the limit is {limit:.1%}; "
            f"mend the data or raise quality.{gate}"
        )


def _check_nulls(config: Config, section: SourceSection, tally: Tally, rows: int) -> None:
    limit = config.quality.max_null_share
    # Few people rate or comment, so a missing figure or comment says nothing about the data.
    columns = KINDS[section.event_kind].columns
    sparse = {column.name for column in columns if column.type in _SPARSE}
    said = {column.name for column in columns if column.type in _SAYING and column.name in tally.null_counts}
    if len(said) > 1:
        # A page view has its page and no word, an app event its word and no page.
        sparse |= said
    for column, count in tally.null_counts.items():
        share = count / rows if rows else 0.0
        if share > limit and column not in sparse:
            raise GateFailed(
                f"gate max_null_share: {section.name}: column {section.columns.get(column, column)!r} is null in "
                f"{share:.1%} of rows, the limit is {limit:.1%}; mend the data or raise quality.max_null_share"
            )


def _check_age(config: Config, limit: int | None, source: str, tally: Tally) -> None:
    if limit is None or tally.last_day is None:
        return
    age = (config.run.as_of - EPOCH).days - tally.last_day
    if age > limit:
        raise GateFailed(
            f"gate max_age_days: {source}: the newest event is {age} days older than as_of, the limit is {limit}; "
            "bring newer data or raise max_age_days"
        )
