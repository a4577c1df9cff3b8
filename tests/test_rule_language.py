"""Reading conditions: what they are as trees, and one clear line for everything that is none."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuseg.errors import ConfigError
from gpuseg.rule_language import MOST_CHARACTERS, MOST_NESTED, parse_condition
from gpuseg.rule_trees import AllOf, AnyOf, Comparison, Condition, FeatureName, IsNull, Not, Number, OneOf, spelled


def name(text):
    return FeatureName(text, 0)


def refusal(text):
    with pytest.raises(ConfigError) as caught:
        parse_condition(text)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_comparison():
    assert parse_condition("amount_sum >= 500").tree == Comparison(">=", name("amount_sum"), Number(500.0))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a == 1", "a = 1"),
        ("a <> 1", "a != 1"),
        ("a BETWEEN 1 And 2", "a >= 1 and a <= 2"),
        ("a not between 1 and 2", "not (a >= 1 and a <= 2)"),
        ("a Not In (1, 2)", "not a in (1, 2)"),
        ("a is not null", "not a is null"),
        ("a > 1 or b > 1 and c > 1", "a > 1 or (b > 1 and c > 1)"),
        ("not a > 1 and b > 1", "(not a > 1) and b > 1"),
        ("a + b * c > 1", "a + (b * c) > 1"),
        ("a - b - c > 1", "((a) - b) - c > 1"),
        ("+a > 1", "a > 1"),
        ("-a * b > 1", "(-a) * b > 1"),
        ("a + 1 between 0 and b + 1", "a + 1 >= 0 and a + 1 <= b + 1"),
        ("`a` > 1", '"a" > 1.'),
        ("a > .5", "a > 5e-1"),
        ("\n  a\t>\n1  ", "a>1"),
        ("((a)) > ((1))", "a > 1"),
        ("(((a > 1)))", "a > 1"),
    ],
)
def test_two_ways_to_write_the_same(one, other):
    first, second = parse_condition(one), parse_condition(other)
    assert [found.name for found in first.features] == [found.name for found in second.features]
    flat, grouped = (" ".join(map(repr, _words(each.tree))) for each in (first, second))
    assert flat == grouped


def _words(tree):
    """A tree in brackets, in which a chain of sums is a sum of sums."""
    match tree:
        case FeatureName(found):
            yield found
        case Number(value):
            yield value
        case _ if hasattr(tree, "steps"):
            yield from "(" * len(tree.steps)
            yield from _words(tree.first)
            for sign, operand in tree.steps:
                yield sign
                yield from _words(operand)
                yield ")"
        case _:
            yield type(tree).__name__
            yield getattr(tree, "operator", "")
            for key in ("left", "right", "operand"):
                if hasattr(tree, key):
                    yield from _words(getattr(tree, key))
            for key in ("operands", "options"):
                for each in getattr(tree, key, ()):
                    yield from _words(each)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a > 1 or b > 1 and c > 1", "(a > 1 or b > 1) and c > 1"),
        ("not a > 1 and b > 1", "not (a > 1 and b > 1)"),
        ("a + b * c > 1", "(a + b) * c > 1"),
        ("a - b - c > 1", "a - (b - c) > 1"),
        ("a / b * c > 1", "a / (b * c) > 1"),
        ("a > 1", "A > 1"),
        ("a > 1", "a >= 1"),
    ],
)
def test_two_conditions_that_differ(one, other):
    assert parse_condition(one) != parse_condition(other)


def test_the_kinds_of_conditions():
    tree = parse_condition("a in (1, b) or not (a is null and b <> 2)").tree
    assert tree == AnyOf(
        (
            OneOf(name("a"), (Number(1.0), name("b"))),
            Not(AllOf((IsNull(name("a")), Comparison("!=", name("b"), Number(2.0))))),
        )
    )


def test_features_come_once_in_the_order_of_their_places():
    condition = parse_condition('z > 1 and (a > z or "share_Home & Garden" in (1, b)) and not -a is null')
    assert [(found.name, found.at) for found in condition.features] == [
        ("z", 1),
        ("a", 12),
        ("share_Home & Garden", 21),
        ("b", 50),
    ]


@pytest.mark.parametrize("quoted", ['"country=DE"', "`country=DE`"])
def test_a_name_in_quotes(quoted):
    assert parse_condition(f"{quoted} = 1").features[0].name == "country=DE"


@given(st.text(min_size=1, max_size=30))
def test_any_name_can_be_spelled(text):
    assert parse_condition(f"{spelled(text)} > 0").features[0].name == text


def test_quotes_only_where_they_are_needed():
    assert [spelled(each) for each in ("n_orders_30d", "größe", "Is", "a b", 'say "x"', "30d", "")] == [
        "n_orders_30d",
        "größe",
        '"Is"',
        '"a b"',
        '"say ""x"""',
        '"30d"',
        '""',
    ]


