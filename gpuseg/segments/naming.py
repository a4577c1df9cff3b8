"""Plain-language names and sentences, built from a card's figures."""

from collections.abc import Mapping, Sequence
from typing import Any

Card = Mapping[str, Any]
FeatureRow = Mapping[str, Any]

_CLEAR, _STRONG = 0.35, 0.9
_TASTE_EFFECT, _TASTE_RATIO = 0.5, 1.4


def name_segments(cards: Sequence[Card]) -> list[str]:
    """A distinct name for each segment.

    Parameters
    ----------
    cards : sequence of mapping
        Cards with `features`, `tastes` and `distinguishing`.

    Returns
    -------
    list of str
        Distinct; a segment whose words repeat another's gets the next trait that tells them apart.
    """
    names: list[str] = []
    for card in cards:
        base = _name(card)
        options = [base]
        options += [f"{base}, keen on {taste}" for taste in card["tastes"]]
        options += [f"{base}, {_trait_words(trait)}" for trait in card["distinguishing"]]
        options += [f"{base} ({number})" for number in range(2, len(cards) + 2)]
        names.append(next(option for option in options if option not in names))
    return names


def phrase(feature: FeatureRow, mean: float | None) -> str:
    """One difference in words, such as "34% of items from Produce (average 12%)"."""
    mine, overall = (amount_text(value, feature["unit"]) for value in (mean, feature["mean"]))
    return f"{pretty(feature['saying']).format(value=mine)} (average {overall})"


def summary(card: Card) -> str:
    """One or two sentences on size, value and the clearest differences."""
    text = f"{share_text(card['profile_share'])} of customers"
    if card["value_share"] is not None:
        text += f", bringing {share_text(card['value_share'])} of sales"
    traits = [trait["phrase"] for trait in card["distinguishing"][:3]]
    if not traits:
        return f"{text}. Close to the average customer in every respect."
    listed = "; ".join(traits)
    return f"{text}. On average: {listed}."


def amount_text(value: float | None, unit: str) -> str:
    """A figure with as many digits as it deserves."""
    if value is None:
        return "none"
    if unit == "share":
        return share_text(value)
    if unit == "currency":
        return f"{value:,.2f}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.1f}"


def share_text(share: float) -> str:
    """A percentage: whole from 10 on, one decimal below."""
    return f"{share:.0%}" if abs(share) >= 0.0995 or share == 0 else f"{share:.1%}"


def pretty(text: str) -> str:
    """Shouted words, as in department names, in title case; everything else as it is."""
    return " ".join(word.title() if word.isupper() and len(word) > 2 else word for word in text.split(" "))


def _name(card: Card) -> str:
    recency, frequency = _effect(card, "recency_days"), _effect(card, "n_orders")
    basket, value = _effect(card, "amount_per_order"), _effect(card, "amount_sum")
    words = []
    if recency > _STRONG:
        words.append("lapsed")
    elif recency > _CLEAR:
        words.append("fading")
    if value > _STRONG:
        words.append("high-value")
    if frequency > _STRONG:
        words.append("very frequent")
    elif frequency > _CLEAR:
        words.append("frequent")
    elif frequency < -_STRONG:
        words.append("rare")
    elif frequency < -_CLEAR:
        words.append("occasional")
    if basket > _CLEAR:
        words.append("big-basket")
    elif basket < -_CLEAR:
        words.append("small-basket")
    text = " ".join(words or ["typical"]) + " shoppers"
    return text[:1].upper() + text[1:]


def tastes(figures: Mapping[str, Mapping[str, Any]], features: Sequence[FeatureRow]) -> list[str]:
    """Categories that a segment buys clearly more of than others do, clearest first."""
    found = []
    for feature in features:
        figure = figures[feature["name"]]
        effect, mine, overall = figure["effect_size"], figure["mean"], feature["mean"]
        if feature["unit"] != "share" or feature["name"] == "share_other" or effect is None or not overall:
            continue
        if effect > _TASTE_EFFECT and mine > _TASTE_RATIO * overall:
            found.append((-effect, pretty(feature["name"].removeprefix("share_"))))
    return [name for _, name in sorted(found)]


def _trait_words(trait: Mapping[str, Any]) -> str:
    amount = "more" if trait["direction"] == "higher" else "less"
    return f"{amount} {trait['feature'].replace('_', ' ')}"


def _effect(card: Card, feature: str) -> float:
    figure = card["features"].get(feature)
    return float(figure["effect_size"] or 0.0) if figure else 0.0
