"""Views of quality.json: what was read, used and left out, and for which purpose and on which lawful basis."""

from collections.abc import Iterator, Mapping
from typing import Any

from gpuseg.report import text
from gpuseg.segments.people import People

_ROWS = {
    "n_files": "Files",
    "rows_read": "Rows read",
    "rows_used": "Rows used",
    "rows_after_as_of": "Rows left out as too late",
    "rows_filtered": "Rows left out by a filter",
    "rows_quarantined": "Rows quarantined",
    "rows_without_consent": "Rows left out without consent",
    "rows_past_retention": "Rows left out past their retention",
    "rows_unmatched": "Rows without a match in the identity map",
    "rows_duplicate": "Rows that repeat another",
    "amounts_rounded": "Amounts rounded",
    "times_ambiguous": "Ambiguous clock times",
    "times_nonexistent": "Nonexistent clock times",
}
# Counts of nothing are left out, but for these.
_ALWAYS = ("n_files", "rows_read", "rows_used")
_LABELS = {
    "n_with_events": "People with events",
    "retention_days": "Days that rows are kept",
    "profiles_without_consent_record": "People without a record of consent",
}
# What is shown elsewhere or in words of its own.
_TOLD = {
    "format",
    "name",
    "kind",
    "first_day",
    "last_day",
    "null_counts",
    "purpose",
    "lawful_basis",
    "event_kind",
    *_ROWS,
}
_TOLD_OVERALL = {"format", "sources", "n_profiles", "profiles_per_source", "warnings", "notes"}


def source_view(source: Mapping[str, Any], quality: Mapping[str, Any], people: People) -> dict[str, Any]:
    """Return one source: its people, days and rows; keys that this version does not know come last, as they are."""
    name = str(source["name"])
    nulls = {str(k): v for k, v in (source.get("null_counts") or {}).items() if v}
    rows = [(text.capital(people.many), text.count((quality.get("profiles_per_source") or {}).get(name)))]
    days = (("First day", "first_day"), ("Last day", "last_day"))
    rows += [(label, text.day(source[key])) for label, key in days if source.get(key)]
    rows += [(label, text.count(source[key])) for key, label in _ROWS.items() if source.get(key) or key in _ALWAYS]
    if source.get("rows_duplicate", 0) is None and source.get("event_kind") != "crm":
        rows += [(_ROWS["rows_duplicate"], "not counted")]
    rows += [("Empty values", ", ".join(f"{k}: {text.count(v)}" for k, v in nulls.items()) or "none")]
    rows += list(_others(source, _TOLD))
    return {"name": name, "kind": str(source["kind"]), "rows": rows}


def privacy_rows(quality: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return purpose and lawful basis of every source."""
    return [
        {
            "name": str(source["name"]),
            "purpose": words(source.get("purpose")),
            "lawful_basis": words(source.get("lawful_basis")),
        }
        for source in quality["sources"]
    ]


def overall_rows(quality: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return whatever quality.json says of the run as a whole besides its people and warnings."""
    return list(_others(quality, _TOLD_OVERALL))


def words(value: Any) -> str:
    """Write a configured word such as legitimate_interests for people."""
    return text.capital(str(value).replace("_", " ")) if value else "not stated"


def _others(content: Mapping[str, Any], told: set[str]) -> Iterator[tuple[str, str]]:
    for key, value in content.items():
        if key not in told and value != 0 and (shown := _written(value)):
            yield _LABELS.get(key) or text.capital(str(key).replace("_", " ")), shown


def _written(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return text.count(value)
    if isinstance(value, float):
        return text.quantity(value, unit="")
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        parts = ((str(key).replace("_", " "), _written(inner)) for key, inner in value.items())
        return ", ".join(f"{key}: {inner}" for key, inner in parts if inner)
    if isinstance(value, (list, tuple)):
        return "; ".join(shown for inner in value if (shown := _written(inner)))
    return ""
