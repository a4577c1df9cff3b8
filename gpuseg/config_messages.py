"""One clear line for every mistake in a configuration."""

import difflib
from collections.abc import Iterable
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

AUTO_OR_WHOLE = {"cluster.segments": (2, 1000), "run.buckets": (1, 4096)}
"""Keys that are `auto` or a whole number, with the smallest and the largest."""


def nearest(value: object, valid: Iterable[object]) -> str:
    """`; did you mean X?`, or nothing where no valid value is close."""
    found = difflib.get_close_matches(str(value), [str(option) for option in valid], n=1, cutoff=0.6)
    return f"; did you mean {found[0]}?" if found else ""


def describe_problems(error: ValidationError, model: type[BaseModel]) -> str:
    """One line for a refused configuration: the first problem whole, the others counted.

    Parameters
    ----------
    error : ValidationError
    model : type
        The configuration, whose fields are the known keys.
    """
    # A value that may be of two types has a problem for each; one line a key is enough.
    problems = error.errors()
    # A list whose only item is refused is also called too short.
    places = [problem["loc"] for problem in problems]
    problems = [p for p in problems if not any(place[: len(p["loc"])] == p["loc"] != place for place in places)]
    lines = {_key(problem["loc"]): _describe(problem, model) for problem in reversed(problems)}
    first = next(reversed(lines.values()))
    more = f" (and {len(lines) - 1} more)" if len(lines) > 1 else ""
    return " ".join(first.split()) + more


def _key(location: tuple[Any, ...]) -> str:
    """Dotted name of a key, without the branch of a value that may be of two types."""
    key = ".".join(str(part) for part in location[:2])
    return key if key in AUTO_OR_WHOLE else ".".join(str(part) for part in location)


def _describe(problem: Any, model: type[BaseModel]) -> str:
    location = problem["loc"]
    key = _key(location)
    message: str = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        siblings = _fields_at(location[:-1], model)
        return f"{key}: unknown key{nearest(location[-1], siblings)}; known here: {', '.join(siblings)}"
    if problem["type"] == "missing":
        return f"{key}: is required"
    if not key:
        return message
    shown = repr(problem["input"]) if not isinstance(problem["input"], dict | list) else "the value"
    return f"{key}: {shown}: {_plain(key, message, problem)}"


def _plain(key: str, message: str, problem: dict[str, Any]) -> str:
    if key in AUTO_OR_WHOLE:
        low, high = AUTO_OR_WHOLE[key]
        given = problem["input"]
        whole = isinstance(given, int) and not isinstance(given, bool)
        closest = min(max(given, low), high) if whole else "auto"
        return f"must be auto, or a whole number from {low} to {high}; nearest valid: {closest}"
    if problem["type"] == "literal_error":
        options: list[str] = problem["ctx"]["expected"].replace("'", "").replace(" or ", ", ").split(", ")
        return f"must be {problem['ctx']['expected']}{nearest(problem['input'], options)}"
    return message[:1].lower() + message[1:]


def _fields_at(location: tuple[Any, ...], model: type[BaseModel]) -> list[str]:
    """Keys of the section at a location of the configuration."""
    section: Any = model
    if location:
        annotation = model.model_fields[location[0]].annotation
        section = next((part for part in get_args(annotation) if hasattr(part, "model_fields")), annotation)
    return list(section.model_fields)
