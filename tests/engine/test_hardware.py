"""What is found on machines that have a driver, GPUs and libraries, or some of them; all of these are played."""

import ctypes
import re
import sys
import tomllib
import types
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from gpuseg.engine import driver, hardware
from gpuseg.engine.hardware import find_gpus

ROOT = Path(__file__).parents[2]
GIB = 1 << 30
FOR_CUDA_12, FOR_CUDA_13 = (f"install gpuseg with its extra gpu-cu{n}, or by conda-env.yml" for n in (12, 13))
GOOD = {"cudf-cu13": "26.10.2", "cuml-cu13": "26.10.0", "rmm-cu13": "26.10.0", "cupy-cuda13x": "14.2.0"}


class FakeCuda:
    """libcuda.so.1 with some GPUs."""

    def __init__(self, gpus=(("NVIDIA H100", 80 * GIB, (9, 0)),), *, init=0, version=13000, failing=None):
        self.gpus, self.init, self.version, self.failing = gpus, init, version, failing

    def cuInit(self, flags):
        assert flags == 0
        return self.init

    def cuDriverGetVersion(self, out):
        out._obj.value = self.version
        return 0

    def cuDeviceGetCount(self, out):
        out._obj.value = len(self.gpus)
        return 0

    def cuDeviceGet(self, out, place):
        out._obj.value = place
        return 999 if self.failing == "cuDeviceGet" else 0

    def cuDeviceGetName(self, out, size, device):
        out.value = self.gpus[device.value][0].encode()[: size - 1]
        return 0

    def cuDeviceTotalMem_v2(self, out, device):
        out._obj.value = self.gpus[device.value][1]
        return 0

    def cuDeviceGetPCIBusId(self, out, size, device):
        out.value = b"0000:%02x:00.0" % (device.value + 1)
        return 0

    def cuDeviceGetAttribute(self, out, attribute, device):
        out._obj.value = self.gpus[device.value][2][attribute - 75]
        return 0


class FakeManagement:
    """libnvidia-ml.so.1; `free` is by PCI address."""

    def __init__(self, free):
        self.free = free

    def nvmlInit_v2(self):
        return 0

    def nvmlSystemGetDriverVersion(self, out, size):
        out.value = b"580.65.06"
        return 0

    def nvmlDeviceGetHandleByPciBusId_v2(self, bus, out):
        self.bus = bus
        return 0 if bus in self.free else 6

    def nvmlDeviceGetMemoryInfo(self, handle, out):
        out._obj.free = self.free[self.bus]
        return 0


@pytest.fixture
def machine(monkeypatch):
    """Play a machine: the driver's libraries, what is installed, and CuPy."""

    def play(cuda=None, management=None, installed=GOOD, cupy=None):
        libraries = {driver.CUDA_LIBRARY: cuda, driver.NVML_LIBRARY: management}

        def load(name):
            if libraries[name] is None:
                raise OSError(f"{name}: cannot open shared object file")
            return libraries[name]

        def version(package):
            if package not in installed:
                raise hardware.PackageNotFoundError(package)
            return installed[package]

        monkeypatch.setattr(ctypes, "CDLL", load)
        monkeypatch.setattr(hardware, "version", version)
        monkeypatch.setitem(sys.modules, "cupy", cupy)
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        return find_gpus

    return play


def cupy_that(*, available=True, version=13020):
    cuda = types.SimpleNamespace(is_available=lambda: available, get_local_runtime_version=lambda: version)
    return types.SimpleNamespace(cuda=cuda)


# --- a good machine ---


def test_a_good_machine(machine):
    found = machine(FakeCuda(), FakeManagement({b"0000:01:00.0": 79 * GIB}), cupy=cupy_that())()
    assert found.gpus == (driver.Gpu("NVIDIA H100", 80 * GIB, 79 * GIB, "9.0"),)
    assert (found.driver, found.driver_cuda, found.cuda_runtime) == ("580.65.06", "13.0", "13.2")
    assert found.usable
    assert found.problem is None
    assert found.libraries["cudf"] == hardware.Library("cudf-cu13", "26.10.2", "26.10.*", is_supported=True)
    assert set(found.libraries) == {"cudf", "cuml", "rmm", "cupy"}


