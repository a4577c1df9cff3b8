import pytest

from gpuseg.errors import ConfigError
from gpuseg.synth import SYNTH_KINDS, SynthSpec, blocks, synthesize
from tests.synth.written import EVENT_KINDS, read


@pytest.mark.parametrize("n_profiles", [5, 37, 100, 700])
def test_many_small_blocks_keep_every_promise(tmp_path, monkeypatch, n_profiles):
    monkeypatch.setattr(blocks, "BLOCK_EVENTS", 64)
    monkeypatch.setattr(blocks, "BLOCK_PROFILES", 7)
    spec = SynthSpec(n_profiles, 1_003, kinds=("purchases",), rows_per_file=97)
    summary = synthesize(spec, tmp_path / "out")
    lines = read(tmp_path / "out", "purchases")
    assert len(lines) == 1_003
    assert lines["customer_id"].nunique() == n_profiles
    assert (lines.groupby("order_number")["ordered_at"].nunique() == 1).all()
    assert lines.groupby("order_number").size().max() <= 6
    assert sum(summary.segments.values()) == n_profiles
    assert min(summary.segments.values()) >= 1


@pytest.mark.parametrize("n_events", [0, 1, 50, 101, 500])
@pytest.mark.parametrize("kinds", [SYNTH_KINDS, ("crm", "purchases"), EVENT_KINDS, ("social", "web"), ("feedback",)])
def test_no_profile_is_left_without_a_row(tmp_path, monkeypatch, n_events, kinds):
    monkeypatch.setattr(blocks, "BLOCK_PROFILES", 9)
    if "crm" not in kinds and n_events < 101:
        with pytest.raises(ConfigError, match="a profile needs an event or a CRM row"):
            SynthSpec(101, n_events, kinds=kinds)
        return
    summary = synthesize(SynthSpec(101, n_events, kinds=kinds), tmp_path / "out")
    frames = {kind: read(tmp_path / "out", kind) for kind in kinds}
    seen = {customer for frame in frames.values() for customer in frame["customer_id"]}
    assert seen == set(range(1, 102))
    assert sum(rows for kind, rows in summary.rows.items() if kind != "crm") == n_events
    assert set(summary.rows) == set(kinds)
