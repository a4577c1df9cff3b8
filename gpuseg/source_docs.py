"""The page on source kinds, written from the vocabulary so that it cannot say anything else."""

import sys
from pathlib import Path

from gpuseg.source_examples import EXAMPLES, Example
from gpuseg.vocabulary import KINDS, Column, Kind

_TYPES = {
    "id": "integer or text",
    "key": "integer or text",
    "time": "timestamp, date or ISO 8601 text",
    "amount": "number or decimal text",
    "number": "number or decimal text",
    "text": "text or integer",
    "label": "text or integer",
    "url": "text",
    "comment": "text",
}


def source_page() -> str:
    """Markdown on every kind: its columns, its words, what is kept of it, and worked examples."""
    parts = [
        "# Sources",
        "",
        "Written by `python -m gpuseg.source_docs docs/sources.md`; a test keeps it so.",
        "",
        "A configuration maps a file's columns to the canonical names below: `columns: {at: ts}`, gpuseg's name left, "
        "the file's right. A column that has its canonical name already need not be mapped. All other columns, and "
        "those that `privacy.deny_columns` names, are never read. In the examples `run.as_of` is 2026-01-01; every "
        "key of a source is in [configuration.md](configuration.md).",
        "",
    ]
    for kind in KINDS.values():
        parts += _kind(kind)
    return "\n".join(parts).rstrip() + "\n"


def _kind(kind: Kind) -> list[str]:
    title = "crm with a time: contacts" if kind.name == "contacts" else kind.name
    lines = [f"## {title}", "", f"{kind.meaning[:1].upper()}{kind.meaning[1:]}.", ""]
    lines += ["| column | holds | needed | meaning |", "|---|---|---|---|"]
    lines += [_column(column, kind) for column in kind.columns]
    if kind.has_attributes:
        lines.append(
            "| any other name | number, date, boolean or text | no | an attribute, for the family `attributes` |"
        )
    lines.append("")
    if kind.classes:
        lines += [
            f"Words of `{kind.label}` are sorted into classes; a source's own words go into `events`, `*` stands for "
            f"all others (`events: {{their word: {kind.class_order[-1]}}}`). A row without a word is "
            f"`{kind.default_class}`, an unknown word `{kind.class_order[0]}`.",
            "",
            "| class | words |",
            "|---|---|",
        ]
        for name in kind.class_order:
            words = sorted(word for word, found in kind.classes.items() if found == name)
            pages = sorted(part for part, found in kind.path_classes.items() if found == name)
            shown = ", ".join(words) + (f"; pages under {', '.join(f'/{part}/' for part in pages)}" if pages else "")
            lines.append(f"| `{name}` | {shown} |")
        lines.append("")
    if not kind.has_attributes:
        lines += [f"Kept: {_kept(kind)}.", ""]
    for example in EXAMPLES:
        if example.kind == kind.name:
            lines += _example(example)
    return lines


def _example(example: Example) -> list[str]:
    lines = [f"### {example.title}", ""]
    for path, content in example.files.items():
        lines += [f"`{path}`:", "", "```json" if path.endswith(".jsonl") else "```text", content.rstrip(), "```", ""]
    figures = ", ".join(f"`{name}` {value:g}" for name, value in example.features.items())
    lines += ["```yaml", example.section.rstrip(), "```", ""]
    return [*lines, f"{example.n_profiles} profiles; `{example.profile}` has {figures}.", ""]


def _column(column: Column, kind: Kind) -> str:
    needed = "yes" if column.required else "one of these" if column.name in kind.one_of else "no"
    holds = _TYPES[column.type]
    if column.type == "number" and column.most != float("inf"):
        holds += f", {column.least:.10g} to {column.most:.10g}"
    return f"| `{column.name}` | {holds} | {needed} | {column.meaning} |"


def _kept(kind: Kind) -> str:
    each = "profile and day" if kind.category is None else f"profile, day and {kind.category}"
    measures = ", ".join(f"`{measure.name}`" for measure in kind.measures)
    parts = [f"for every {each} the number of rows, first and last instant, and the sums of {measures}"]
    if kind.has_orders:
        parts.append("every distinct order with its day")
    if kind.sessions is not None:
        minutes = kind.sessions.gap_us // 60_000_000
        parts.append(f"sessions, cut where more than {minutes} minutes pass without a row")
    return "; ".join(parts)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(source_page(), encoding="utf-8")
