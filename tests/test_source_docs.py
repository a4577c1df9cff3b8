from pathlib import Path

from gpuseg.source_docs import source_page
from gpuseg.vocabulary import KINDS

PAGE = Path(__file__).parent.parent / "docs" / "sources.md"


def test_the_page_is_the_vocabulary():
    assert PAGE.read_text(encoding="utf-8") == source_page()


def test_every_kind_and_column_is_there():
    text = source_page()
    for kind in KINDS.values():
        assert all(f"| `{name}` |" in text for name in kind.column_names)
        assert all(word in text for word in kind.classes)
