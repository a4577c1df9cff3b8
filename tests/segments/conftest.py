import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
import pytest

import gpuseg

AS_OF = dt.date(2025, 1, 1)


def loyal_and_lapsed() -> pd.DataFrame:
    """Sixty profiles that buy often, lately and much, and forty that bought little, long ago."""
    random = np.random.default_rng(11)
    lines = []
    for profile in range(100):
        loyal = profile < 60
        n, first, last = (random.integers(20, 40), 180, 5) if loyal else (random.integers(2, 5), 330, 250)
        for ago in random.integers(last, first, n):
            at = dt.datetime.combine(AS_OF, dt.time(12)) - dt.timedelta(days=int(ago))
            amount = round(float(random.gamma(3, 20 if loyal else 4)), 2)
            lines.append((f"{'loyal' if loyal else 'lapsed'}-{profile}", at, amount, "Wine" if loyal else "Bread"))
    return pd.DataFrame(lines, columns=["profile_id", "at", "amount", "category"])


@pytest.fixture(scope="session")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A run over two plain groups and three profiles that only the CRM knows."""
    return run_planted(tmp_path_factory.mktemp("planted"))


def run_planted(folder: Any, **settings: Any) -> Any:
    people = pd.DataFrame({"profile_id": ["loyal-0", "nobody-1", "nobody-2", "nobody-3"], "age": [30, 40, 50, 60]})
    config = {
        "run": {"out": str(folder / "run"), "as_of": AS_OF} | settings,
        "sources": [{"name": "orders", "kind": "purchases"}, {"name": "people", "kind": "crm", "columns": AGE}],
        "cluster": {"segments": 2},
    }
    return gpuseg.run(config, frames={"orders": loyal_and_lapsed(), "people": people})


AGE = {"age": "age"}
