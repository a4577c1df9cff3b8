"""Whether `segments: auto` finds the number of segments that synthetic events were planted with."""

import pytest

import gpuseg
from gpuseg.synth import SynthSpec, synthesize

SEEDS = range(500, 510)


@pytest.mark.slow
def test_the_planted_number_is_found_on_nine_of_ten_seeds(tmp_path):
    found = {}
    for seed in SEEDS:
        planted, folder = 3 + seed % 6, tmp_path / str(seed)
        synthesize(SynthSpec(5_000, 200_000, seed=seed, n_segments=planted, kinds=("purchases",)), folder)
        choice = gpuseg.run(folder / "gpuseg.yaml").segments["choice"]
        assert choice["requested"] == "auto"
        found[seed] = (choice["segments"], planted)
    assert sum(chosen == planted for chosen, planted in found.values()) >= 9, found
