from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from gpuseg.config import load_config
from gpuseg.pipeline import execute
from gpuseg.source_docs import source_page
from gpuseg.source_examples import EXAMPLES
from gpuseg.vocabulary import KINDS
from gpuseg.workspace.files import read_json

PAGE = Path(__file__).parent.parent / "docs" / "sources.md"


def test_the_page_is_the_vocabulary():
    assert PAGE.read_text(encoding="utf-8") == source_page()


def test_every_kind_and_column_is_there():
    text = source_page()
    for kind in KINDS.values():
        assert all(f"| `{name}` |" in text for name in kind.column_names)
        assert all(word in text for word in kind.classes)


def test_every_kind_has_an_example():
    assert {example.kind for example in EXAMPLES} == set(KINDS)
    assert all(example.section.rstrip() in source_page() for example in EXAMPLES)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.title)
def test_an_example_does_what_the_page_says(tmp_path, example):
    for path, content in example.files.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(content, encoding="utf-8")
    run = yaml.safe_dump({"run": {"out": "out", "as_of": "2026-01-01"}})
    (tmp_path / "gpuseg.yaml").write_text(run + example.section, encoding="utf-8")
    config = load_config(tmp_path / "gpuseg.yaml")
    assert example.kind in {source.event_kind for source in config.sources}
    version = execute(config, until="features").version
    rows = pa.concat_tables([pq.read_table(path) for path in sorted((version.path / "features").glob("*.parquet"))])
    found = {row["profile_id"]: row for row in rows.to_pylist()}
    assert {name: found[example.profile][name] for name in example.features} == example.features
    assert read_json(version.path / "quality.json")["n_profiles"] == example.n_profiles


def test_examples_differ_in_format_and_in_what_they_use():
    sections = "".join(example.section for example in EXAMPLES)
    assert all(word in sections for word in ("events:", "identity:", "consent_column:", "timezone:"))
    assert {Path(path).suffix for example in EXAMPLES for path in example.files} == {".jsonl", ".csv"}
