"""The planted segments of synthetic events of all five kinds come out of a whole run with the written configuration."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from sklearn.metrics import adjusted_rand_score

import gpuseg
from gpuseg.synth import SynthSpec, synthesize

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("seed", "n_segments"), [(11, 4), (12, 5), (13, 6)])
def test_planted_segments_of_all_five_kinds(tmp_path, seed, n_segments):
    synthesize(SynthSpec(1_500, 90_000, seed=seed, n_segments=n_segments), tmp_path)
    config = yaml.safe_load((tmp_path / "gpuseg.yaml").read_text(encoding="utf-8"))
    assert {source["kind"] for source in config["sources"]} == {"web", "social", "purchases", "feedback", "crm"}
    run = gpuseg.run(tmp_path / "gpuseg.yaml")
    found = run.assignments().set_index("profile_id")["segment_id"]
    truth = (
        pa.concat_tables([pq.read_table(tmp_path / "truth.parquet")]).to_pandas().set_index("customer_id")["segment"]
    )
    both = found[found >= 0].to_frame().join(truth)
    assert run.segments["choice"]["requested"] == "auto"
    assert run.segments["n_segments"] == n_segments
    assert adjusted_rand_score(both["segment"], both["segment_id"]) >= 0.9
    families = {feature["family"] for feature in run.segments["features"]}
    assert families == {"rfm", "tempo", "interests", "lifecycle", "browsing", "intent", "feedback", "social"}
