"""Short names for segments, each made of the strongest facts that its figures bear out."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from math import log
from typing import Any

from gpuseg.segments.facts import STRONG, Card, Facts, facts_of, few_orders, is_absent, rhythm, state
from gpuseg.segments.figures import is_category, pretty
from gpuseg.segments.people import CUSTOMERS, network
from gpuseg.segments.ties import differences

FeatureRow = Mapping[str, Any]

_TASTE_EFFECT, _TASTE_RATIO, _TASTE_SHARE = 0.5, 1.4, 0.05
# Spend against everyone's, from these ratios on; in between it is no word of a name.
_TOP, _BIG, _MODEST, _LIGHT = 3.0, 1.5, 2 / 3, 1 / 3
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
    ("created_share", "contributing", "onlooking"),
    ("session_seconds_mean", "lingering", "hurried"),
    ("funnel_depth_mean", "determined", "browsing"),
)
# What the opening, or the noun where it tells of money, says already.
_RHYTHM_TRAITS, _MONEY_TRAITS = {"gap_days_std", "tenure_days"}, {"amount_per_order"}


@dataclass(frozen=True)
class _Trait:
    """One way to qualify a name: before the noun, in its place, or after it."""

    strength: float
    words: str
    place: str = "before"


def name_segments(cards: Sequence[Card], overall: Mapping[str, float | None]) -> list[str]:
    """A distinct name for each segment, of at most five words and what tells it from another of the same words.

    Parameters
    ----------
    cards : sequence of mapping
        Cards as `deciding_cards` gives them. Any feature may be missing; what is missing is not mentioned.
    overall : mapping of feature name to float or None
        Means over everyone, as of `Totals.means`.

    Returns
    -------
    list of str
        A segment whose words repeat an earlier one's gets the next trait that its figures bear out and the other's do
        not, else the widest difference between both, and a number only where no figure differs.
    """
    names: list[str] = []
    by_base: dict[str, list[Facts]] = {}
    for facts in facts_of(cards, overall):
        traits = sorted(_traits(facts), key=lambda trait: (-trait.strength, trait.words))
        own = [trait for trait in traits if trait.strength >= _OWN_TRAIT][:1]
        base = _composed(facts, own)
        rivals = by_base.setdefault(base, [])
        names.append(next(name for name in _options(facts, base, own, traits, rivals) if name not in names))
        rivals.append(facts)
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


def _options(
    facts: Facts, base: str, own: Sequence[_Trait], traits: Sequence[_Trait], rivals: Sequence[Facts]
) -> Iterator[str]:
    """Names in the order in which they are tried, without end."""
    yield base
    shared = {trait.words for rival in rivals for trait in _traits(rival)}
    fresh = [trait for trait in traits if trait not in own and trait.words not in shared]
    found = [_composed(facts, [trait]) for trait in fresh]
    found += [_composed(facts, [*own, trait]) for trait in fresh if own]
    yield from (name for name in found if len(name.split()) <= _MOST_WORDS)
    yield from (f"{base}, {words}" for words in differences(facts, rivals))
    # Between two others there may be nothing that it has most or least of, and from its equal nothing sets it apart.
    apart = [list(differences(facts, [rival])) for rival in rivals]
    if all(apart):
        yield from (f"{base}, {words}" for each in apart for words in each)
    yield from (f"{base} {number}" for number in count(2))


def _composed(facts: Facts, traits: Sequence[_Trait]) -> str:
    before = [trait.words for trait in traits if trait.place == "before"]
    nouns = [trait.words for trait in traits if trait.place == "noun"]
    after = [trait.words for trait in traits if trait.place == "after"]
    now, money = state(facts), _money(facts)
    opening = _opening(facts)
    if nouns:
        noun = nouns[0]
        if money in ("top", "big", "light") and now != "lapsed":
            # Where a segment stands matters more than how often it came.
            opening = [*(opening[:1] if now == "fading" else opening), f"{money}-spending"]
    else:
        noun = _noun(facts, money)
    if not opening and not before and noun == facts.people.noun:
        opening = ["typical"]
    while len(opening) > 1 and len(" ".join([*opening, *before, noun]).split()) > _MOST_WORDS:
        opening = opening[:-1]
    text = " ".join([*opening, *before, noun]) + "".join(words for words in after)
    return text[:1].upper() + text[1:]


def _opening(facts: Facts) -> list[str]:
    if is_absent(facts):
        return ["quiet"]
    now = state(facts)
    # Of those who left after a few orders, or never came back, no rhythm is known.
    pace = few_orders(facts) if now in ("lapsed", "one-time") else ""
    return [word for word in (now if now in ("lapsed", "new", "fading") else "", pace or rhythm(facts)) if word]


def _money(facts: Facts) -> str:
    """How much they spend, as an adjective; "" where that is not remarkable or nothing is known of it."""
    ratio = facts.value_ratio
    if ratio is None or ratio < 0 or _MODEST < ratio < _BIG:
        return ""
    if ratio >= _BIG:
        return "top" if ratio >= _TOP else "big"
    return "light" if ratio <= _LIGHT else "modest"


def _noun(facts: Facts, money: str) -> str:
    now = state(facts)
    if now in ("lapsed", "one-time"):
        # Whoever has left spends little; only much is remarkable.
        usual = "buyers" if few_orders(facts) else "shoppers"
        return f"{money} spenders" if money in ("top", "big") else usual
    if money:
        return f"{money} spenders"
    return "regulars" if now == "active" and rhythm(facts) in _OFTEN else facts.people.noun


def _traits(facts: Facts) -> Iterator[_Trait]:
    silent = _RHYTHM_TRAITS if state(facts) in ("lapsed", "one-time", "new") else set()
    for name, high, low in _TRAITS:
        if name in silent or name == facts.people.activity:
            continue
        if high and facts.high(name, _WEAK_TRAIT):
            yield _Trait(_weight(name, facts), high)
        elif low and facts.low(name, _WEAK_TRAIT):
            yield _Trait(_weight(name, facts), low)
    yield from _browsing(facts)
    for name in facts.names:
        yield from _liking(name, facts)
    ratio = facts.value_ratio
    if ratio is not None and not _money(facts) and ratio >= 0 and not 0.87 < ratio < 1.15:
        yield _Trait(min(abs(log(ratio)), _OWN_TRAIT / 2), "higher-spending" if ratio > 1 else "lower-spending")


def _liking(name: str, facts: Facts) -> Iterator[_Trait]:
    """A category that they buy more of, a network that they use more, or what they are more often than others."""
    effect, share = facts.effect(name), facts.mean(name) or 0.0
    column, equals, value = name.partition("=")
    clear = share > _TASTE_RATIO * (facts.overall.get(name) or 0.0) and share >= _TASTE_SHARE
    if equals and share >= 0.5 and facts.high(name, _WEAK_TRAIT) and _is_word(value) and column:
        # What people are qualifies a name only where what they do does not tell two segments apart.
        yield _Trait(min(effect, _OWN_TRAIT) / 2, f", mostly {pretty(value)}", "after")
    elif name.startswith("share_on_") and clear and facts.high(name, _TASTE_EFFECT):
        where = pretty(network(name.removeprefix("share_on_")))
        if not _is_word(where):
            return
        if facts.people is CUSTOMERS:
            yield _Trait(min(effect, _OWN_TRAIT) / 2, f" on {where}", "after")
        else:
            yield _Trait(max(effect, _OWN_TRAIT), f"{where} {facts.people.noun}", "noun")
    elif is_category(name, "share") and clear and facts.high(name, _TASTE_EFFECT):
        taste = pretty(name.removeprefix("share_"))
        if _is_word(taste):
            yield _Trait(effect, f"{taste} fans", "noun")


def _browsing(facts: Facts) -> Iterator[_Trait]:
    if facts.high("cart_share") and facts.low("purchase_share"):
        yield _Trait(facts.effect("cart_share"), "cart-abandoning")
    if facts.high("n_sessions", 0.5) and facts.effect("n_orders") < 0.5 and "n_orders" in facts.names:
        yield _Trait(facts.effect("n_sessions"), "much-browsing")


def _weight(name: str, facts: Facts) -> float:
    """Strength of a trait; one that repeats what rhythm or money say only tells equal names apart."""
    strength = abs(facts.effect(name))
    repeats = name in _RHYTHM_TRAITS or (name in _MONEY_TRAITS and _money(facts))
    return min(strength, STRONG / 2) if repeats else strength


def _is_word(text: str) -> bool:
    """Whether a value of the data is short and plain enough to stand in a name."""
    fits = 0 < len(text) <= _LONGEST_TASTE and len(text.split()) <= 3 and text.isprintable()
    return (
        fits
        and any(letter.isalpha() for letter in text)
        and text.lower() not in ("true", "false", "none", "other", "unknown")
    )
