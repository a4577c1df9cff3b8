import gc

import pytest

from gpuseg.engine.cpu import memory
from gpuseg.engine.cpu.memory import UNKNOWN, free_bytes, kept_memory


@pytest.mark.parametrize(
    ("available", "limit", "used", "expected"),
    [
        ("100 kB", None, None, 102_400),
        ("100 kB", "max", "5", 102_400),
        ("100 kB", "4096", "96", 4_000),
        ("100 kB", "4096", "5000", 0),
        (None, "4096", "96", 4_000),
        (None, None, None, UNKNOWN),
    ],
)
def test_the_smaller_of_machine_and_container_counts(tmp_path, available, limit, used, expected):
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 999 kB\n" + (f"MemAvailable:   {available}\n" if available else ""))
    for name, content in (("memory.max", limit), ("memory.current", used)):
        if content is not None:
            (tmp_path / name).write_text(f"{content}\n")
    assert free_bytes(meminfo=meminfo, cgroup=tmp_path) == expected


def test_a_system_without_these_files_refuses_nothing(tmp_path):
    assert free_bytes(meminfo=tmp_path / "none", cgroup=tmp_path / "none") == UNKNOWN


def test_a_device_knows_its_memory(device):
    assert device.free_bytes() > 0


def test_thresholds_are_raised_within_a_run_and_put_back_whatever_happens(monkeypatch):
    calls = []

    class Glibc:
        def mallopt(self, setting, value):
            calls.append((setting.value, value.value))

        def malloc_trim(self, pad):
            calls.append(("trim", pad.value))

    monkeypatch.setattr(memory.ctypes, "CDLL", lambda _: Glibc())

    def fail():
        assert calls == [(-1, 2**30), (-3, 2**30)]
        raise KeyError

    with pytest.raises(KeyError), kept_memory():
        fail()
    assert calls[2:] == [(-1, 2**17), (-3, 2**17), ("trim", 0)]


def test_another_allocator_has_nothing_to_set(monkeypatch):
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda _: object())
    with kept_memory() as nothing:
        assert nothing is None


def test_the_collector_looks_less_often_only_meanwhile():
    before = gc.get_threshold()
    with kept_memory():
        assert gc.get_threshold()[0] > before[0]
    assert gc.get_threshold() == before
