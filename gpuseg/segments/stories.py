"""What a card says in sentences: headline, who they are, what they do, what they are worth, what to try.

Whatever a card says of the middle of a segment is the mean, so that all its figures fit together and with the totals.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from gpuseg.segments.facts import CLEAR, Facts, few_orders, is_absent, state
from gpuseg.segments.figures import amount_text, listed, pretty, share_text, singular
from gpuseg.segments.naming import FeatureRow
from gpuseg.segments.people import CUSTOMERS, network
from gpuseg.segments.phrases import compare, idea_of, stem_of

_MOST_ACTIONS = 2
_MOST_ATTRIBUTES, _MOST_TASTES = 2, 3
_CLEAR_EFFECT = 0.25
_TWICE, _HALF, _MUCH = 1.95, 0.5, 1.5
_WEEKLY = 9.9
# Spend against the average, below which it is worth a word.
_LESS = 0.95
_NOTABLE, _OUTWEIGHS, _REMARKABLE = 0.2, 1.5, 0.9
_BUYING = {"recency_days", "n_orders", "n_lines", "amount_sum", "amount_per_order", "n_active_days", "tenure_days"}
_BUYING |= {"gap_days_mean", "gap_days_std"}
LAST = {
    "recency_days": "they last bought {} ago",
    "visit_recency_days": "they last visited {} ago",
    "social_recency_days": "they were last active on social networks {} ago",
}


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
        `headline`, `summary` (headline and `does`), `who`, `does`, `worth` (text, all but the first two may be empty)
        and `actions`, a list of dicts with `text` and `because`. Every number in them is a figure of the card or of
        `features`, rounded; what `distinguishing` tells is not told again in `who` and `does`.
    """
    head = headline(card, facts)
    does = " ".join(_does(card, facts, head))
    return {
        "headline": head,
        "summary": f"{head} {does}".strip(),
        "who": " ".join(_who(card, features, facts)),
        "does": does,
        "worth": _worth(card, facts),
        "actions": [{"text": text, "because": because} for text, because in islice(_actions(facts), _MOST_ACTIONS)],
    }


def headline(card: Mapping[str, Any], facts: Facts) -> str:
    """One sentence: size, value, and the one thing to remember."""
    text = f"{share_text(card['profile_share'])} of {facts.people.many}"
    ratio = card.get("value_ratio")
    if card["value_share"] is not None:
        only = "only " if ratio is not None and ratio <= _HALF else ""
        text += f" bring {only}{share_text(card['value_share'])} of sales"
    gap, absence = _known_mean(facts, "gap_days_mean"), facts.people.absence
    apart = _remarkable(card["distinguishing"], known=gap is not None)
    gone = state(facts) in ("lapsed", "fading") or is_absent(facts)
    if gone and (days := _known_mean(facts, absence)) is not None:
        return f"{text}; on average {LAST[absence].format(_days(days))}."
    if apart is not None:
        return f"{text}; they {apart['short']}."
    if gap is not None:
        return f"{text}; they buy every {_days(gap)} on average."
    if card["distinguishing"]:
        return f"{text}; they differ from others in what they are sent."
    return f"{text}; they are close to the average {facts.people.one} in every respect."


def _remarkable(traits: Sequence[Mapping[str, Any]], *, known: bool) -> Mapping[str, Any] | None:
    """The trait that says more than the rhythm of purchases: a taste, or what far outweighs all about buying."""
    # What they are sent is not what they do.
    traits = [trait for trait in traits if stem_of(trait["feature"])[0] != "n_contacts"]
    if not traits or not known:
        return traits[0] if traits else None
    first, effect = traits[0], abs(traits[0]["effect_size"])
    if idea_of(first["feature"]) in ("tastes", "networks"):
        return first
    buying = [abs(trait["effect_size"]) for trait in traits if stem_of(trait["feature"])[0] in _BUYING]
    outweighs = effect >= max(_OUTWEIGHS * max(buying, default=0.0), _REMARKABLE)
    return first if outweighs and stem_of(first["feature"])[0] not in _BUYING else None


