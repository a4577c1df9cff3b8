"""Short names for segments, each made of the strongest facts that its figures bear out, and figures as text."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from math import log
from typing import Any

from gpuseg.segments.facts import STRONG, Card, Facts, facts_of, few_orders, rhythm, state

FeatureRow = Mapping[str, Any]

_TASTE_EFFECT, _TASTE_RATIO, _TASTE_SHARE = 0.5, 1.4, 0.05
_BIG_SPENDER, _LIGHT_SPENDER = 1.75, 0.5
_MOST_WORDS, _LONGEST_TASTE = 5, 24
# From this strength on a trait is part of a name by itself; weaker ones only tell two equal names apart.
_OWN_TRAIT, _WEAK_TRAIT = 0.8, 0.2
_OFTEN = frozenset({"daily", "every-other-day", "twice-weekly", "weekly"})

# Feature, what it is called where it is high, and where it is low.
_TRAITS = (
    ("amount_per_order", "big-basket", "small-basket"),
    ("response_share", "campaign-responsive", "campaign-shy"),
    ("intent_score", "ready-to-buy", ""),
    ("rating_mean", "satisfied", "dissatisfied"),
    ("sentiment_mean", "satisfied", "dissatisfied"),
    ("nps_score", "recommending", "critical"),
    ("n_social_actions", "socially active", ""),
    ("gap_days_std", "irregular", "steady"),
    ("tenure_days", "long-standing", "newer"),
)


@dataclass(frozen=True)
class _Trait:
    """One way to qualify a name: before the noun, in its place, or after it."""

    strength: float
    words: str
    place: str = "before"


def name_segments(cards: Sequence[Card]) -> list[str]:
    """A distinct name for each segment, of at most five words.

    Parameters
    ----------
    cards : sequence of mapping
        Cards as `segment_cards` gives them. Any feature may be missing; what is missing is not mentioned.

    Returns
    -------
    list of str
        A segment whose words repeat an earlier one's gets the next trait that its figures bear out, and a number only
        where nothing else is left to say.
    """
    names: list[str] = []
    for facts in facts_of(cards):
        names.append(next(option for option in _options(facts) if option not in names))
    return names


def tastes(figures: Mapping[str, Mapping[str, Any]], features: Sequence[FeatureRow]) -> list[str]:
    """Categories that a segment buys clearly more of than others do, clearest first."""
    found = []
    for feature in features:
        figure = figures[feature["name"]]
        effect, mine, overall = figure["effect_size"], figure["mean"], feature["mean"]
        if not is_category(feature["name"], feature["unit"]) or effect is None or not overall or mine is None:
            continue
        if effect > _TASTE_EFFECT and mine > _TASTE_RATIO * overall:
            found.append((-effect, pretty(feature["name"].removeprefix("share_"))))
    return [name for _, name in sorted(found)]


def amount_text(value: float | None, unit: str) -> str:
    """A figure with as many digits as it deserves."""
    if value is None:
        return "none"
    if unit == "share":
        return share_text(value)
    if unit == "currency":
        return f"{value:,.2f}"
    text = f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.{1 if abs(value) >= 1 else 2}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def share_text(share: float) -> str:
    """A percentage: whole from 10 on, one decimal below, and never 0 or 100 for a share that is not."""
    size = abs(share) * 100
    sign = "-" if share < 0 else ""
    if 0 < size < 0.05:
        return f"under {sign}0.1%"
    if 99.95 <= size < 100:
        return f"over {sign}99.9%"
    places = 1 if size < 9.95 or 99.5 <= size < 100 else 0
    return f"{sign}{size:.{places}f}".removesuffix(".0") + "%"


def is_category(name: str, unit: str) -> bool:
    """Whether a feature is the share of what is bought that falls to one named category."""
    named = name.startswith("share_") and not name.startswith("share_on_") and name != "share_other"
    return named and unit == "share"


def pretty(text: str) -> str:
    """Shouted words, as in department names, in title case; everything else as it is."""
    return " ".join(word.title() if word.isupper() and len(word) > 2 else word for word in text.split(" "))


def _options(facts: Facts) -> Iterator[str]:
    """Names in the order in which they are tried, without end."""
    traits = sorted(_traits(facts), key=lambda trait: (-trait.strength, trait.words))
    own = [trait for trait in traits if trait.strength >= _OWN_TRAIT][:1]
    base = _composed(facts, own)
    found = [base]
    found += [_composed(facts, [trait]) for trait in traits if trait not in own]
    found += [_composed(facts, [*own, trait]) for trait in traits if own and trait not in own]
    yield from (name for name in found if len(name.split()) <= _MOST_WORDS)
    yield from (f"{base} {number}" for number in count(2))


def _composed(facts: Facts, traits: Sequence[_Trait]) -> str:
    before = [trait.words for trait in traits if trait.place == "before"]
    nouns = [trait.words for trait in traits if trait.place == "noun"]
    after = [trait.words for trait in traits if trait.place == "after"]
    opening = _opening(facts)
    noun = nouns[0] if nouns else _noun(facts, plain=bool(before))
    if not opening and not before and noun == "shoppers":
        opening = ["typical"]
    text = " ".join([*opening, *before, noun]) + "".join(f", {words}" for words in after)
    return text[:1].upper() + text[1:]


def _opening(facts: Facts) -> list[str]:
    now = state(facts)
    # Of those who left after a few orders, or never came back, no rhythm is known.
    pace = few_orders(facts) if now in ("lapsed", "one-time") else ""
    return [word for word in (now if now in ("lapsed", "new", "fading") else "", pace or rhythm(facts)) if word]


def _noun(facts: Facts, *, plain: bool) -> str:
    now, ratio = state(facts), facts.value_ratio
    if now in ("lapsed", "one-time"):
        return "buyers" if few_orders(facts) else "shoppers"
    if ratio is not None and ratio >= _BIG_SPENDER and not plain:
        return "big spenders"
    if ratio is not None and 0 <= ratio <= _LIGHT_SPENDER and not plain:
        return "light spenders"
    if now == "active" and rhythm(facts) in _OFTEN:
        return "regulars"
    return "visitors" if "n_orders" not in facts.names and "n_sessions" in facts.names else "shoppers"


def _traits(facts: Facts) -> Iterator[_Trait]:
    for name, high, low in _TRAITS:
        gone = state(facts) in ("lapsed", "one-time", "new") and name in ("gap_days_std", "tenure_days")
        if high and facts.high(name, _WEAK_TRAIT) and not gone:
            yield _Trait(_weight(name, facts), high)
        elif low and facts.low(name, _WEAK_TRAIT) and not gone:
            yield _Trait(_weight(name, facts), low)
    yield from _browsing(facts)
    for name in facts.names:
        effect, share = facts.effect(name), facts.mean(name) or 0.0
        column, equals, value = name.partition("=")
        if equals and share >= 0.5 and facts.high(name, _WEAK_TRAIT) and _is_word(value) and column:
            # What people are qualifies a name only where what they do does not tell two segments apart.
            yield _Trait(min(effect, _OWN_TRAIT) / 2, f"mostly {pretty(value)}", "after")
        elif is_category(name, "share") and share >= _TASTE_SHARE and facts.high(name, _TASTE_EFFECT):
            taste = pretty(name.removeprefix("share_"))
            if share > _TASTE_RATIO * (facts.overall.get(name) or 0.0) and _is_word(taste):
                yield _Trait(effect, f"{taste} fans", "noun")
    ratio = facts.value_ratio
    if ratio is not None and _LIGHT_SPENDER < ratio < _BIG_SPENDER and not 0.87 < ratio < 1.15:
        yield _Trait(min(abs(log(ratio)), _OWN_TRAIT / 2), "higher-spending" if ratio > 1 else "lower-spending")


def _browsing(facts: Facts) -> Iterator[_Trait]:
    if facts.high("cart_share") and facts.low("purchase_share"):
        yield _Trait(facts.effect("cart_share"), "cart-abandoning")
    if facts.high("n_sessions", 0.5) and facts.effect("n_orders") < 0.5 and "n_orders" in facts.names:
        yield _Trait(facts.effect("n_sessions"), "much-browsing")


def _weight(name: str, facts: Facts) -> float:
    """Strength of a trait; rhythm and tenure repeat what the opening says, and only tell equal names apart."""
    strength = abs(facts.effect(name))
    return min(strength, STRONG / 2) if name in ("gap_days_std", "tenure_days") else strength


def _is_word(text: str) -> bool:
    """Whether a value of the data is short and plain enough to stand in a name."""
    fits = 0 < len(text) <= _LONGEST_TASTE and len(text.split()) <= 3 and text.isprintable()
    return (
        fits
        and any(letter.isalpha() for letter in text)
        and text.lower() not in ("true", "false", "none", "other", "unknown")
    )