REFUSED = [
    ("", "expected a number or a feature, not the end, at character 1"),
    ("amount_sum >", "expected a number or a feature, not the end, at character 13"),
    (
        f"amount_sum > {'9' * 400}",
        "expected a number that float64 can hold, not '999999999999...9999999999999', at character 14",
    ),
    ("is_new", "expected a comparison such as `> 0` after the value, not the end, at character 7"),
    ("a and b > 1", "expected a comparison such as `> 0` after the value, not 'and', at character 3"),
    ("not a", "expected a comparison such as `> 0` after the value, not the end, at character 6"),
    (
        "share_Home Goods > 1",
        "expected a comparison such as `> 0` after the value, not 'Goods', at character 12; a name with spaces is put "
        "in double quotes",
    ),
    (
        "a > share_Home Goods",
        "expected `and`, `or` or the end, not 'Goods', at character 16; a name with spaces is put in double quotes",
    ),
    ("a > 1,000", "expected `and`, `or` or the end, not ',', at character 6; a number has no thousands separators"),
    ("a > 1)", "expected `and`, `or` or the end, not ')', at character 6; no bracket is open there"),
    (
        "0 < a < 5",
        "expected `and`, `or` or the end, not '<', at character 7; two comparisons are joined by `and`, or are one "
        "`between`",
    ),
    ("(a > 1", "expected `)`, not the end, at character 7"),
    ("a = null", "expected a number or a feature, not 'null', at character 5; an unknown value is told by `is null`"),
    ("a is unknown", "expected `null`, not 'unknown', at character 6"),
    ("a not > 5", "expected `between` or `in`, not '>', at character 7"),
    ("a between 1", "expected `and`, not the end, at character 12"),
    ("a in 1", "expected `(`, not '1', at character 6"),
    ("a in ()", "expected a number or a feature, not ')', at character 7"),
    ("a in (1 2)", "expected `,` or `)`, not '2', at character 9"),
    ("(a > 1) > 2", "expected a number or a feature, not '(', at character 1; a condition is no value"),
    ("2 < (a > 1)", "expected a number or a feature, not '(', at character 5; a condition is no value"),
    ("1 + (a > 1) > 2", "expected a number or a feature, not '(', at character 5; a condition is no value"),
    ("(a > 1) is null", "expected a number or a feature, not '(', at character 1; a condition is no value"),
    ("-(a > 1)", "expected a number or a feature, not '(', at character 2; a condition is no value"),
    ("a > 90days", "cannot read '9' at character 5; a number is written like 500, 0.5 or 1e3"),
    ("a > 1.2.3", "cannot read '1' at character 5; a number is written like 500, 0.5 or 1e3"),
    ("a > 50%", "cannot read '%' at character 7; write 50% as 0.5"),
    ("a > 1 && b > 1", "cannot read '&' at character 7; write `and`"),
    ("a > 1 || b > 1", "cannot read '|' at character 7; write `or`"),
    ("!a", "cannot read '!' at character 1; write `not`, or `!=` between two values"),
    ("a ≥ 1", "cannot read '≥' at character 3; write `>=`"),
    (
        "country = 'DE'",
        'cannot read "\'" at character 11; features are numbers, and a name with spaces is put in double quotes',
    ),
    ('"a > 1', "cannot read '\"' at character 1; a name in double quotes is not empty and ends with one"),
    ("`` > 1", "cannot read '`' at character 1; a name in backticks is not empty and ends with one"),
    ("a.b > 1", "cannot read '.' at character 2; a name with a dot is put in double quotes"),
    ("a > 1; b", "cannot read ';' at character 6"),
    (
        "a > 1 -- b",
        "cannot read '-' at character 7; there are no comments, and between two signs stands a space",
    ),
    ("a > 1e999", "expected a number that float64 can hold, not '1e999', at character 5"),
    ("1 = 1", "names no feature, so it is the same for all profiles"),
]


@pytest.mark.parametrize(("text", "message"), REFUSED)
def test_one_line_says_what_is_wrong(text, message):
    assert refusal(text) == message


def test_the_longest_text():
    text = "a > 1" + " " * (MOST_CHARACTERS - 5)
    assert parse_condition(text).tree == parse_condition("a > 1").tree
    assert refusal(text + " ") == "has 4,001 characters, but a rule may have 4,000"


@pytest.mark.parametrize(
    "nest",
    [
        lambda depth: "(" * depth + "a" + ")" * depth + " > 1",
        lambda depth: "(" * depth + "a > 1" + ")" * depth,
        lambda depth: "not " * depth + "a > 1",
        lambda depth: "- " * depth + "a > 1",
        lambda depth: "not (" * (depth // 2) + "a > 1" + ")" * (depth // 2),
    ],
)
def test_depth_is_limited(nest):
    assert parse_condition(nest(MOST_NESTED)).features[0].name == "a"
    assert f"is nested more than {MOST_NESTED} levels deep at character " in refusal(nest(MOST_NESTED + 2))


def test_width_is_no_depth():
    wide = " or ".join(f"a > {n}" for n in range(200)) + f" and {'+'.join(['a'] * 800)} > 1"
    condition = parse_condition(wide)
    assert pickle.loads(pickle.dumps(condition)) == condition
    assert hash(condition) == hash(parse_condition(wide))


def outcome(text):
    """What becomes of a text: a condition, or what is wrong with it."""
    try:
        return parse_condition(text)
    except ConfigError as error:
        return str(error)


@given(st.text(alphabet="ab1.(),<=>!+-*/ \"`'&é\n", max_size=40) | st.text(max_size=40))
def test_any_text_is_read_or_refused_in_one_line(text):
    found = outcome(text)
    if isinstance(found, Condition):
        assert found.text == text
    else:
        assert 0 < len(found) < 300
        assert "\n" not in found


WORDS = [
    "a",
    "b",
    "1",
    "2.5",
    "(",
    ")",
    "and",
    "or",
    "not",
    "between",
    "in",
    "is",
    "null",
    ",",
    "<",
    "=",
    "+",
    "-",
    "*",
]


@given(st.lists(st.sampled_from(WORDS), max_size=25))
def test_any_words_are_read_or_refused(words):
    found = outcome(" ".join(words))
    if isinstance(found, Condition):
        assert {each.name for each in found.features} <= {"a", "b"}
    else:
        assert "character" in found or "names no feature" in found
