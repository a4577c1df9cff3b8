"""What may be said of a segment: its figures against everyone's, and the plain states that follow from them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from gpuseg.segments.people import CUSTOMERS, People, people_of

Card = Mapping[str, Any]
State = Literal["one-time", "lapsed", "new", "fading", "active"]

CLEAR, STRONG = 0.35, 0.9
# Medians of these decide about names and states.
DECIDING = ("recency_days", "n_orders", "gap_days_mean", "tenure_days", "amount_per_order")

_KNOWN, _MAJORITY = 0.5, 0.5
# Somebody who buys at random times has waited one usual gap on average, and three of them one time in twenty.
_LAPSED_GAPS, _FADING_GAPS = 3.0, 1.75
_FEW_ORDERS = 3.5
# Days between purchases in words; bounds are the geometric means of neighbours (1, 2, 3.5, 7, 14, 30, 60 days).
_RHYTHMS = (
    (1.41, "daily"),
    (2.65, "every-other-day"),
    (4.95, "twice-weekly"),
    (9.9, "weekly"),
    (20.5, "fortnightly"),
    (42.4, "monthly"),
    (120.0, "occasional"),
)


@dataclass(frozen=True)
class Facts:
    """One segment's figures against everyone's.

    Parameters
    ----------
    card : mapping
        With `features`, and where known `n_profiles`, `value_ratio` and `tastes`.
    overall : mapping of feature name to float
        Mean over everyone.
    """

    card: Card
    overall: Mapping[str, float | None]

    def effect(self, name: str) -> float:
        """Effect size, 0 where there is none or where less than half of the segment has the figure."""
        return float(self._figure(name).get("effect_size") or 0.0) if self.known(name) else 0.0

    def mean(self, name: str) -> float | None:
        """Mean of the segment."""
        return self._number(name, "mean")

    def median(self, name: str) -> float | None:
        """Median of the segment; None where less than half of it has the figure."""
        return self._number(name, "median") if self.known(name) else None

    def known(self, name: str) -> bool:
        """Whether at least half of the segment has the figure."""
        n_known, n_profiles = self._figure(name).get("n_known"), self.card.get("n_profiles")
        return name in self.card["features"] and (n_known is None or not n_profiles or n_known >= _KNOWN * n_profiles)

    def high(self, name: str, least: float = CLEAR) -> bool:
        """Whether effect and mean both lie above everyone's."""
        return self.effect(name) >= least and self._gap(name) > 0

    def low(self, name: str, least: float = CLEAR) -> bool:
        """Whether effect and mean both lie below everyone's."""
        return self.effect(name) <= -least and self._gap(name) < 0

    @property
    def value_ratio(self) -> float | None:
        """Spend per customer against everyone's."""
        ratio = self.card.get("value_ratio")
        return None if ratio is None else float(ratio)

    @property
    def names(self) -> list[str]:
        """Features of the segment, in their order."""
        return list(self.card["features"])

    @property
    def people(self) -> People:
        """What people are called here; all segments of a run call them the same."""
        return people_of(self.overall)

    def _figure(self, name: str) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.card["features"].get(name) or {}
        return found

    def _number(self, name: str, statistic: str) -> float | None:
        value = self._figure(name).get(statistic)
        return None if value is None else float(value)

    def _gap(self, name: str) -> float:
        mine, everyone = self.mean(name), self.overall.get(name)
        return 0.0 if mine is None or everyone is None else mine - everyone


def facts_of(cards: Sequence[Card], overall: Mapping[str, float | None]) -> list[Facts]:
    """Facts of every card, against the means over everyone of what any card has."""
    means = {name: overall.get(name) for card in cards for name in card["features"]}
    return [Facts(card, means) for card in cards]


def state(facts: Facts) -> State:
    """Where a segment stands with the shop, by its typical member."""
    told = _majority(facts)
    orders, recency = facts.median("n_orders"), facts.median("recency_days")
    if told == "lapsed" or (not told and _is_quiet(facts, _LAPSED_GAPS, STRONG)):
        return "lapsed"
    if orders is not None and orders <= 1:
        return "one-time"
    if told:
        return told
    tenure, whole = facts.median("tenure_days"), _span(facts.overall)
    short = facts.low("tenure_days", 0.5) and not facts.high("recency_days")
    # Bought for the first time in the later half of what others look back on, and still buying.
    if short and tenure is not None and recency is not None and whole is not None and recency + tenure < whole / 2:
        return "new"
    return "fading" if _is_quiet(facts, _FADING_GAPS, CLEAR) else "active"


def rhythm(facts: Facts) -> str:
    """How often the typical member buys, as an adjective; "" where that is neither known nor clear."""
    median, mean = facts.median("gap_days_mean"), facts.mean("gap_days_mean")
    if median is not None and mean is not None:
        # A few very long gaps may pull the average, which the card shows, far off; the word must not contradict it.
        steps = [sum(gap > bound for bound, _ in _RHYTHMS) for gap in (median, mean)]
        step = steps[0] if abs(steps[0] - steps[1]) <= 1 else steps[1]
        return [*(word for _, word in _RHYTHMS), "rare"][step]
    for name in ("n_orders", "n_sessions") if facts.people is CUSTOMERS else (facts.people.activity,):
        if facts.high(name):
            return "active" if name == "n_social_actions" else "frequent"
        if facts.low(name, STRONG):
            return "rare"
        if facts.low(name):
            return "occasional"
    return ""


def is_absent(facts: Facts) -> bool:
    """Whether people who are known by other things than purchases were last seen clearly longer ago than others."""
    absence = facts.people.absence
    return absence != "recency_days" and facts.high(absence, STRONG)


def few_orders(facts: Facts) -> str:
    """Give "one-time" or "few-time" where the typical member ordered so rarely, else nothing."""
    orders = facts.median("n_orders")
    if orders is None or orders > _FEW_ORDERS:
        return ""
    return "one-time" if orders <= 1 else "few-time"


def _majority(facts: Facts) -> State | None:
    """The state that the lifecycle family gives at least half of a segment; None where there is no such family."""
    shares = [facts.mean(name) for name in ("is_new", "is_at_risk", "is_lapsed")]
    new, at_risk, lapsed = (share or 0.0 for share in shares)
    if None in shares:
        return None
    if lapsed >= _MAJORITY:
        return "lapsed"
    return "new" if new >= _MAJORITY else "fading" if at_risk + lapsed >= _MAJORITY else "active"


def _is_quiet(facts: Facts, gaps: float, effect: float) -> bool:
    """Whether the last purchase lies clearly further back than others', and than the segment's own rhythm explains."""
    recency, gap = facts.median("recency_days"), facts.median("gap_days_mean")
    if recency is None or not facts.high("recency_days"):
        return False
    if gap is not None:
        return recency > gaps * gap
    return facts.high("recency_days", effect) and recency > (facts.overall.get("recency_days") or 0.0)


def _span(overall: Mapping[str, float | None]) -> float | None:
    recency, tenure = overall.get("recency_days"), overall.get("tenure_days")
    return None if recency is None or tenure is None else recency + tenure
