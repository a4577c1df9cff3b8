"""One folder with all five kinds, for tests that only look."""

import pytest

from gpuseg.synth import SynthSpec, synthesize


@pytest.fixture(scope="session")
def everything(tmp_path_factory):
    spec = SynthSpec(2_000, 40_001, seed=7, rows_per_file=5_000)
    out = tmp_path_factory.mktemp("synth") / "new" / "folder"
    return spec, out, synthesize(spec, out)
