"""The rules of a configuration: what is taken, and one clear line for every mistake."""

import re
from pathlib import Path

import pytest
import yaml
from pydantic import Field, ValidationError, model_validator

from gpuseg.clustering.rule_presets import CELLS, lifecycle_rules
from gpuseg.config_keys import Keys
from gpuseg.config_parts import Section
from gpuseg.config_rules import (
    MAX_RULES,
    Overlap,
    Rules,
    RuleSection,
    SegmentName,
    check_unmatched,
    read_rules,
    with_rules,
)
from gpuseg.rule_language import parse_condition


class Cluster(Section):
    """A section with the keys of rules."""

    rules: Rules | None = Field(None, description="Rules.")
    unmatched: SegmentName = "Everyone else"
    overlap: Overlap = "first"

    _rules = model_validator(mode="before")(with_rules)


BIG = {"name": "Big spenders", "where": "amount_sum >= 500 and recency_days < 90"}
LAPSING = {"name": "Lapsing", "where": "recency_days between 90 and 180 or n_orders_90d = 0"}


def refusal(rules):
    with pytest.raises(ValidationError) as caught:
        Cluster.model_validate({"rules": rules})
    (problem,) = caught.value.errors()
    return problem["msg"].removeprefix("Value error, ")


def test_a_list_of_rules():
    section = Cluster.model_validate({"rules": [BIG, LAPSING], "overlap": "refuse"})
    assert section.rules == (RuleSection(**BIG), RuleSection(**LAPSING))
    assert section.model_dump(mode="json")["rules"] == [BIG, LAPSING]
    assert Cluster.model_validate(section.model_dump()) == section
    assert Cluster.model_validate_json(section.model_dump_json()) == section


@pytest.mark.parametrize("preset", ["lifecycle", "rfm_cells", None])
def test_a_word_for_a_set_of_rules(preset):
    assert Cluster.model_validate({"rules": preset}).rules == preset


def test_rules_may_be_left_out():
    assert Cluster().rules is None
    assert Cluster.model_validate({}).unmatched == "Everyone else"


def test_what_a_page_says_of_the_key():
    keys = Keys(Cluster.model_json_schema())
    assert keys.takes(keys.top["properties"]["rules"]) == "lifecycle or rfm_cells, or a list of sections, not empty"


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (
            {"name": "A", "where": "amount_sum >"},
            "rules.2.where: 'amount_sum >': expected a number or a feature, not the end, at character 13",
        ),
        ({"name": "A", "wher": "a > 1"}, "rules.2.wher: unknown key; did you mean where? Known here: name, where ("),
        ({"name": "A"}, "rules.2.where: is required: condition on features, such as"),
        ({"where": "a > 1"}, "rules.2.name: is required: name of the segment"),
        ({"name": "A", "where": ""}, "rules.2.where: '': must be text, not empty"),
        ({"name": "A", "where": 5}, "rules.2.where: 5: must be text"),
        ({"name": True, "where": "a > 1"}, "rules.2.name: true: must be text of 1 to 60 characters; put it in quotes"),
        ({"name": "A" * 61, "where": "a > 1"}, "rules.2.name: 'AAA"),
        ({"name": "A\n", "where": "a > 1"}, "rules.2.name: 'A\\n': must be one line of plain text without spaces at"),
        ({"name": " A", "where": "a > 1"}, "rules.2.name: ' A': must be one line of plain text without spaces at"),
        ({"name": "BIG SPENDERS", "where": "a > 1"}, "rules.2.name: rule 1 has the name 'BIG SPENDERS' already"),
        (
            {"name": "A", "where": "(amount_sum>=500) and recency_days < 90.0"},
            "rules.2.where: rule 1 has the same condition already",
        ),
        ("a > 1", "rules.2: must be a rule such as {name: Big spenders, where: amount_sum >= 500}"),
        (None, "rules.2: must be a rule such as {name: Big spenders, where: amount_sum >= 500}"),
        ({"name": "A", "where": "a > " + "1" * 5_000}, "rules.2.where: 'a > 111"),
    ],
)  # fmt: skip
def test_a_rule_that_is_refused(rule, message):
    found = refusal([BIG, rule])
    assert found.startswith(message)
    assert "\n" not in found
    assert len(found) < 300


def test_there_may_be_many_rules_but_not_any_number():
    rules = [{"name": f"Rule {n}", "where": f"a = {n}"} for n in range(MAX_RULES + 1)]
    assert len(read_rules(rules[:-1])) == MAX_RULES
    assert refusal(rules) == "rules: has 201 rules; there may be 200"


@pytest.mark.parametrize("rules", ["lifecycel", [], {}, BIG, 7])
def test_neither_a_list_nor_a_word(rules):
    with pytest.raises(ValidationError) as caught:
        Cluster.model_validate({"rules": rules})
    assert {problem["loc"][0] for problem in caught.value.errors()} == {"rules"}


@pytest.mark.parametrize("section", [None, 5, "rules", [], {"segments": 5}])
def test_a_section_without_rules_is_passed_on(section):
    assert with_rules(section) is section


def test_the_unmatched_need_a_name_of_their_own():
    rules = read_rules([BIG, LAPSING])
    check_unmatched(rules, "Everyone else")
    check_unmatched("lifecycle", "lifecycle")
    with pytest.raises(ValueError, match=r"^unmatched: 'lapsing' is also the name of rule 2$"):
        check_unmatched(rules, "lapsing")


def test_rules_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        RuleSection(**BIG).name = "Small spenders"


def test_the_rules_of_the_page_are_rules():
    page = (Path(__file__).parent.parent / "docs" / "rules.md").read_text(encoding="utf-8")
    blocks = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)]
    first, lifecycle = (read_rules((block.get("cluster") or block)["rules"]) for block in blocks)
    assert first == (RuleSection(**BIG), RuleSection(**LAPSING))
    assert [(rule.name, parse_condition(rule.where)) for rule in lifecycle] == [
        (rule.name, rule.where) for rule in lifecycle_rules()
    ]
    rows = re.findall(r"^\| ([1-5]) \| (.*) \|$", page, re.MULTILINE)
    told = {(int(r), w): name for r, names in rows for w, name in enumerate(names.split(" | "), start=1)}
    assert told == {(r, w): name for name, (a, b), (c, d) in CELLS for r in range(a, b + 1) for w in range(c, d + 1)}
