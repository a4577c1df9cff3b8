"""What the files hold: columns, their types, and the words that codes stand for."""

import itertools
from typing import Any

import numpy.typing as npt
import pyarrow as pa

from gpuseg.synth.personas import DEPARTMENTS, PERSONAS

Array = npt.NDArray[Any]
Columns = dict[str, Array]

TEXT = pa.dictionary(pa.int32(), pa.string())
UTC = pa.timestamp("us", tz="UTC")
FILE_COLUMNS: dict[str, dict[str, pa.DataType]] = {
    "purchases": {
        "ordered_at": pa.timestamp("us"),
        "order_number": pa.int64(),
        "department": TEXT,
        "line_amount": pa.float64(),
    },
    "web": {"ts": UTC, "url": TEXT, "event": TEXT, "dwell_ms": pa.int32()},
    "social": {"ts": UTC, "network": TEXT, "action": TEXT},
    "feedback": {"ts": UTC, "rating": pa.int32(), "nps": pa.int32(), "comment": TEXT},
    "crm": {
        "age": pa.int32(),
        "income_band": TEXT,
        "region": TEXT,
        "loyalty_tier": TEXT,
        "signup_date": pa.date32(),
        "marketing_consent": pa.bool_(),
    },
    "truth": {"segment": pa.int32(), "segment_name": TEXT},
}
"""Columns after `customer_id`, by kind."""

ITEMS = 40
"""Items per department that have a page."""

# Openings, closings; in the order of Persona.sentiment.
PHRASES = (
    (("Disappointed with", "Not happy with", "Had trouble with"), ("Please fix this.", "Never again.")),
    (("No strong feelings about", "It was fine with", "Average experience of"), ("Okay.", "As expected.")),
    (("Really happy with", "Love", "Great experience of"), ("Thank you!", "Will come back.")),
)
TOPICS = (
    "the delivery",
    "the prices",
    "the staff",
    "the quality",
    "the website",
    "the returns",
    "the choice",
)

WORDS: dict[str, tuple[str, ...]] = {
    "department": tuple(DEPARTMENTS),
    "url": (
        *("/", "/cart", "/checkout"),
        *(f"/search?q={name}" for name in DEPARTMENTS),
        *(f"/shop/{name}" for name in DEPARTMENTS),
        *(f"/shop/{name}/{item:03d}" for name in DEPARTMENTS for item in range(ITEMS)),
    ),
    "event": ("page_view", "add_to_cart", "purchase"),
    "network": ("instagram", "tiktok", "facebook", "youtube"),
    "action": ("like", "comment", "share", "follow"),
    "comment": tuple(
        f"{opening} {topic}. {closing}"
        for openings, closings in PHRASES
        for opening, topic, closing in itertools.product(openings, TOPICS, closings)
    ),
    "income_band": ("under 25k", "25k-50k", "50k-75k", "75k-100k", "over 100k"),
    "region": ("northeast", "midwest", "south", "west", "pacific"),
    "loyalty_tier": ("none", "bronze", "silver", "gold"),
    "segment_name": tuple(persona.name for persona in PERSONAS),
}
"""Words of the text columns, which are made as positions in these."""
