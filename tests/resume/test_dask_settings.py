"""Settings of dask itself that cannot be used, and workers that cannot be started: one line without a value."""

import errno
import os

import pytest

pytest.importorskip("distributed")

from gpuseg.engine.dask.settings import not_started, told_settings
from gpuseg.errors import ConfigError, DeviceUnavailableError, EngineError
from tests.resume import worlds
from tests.resume.clusters import ENVIRONMENT, start

SECRET = "hunter"
PLACES = "see DASK_GARBAGE, ~/.config/dask"


@pytest.fixture(autouse=True)
def only_one_variable(monkeypatch):
    for name in [name for name in os.environ if name.startswith("DASK_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("DASK_GARBAGE", SECRET)


def caused(error, by):
    error.__cause__ = by
    return error


@pytest.mark.parametrize(
    ("error", "kind", "told"),
    [
        (
            RuntimeError("Nanny failed to start worker process"),
            EngineError,
            "no workers could be started (RuntimeError); a script must call gpuseg under `if __name__ == '__main__':`, "
            "for every worker imports it",
        ),
        (KeyError(SECRET), ConfigError, f"a setting of dask itself cannot be used (KeyError); {PLACES}"),
        (ModuleNotFoundError(SECRET), ConfigError, f"a setting of dask itself cannot be used (ModuleN.*); {PLACES}"),
        (
            OSError(errno.EMFILE, "Too many open files"),
            EngineError,
            "no workers could be started on this machine: Too many open files; executor: local needs none",
        ),
        (TimeoutError(), EngineError, "no workers could be started on this machine: TimeoutError; executor: local"),
    ],
)
def test_why_no_worker_came(error, kind, told):
    found = not_started(caused(RuntimeError("Cluster failed to start"), error), encrypted=False)
    assert type(found) is kind
    assert told.partition("(ModuleN")[0] in str(found)
    assert SECRET not in str(found)


def test_encryption_without_certificates():
    found = not_started(RuntimeError("Scheduler failed to start."), encrypted=True)
    assert type(found) is ConfigError
    assert "require-encryption asks for TLS, and without certificates" in str(found)
    assert "take it back (DASK_GARBAGE, ~/.config/dask)" in str(found)
    assert "__main__" not in str(found)


def test_other_errors_stay_what_they_are():
    with pytest.raises(DeviceUnavailableError, match="no GPU"), told_settings():
        raise DeviceUnavailableError("no GPU")
    with pytest.raises(MemoryError), told_settings():
        raise MemoryError


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("DASK_CONFIG", "FILE", "a setting of dask itself cannot be used (ValueError); see DASK_CONFIG, ~/.config"),
        ("DASK_LOGGING", SECRET, "a setting of dask itself cannot be used (ValueError); see DASK_LOGGING, ~"),
        (
            "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT",
            SECRET,
            "cannot be used (KeyError); see DASK_DISTRIBUTED__COMM__",
        ),
        ("DASK_DISTRIBUTED__SCHEDULER__PRELOAD", SECRET, "cannot be used (ModuleNotFoundError); see DASK_DISTRIBUTED"),
        ("DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION", "True", "require-encryption asks for TLS, and without certif"),
    ],
)
def test_garbage_in_the_environment(sources, out, tmp_path, monkeypatch, variable, value, told):
    (tmp_path / "dask.yaml").write_text(f"password: [{SECRET}\n", encoding="utf-8")
    for name in [name for name in ENVIRONMENT if name.startswith("DASK_")]:
        monkeypatch.delitem(ENVIRONMENT, name)
    monkeypatch.setitem(ENVIRONMENT, variable, str(tmp_path / "dask.yaml") if value == "FILE" else value)
    run = start(worlds.settings(sources, out, run={"executor": "dask"}, dask={"workers": 1}), tmp_path)
    said, err = run.communicate(timeout=120)
    assert run.returncode == 2, err
    assert said == ""
    assert len(err.splitlines()) == 1
    assert err.startswith("gpuseg: error[config] dask: ")
    assert told in err
    assert SECRET not in err
