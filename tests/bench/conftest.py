import importlib
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[2] / "bench"


@pytest.fixture
def load(monkeypatch):
    """Import a benchmark's module as its scripts do: from beside them."""
    monkeypatch.syspath_prepend(BENCH)
    return importlib.import_module
