"""Worked examples of the page on sources: small files, the section that reads them, and what comes of them."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Example:
    """A few lines as they lie in a file, and how to read them.

    Parameters
    ----------
    title : str
        What it shows.
    kind : str
        Key of `gpuseg.vocabulary.KINDS` below which it stands.
    files : mapping of str to str
        Path below the configuration's folder to content.
    section : str
        YAML of the configuration, all but `run`.
    profile : str
        Profile whose features are shown.
    features : mapping of str to number
        Some features of that profile, `run.as_of` being 2026-01-01.
    n_profiles : int
        Profiles in the end.
    """

    title: str
    kind: str
    files: Mapping[str, str]
    section: str
    profile: str
    features: Mapping[str, float]
    n_profiles: int


_ORDERS = """\
order_number,customer,ordered_at,line_total,department
1001,C-17,2025-11-02 09:30:00,12.50,Bakery
1001,C-17,2025-11-02 09:30:00,3.20,Dairy
1002,C-20,2025-11-09 17:45:10,49.00,Garden
1003,C-17,2025-12-30 19:02:44,-3.20,Dairy
"""
_ORDERS_SOURCE = """\
  - name: orders
    kind: purchases
    uri: data/orders.csv
    timezone: Europe/Berlin
    columns:
      profile_id: customer
      at: ordered_at
      amount: line_total
      order_id: order_number
      category: department
"""

EXAMPLES = (
    Example(
        title="JSON lines of a tag manager",
        kind="web",
        files={
            "data/visits.jsonl": """\
{"user": "C-17", "ts": "2025-12-30T18:02:11Z", "event": "page_view", "url": "https://shop.example/p/oak-table"}
{"user": "C-17", "ts": "2025-12-30T18:03:40Z", "event": "add_to_cart", "url": "/basket", "dwell_ms": 8000}
{"user": "C-17", "ts": "2025-12-31T07:00:05+01:00", "event": "page_view", "url": "/search?q=lamp", "dwell_ms": 4000}
{"user": "C-20", "ts": "2025-12-31T08:15:00Z", "event": "page_view", "url": "/", "campaign": "winter"}
"""
        },
        section="""\
sources:
  - name: visits
    kind: web
    uri: data/visits*.jsonl
    columns: {profile_id: user, at: ts}      # event, url and dwell_ms have the canonical names already
""",
        profile="C-17",
        features={"n_sessions": 2, "n_page_views": 3, "cart_share": 0.5, "dwell_seconds_mean": 6},
        n_profiles=2,
    ),
    Example(
        title="Words of your own",
        kind="web",
        files={
            "data/app.csv": """\
device_user,happened,what
C-17,2025-12-30 18:02:11,artikel_gesehen
C-17,2025-12-30 18:02:50,in_den_korb
C-17,2025-12-30 18:09:00,bezahlt
C-20,2025-12-31 08:15:00,wischen
"""
        },
        section="""\
sources:
  - name: app
    kind: web
    uri: data/app.csv
    timezone: Europe/Berlin
    columns: {profile_id: device_user, at: happened, event: what}
    events:                                  # left: the file's words; right: classes of the table above
      artikel_gesehen: product
      in_den_korb: cart
      bezahlt: purchase
      "*": view
""",
        profile="C-17",
        features={"n_sessions": 1, "funnel_depth_mean": 6, "purchase_share": 1, "n_intent_events": 2},
        n_profiles=2,
    ),
    Example(
        title="Handles, and an identity map to customers",
        kind="social",
        files={
            "data/posts.csv": """\
handle,posted_at,action,network
@oak,2025-12-01T10:00:00Z,comment,Instagram
@oak,2025-12-03T11:30:00Z,like,Instagram
@nobody,2025-12-04T09:00:00Z,like,Instagram
@elm,2025-12-05T20:10:00Z,share,YouTube
""",
            "data/handles.csv": """\
handle,customer
@oak,C-17
@elm,C-20
""",
        },
        section="""\
sources:
  - name: posts
    kind: social
    uri: data/posts.csv
    columns: {profile_id: handle, at: posted_at}
    identity: {uri: data/handles.csv, key: handle, profile_id: customer}   # a key it lacks is left out and counted
""",
        profile="C-17",
        features={"n_social_actions": 2, "social_recency_days": 29, "created_share": 0.5},
        n_profiles=2,
    ),
    Example(
        title="An export of order lines",
        kind="purchases",
        files={"data/orders.csv": _ORDERS},
        section="sources:\n" + _ORDERS_SOURCE,
        profile="C-17",
        features={"n_orders": 2, "n_lines": 3, "amount_sum": 12.5, "recency_days": 2},
        n_profiles=2,
    ),
    Example(
        title="A survey",
        kind="feedback",
        files={
            "data/survey.csv": """\
customer,answered,stars,recommend,remark
C-17,2025-12-10,5,9,"Great shoes, I love them!"
C-17,2025-12-20,4,10,
C-20,2025-12-11,2,3,"Awful, broken and late."
"""
        },
        section="""\
sources:
  - name: survey
    kind: feedback
    uri: data/survey.csv
    columns: {profile_id: customer, at: answered, rating: stars, nps: recommend, comment: remark}
""",
        profile="C-17",
        features={"n_feedback": 2, "rating_mean": 4.5, "nps_score": 1},
        n_profiles=2,
    ),
    Example(
        title="A table of customers who may say no",
        kind="crm",
        files={
            "data/orders.csv": _ORDERS,
            "data/customers.csv": """\
customer,age,joined,may_use
C-17,44,2024-01-01,yes
C-20,31,2023-05-10,no
C-31,27,2025-06-01,yes
""",
        },
        section=f"""\
sources:
{_ORDERS_SOURCE}\
  - name: customers
    kind: crm
    uri: data/customers.csv
    columns: {{profile_id: customer, age: age, joined: joined}}
    consent_column: may_use                  # C-20 says no and is left out, orders included
features:
  families: [rfm, attributes]
""",
        profile="C-17",
        features={"n_orders": 2, "age": 44, "joined_days": 731},
        n_profiles=2,
    ),
    Example(
        title="A log of mailings",
        kind="contacts",
        files={
            "data/mailings.csv": """\
customer,sent_at,status
C-17,2025-12-01T08:00:00Z,sent
C-17,2025-12-01T12:40:00Z,opened
C-17,2025-12-15T08:00:00Z,sent
C-20,2025-12-01T08:00:00Z,sent
"""
        },
        section="""\
sources:
  - name: mailings
    kind: crm                                # a crm source that maps `at` is a log of contacts
    uri: data/mailings.csv
    columns: {profile_id: customer, at: sent_at, event: status}
""",
        profile="C-17",
        features={"n_contacts": 2, "n_responses": 1, "response_share": 0.5},
        n_profiles=2,
    ),
)