def _who(card: Mapping[str, Any], features: Sequence[FeatureRow], facts: Facts) -> Iterator[str]:
    told = {idea_of(trait["feature"]) for trait in card["distinguishing"]}
    absence, tenure = facts.people.absence, _known_mean(facts, "tenure_days")
    days = _known_mean(facts, absence)
    gone = state(facts) in ("lapsed", "fading") or is_absent(facts)
    if days is not None and not gone and idea_of(absence) not in told:
        yield f"On average {LAST[absence].format(_days(days))}."
    if tenure and "tenure_days" not in told:
        yield f"Their first and last purchase lie {_days(tenure)} apart on average."
    stages = (("is_new", "are new"), ("is_at_risk", "are at risk"), ("is_lapsed", "have lapsed"))
    shares = [(facts.mean(name), words) for name, words in stages]
    notable = [f"{share_text(share)} {words}" for share, words in shares if share is not None and share >= _NOTABLE]
    if notable:
        yield f"By their own rhythm, {listed(notable)}."
    found = [
        trait
        for feature in features
        if "=" in feature["name"] and idea_of(feature["name"]) not in told and (trait := _attribute(card, feature))
    ]
    for _, text in sorted(found)[:_MOST_ATTRIBUTES]:
        yield text


def _attribute(card: Mapping[str, Any], feature: FeatureRow) -> tuple[float, str] | None:
    column, _, value = str(feature["name"]).partition("=")
    figure = card["features"][feature["name"]]
    found = compare(feature, figure, n_profiles=card["n_profiles"])
    if found is None or figure["effect_size"] < _CLEAR_EFFECT:
        return None
    mine, overall = share_text(found.value), share_text(found.overall)
    words = f"{column.replace('_', ' ')} {pretty(value)}"
    return -figure["effect_size"], f"More often than others: {words} ({mine} against {overall})."


def _does(card: Mapping[str, Any], facts: Facts, head: str) -> Iterator[str]:
    told = {trait["feature"] for trait in card["distinguishing"]}
    orders, gap, basket = (
        None if name in told else _known_mean(facts, name) for name in ("n_orders", "gap_days_mean", "amount_per_order")
    )
    parts = []
    if orders is not None:
        parts.append(singular(f"{amount_text(orders, 'orders')} orders in all", "orders"))
    if gap is not None and f"buy every {_days(gap)}" not in head:
        parts.append(f"{_days(gap)} between purchases")
    if basket is not None:
        parts.append(f"{amount_text(basket, 'currency')} per order")
    if parts:
        yield f"On average: {', '.join(parts)}."
    favourites = list(card.get("tastes", ()))[:_MOST_TASTES]
    if len(favourites) > 1:
        yield f"Bought clearly more than by others: {listed(favourites)}."


def _worth(card: Mapping[str, Any], facts: Facts) -> str:
    each, ratio, average = card.get("value_per_profile"), card.get("value_ratio"), facts.overall.get("amount_sum")
    if each is None or card["value_share"] is None:
        return ""
    text = f"{amount_text(each, 'currency')} each on average"
    if ratio is None or ratio < 0 or average is None:
        return f"{text}."
    whole = f"the {amount_text(average, 'currency')} of the average {facts.people.one}"
    if ratio >= _TWICE:
        return f"{text}, {_times(ratio)} {whole}."
    if abs(ratio - 1) < 0.015:
        return f"{text}, about {whole}."
    return f"{text}, {abs(ratio - 1):.0%} {'above' if ratio > 1 else 'below'} {whole}."


def _actions(facts: Facts) -> Iterator[tuple[str, str]]:
    """Suggestions and the figures that speak for them, most fitting first."""
    yield from _by_state(facts)
    yield from _by_behaviour(facts)
    if facts.people is not CUSTOMERS:
        yield from _by_network(facts)
    if state(facts) != "lapsed":
        yield from _by_rhythm(facts)
    share = share_text(facts.card["profile_share"])
    yield (
        "Consider a small test before a campaign: treat half of them, drawn at random.",
        f"they are {share} of {facts.people.many}",
    )


def _by_network(facts: Facts) -> Iterator[tuple[str, str]]:
    shares = [(facts.effect(n), n) for n in facts.names if n.startswith("share_on_") and facts.high(n)]
    if shares:
        name = max(shares)[1]
        where = pretty(network(name.removeprefix("share_on_")))
        share = share_text(facts.mean(name) or 0.0)
        yield f"Consider reaching them on {where} first.", f"{share} of their social actions are there"
    if facts.high("n_social_actions"):
        yield "Consider inviting them to post or to review.", "they are active more often than others"


