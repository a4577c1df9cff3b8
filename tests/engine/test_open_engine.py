import pytest

from gpuseg.engine import open_engine
from gpuseg.errors import DeviceUnavailableError, GpusegError


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
