"""The rules of a configuration, `cluster.rules`: a name and a condition each, or the word for a set of them."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator

from gpuseg.config_messages import describe_problems
from gpuseg.config_parts import Section
from gpuseg.rule_language import parse_condition

MAX_RULES = 200
MAX_NAME = 60

Preset = Literal["lifecycle", "rfm_cells"]
Overlap = Literal["first", "refuse"]
SegmentName = Annotated[str, Field(min_length=1, max_length=MAX_NAME)]


def _one_line(name: str) -> str:
    if not name.isprintable() or name != name.strip():
        raise ValueError("must be one line of plain text without spaces at its ends")
    return name


class RuleSection(Section):
    """One rule: a segment's name and who belongs to it."""

    name: SegmentName = Field(description="Name of the segment.")
    where: str = Field(
        min_length=1,
        description="Condition on features, such as `amount_sum >= 500 and recency_days < 90`; see docs/rules.md.",
    )

    _name = field_validator("name")(_one_line)

    @field_validator("where")
    @classmethod
    def _a_condition(cls, value: str) -> str:
        parse_condition(value)
        return value


Rules = Preset | Annotated[tuple[RuleSection, ...], Field(min_length=1, max_length=MAX_RULES)]
"""What `cluster.rules` takes: the word for a set of rules, or a list of them."""

_A_RULE = "must be a rule such as {name: Big spenders, where: amount_sum >= 500}"


def with_rules(section: Any) -> Any:
    """A section's content with its key `rules` checked, for a validator before the section's own.

    A choice between a word and a list would be refused as a whole; so each rule is told by its number.

    Parameters
    ----------
    section : object
        What the configuration says; anything but a mapping with `rules` is passed on.

    Raises
    ------
    ValueError
        One line that begins with the key, as `rules.2.where`; rules count from 1.
    """
    if not isinstance(section, Mapping) or not isinstance(section.get("rules"), list | tuple):
        return section
    return {**section, "rules": read_rules(section["rules"])}


def read_rules(rules: Sequence[Any]) -> tuple[RuleSection, ...]:
    """Check a list of rules: each of them, and that no two have one name or one condition.

    Raises
    ------
    ValueError
        As `with_rules`.
    """
    if len(rules) > MAX_RULES:
        raise ValueError(f"rules: has {len(rules):,} rules; there may be {MAX_RULES}")
    found = tuple(_read_rule(number, rule) for number, rule in enumerate(rules, start=1))
    _refuse_repeated(found, "name", [rule.name.casefold() for rule in found])
    _refuse_repeated(found, "where", [parse_condition(rule.where) for rule in found])
    return found


def check_unmatched(rules: str | Sequence[RuleSection], unmatched: str) -> None:
    """Refuse a name of the unmatched profiles that a rule has.

    Raises
    ------
    ValueError
        One line that begins with the key `unmatched`.
    """
    names = [] if isinstance(rules, str) else [rule.name.casefold() for rule in rules]
    if unmatched.casefold() in names:
        raise ValueError(f"unmatched: {unmatched!r} is also the name of rule {names.index(unmatched.casefold()) + 1}")


def _read_rule(number: int, rule: Any) -> RuleSection:
    if isinstance(rule, RuleSection):
        return rule
    if not isinstance(rule, Mapping):
        raise ValueError(f"rules.{number}: {_A_RULE}")
    try:
        return RuleSection.model_validate(rule)
    except ValidationError as error:
        raise ValueError(f"rules.{number}.{describe_problems(error, RuleSection, rule)}") from None


def _refuse_repeated(rules: Sequence[RuleSection], key: str, values: Sequence[object]) -> None:
    for place, value in enumerate(values):
        first = values.index(value)
        if first < place:
            what = f"name {rules[place].name!r}" if key == "name" else "same condition"
            raise ValueError(f"rules.{place + 1}.{key}: rule {first + 1} has the {what} already")
