import logging
import sys
from unittest.mock import Mock

import pytest

import gpuseg.engine
from gpuseg.config_parts import MemorySection
from gpuseg.engine import open_engine
from gpuseg.engine.driver import Gpu
from gpuseg.engine.hardware import Hardware
from gpuseg.errors import DeviceUnavailableError, GpusegError

MISSING = "cudf and cuml are not installed"
GPU = Gpu("NVIDIA Test", 80 << 30, None, "9.0")


@pytest.fixture
def found(monkeypatch):
    """Says what the machine has."""

    def say(hardware):
        monkeypatch.setattr(gpuseg.engine, "find_gpus", lambda: hardware)
        forget()

    def forget():
        gpuseg.engine._hardware.cache_clear()
        gpuseg.engine._warn_once.cache_clear()

    yield say
    forget()


def test_auto_takes_a_device_and_says_why():
    with open_engine(engine="auto") as engine:
        assert engine.device.name in ("cpu", "gpu")
        assert engine.reason.startswith(engine.device.name)
        assert "\n" not in engine.reason


def test_the_cpu_on_request():
    with open_engine(engine="cpu") as engine:
        assert engine.device.name == "cpu"
        assert list(engine.executor.map(abs, [-1, 2])) == [1, 2]
    with pytest.raises(RuntimeError):
        list(engine.executor.map(abs, [1]))


def opened_name(engine):
    with open_engine(engine=engine) as found:
        return found.device.name


def test_gpu_is_never_something_else():
    if opened_name("auto") == "gpu":
        assert opened_name("gpu") == "gpu"
        return
    with pytest.raises(DeviceUnavailableError, match="engine: auto") as caught:
        opened_name("gpu")
    assert caught.value.exit_code == 4


@pytest.mark.parametrize("settings", [{"engine": "cuda"}, {"executor": "spark"}], ids=str)
def test_what_does_not_exist_is_refused(settings):
    with pytest.raises(GpusegError), open_engine(**settings):
        pass


def test_what_is_missing_is_said(found):
    found(Hardware(problem=MISSING))
    with pytest.raises(DeviceUnavailableError, match=f"^engine gpu: {MISSING}; or use engine: cpu or engine: auto$"):
        opened_name("gpu")
    with open_engine() as engine:
        assert (engine.device.name, engine.reason) == ("cpu", f"cpu: {MISSING}")


def test_a_gpu_that_lies_idle_is_told_once(found, caplog):
    found(Hardware(gpus=(GPU,), problem=MISSING))
    with caplog.at_level(logging.WARNING):
        assert [opened_name("auto"), opened_name("auto"), opened_name("cpu")] == ["cpu"] * 3
    assert [record.getMessage() for record in caplog.records] == [
        f"a GPU is here but cannot be used, so the CPU is: {MISSING}"
    ]


@pytest.mark.parametrize("engine", ["auto", "gpu"])
def test_a_usable_gpu_is_taken(found, monkeypatch, engine):
    found(Hardware(gpus=(GPU,)))
    device, libraries = Mock(), Mock()
    monkeypatch.setitem(sys.modules, "gpuseg.engine.gpu.device", device)
    monkeypatch.setitem(sys.modules, "gpuseg.engine.gpu.libraries", libraries)
    memory = MemorySection(pool="pool", pool_bytes=2**30)
    with open_engine(engine=engine, memory=memory) as opened:
        assert opened.device is device.GpuDevice.return_value
        assert opened.reason.startswith("gpu: NVIDIA Test, ")
    device.GpuDevice.assert_called_once_with(libraries.load.return_value, memory=memory, workers_memory=memory)


def test_under_dask_this_process_takes_no_pool_from_a_worker(found, monkeypatch):
    found(Hardware(gpus=(GPU,)))
    device, cluster = Mock(), Mock()
    monkeypatch.setitem(sys.modules, "gpuseg.engine.gpu.device", device)
    monkeypatch.setitem(sys.modules, "gpuseg.engine.gpu.libraries", Mock())
    monkeypatch.setitem(sys.modules, "gpuseg.engine.dask.cluster", cluster)
    memory = MemorySection(pool="pool", pool_bytes=2**30, spill=False)
    with open_engine(engine="gpu", executor="dask", memory=memory) as opened:
        assert opened.executor is cluster.open_dask.return_value
    (_, settings) = device.GpuDevice.call_args
    assert settings == {"memory": MemorySection(spill=False), "workers_memory": memory}
    (_, given), _ = cluster.open_dask.call_args
    assert given is device.GpuDevice.return_value


@pytest.mark.parametrize("executor", ["local", "dask"])
def test_what_is_missing_is_said_alike_with_any_executor(found, executor):
    found(Hardware(problem="no NVIDIA driver on this machine"))
    opened = open_engine(engine="gpu", executor=executor)
    with pytest.raises(DeviceUnavailableError, match=r"^engine gpu: no NVIDIA driver on this machine; or use engine"):
        opened.__enter__()
