"""The language of rules: conditions over features, such as `amount_sum >= 500 and recency_days < 90`.

::

    condition = group { or group }            group = negation { and negation }
    negation  = not negation | predicate
    predicate = value ( = | == | != | <> | < | <= | > | >= ) value
              | value [ not ] between value and value
              | value [ not ] in ( value { , value } )
              | value is [ not ] null
              | ( condition )
    value     = product { ( + | - ) product }    product = signed { ( * | / ) signed }
    signed    = ( + | - ) signed | number | feature | ( value )

Words are read in any case, names of features in theirs. A name that is no plain word stands in double quotes or
backticks, as "share_Home & Garden". The text is parsed by recursive descent and never executed;
`gpuseg.clustering.rule_values` says what the trees mean.
"""

import re
import reprlib
from collections.abc import Callable, Iterator
from math import isinf
from typing import NamedTuple, NoReturn

from gpuseg.errors import ConfigError
from gpuseg.rule_trees import (
    KEYWORDS,
    AllOf,
    AnyOf,
    Arithmetic,
    Comparison,
    Condition,
    FeatureName,
    IsNull,
    Negative,
    Not,
    Number,
    OneOf,
    Truth,
    Value,
)

MOST_CHARACTERS = 4_000
MOST_NESTED = 32

_TOKEN = re.compile(
    r"""(?P<space>\s+)
    |(?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?(?![\w.]))
    |(?P<feature>`(?:[^`]|``)+`|"(?:[^"]|"")+")
    |(?P<word>[^\W\d]\w*)
    |(?P<symbol><=|>=|<>|!=|==|(?!--)[=<>()+\-*/,])""",
    re.VERBOSE,
)
_COMPARISONS = {"=": "=", "==": "=", "!=": "!=", "<>": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_QUOTED = "a name with spaces is put in double quotes"
_NUMBER = "a number is written like 500, 0.5 or 1e3"
_UNREADABLE = {
    "&": "write `and`",
    "|": "write `or`",
    "!": "write `not`, or `!=` between two values",
    "%": "write 50% as 0.5",
    "-": "there are no comments, and between two signs stands a space",
    "≤": "write `<=`",
    "≥": "write `>=`",
    "≠": "write `!=`",
    ".": "a name with a dot is put in double quotes",
    "'": f"features are numbers, and {_QUOTED}",
    '"': "a name in double quotes is not empty and ends with one",
    "`": "a name in backticks is not empty and ends with one",
}
_AFTER_ALL = {
    ",": "a number has no thousands separators",
    ")": "no bracket is open there",
    **dict.fromkeys(_COMPARISONS, "two comparisons are joined by `and`, or are one `between`"),
}


def parse_condition(text: str) -> Condition:
    """Read a condition.

    Parameters
    ----------
    text : str
        At most `MOST_CHARACTERS` long; brackets, signs and `not` at most `MOST_NESTED` deep.

    Raises
    ------
    ConfigError
        With what was expected, what stands there instead, and at which character, counted from 1.
    """
    if len(text) > MOST_CHARACTERS:
        raise ConfigError(f"has {len(text):,} characters, but a rule may have {MOST_CHARACTERS:,}")
    parser = _Parser(list(_tokens(text)))
    found = Condition(text, parser.truth(parser.any_of))
    if parser.next.kind != "end":
        parser.refuse("`and`, `or` or the end", hint=_AFTER_ALL.get(parser.next.text, parser.of_two_words()))
    if not found.features:
        raise ConfigError("names no feature, so it is the same for all profiles")
    return found


_Read = Callable[[], Value | Truth]


class _Token(NamedTuple):
    kind: str
    text: str
    at: int


def _tokens(text: str) -> Iterator[_Token]:
    place = 0
    while place < len(text):
        found = _TOKEN.match(text, place)
        if found is None:
            mark = text[place]
            hint = _NUMBER if mark.isdigit() else _UNREADABLE.get(mark, "")
            raise ConfigError(f"cannot read {mark!r} at character {place + 1}{'; ' if hint else ''}{hint}")
        kind, word = str(found.lastgroup), found[0]
        if kind == "word":
            known = word.lower() in KEYWORDS
            yield _Token("keyword" if known else "feature", word.lower() if known else word, place + 1)
        elif kind == "feature":
            yield _Token(kind, word[1:-1].replace(word[0] * 2, word[0]), place + 1)
        elif kind != "space":
            yield _Token(kind, word, place + 1)
        place = found.end()
    yield _Token("end", "", len(text) + 1)


class _Parser:
    """Values and conditions share one grammar, for both may stand in brackets; what a node is decides where it may."""

    def __init__(self, tokens: list[_Token]) -> None:
        self.tokens = tokens
        self.place = 0
        self.depth = 0

    @property
    def next(self) -> _Token:
        return self.tokens[self.place]

    def refuse(self, expected: str, token: _Token | None = None, hint: str = "") -> NoReturn:
        token = token or self.next
        given = "the end" if token.kind == "end" else reprlib.repr(token.text)
        raise ConfigError(f"expected {expected}, not {given}, at character {token.at}{'; ' if hint else ''}{hint}")

    def sees(self, *texts: str) -> bool:
        return self.next.kind in ("keyword", "symbol") and self.next.text in texts

    def took(self, *texts: str) -> str:
        """The next keyword or symbol, which is passed over, if it is one of these; else nothing."""
        if not self.sees(*texts):
            return ""
        self.place += 1
        return self.tokens[self.place - 1].text

    def need(self, text: str) -> None:
        if not self.took(text):
            self.refuse(f"`{text}`")

    def deeper(self, read: _Read) -> Value | Truth:
        self.depth += 1
        if self.depth > MOST_NESTED:
            raise ConfigError(f"is nested more than {MOST_NESTED} levels deep at character {self.next.at}")
        found = read()
        self.depth -= 1
        return found

    def as_truth(self, found: Value | Truth) -> Truth:
        if isinstance(found, Value):
            self.refuse("a comparison such as `> 0` after the value", hint=self.of_two_words())
        return found

    def of_two_words(self) -> str:
        """A hint where a second name follows the first."""
        return _QUOTED if self.next.kind == "feature" else ""

    def as_value(self, found: Value | Truth, start: _Token) -> Value:
        if isinstance(found, Truth):
            self.refuse("a number or a feature", start, "a condition is no value")
        return found

    def truth(self, read: _Read) -> Truth:
        return self.as_truth(read())

    def value(self, read: _Read) -> Value:
        start = self.next
        return self.as_value(read(), start)

    def any_of(self) -> Value | Truth:
        return self.joined("or", self.all_of, AnyOf)

    def all_of(self) -> Value | Truth:
        return self.joined("and", self.negation, AllOf)

    def joined(self, word: str, read: _Read, build: Callable[[tuple[Truth, ...]], Truth]) -> Value | Truth:
        found = read()
        if not self.sees(word):
            return found
        operands = [self.as_truth(found)]
        while self.took(word):
            operands.append(self.truth(read))
        return build(tuple(operands))

    def negation(self) -> Value | Truth:
        if self.took("not"):
            return Not(self.as_truth(self.deeper(self.negation)))
        return self.predicate()

    def predicate(self) -> Value | Truth:
        start, found = self.next, self.terms()
        if not self.sees(*_COMPARISONS, "is", "not", "between", "in"):
            return found
        value = self.as_value(found, start)
        if operator := self.took(*_COMPARISONS):
            return Comparison(_COMPARISONS[operator], value, self.value(self.terms))
        told: Truth
        if self.took("is"):
            negated = self.took("not")
            self.need("null")
            told = IsNull(value)
        else:
            negated = self.took("not")
            told = self.within(value)
        return Not(told) if negated else told

    def within(self, value: Value) -> Truth:
        if self.took("between"):
            low = self.value(self.terms)
            self.need("and")
            return AllOf((Comparison(">=", value, low), Comparison("<=", value, self.value(self.terms))))
        if not self.took("in"):
            self.refuse("`between` or `in`")
        self.need("(")
        options = [self.value(self.terms)]
        while self.took(","):
            options.append(self.value(self.terms))
        if not self.took(")"):
            self.refuse("`,` or `)`")
        return OneOf(value, tuple(options))

    def terms(self) -> Value | Truth:
        return self.chain(self.factors, "+", "-")

    def factors(self) -> Value | Truth:
        return self.chain(self.signed, "*", "/")

    def chain(self, read: _Read, *operators: str) -> Value | Truth:
        start, found = self.next, read()
        if not self.sees(*operators):
            return found
        first, steps = self.as_value(found, start), []
        while operator := self.took(*operators):
            steps.append((operator, self.value(read)))
        return Arithmetic(first, tuple(steps))

    def signed(self) -> Value | Truth:
        sign, start = self.took("+", "-"), self.next
        if not sign:
            return self.primary()
        operand = self.as_value(self.deeper(self.signed), start)
        return Negative(operand) if sign == "-" else operand

    def primary(self) -> Value | Truth:
        token = self.next
        if self.took("("):
            found = self.deeper(self.any_of)
            self.need(")")
            return found
        if token.kind not in ("number", "feature"):
            hint = "an unknown value is told by `is null`" if token.text == "null" else ""
            self.refuse("a number or a feature", hint=hint)
        self.place += 1
        if token.kind == "feature":
            return FeatureName(token.text, token.at)
        if isinf(number := float(token.text)):
            self.refuse("a number that float64 can hold", token)
        return Number(number)
