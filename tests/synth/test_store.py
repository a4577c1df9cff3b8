import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gpuseg.errors import ConfigError
from gpuseg.synth import SYNTH_KINDS, SynthSpec, blocks, synthesize
from tests.synth.written import EVENT_KINDS, TIME, file_bytes, read


def test_files_hold_at_most_the_rows_asked_for(everything):
    spec, out, summary = everything
    for kind in SYNTH_KINDS:
        rows = [pq.read_metadata(out / name).num_rows for name in summary.files[kind]]
        assert max(rows) <= spec.rows_per_file
        assert min(rows) > 0
    assert len(summary.files["web"]) > 1


def test_column_types(everything):
    _, out, _ = everything
    schemas = {kind: pq.read_schema(out / f"{kind}-0000.parquet") for kind in SYNTH_KINDS}
    us, utc_us, text = pa.timestamp("us"), pa.timestamp("us", tz="UTC"), pa.string()
    types = {kind: dict(zip(schema.names, schema.types, strict=True)) for kind, schema in schemas.items()}
    assert types["purchases"] == {
        "customer_id": pa.int64(),
        "ordered_at": us,
        "order_number": pa.int64(),
        "department": text,
        "line_amount": pa.float64(),
    }
    assert types["web"] | {"ts": utc_us, "url": text, "dwell_ms": pa.int32()} == types["web"]
    assert types["feedback"] | {"rating": pa.int32(), "nps": pa.int32(), "comment": text} == types["feedback"]
    assert types["crm"]["signup_date"] == pa.date32()
    assert types["crm"]["marketing_consent"] == pa.bool_()
    assert pq.read_schema(out / "truth.parquet").field("segment").type == pa.int32()


def test_rows_are_in_no_useful_order(everything):
    _, out, _ = everything
    for kind in EVENT_KINDS:
        table = pq.read_table(out / f"{kind}-0000.parquet").to_pandas()
        for column in ("customer_id", TIME[kind]):
            rank = table[column].rank()
            assert abs(np.corrcoef(rank, np.arange(len(rank)))[0, 1]) < 0.1


def test_text_ids_survive_a_dictionary_larger_than_a_page(tmp_path):
    synthesize(SynthSpec(100_000, 0, id_type="text"), tmp_path / "out")
    truth = read(tmp_path / "out", "truth")
    assert sorted(truth["customer_id"]) == [f"C-{number:07d}" for number in range(1, 100_001)]


def test_a_failure_leaves_no_unfinished_file(tmp_path, monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK_PROFILES", 40)

    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        synthesize(SynthSpec(100, 500), tmp_path / "out", progress=stop)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_folder_in_use_is_refused(tmp_path):
    (tmp_path / "kept.txt").write_text("mine")
    with pytest.raises(ConfigError, match="the folder is not empty"):
        synthesize(SynthSpec(10, 50), tmp_path)
    with pytest.raises(ConfigError, match="cannot be used as a folder"):
        synthesize(SynthSpec(10, 50), tmp_path / "kept.txt")
    assert file_bytes(tmp_path) == {"kept.txt": b"mine"}
