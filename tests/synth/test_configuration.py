import pyarrow.parquet as pq

from gpuseg.config import load_config
from gpuseg.synth import SYNTH_KINDS, SynthSpec, configuration, synthesize
from gpuseg.vocabulary import KINDS


def test_the_configuration_loads_and_names_real_columns(everything):
    spec, out, summary = everything
    config = load_config(out / summary.config)
    assert config.run.as_of == spec.as_of
    assert config.run.seed == spec.seed
    assert config.run.timezone == "America/New_York"
    assert [source.kind for source in config.sources] == [kind for kind in SYNTH_KINDS if kind in KINDS]
    for source in config.sources:
        assert source.uri == str(out / f"{source.kind}-*.parquet")
        assert set(source.columns.values()) <= set(pq.read_schema(out / f"{source.kind}-0000.parquet").names)
        required = {column.name for column in KINDS[source.kind].columns if column.required}
        assert required <= set(source.columns)


def test_no_configuration_where_no_kind_can_be_read(tmp_path, monkeypatch):
    monkeypatch.setattr(configuration, "KINDS", {})
    summary = synthesize(SynthSpec(10, 50), tmp_path / "out")
    assert summary.config is None
    assert not (tmp_path / "out" / "gpuseg.yaml").exists()