def test_two_gpus_in_the_order_of_cuda(machine):
    gpus = (("A", 40 * GIB, (8, 0)), ("B", 10 * GIB, (10, 3)))
    free = FakeManagement({b"0000:01:00.0": 1 * GIB, b"0000:02:00.0": 39 * GIB})
    found = machine(FakeCuda(gpus), free, cupy=cupy_that())()
    assert [gpu.name for gpu in found.gpus] == ["A", "B"]
    # The second is a part of a GPU, which can have no more free than it has at all.
    assert [gpu.free_bytes for gpu in found.gpus] == [1 * GIB, 10 * GIB]
    assert [gpu.compute_capability for gpu in found.gpus] == ["8.0", "10.3"]


@pytest.mark.parametrize("management", [None, FakeManagement({})], ids=["no library", "no such address"])
def test_without_management_memory_that_is_free_is_unknown(machine, management):
    found = machine(FakeCuda(), management, cupy=cupy_that())()
    assert found.gpus[0].free_bytes is None
    assert found.driver == (None if management is None else "580.65.06")
    assert found.usable


@pytest.mark.parametrize(
    "installed",
    [
        {"cudf-cu12": "26.10.2", "cuml-cu12": "26.10.0", "rmm-cu12": "26.10.0", "cupy-cuda12x": "14.0.1"},
        {"cudf": "26.10.2", "cuml": "26.10.0", "rmm": "26.10.0", "cupy": "15.0.0"},
        GOOD | {"dask-cuda": "26.10.0", "raft-dask-cu13": "26.10.0", "dask-cudf-cu13": "26.10.2"},
    ],
    ids=["CUDA 12", "conda", "several GPUs"],
)
def test_every_way_of_installing(machine, installed):
    found = machine(FakeCuda(), installed=installed, cupy=cupy_that())()
    assert found.usable
    assert {library.package for library in found.libraries.values()} == set(installed)


# --- what is missing ---


@pytest.mark.parametrize(
    ("parts", "problem"),
    [
        ({"cuda": None}, "no NVIDIA driver on this machine (libcuda.so.1 cannot be loaded)"),
        ({"cuda": FakeCuda(init=100)}, "the NVIDIA driver sees no GPU"),
        ({"cuda": FakeCuda(())}, "the NVIDIA driver sees no GPU"),
        ({"cuda": FakeCuda(init=999)}, "the NVIDIA driver does not answer (cuInit: CUDA error 999)"),
        ({"cuda": FakeCuda(failing="cuDeviceGet")}, "the NVIDIA driver does not answer (cuDeviceGet: CUDA error 999)"),
        ({"cuda": types.SimpleNamespace(cuInit=lambda _: 0)}, "the NVIDIA driver is too old for RAPIDS: update it"),
        (
            {"cuda": FakeCuda(version=11080)},
            "the NVIDIA driver runs CUDA 11, but RAPIDS 26.10 needs 12 or newer: update the driver",
        ),
        (
            {"cuda": FakeCuda(), "installed": {}},
            "cudf, cuml, rmm, cupy are not installed: " + FOR_CUDA_13,
        ),
        (
            {"cuda": FakeCuda(version=12090), "installed": {}},
            "cudf, cuml, rmm, cupy are not installed: " + FOR_CUDA_12,
        ),
        (
            {"cuda": FakeCuda(), "installed": {n: v for n, v in GOOD.items() if n != "cuml-cu13"}},
            "cuml is not installed: " + FOR_CUDA_13,
        ),
        (
            {"cuda": FakeCuda(), "installed": GOOD | {"cuml-cu13": "26.8.0"}},
            "cuml-cu13 26.8.0 is installed, 26.10.* is supported: " + FOR_CUDA_13,
        ),
        (
            {"cuda": FakeCuda(), "installed": GOOD | {"cupy-cuda13x": "13.6.0"}},
            "cupy-cuda13x 13.6.0 is installed, >=14 is supported: " + FOR_CUDA_13,
        ),
        (
            {"cuda": FakeCuda(), "installed": GOOD | {"cudf-cu13": "damaged"}},
            "cudf-cu13 damaged is installed, 26.10.* is supported: " + FOR_CUDA_13,
        ),
        (
            {"cuda": FakeCuda(), "installed": {"cudf": "0.6.1"} | {n: v for n, v in GOOD.items() if "cudf" not in n}},
            "cudf 0.6.1 is installed, 26.10.* is supported: " + FOR_CUDA_13,
        ),
        (
            {"cuda": FakeCuda(version=12090)},
            "cudf-cu13 needs CUDA 13, the NVIDIA driver runs 12: " + FOR_CUDA_12,
        ),
        (
            {
                "cuda": FakeCuda(),
                "installed": {n: v for n, v in GOOD.items() if "cupy" not in n} | {"cupy-cuda12x": "14.0"},
            },
            "libraries for CUDA 12 and 13 are mixed: " + FOR_CUDA_13,
        ),
        (
            {"cuda": FakeCuda((("Tesla V100", 16 * GIB, (7, 0)),))},
            "Tesla V100 has compute capability 7.0, RAPIDS 26.10 for CUDA 13 needs 7.5 or newer",
        ),
        ({"cuda": FakeCuda(), "cupy": cupy_that(available=False)}, "CuPy sees no GPU that it can use"),
        (
            {"cuda": FakeCuda(), "cupy": types.SimpleNamespace()},
            "CuPy cannot be loaded (AttributeError): reinstall it with the rest of RAPIDS",
        ),
        (
            {"cuda": FakeCuda(), "cupy": None},
            "CuPy cannot be loaded (ModuleNotFoundError): reinstall it with the rest of RAPIDS",
        ),
    ],
    ids=lambda value: re.sub(r"\W+", " ", value)[:40] if isinstance(value, str) else "",
)
def test_what_is_missing_is_said_in_one_line(machine, parts, problem):
    found = machine(**parts)()
    assert found.problem == problem
    assert not found.usable


