"""One uninterrupted run to compare with, and folders with the same sources."""

import pytest

from tests.resume import worlds


@pytest.fixture(scope="session")
def sources(tmp_path_factory):
    folder = tmp_path_factory.mktemp("resume")
    worlds.write_sources(folder)
    return folder


@pytest.fixture(scope="session")
def expected(sources):
    """Promised files by method, made in one go with the usual sizes."""
    found = {}
    for method in ("kmeans", "hdbscan"):
        sections = {"cluster": worlds.CLUSTER[method]}
        version = worlds.execute(worlds.config(sources, f"expected-{method}", **sections)).version
        found[method] = worlds.promised(version.path)
    return found


@pytest.fixture
def small(monkeypatch):
    """Sizes at which a small run takes every path of a large one."""
    worlds.tiny(monkeypatch)


@pytest.fixture
def out(sources, tmp_path):
    """A run directory of one's own beside the shared sources."""
    return str(tmp_path / "out")
