import datetime as dt

import pytest

from gpuseg.errors import ConfigError
from gpuseg.synth import SynthSpec


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"n_profiles": 0}, "n_profiles: 0: must be from 1 .*; nearest valid: 1"),
        ({"n_events": -1}, "n_events: -1: .*nearest valid: 0"),
        ({"n_events": 1.5}, "n_events: 1.5: must be a whole number"),
        ({"seed": -1}, "seed: -1: .*nearest valid: 0"),
        ({"seed": 2**32}, "seed: 4294967296: .*nearest valid: 4294967295"),
        ({"n_segments": 9}, "n_segments: 9: must be from 2 to 8; nearest valid: 8"),
        ({"n_segments": 1}, "n_segments: 1: must be from 2 to 8; nearest valid: 2"),
        ({"n_profiles": 4}, "n_segments: 5: must be at most n_profiles, 4"),
        ({"kinds": ("purchase",)}, "kinds: 'purchase': must be one of .*did you mean purchases"),
        ({"kinds": ()}, "kinds: name at least one"),
        ({"kinds": ("web", "web")}, "kinds: .* each once"),
        ({"kinds": ("crm",)}, "crm has no events"),
        ({"id_type": "int"}, "id_type: 'int': .*did you mean int64"),
        ({"as_of": dt.date(1960, 1, 1)}, "as_of: '1960-01-01': must be a date from 1970-01-02"),
        ({"as_of": "2026-01-01"}, "as_of: '2026-01-01': must be a date"),
        ({"history_days": 0}, "history_days: 0: .*nearest valid: 1"),
        ({"history_days": 10**6}, "history_days: 1000000: .*nearest valid: 20454"),
        ({"rows_per_file": 0}, "rows_per_file: 0: .*nearest valid: 1"),
    ],
)
def test_a_wrong_spec_is_one_clear_line(wrong, message):
    with pytest.raises(ConfigError, match=message) as caught:
        SynthSpec(**({"n_profiles": 100, "n_events": 1_000} | wrong))
    assert "\n" not in str(caught.value)
