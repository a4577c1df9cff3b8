"""Names are found on sampled profiles, and must be as good as those of all."""

import re

import gpuseg
from gpuseg.cli import main
from gpuseg.segments import sample


def test_a_sample_of_few_profiles_gives_the_names_of_all(tmp_path, monkeypatch):
    words = ["synth", "--profiles", "3000", "--events", "60000", "--out", str(tmp_path), "--seed", "2"]
    assert main([*words, "--kinds", "purchases"]) == 0
    config = {
        "run": {"as_of": "2026-01-01", "timezone": "UTC", "out": str(tmp_path / "run")},
        "sources": [
            {
                "name": "purchases",
                "kind": "purchases",
                "uri": str(tmp_path / "purchases-*.parquet"),
                "timezone": "UTC",
                "columns": {
                    "profile_id": "customer_id",
                    "at": "ordered_at",
                    "amount": "line_amount",
                    "order_id": "order_number",
                    "category": "department",
                },
            }
        ],
        "cluster": {"segments": 5},
    }
    whole = gpuseg.run(config).model.names
    monkeypatch.setattr(sample, "SAMPLE_PROFILES", 600)
    sampled = gpuseg.run(config).model.names
    assert len(set(whole) & set(sampled)) >= 4
    assert not any(re.search(r"\d|^Typical", name) for name in sampled)
