import numpy as np
import pytest

from gpuseg.synth.personas import DEPARTMENTS, PERSONAS, SEGMENT_PERCENT, TASTE_SLOTS, TASTES


@pytest.mark.parametrize(("n_segments", "percent"), SEGMENT_PERCENT.items())
def test_segments_share_all_profiles_and_have_a_persona_each(n_segments, percent):
    assert sum(percent) == 100
    assert len(percent) == n_segments <= len(PERSONAS)


def test_taste_slots_follow_the_weights():
    for persona, slots in zip(PERSONAS, TASTES, strict=True):
        weights = np.array([persona.tastes.get(name, 1) for name in DEPARTMENTS])
        shares = np.bincount(slots, minlength=len(DEPARTMENTS)) / TASTE_SLOTS
        assert np.abs(shares - weights / weights.sum()).max() <= 1 / TASTE_SLOTS
