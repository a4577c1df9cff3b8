"""A category or network of fewer people than the group floor is named in nothing that is published."""

import numpy as np
import pyarrow as pa
import pytest

import gpuseg

PUBLISHED = ("segments.json", "explanations.json", "report.html", "MODEL_CARD.md", "quality.json", "manifest.json")


def frames(n_rare):
    """120 people in two clear groups; the first n_rare buy and act where nobody else does, and a lot."""
    random = np.random.default_rng(3)
    who = np.repeat(np.arange(120), 12)
    start = np.datetime64("2017-03-01", "us")
    at = start + random.integers(0, 300 * 86_400, who.size) * np.timedelta64(1_000_000, "us")
    rare = (who < n_rare) & (random.random(who.size) < 0.8)
    category = np.where(rare, "RAREWARE", np.where(who % 2, "bread", "wine"))
    amount = np.where(who % 2, 2.0, 30.0) + random.random(who.size)
    network = np.where(rare, "rarenet", np.where(who % 2, "alpha", "beta"))
    common = {"profile_id": pa.array(who), "at": pa.array(at)}
    return {
        "orders": pa.table({**common, "amount": pa.array(amount), "category": pa.array(category)}),
        "acts": pa.table({**common, "action": pa.array(np.full(who.size, "like")), "network": pa.array(network)}),
    }


@pytest.mark.parametrize(("n_rare", "named"), [(9, False), (10, True)])
def test_only_what_enough_people_share_is_named(tmp_path, n_rare, named):
    config = {
        "run": {"out": str(tmp_path), "as_of": "2018-01-01"},
        "sources": [{"name": "orders", "kind": "purchases"}, {"name": "acts", "kind": "social"}],
        "cluster": {"segments": 2},
    }
    run = gpuseg.run(config, frames=frames(n_rare))
    text = "".join((run.path / name).read_text(encoding="utf-8") for name in PUBLISHED).casefold()
    text += run.explain(0)["reasons"].__repr__().casefold()
    for name in ("rareware", "rarenet"):
        assert (name in text) == named, name
    assert "bread" in text
    # The figure itself is kept: the floor binds what is published.
    assert "share_RAREWARE" in run.features().columns
