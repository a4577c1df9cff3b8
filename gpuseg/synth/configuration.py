"""Writes the configuration that reads the files."""

from pathlib import Path

from gpuseg.synth.columns import FILE_COLUMNS
from gpuseg.synth.spec import SYNTH_KINDS, TIMEZONE, SynthSpec
from gpuseg.vocabulary import KINDS

# Canonical name to the file's name; the written configuration takes the ones that the vocabulary knows.
SOURCE_COLUMNS: dict[str, dict[str, str]] = {
    "purchases": {
        "at": "ordered_at",
        "amount": "line_amount",
        "order_id": "order_number",
        "category": "department",
    },
    "web": {"at": "ts", "url": "url", "event": "event", "dwell_ms": "dwell_ms"},
    "social": {"at": "ts", "network": "network", "action": "action"},
    "feedback": {"at": "ts", "rating": "rating", "nps": "nps", "comment": "comment"},
    "crm": {name: name for name in FILE_COLUMNS["crm"]},
}


def write_config(spec: SynthSpec, out: Path) -> str | None:
    """Write `gpuseg.yaml` for the kinds that can be read, and return its name; None where none can."""
    sources = [_source(kind) for kind in SYNTH_KINDS if kind in spec.kinds and kind in KINDS]
    if not sources:
        return None
    name = "gpuseg.yaml"
    partial = out / f".{name}.partial"
    lines = (
        "version: 1",
        f"run: {{name: synth, out: run, as_of: {spec.as_of}, timezone: {TIMEZONE}, seed: {spec.seed}}}",
        "sources:",
        *sources,
        "",
    )
    partial.write_text("\n".join(lines), encoding="utf-8")
    partial.replace(out / name)
    return name


def _source(kind: str) -> str:
    known = KINDS[kind]
    renamed = {"profile_id": "customer_id"} | SOURCE_COLUMNS[kind]
    columns = [
        f"{ours}: {name}" for ours, name in renamed.items() if ours in known.column_names or known.has_attributes
    ]
    return (
        f'  - {{name: {kind}, kind: {kind}, uri: "{kind}-*.parquet", timezone: UTC,\n'
        f"     columns: {{{', '.join(columns)}}}}}"
    )
