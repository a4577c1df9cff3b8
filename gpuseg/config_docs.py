"""The page on the configuration, written from its sections so that it cannot say anything else."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gpuseg.config import config_schema
from gpuseg.config_keys import Keys, Schema

_BELOW = {"sources": ("sources", 0), "lenses": ("lenses", 0), "sources.identity": ("sources", 0, "identity")}
"""Sections that do not stand at the top under their own name."""
_TITLES = {
    "sources": "sources: a list, one item a source",
    "lenses": "lenses: a list, one item a lens, or one of the words value, lifecycle, interests, intent",
}


def configuration_page() -> str:
    """Markdown on every key: what it takes, its default, and what it means."""
    keys = Keys(config_schema())
    top = keys.top["properties"]
    lines = [
        "# Configuration",
        "",
        "Written by `python -m gpuseg.config_docs docs/configuration.md`; a test keeps it so.",
        "",
        "A configuration is a YAML file (or a Python mapping) with `run`, `sources` and, where the defaults will not "
        "do, the other sections; `gpuseg init` writes one to start from. A key that is not listed here is refused. "
        "Relative paths start at the file's folder, at the current one for a mapping. `gpuseg config schema` prints "
        "the same as JSON Schema. [sources.md](sources.md) has the columns and words of every kind of source.",
        "",
        *_table({name: field for name, field in top.items() if not _is_section(keys, field)}, (), keys),
    ]
    for name in top:
        if _is_section(keys, top[name]):
            lines += _section(name, keys)
    return "\n".join(lines).rstrip() + "\n"


def _is_section(keys: Keys, field: Schema) -> bool:
    return "properties" in keys.resolved(field.get("items", field))


def _section(name: str, keys: Keys) -> list[str]:
    _, section = keys.known_at(_BELOW.get(name, (name,)))
    lines = [f"## {_TITLES.get(name, name)}", "", section["description"], ""]
    lines += _table(section["properties"], section.get("required", ()), keys)
    if name == "cluster":
        rule = keys.top["$defs"]["RuleSection"]
        lines += ["## cluster.rules: a list, one item a rule", "", rule["description"], ""]
        lines += _table(rule["properties"], rule["required"], keys)
    for below in section["properties"]:
        if f"{name}.{below}" in _BELOW:
            lines += _section(f"{name}.{below}", keys)
    return lines


def _table(fields: Mapping[str, Schema], required: Any, keys: Keys) -> list[str]:
    lines = ["| key | takes | default | meaning |", "|---|---|---|---|"]
    for name, field in fields.items():
        null = any(branch.get("type") == "null" for branch in field.get("anyOf", ()))
        takes = (
            f"a section, see {'above' if name in keys.top['properties'] else 'below'}"
            if _is_section(keys, field)
            else keys.takes(field)
        )
        takes += ", or null" if null else ""
        default = "required" if name in required else f"`{_written(field.get('default', {}))}`"
        lines.append(f"| `{name}` | {takes} | {default} | {field['description']} |")
    return [*lines, ""]


def _written(value: Any) -> str:
    """A default as one would write it in YAML."""
    if isinstance(value, list):
        return f"[{', '.join(_written(each) for each in value)}]"
    return value if isinstance(value, str) else json.dumps(value)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(configuration_page(), encoding="utf-8")
