"""Words that tell a segment from others of the same name, by the figures in which they differ most."""

import re
from collections.abc import Iterator, Sequence

from gpuseg.segments.facts import Facts
from gpuseg.segments.figures import is_category, pretty
from gpuseg.segments.people import network

# Smaller differences vanish when rounded.
_LEAST_GAP = 0.05
_LONGEST = 24
_WINDOW = re.compile(r"_\d+d$")
# Figure, what a segment has that lies above the other, and below it.
_WORDS = {
    "n_orders": ("more orders", "fewer orders"),
    "n_lines": ("more items", "fewer items"),
    "amount_sum": ("higher spend", "lower spend"),
    "amount_per_order": ("bigger orders", "smaller orders"),
    "recency_days": ("longer away", "more recent"),
    "n_active_days": ("more shopping days", "fewer shopping days"),
    "gap_days_mean": ("longer gaps", "shorter gaps"),
    "gap_days_std": ("less regular", "more regular"),
    "tenure_days": ("longer known", "shorter known"),
    "overdue_ratio": ("more overdue", "less overdue"),
    "n_contacts": ("more messages", "fewer messages"),
    "response_share": ("more responsive", "less responsive"),
    "n_sessions": ("more visits", "fewer visits"),
    "n_page_views": ("more pages", "fewer pages"),
    "pages_per_session": ("more pages a visit", "fewer pages a visit"),
    "visit_recency_days": ("longer away", "more recent"),
    "session_seconds_mean": ("longer visits", "shorter visits"),
    "dwell_seconds_mean": ("slower reading", "faster reading"),
    "funnel_depth_mean": ("closer to buying", "further from buying"),
    "cart_share": ("more carts", "fewer carts"),
    "purchase_share": ("more visits that buy", "fewer visits that buy"),
    "intent_score": ("more interest lately", "less interest lately"),
    "n_intent_events": ("more interest", "less interest"),
    "n_feedback": ("more feedback", "less feedback"),
    "rating_mean": ("better ratings", "worse ratings"),
    "nps_score": ("more recommending", "less recommending"),
    "sentiment_mean": ("friendlier comments", "harsher comments"),
    "n_social_actions": ("more active", "less active"),
    "social_recency_days": ("longer silent", "more recent"),
    "created_share": ("more posting", "less posting"),
}


def differences(facts: Facts, rivals: Sequence[Facts]) -> Iterator[str]:
    """What a segment has more or less of than every rival, the widest difference first.

    Parameters
    ----------
    facts : Facts
    rivals : sequence of Facts
        Segments that would have the same name.
    """
    found = []
    for place, name in enumerate(facts.names):
        words, gaps = _words(name), [_gap(name, facts, rival) for rival in rivals]
        if words and gaps and (min(gaps) > 0 or max(gaps) < 0):
            # Figures over all time go before their windows, which say less.
            found.append((bool(_WINDOW.search(name)), -min(abs(gap) for gap in gaps), place, words[min(gaps) < 0]))
    yield from dict.fromkeys(words for *_, words in sorted(found))


def _gap(name: str, facts: Facts, rival: Facts) -> float:
    """Difference in standard deviations where known, else as a share of the larger figure; 0 where it is invisible."""
    mine, other = facts.mean(name), rival.mean(name)
    if mine is None or other is None or not (facts.known(name) and rival.known(name)):
        return 0.0
    if abs(mine - other) < _LEAST_GAP * max(abs(mine), abs(other)) or mine == other:
        return 0.0
    effect = facts.effect(name) - rival.effect(name)
    if effect:
        # As with traits, a mean that contradicts the effect is not told.
        return effect if effect * (mine - other) > 0 else 0.0
    return (mine - other) / max(abs(mine), abs(other)) * _LEAST_GAP


def _words(name: str) -> tuple[str, str] | None:
    """What is said of a feature that is larger, and of one that is smaller."""
    stem = _WINDOW.sub("", name)
    if stem in _WORDS:
        more, less = _WORDS[stem]
        return (more, less) if stem == name else (f"{more} lately", f"{less} lately")
    column, equals, value = name.partition("=")
    if equals:
        return _fitting("more often {}", "less often {}", value)
    if name.startswith("share_on_"):
        return _fitting("more on {}", "less on {}", network(name.removeprefix("share_on_")))
    if is_category(name, "share"):
        return _fitting("more {}", "less {}", name.removeprefix("share_"))
    return _fitting("higher {}", "lower {}", column.replace("_", " "))


def _fitting(more: str, less: str, words: str) -> tuple[str, str] | None:
    text = pretty(words)
    fits = 0 < len(text) <= _LONGEST and len(text.split()) <= 3 and text.isprintable()
    if not fits or not any(letter.isalpha() for letter in text):
        return None
    return more.format(text), less.format(text)