def _by_behaviour(facts: Facts) -> Iterator[tuple[str, str]]:
    ratio = facts.value_ratio
    if facts.high("intent_score", CLEAR) and facts.people is not CUSTOMERS:
        yield (
            "Consider an offer now, while the interest is fresh.",
            "they show more recent interest in buying than others",
        )
    if facts.high("cart_share") and facts.low("purchase_share"):
        yield "Consider a reminder for filled carts.", "they fill carts more, and buy from them less, than others do"
    if facts.low("rating_mean") or facts.low("sentiment_mean"):
        yield "Consider listening before selling: a service call or a survey.", "they rate lower than others do"
    if ratio is not None and ratio >= _MUCH and state(facts) != "lapsed":
        because = f"they bring {share_text(facts.card['value_share'])} of sales"
        yield "Consider service and early access rather than discounts: the aim is to keep them.", because
    if facts.high("response_share"):
        yield "Consider testing new offers here first.", "they answer a larger share of messages than others do"
    elif facts.low("response_share"):
        yield "Consider fewer messages, better chosen.", "they answer a smaller share of messages than others do"
    if ratio is not None and ratio >= _MUCH and state(facts) != "lapsed":
        yield "Consider asking them to recommend the shop.", f"each spends {_times(ratio)} the average"
    if facts.card.get("tastes"):
        taste = facts.card["tastes"][0]
        yield (
            f"Consider leading with {taste} in what they see first.",
            f"they buy clearly more of {taste} than others do",
        )


def _by_rhythm(facts: Facts) -> Iterator[tuple[str, str]]:
    gap, basket = (_known_mean(facts, name) for name in ("gap_days_mean", "amount_per_order"))
    ratio = facts.value_ratio
    if basket is not None and facts.low("amount_per_order") and facts.high("n_orders", 0.0):
        text = f"Consider a threshold offer a little above {amount_text(basket, 'currency')}, their average order."
        yield text, "they come more often than others, with smaller baskets"
    slow = facts.effect("n_orders") < 0 and facts.effect("gap_days_mean") >= 0
    less = ratio is not None and ratio < _LESS
    if gap is not None and slow and ratio is not None and less:
        yield (
            f"Consider testing a reason to come back sooner than their usual {_days(gap)}.",
            f"they spend {1 - ratio:.0%} less than the average",
        )
    if gap is not None and gap <= _WEEKLY and ratio is not None and ratio < _MUCH:
        yield "Consider small tests that add an item to a visit.", f"they buy every {_days(gap)} on average already"
    elif less:
        yield "Consider testing offers from categories they rarely buy.", "they spend less than the average"


def _by_state(facts: Facts) -> Iterator[tuple[str, str]]:
    now, orders, absence = state(facts), facts.median("n_orders"), facts.people.absence
    gap, days = _known_mean(facts, "gap_days_mean"), _known_mean(facts, absence)
    away = "" if days is None else f"on average {LAST[absence].format(_days(days))}"
    if now == "lapsed" and away:
        yield "Consider a small win-back test with a control group before spending more on them.", away
        if gap is not None and not few_orders(facts):
            yield "Consider asking what changed.", f"they used to buy every {_days(gap)} on average"
    if few_orders(facts) and orders is not None:
        placed = singular(f"{amount_text(orders, 'orders')} orders", "orders")
        because = f"at least half of them placed no more than {placed}"
        if now == "lapsed":
            yield "Consider asking why they left after so few orders.", because
        else:
            yield "Consider a nudge towards the next order soon after the last.", because
    if now == "new":
        yield "Consider a welcome series that makes buying a habit.", "their first purchase in the data is recent"
    if now == "fading" and away:
        yield "Consider a reminder now, before they lapse.", away
    if is_absent(facts) and away:
        yield "Consider one good reason to come back, and silence if it fails.", away


def _known_mean(facts: Facts, name: str) -> float | None:
    """The mean, None where less than half of the segment has the figure."""
    return facts.mean(name) if facts.known(name) else None


def _times(ratio: float) -> str:
    return f"{ratio:,.1f}".removesuffix(".0") + " times"


def _days(value: float) -> str:
    text = f"{value:,.0f}" if value >= 10 else amount_text(value, "days")
    return singular(f"{text} days", "days")
