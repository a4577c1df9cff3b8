from pathlib import Path

import pytest

from gpuseg.config import config_schema
from gpuseg.config_docs import configuration_page

ROOT = Path(__file__).parent.parent
TOP = config_schema()["properties"]
SECTIONS = config_schema()["$defs"]


def test_the_page_is_the_configuration():
    assert (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8") == configuration_page()


def test_the_readme_leads_to_the_page():
    assert "(docs/configuration.md)" in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("section", SECTIONS)
def test_every_key_is_there_with_its_meaning(section):
    page = configuration_page().splitlines()
    for key, field in SECTIONS[section]["properties"].items():
        rows = [line for line in page if line.startswith(f"| `{key}` |")]
        assert any(line.endswith(f"| {field['description']} |") for line in rows), key


def test_every_section_is_there():
    page = configuration_page()
    assert all(f"\n## {name}" in page or f"\n| `{name}` |" in page for name in TOP)


@pytest.mark.parametrize(
    "row",
    [
        "| `version` | 1 | `1` | Version of this format. |",
        "| `out` | text, not empty | required | Run directory; relative to the configuration file. |",
        "| `segments` | auto, or a whole number from 2 to 1000 | `auto` | Number of segments, or `auto`. |",
        "| `windows_days` | a list of whole numbers of at least 1 | `[30, 90, 365]` | "
        "Windows that end at `as_of`, at most 36500 days each. |",
        "| `max_age_days` | a whole number of at least 1, or null | `null` | "
        "Most days from the newest event to `as_of`. |",
        "| `columns` | a mapping of text to text | `{}` | Canonical name to the file's name. |",
        "| `identity` | a section, see below, or null | `null` | Map from this source's keys to profile ids. |",
        "| `dedupe` | true or false | `false` | "
        "Whether events that repeat another in every column that a run keeps are counted once. |",
    ],
)
def test_rows_say_what_a_key_takes_and_its_default(row):
    assert row in configuration_page().splitlines()
