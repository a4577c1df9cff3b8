import importlib
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[2] / "bench"


@pytest.fixture
def load(monkeypatch):
    """Import a benchmark's module as its scripts do: from beside them."""
    monkeypatch.syspath_prepend(BENCH)
    return importlib.import_module


@pytest.fixture
def played_gpu(monkeypatch):
    """A machine with a GPU, played by the stand-ins of RAPIDS."""
    from gpuseg import engine
    from gpuseg.engine.driver import Gpu
    from gpuseg.engine.gpu import libraries, memory
    from gpuseg.engine.hardware import Hardware
    from tests.rapids.stand_ins import stand_ins

    found = Hardware((Gpu("Stand-in", 80 << 30, 79 << 30, "9.0"),), "580.1", "13.0", "13.2")
    stands = stand_ins()
    monkeypatch.setattr(engine, "_hardware", lambda: found)
    monkeypatch.setattr(libraries, "load", lambda: stands)
    monkeypatch.setattr(memory, "_SET_UP", [])
    cuml = stands.cuml
    for name, module in {"cuml": cuml, "cuml.cluster": cuml.cluster, "cuml.neighbors": cuml.neighbors}.items():
        monkeypatch.setitem(sys.modules, name, module)
    return found
