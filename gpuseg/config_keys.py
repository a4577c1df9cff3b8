"""The keys of a configuration and what each takes, in words, read from the JSON Schema of its sections."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Schema = Mapping[str, Any]
Place = tuple[Any, ...]

_DATE = "a date such as 2018-01-01"


@dataclass(frozen=True)
class Keys:
    """The keys below the top of a configuration.

    Parameters
    ----------
    top : mapping
        JSON Schema of the whole configuration.
    """

    top: Schema

    def known_at(self, place: Place) -> tuple[Place, Schema]:
        """The longest beginning of a place that the configuration has, and the schema of what stands there."""
        schema = self.resolved(self.top)
        for depth, part in enumerate(place):
            below = _below(schema, part)
            if below is None:
                return place[:depth], schema
            schema = self.resolved(below)
        return place, schema

    def resolved(self, schema: Schema) -> Schema:
        """A schema itself, for one that refers to a section or may also be null."""
        branches = [branch for branch in schema.get("anyOf", schema.get("allOf", ())) if branch.get("type") != "null"]
        if "$ref" in schema:
            found: Schema = self.top["$defs"][schema["$ref"].rpartition("/")[2]]
        elif len(branches) == 1:
            found = self.resolved(branches[0])
        elif sections := [branch for branch in branches if "$ref" in branch]:
            # A word may stand for a section.
            found = self.resolved(sections[0])
        else:
            return schema
        return {**found, **{key: schema[key] for key in ("description", "default") if key in schema}}

    def sections_with(self, name: object) -> Iterator[str]:
        """Sections of the top that have a key of this name."""
        for section in self.top["properties"]:
            if name in self.known_at((section,))[1].get("properties", ()):
                yield section

    def takes(self, schema: Schema) -> str:
        """What a key of this schema takes, such as `a whole number from 1 to 4096`."""
        schema = self.resolved(schema)
        if "anyOf" in schema:
            return ", or ".join(self.takes(branch) for branch in schema["anyOf"] if branch.get("type") != "null")
        options = [str(option) for option in options_of(schema)]
        if options:
            return " or ".join(part for part in (", ".join(options[:-1]), options[-1]) if part)
        if "properties" in schema:
            return f"a section with keys such as {', '.join(list(schema['properties'])[:3])}"
        match schema["type"]:
            case "array":
                return self._takes_list(schema)
            case "object":
                return f"a mapping of text to {self._plural(schema['additionalProperties'])}"
            case "boolean":
                return "true or false"
            case "string":
                return _text(schema)
            case kind:
                return f"{'a whole number' if kind == 'integer' else 'a number'}{bounds_words(schema)}"

    def _takes_list(self, schema: Schema) -> str:
        items = schema.get("prefixItems")
        if items:
            return f"a list of {len(items)} {self._plural(items[0])}"
        return f"a list of {self._plural(schema['items'])}{', not empty' if schema.get('minItems') else ''}"

    def _plural(self, schema: Schema) -> str:
        schema = self.resolved(schema)
        if "properties" in schema:
            return "sections"
        return self.takes(schema).removeprefix("a ").replace("number", "numbers", 1)


def options_of(schema: Schema) -> list[Any]:
    """The values that a key of a fixed choice may have."""
    if "const" in schema:
        return [schema["const"]]
    found = list(schema.get("enum", ()))
    for branch in schema.get("anyOf", ()):
        found += options_of(branch)
    return found


def bounds_of(schema: Schema) -> tuple[float | None, float | None]:
    """Smallest and largest number that a key may be; None without a bound, or with one that it may not reach."""
    for branch in (schema, *schema.get("anyOf", ())):
        if {"minimum", "maximum"} & set(branch):
            return branch.get("minimum"), branch.get("maximum")
    return None, None


def bounds_words(schema: Schema) -> str:
    """` from 0 to 1`, ` above 0`, or nothing."""
    low, above = schema.get("minimum"), schema.get("exclusiveMinimum")
    high, below = schema.get("maximum"), schema.get("exclusiveMaximum")
    upper = f"{high:.10g}" if high is not None else f"below {below:.10g}" if below is not None else None
    if low is not None:
        return f" from {low:.10g} to {upper}" if upper else f" of at least {low:.10g}"
    if above is not None:
        return f" above {above:.10g}" + (f", at most {upper}" if upper else "")
    return f" of at most {upper}" if upper else ""


def _text(schema: Schema) -> str:
    if schema.get("format") == "date":
        return _DATE
    if "pattern" in schema and schema["pattern"].startswith("^[a-z]"):
        return "a word of 1 to 40 small letters, digits and _ (the first a letter)"
    if "pattern" in schema:
        return "a word of 1 to 64 letters, digits and the marks _ . - (the first a letter, a digit or _)"
    if "maxLength" in schema:
        return f"text of {schema.get('minLength', 0)} to {schema['maxLength']} characters"
    return "text, not empty" if schema.get("minLength") else "text"


def _below(schema: Schema, part: object) -> Schema | None:
    if part in schema.get("properties", ()):
        found: Schema = schema["properties"][part]
        return found
    if isinstance(part, int) and not isinstance(part, bool) and schema.get("type") == "array":
        items: Sequence[Schema] = schema.get("prefixItems", ())
        return items[part] if part < len(items) else schema.get("items")
    values = schema.get("additionalProperties")
    return values if isinstance(values, Mapping) else None
