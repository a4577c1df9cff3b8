import pyarrow as pa
import pytest

from gpuseg.synth import SYNTH_KINDS, SynthSpec, blocks, synthesize
from tests.synth.written import EVENT_KINDS, file_bytes, read


def test_event_rows_add_up_exactly_and_the_summary_says_so(everything):
    spec, out, summary = everything
    rows = {kind: len(read(out, kind)) for kind in SYNTH_KINDS}
    assert summary.rows == rows
    assert sum(rows[kind] for kind in EVENT_KINDS) == spec.n_events
    assert rows["web"] > rows["purchases"] > rows["social"] > rows["feedback"] > 0
    names = [name for files in summary.files.values() for name in files]
    assert sorted([*names, "gpuseg.yaml"]) == sorted(path.name for path in out.iterdir())
    assert "purchases-0000.parquet" in names
    assert "truth.parquet" in names


@pytest.mark.parametrize("id_type", ["int64", "text"])
def test_equal_specs_give_equal_bytes_on_any_number_of_cores(tmp_path, id_type):
    spec = SynthSpec(300, 6_000, seed=3, id_type=id_type)
    cores = pa.cpu_count()
    try:
        for name, count in (("one", 1), ("many", 4)):
            pa.set_cpu_count(count)
            synthesize(spec, tmp_path / name)
    finally:
        pa.set_cpu_count(cores)
    assert file_bytes(tmp_path / "one") == file_bytes(tmp_path / "many")
    synthesize(SynthSpec(300, 6_000, seed=4, id_type=id_type), tmp_path / "other")
    assert file_bytes(tmp_path / "one") != file_bytes(tmp_path / "other")


def test_progress_ends_with_every_profile(tmp_path, monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK_PROFILES", 40)
    calls = []
    synthesize(SynthSpec(100, 500), tmp_path / "out", progress=lambda done, total: calls.append((done, total)))
    assert calls == [(40, 100), (80, 100), (100, 100)]
