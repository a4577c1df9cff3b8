"""What a card says in sentences: headline, who they are, what they do, what they are worth, what to try."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from gpuseg.segments.facts import Facts, few_orders, state
from gpuseg.segments.naming import FeatureRow, amount_text, pretty, share_text
from gpuseg.segments.phrases import compare, phrase, stem_of

_MOST_ACTIONS = 2
_MOST_ATTRIBUTES = 2
_CLEAR_EFFECT = 0.25
_TWICE, _HALF, _MUCH = 1.95, 0.5, 1.5
_WEEKLY = 9.9
_NOTABLE, _OUTWEIGHS = 0.2, 1.5
_BUYING = {"recency_days", "n_orders", "n_lines", "amount_sum", "amount_per_order", "n_active_days", "tenure_days"}
_BUYING |= {"gap_days_mean", "gap_days_std"}
# Families that describe what people do besides buying, each by its clearest figure.
_DOINGS = ("engagement", "browsing", "intent", "lifecycle", "feedback", "social")


def story(card: Mapping[str, Any], features: Sequence[FeatureRow], facts: Facts) -> dict[str, Any]:
    """The sentences of one card.

    Parameters
    ----------
    card : mapping
        With figures, shares, `tastes` and `distinguishing`.
    features : sequence of mapping
        Features with the figures of everyone.
    facts : Facts
        Of the same card.

    Returns
    -------
    dict
        `headline`, `summary`, `who`, `does`, `worth` (text, `worth` may be empty) and `actions`, a list of dicts with
        `text` and `because`. Every number in them is a figure of the card or of `features`, rounded.
    """
    head = headline(card, facts)
    does = " ".join(_does(card, features))
    return {
        "headline": head,
        "summary": f"{head} {does}".strip(),
        "who": " ".join(_who(card, features)),
        "does": does,
        "worth": _worth(card, facts.overall.get("amount_sum")),
        "actions": [{"text": text, "because": because} for text, because in islice(_actions(facts), _MOST_ACTIONS)],
    }


def headline(card: Mapping[str, Any], facts: Facts) -> str:
    """One sentence: size, value, and the one thing to remember."""
    text = f"{share_text(card['profile_share'])} of customers"
    ratio = card.get("value_ratio")
    if card["value_share"] is not None:
        only = "only " if ratio is not None and ratio <= _HALF else ""
        text += f" bring {only}{share_text(card['value_share'])} of sales"
    gap, quiet = facts.median("gap_days_mean"), facts.median("recency_days")
    apart = _remarkable(card["distinguishing"], known=gap is not None)
    if state(facts) in ("lapsed", "fading") and quiet is not None:
        return f"{text}; half of them have not bought for {_days(quiet)} or more."
    if apart is not None:
        return f"{text}; they {apart['short']}."
    if gap is not None:
        return f"{text}; they typically buy every {_days(gap)}."
    return f"{text}; they are close to the average customer in every respect."


def _remarkable(traits: Sequence[Mapping[str, Any]], *, known: bool) -> Mapping[str, Any] | None:
    """The trait that says more than the rhythm of purchases: a taste, or what far outweighs all about buying."""
    if not traits or not known:
        return traits[0] if traits else None
    first, effect = traits[0], abs(traits[0]["effect_size"])
    if first["feature"].startswith("share_"):
        return first
    buying = [abs(trait["effect_size"]) for trait in traits if stem_of(trait["feature"])[0] in _BUYING]
    return (
        first
        if effect >= _OUTWEIGHS * max(buying, default=0.0) and stem_of(first["feature"])[0] not in _BUYING
        else None
    )


def _who(card: Mapping[str, Any], features: Sequence[FeatureRow]) -> Iterator[str]:
    recency, tenure = _median(card, "recency_days"), _median(card, "tenure_days")
    effect = (card["features"].get("recency_days") or {}).get("effect_size") or 0.0
    if recency is not None:
        days = _days(recency)
        yield (
            f"Half of them have not bought for {days} or more."
            if effect > 0
            else f"Half of them bought in the last {days}."
        )
    if tenure:
        yield f"Their first and last purchase typically lie {_days(tenure)} apart."
    stages = (("is_new", "are new"), ("is_at_risk", "are at risk"), ("is_lapsed", "have lapsed"))
    shares = [(_mean(card, name), words) for name, words in stages]
    notable = [f"{share_text(share)} {words}" for share, words in shares if share is not None and share >= _NOTABLE]
    if notable:
        yield f"By their own rhythm, {' and '.join(notable)}."
    found = [trait for feature in features if "=" in feature["name"] and (trait := _attribute(card, feature))]
    for _, text in sorted(found)[:_MOST_ATTRIBUTES]:
        yield text


def _attribute(card: Mapping[str, Any], feature: FeatureRow) -> tuple[float, str] | None:
    column, _, value = str(feature["name"]).partition("=")
    figure = card["features"][feature["name"]]
    found = compare(feature, figure, n_profiles=card["n_profiles"])
    if found is None or found.statistic != "mean" or figure["effect_size"] < _CLEAR_EFFECT:
        return None
    mine, overall = share_text(found.value), share_text(found.overall)
    words = f"{column.replace('_', ' ')} {pretty(value)}"
    return -figure["effect_size"], f"More often than others: {words} ({mine} against {overall})."


def _does(card: Mapping[str, Any], features: Sequence[FeatureRow]) -> Iterator[str]:
    gap, orders, basket = (_median(card, name) for name in ("gap_days_mean", "n_orders", "amount_per_order"))
    parts = []
    if orders is not None:
        parts.append(f"{amount_text(orders, 'orders')} {'order' if orders == 1 else 'orders'} in all")
    if gap is not None and (orders is None or orders > 1):
        parts.append(f"{_days(gap)} between purchases")
    if basket is not None:
        parts.append(f"{amount_text(basket, 'currency')} per order")
    if parts:
        yield f"Typically: {', '.join(parts)}."
    named = {feature["name"]: feature for feature in features}
    tasted = [f for name, f in named.items() if pretty(name.removeprefix("share_")) in card.get("tastes", ())[:2]]
    others = [f for family in _DOINGS if (f := _clearest(card, family, features)) is not None]
    for feature in [*tasted, *others]:
        found = compare(feature, card["features"][feature["name"]], n_profiles=card["n_profiles"])
        if found is not None:
            yield f"They {phrase(feature, found)}."


def _clearest(card: Mapping[str, Any], family: str, features: Sequence[FeatureRow]) -> FeatureRow | None:
    """The feature of a family with the strongest effect that can be said, if it is clear."""
    said = [
        (abs(card["features"][f["name"]]["effect_size"]), f)
        for f in features
        if f.get("family") == family
        and not stem_of(f["name"])[1]
        and compare(f, card["features"][f["name"]], n_profiles=card["n_profiles"])
    ]
    strongest = max(said, key=lambda pair: pair[0], default=(0.0, None))
    return strongest[1] if strongest[0] >= _CLEAR_EFFECT else None


def _worth(card: Mapping[str, Any], average: float | None) -> str:
    each, ratio = card.get("value_per_profile"), card.get("value_ratio")
    if each is None or card["value_share"] is None:
        return ""
    text = f"{amount_text(each, 'currency')} each"
    if ratio is None or ratio < 0 or average is None:
        return f"{text}."
    whole = amount_text(average, "currency")
    if ratio >= _TWICE:
        return f"{text}, {_times(ratio)} the average of {whole}."
    if abs(ratio - 1) < 0.015:
        return f"{text}, about the average of {whole}."
    return f"{text}, {abs(ratio - 1):.0%} {'above' if ratio > 1 else 'below'} the average of {whole}."


def _actions(facts: Facts) -> Iterator[tuple[str, str]]:
    """Suggestions and the figures that speak for them, most fitting first."""
    yield from _by_state(facts)
    yield from _by_behaviour(facts)
    if state(facts) != "lapsed":
        yield from _by_rhythm(facts)
    share = share_text(facts.card["profile_share"])
    yield (
        "Consider a small test before a campaign: treat half of them, drawn at random.",
        f"they are {share} of customers",
    )


def _by_behaviour(facts: Facts) -> Iterator[tuple[str, str]]:
    ratio = facts.value_ratio
    if facts.high("cart_share") and facts.low("purchase_share"):
        yield "Consider a reminder for filled carts.", "they fill carts more, and buy from them less, than others do"
    if facts.low("rating_mean") or facts.low("sentiment_mean"):
        yield "Consider listening before selling: a service call or a survey.", "they rate lower than others do"
    if ratio is not None and ratio >= _MUCH and state(facts) != "lapsed":
        because = f"they bring {share_text(facts.card['value_share'])} of sales"
        yield "Consider service and early access rather than discounts: the aim is to keep them.", because
    if facts.high("response_share"):
        yield "Consider testing new offers here first.", "they respond to contacts more than others do"
    elif facts.low("response_share"):
        yield "Consider fewer contacts, better chosen.", "they respond to contacts less than others do"
    if ratio is not None and ratio >= _MUCH and state(facts) != "lapsed":
        yield "Consider asking them to recommend the shop.", f"each spends {_times(ratio)} the average"
    if facts.card.get("tastes"):
        taste = facts.card["tastes"][0]
        yield (
            f"Consider leading with {taste} in what they see first.",
            f"they buy clearly more of {taste} than others do",
        )


def _by_rhythm(facts: Facts) -> Iterator[tuple[str, str]]:
    gap, basket, ratio = facts.median("gap_days_mean"), facts.median("amount_per_order"), facts.value_ratio
    if basket is not None and facts.low("amount_per_order") and facts.high("n_orders", 0.0):
        text = f"Consider a threshold offer a little above {amount_text(basket, 'currency')}, their typical order."
        yield text, "they come more often than others, with smaller baskets"
    if gap is not None and facts.effect("n_orders") < 0 and ratio is not None and ratio < 1:
        yield (
            f"Consider testing a reason to come back sooner than their usual {_days(gap)}.",
            f"they spend {1 - ratio:.0%} less than the average",
        )
    if gap is not None and gap <= _WEEKLY and ratio is not None and ratio < _MUCH:
        yield "Consider small tests that add an item to a visit.", f"they typically buy every {_days(gap)} already"
    elif ratio is not None and ratio < 1:
        yield "Consider testing offers from categories they rarely buy.", "they spend less than the average"


def _by_state(facts: Facts) -> Iterator[tuple[str, str]]:
    now, recency, orders = state(facts), facts.median("recency_days"), facts.median("n_orders")
    gap = facts.median("gap_days_mean")
    if now == "lapsed" and recency is not None:
        because = f"half of them have not bought for {_days(recency)} or more"
        yield "Consider a small win-back test with a control group before spending more on them.", because
        if gap is not None and not few_orders(facts):
            yield "Consider asking what changed.", f"they used to buy every {_days(gap)}, typically"
    if few_orders(facts) and orders is not None:
        word = "order" if orders == 1 else "orders"
        because = f"their typical member placed {amount_text(orders, 'orders')} {word}"
        if now == "lapsed":
            yield "Consider asking why they left after so few orders.", because
        else:
            yield "Consider a nudge towards the next order soon after the last.", because
    if now == "new":
        yield "Consider a welcome series that makes buying a habit.", "their first purchase in the data is recent"
    if now == "fading" and recency is not None:
        because = f"half of them have not bought for {_days(recency)} or more"
        yield "Consider a reminder now, before they lapse.", because


def _median(card: Mapping[str, Any], name: str) -> float | None:
    figure = card["features"].get(name) or {}
    n_known = figure.get("n_known")
    rare = n_known is not None and n_known < card["n_profiles"] / 2
    return None if rare or figure.get("median") is None else float(figure["median"])


def _mean(card: Mapping[str, Any], name: str) -> float | None:
    value = (card["features"].get(name) or {}).get("mean")
    return None if value is None else float(value)


def _times(ratio: float) -> str:
    return f"{ratio:,.1f}".removesuffix(".0") + " times"


def _days(value: float) -> str:
    text = f"{value:,.0f}" if value >= 10 else amount_text(value, "days")
    return f"{text} {'day' if text == '1' else 'days'}"
