"""What the people of a run are called, by what is known of them."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

_WINDOW = re.compile(r"_\d+d$")
_NETWORKS = {
    **{"facebook": "Facebook", "instagram": "Instagram", "tiktok": "TikTok", "youtube": "YouTube"},
    **{"linkedin": "LinkedIn", "pinterest": "Pinterest", "reddit": "Reddit", "snapchat": "Snapchat"},
    **{"whatsapp": "WhatsApp", "twitter": "Twitter", "threads": "Threads", "mastodon": "Mastodon"},
}


@dataclass(frozen=True)
class People:
    """Words for one of them and for many.

    Parameters
    ----------
    one, many : str
        In sentences, such as "customer" and "customers".
    noun : str
        In names of segments, such as "shoppers".
    activity, absence : str
        Features that say how much they do, and how long ago they last did it.
    """

    one: str
    many: str
    noun: str
    activity: str = ""
    absence: str = ""


CUSTOMERS = People("customer", "customers", "shoppers", "n_orders", "recency_days")
_VISITORS = People("visitor", "visitors", "visitors", "n_sessions", "visit_recency_days")
_FOLLOWERS = People("follower", "followers", "followers", "n_social_actions", "social_recency_days")
_REVIEWERS = People("customer", "customers", "customers", "n_feedback")
_CONTACTS = People("contact", "contacts", "contacts", "n_contacts")
_ANYBODY = People("person", "people", "people")
# Features that only one kind of source gives.
_BOUGHT = {"recency_days", "n_orders", "n_lines", "amount_sum", "amount_per_order", "n_active_days", "tenure_days"}
_BOUGHT |= {"gap_days_mean", "gap_days_std", "is_new", "is_active", "is_at_risk", "is_lapsed", "overdue_ratio"}
_VISITED = {"n_sessions", "n_page_views", "visit_recency_days", "n_intent_events", "intent_score"}
_OTHERS = (
    ({"n_social_actions", "social_recency_days"}, _FOLLOWERS),
    ({"n_feedback", "rating_mean", "nps_score", "sentiment_mean"}, _REVIEWERS),
    ({"n_contacts", "n_responses", "response_share"}, _CONTACTS),
)


def people_of(names: Iterable[str]) -> People:
    """Words for the people of whom these features are known.

    Whoever bought is a customer, whoever only visited is a visitor; of people known from several other kinds of source
    nothing more is known than that they are people.
    """
    known = {_WINDOW.sub("", name) for name in names}
    if known & _BOUGHT or any(name.startswith("share_") and not name.startswith("share_on_") for name in known):
        return CUSTOMERS
    if known & _VISITED:
        return _VISITORS
    found = [people for marks, people in _OTHERS if known & marks]
    return found[0] if len(found) == 1 else _ANYBODY


def network(name: str) -> str:
    """A social network's name as it writes itself, where it is a well-known one."""
    return _NETWORKS.get(name.lower(), name)
