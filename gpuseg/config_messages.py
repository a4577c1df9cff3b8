"""One clear line for every mistake in a configuration."""

import datetime as dt
import difflib
import re
import reprlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from gpuseg.config_keys import Keys, Place, Schema, bounds_of, options_of

_MOST_SHOWN = 60
_JSON_TYPES = {str: "string", int: "integer", bool: "boolean"}
_LISTS = {
    "sources": "must be a list of sources, such as [{name: orders, kind: purchases, uri: orders.csv}]",
    "lenses": "must be a list of lenses, such as [value, {name: shopping, families: [rfm, tempo]}]",
}
"""Lists of sections, and what each must be."""


def nearest(value: object, valid: Iterable[object]) -> str:
    """`; did you mean X?`, or nothing where no valid value is close."""
    options = {str(option).casefold(): str(option) for option in valid}
    found = difflib.get_close_matches(str(value).casefold(), options, n=1, cutoff=0.6)
    return f"; did you mean {options[found[0]]}?" if found else ""


def describe_problems(error: ValidationError, model: type[BaseModel], content: object) -> str:
    """One line for a refused configuration: the first problem whole, the others counted.

    Parameters
    ----------
    error : ValidationError
    model : type
        The configuration, whose schema says what each key takes.
    content : object
        What was refused.

    Returns
    -------
    str
        The key, with a source by its name; what was given; what is allowed; the nearest that is.
    """
    if not isinstance(content, Mapping):
        return f"the configuration must be a mapping with `run` and `sources`, not {type(content).__name__}"
    keys = Keys(model.model_json_schema())
    # A key that is written wrong is unknown, and another one is missing for it.
    problems = sorted(error.errors(), key=lambda problem: problem["type"] != "extra_forbidden")
    # A list whose only item is refused is also called too short.
    places = [problem["loc"] for problem in problems]
    problems = [p for p in problems if not any(place[: len(p["loc"])] == p["loc"] != place for place in places)]
    # A value that may be of two types has a problem for each; one line a key is enough.
    lines: dict[str, str] = {}
    for problem in problems:
        key, message = _described(problem, keys, content)
        lines.setdefault(key, f"{key}: {message}")
    first = next(iter(lines.values()))
    more = f" (and {len(lines) - 1} more)" if len(lines) > 1 else ""
    return " ".join(first.split()) + more


def _described(problem: Any, keys: Keys, content: Mapping[str, Any]) -> tuple[str, str]:
    """Key and message of one problem."""
    place, schema = keys.known_at(problem["loc"])
    if problem["type"] == "extra_forbidden":
        return _named(problem["loc"], content), _unknown(problem["loc"][-1], schema, keys)
    if problem["type"] == "missing" and problem["loc"][-1] in keys.known_at(place[:-1])[1].get("properties", ()):
        what = schema.get("description", "")
        return _named(place, content), f"is required{': ' if what else ''}{_sentence(what)}"
    if problem["type"] == "value_error":
        return _refused_by_rule(problem, place, schema, content)
    place, schema = _whole_list(place, keys)
    given = _at(content, place)
    key = _named(place, content)
    if "[key]" in problem["loc"]:
        return key, f"{_shown(problem['input'])}: a name here must be text; put it in quotes"
    if key in _LISTS:
        if problem["type"] == "too_long" and isinstance(given, Sequence):
            return key, f"has {len(given):,} items, but may have {problem['ctx']['max_length']:,}"
        return key, f"{_shown(given)}: {_LISTS[key]}"
    return key, f"{_shown(given)}: must be {keys.takes(schema)}{_hint(given, schema)}"


def _refused_by_rule(problem: Any, place: Place, schema: Schema, content: Mapping[str, Any]) -> tuple[str, str]:
    """A rule of one value shows it; a rule of a whole section begins with the key that it is about."""
    message = problem["msg"].removeprefix("Value error, ")
    if "properties" not in schema:
        return _named(place, content), f"{_shown(problem['input'])}: {message}"
    name, _, rest = message.partition(": ")
    if name.partition(".")[0] in schema["properties"]:
        return _named((*place, name), content), rest
    return _named(place, content), message


def _unknown(name: object, section: Schema, keys: Keys) -> str:
    known = list(section["properties"])
    meant = nearest(name, known)
    if not meant:
        meant = next((f"; did you mean {other}.{name}?" for other in keys.sections_with(name)), "")
    return f"unknown key{meant or ';'} {'Known' if meant else 'known'} here: {', '.join(known)}"


def _whole_list(place: Place, keys: Keys) -> tuple[Place, Schema]:
    """The list that a refused item stands in; a source or a lens is a section, not an item."""
    for depth, part in enumerate(place):
        if isinstance(part, int) and not (depth == 1 and place[0] in _LISTS):
            return keys.known_at(place[:depth])
    return keys.known_at(place)


def _hint(given: object, schema: Schema) -> str:
    """What would do instead of a value, as far as that can be told."""
    options = options_of(schema)
    number = isinstance(given, int | float) and not isinstance(given, bool)
    wanted = {branch.get("type") for branch in (schema, *schema.get("anyOf", ()))}
    if wanted & {"integer", "number"} and isinstance(given, int | float) and number and given == given:
        low, high = bounds_of(schema)
        beyond = low if low is not None and given < low else high if high is not None and given > high else None
        return "" if beyond is None else f"; nearest valid: {beyond:.10g}"
    if wanted & {"integer", "number"} and isinstance(given, str) and _is_number(given):
        return "; write it without quotes"
    if isinstance(given, str | int) and schema.get("items", {}).get("type") == _JSON_TYPES[type(given)]:
        return f"; did you mean [{given}]?"
    if wanted == {"string"} and not options and isinstance(given, bool | int | float):
        return "; put it in quotes"
    if {"string", "object"} & wanted and not options and "properties" not in schema and "description" in schema:
        return f" ({_sentence(schema['description'])})"
    return nearest(given, options)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _named(place: Place, content: Mapping[str, Any]) -> str:
    """Dotted name of a key; a source or a lens goes by its name, or its number from 1 where no name tells it apart."""
    parts = [str(part) for part in place]
    if len(place) > 1 and place[0] in _LISTS:
        names = [item.get("name") if isinstance(item, Mapping) else None for item in content[place[0]]]
        name = names[place[1]]
        apart = isinstance(name, str) and name.isprintable() and 0 < len(name) <= 64 and names.count(name) == 1
        parts[1] = str(name) if apart and place[2:3] != ("name",) else f"#{place[1] + 1}"
    return ".".join(parts)


def _at(content: Any, place: Place) -> Any:
    for part in place:
        content = content[part] if isinstance(content, Sequence) or part in content else None
    return content


def _shown(value: object) -> str:
    """A value as it was written, short."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, dt.date):
        return str(value)
    if isinstance(value, str):
        # What belongs in a uri and stands elsewhere by mistake is no less secret.
        value = re.sub(r"://[^/@\s]*@", "://***@", re.sub(r"(://[^?\s]*)\?\S*", r"\1?***", value))
    shorter = reprlib.Repr()
    shorter.maxstring = shorter.maxother = shorter.maxlong = _MOST_SHOWN
    return shorter.repr(value)


def _sentence(description: str) -> str:
    """A description without its capital and its full stop."""
    return f"{description[:1].lower()}{description[1:]}".rstrip(".")