def test_hidden_gpus_are_hinted_at(machine, monkeypatch):
    find = machine(FakeCuda(init=100))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert find().problem == "the NVIDIA driver sees no GPU; CUDA_VISIBLE_DEVICES is set and may hide it"


def test_a_file_that_is_no_library_is_no_driver(tmp_path, monkeypatch):
    (tmp_path / "libcuda.so.1").write_text("not a library", encoding="utf-8")
    monkeypatch.setattr(driver, "CUDA_LIBRARY", str(tmp_path / "libcuda.so.1"))
    assert find_gpus().problem == f"no NVIDIA driver on this machine ({tmp_path}/libcuda.so.1 cannot be loaded)"


def test_cupy_is_not_loaded_before_all_else_is_good(machine):
    """Loading it makes a context, which costs memory and seconds."""

    class Untouchable(types.ModuleType):
        def __getattr__(self, name):
            raise AssertionError(f"cupy.{name} was asked for")

    found = machine(FakeCuda(), installed=GOOD | {"rmm-cu13": "25.2"}, cupy=Untouchable("cupy"))()
    assert found.problem.startswith("rmm-cu13 25.2")


def test_this_machine_can_be_looked_at():
    """Whatever it has."""
    found = find_gpus()
    assert found.usable is (found.problem is None)
    assert found.problem is None or "\n" not in found.problem


# --- one truth about versions ---


def extras():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return project["optional-dependencies"]


@pytest.mark.parametrize("major", hardware.CUDA_MAJORS)
def test_supported_versions_are_those_of_the_extras(major):
    listed = {found.name: found.specifier for found in map(Requirement, extras()[f"gpu-cu{major}"])}
    for name in set(hardware.NEEDED + hardware.MULTI_GPU) - {"rmm"}:
        (package,) = set(hardware.package_names(name)) & set(listed)
        assert listed.pop(package) == as_specifier(name)
    assert listed == {}


def test_there_is_an_extra_for_every_cuda():
    assert {name for name in extras() if name.startswith("gpu")} == {f"gpu-cu{m}" for m in hardware.CUDA_MAJORS}


def test_supported_versions_are_those_of_conda():
    listed = yaml.safe_load((ROOT / "conda-env.yml").read_text("utf-8"))["dependencies"]
    found = dict(re.match(r"([a-z-]+)(.*)", entry).groups() for entry in listed)
    for name in set(hardware.NEEDED + hardware.MULTI_GPU) - {"rmm"}:
        conda = found[name] if name == "cupy" else f"={found[name]}.*"
        assert SpecifierSet(conda) == as_specifier(name)
    assert SpecifierSet(found["cuda-version"]).contains(f"{hardware.CUDA_MAJORS[0]}.1")


def test_constraints_and_readme_speak_of_the_supported_release():
    for name in ("constraints-gpu.txt", "docs/gpu-verified.md"):
        assert set(re.findall(r"RAPIDS (\d+\.\d+)", (ROOT / name).read_text("utf-8"))) == {hardware.RAPIDS_RELEASE}


def as_specifier(name):
    supported = hardware.supported_versions(name)
    return SpecifierSet(supported if supported.startswith(">") else f"=={supported}")
