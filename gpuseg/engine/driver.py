"""The NVIDIA driver, asked through its C libraries: no CUDA library is loaded and no context is made."""

import ctypes
import os
from dataclasses import dataclass

CUDA_LIBRARY, NVML_LIBRARY = "libcuda.so.1", "libnvidia-ml.so.1"
_NO_DEVICE = 100
_MAJOR_ATTRIBUTE, _MINOR_ATTRIBUTE = 75, 76
_TEXT_BYTES = 256


class DriverError(Exception):
    """The driver is missing, or sees no GPU; one line."""


@dataclass(frozen=True)
class Gpu:
    """One GPU.

    Parameters
    ----------
    name : str
    total_bytes : int
        Its memory.
    free_bytes : int or None
        What of it was free; None where the driver does not tell. Of a whole GPU even for a part of one (MIG), but never
        more than `total_bytes`.
    compute_capability : str
        Such as "9.0".
    """

    name: str
    total_bytes: int
    free_bytes: int | None
    compute_capability: str


@dataclass(frozen=True)
class Driver:
    """A driver that sees at least one GPU.

    Parameters
    ----------
    gpus : tuple of Gpu
    driver : str or None
        Its version; None without the management library.
    cuda : str
        Newest CUDA that it runs.
    """

    gpus: tuple[Gpu, ...]
    driver: str | None
    cuda: str

    @property
    def cuda_major(self) -> int:
        """Major version of `cuda`."""
        return int(self.cuda.partition(".")[0])


def ask_driver() -> Driver:
    """Ask the driver for its GPUs.

    Returns
    -------
    Driver

    Raises
    ------
    DriverError
        If it is missing, does not answer or sees no GPU.
    """
    try:
        cuda = ctypes.CDLL(CUDA_LIBRARY)
    except OSError:
        raise DriverError(f"no NVIDIA driver on this machine ({CUDA_LIBRARY} cannot be loaded)") from None
    try:
        return _asked(cuda, _Management())
    except AttributeError:
        raise DriverError("the NVIDIA driver is too old for RAPIDS: update it") from None


def _asked(cuda: ctypes.CDLL, management: "_Management") -> Driver:
    error = cuda.cuInit(0)
    if error == _NO_DEVICE:
        raise DriverError(f"the NVIDIA driver sees no GPU{_hidden()}")
    _demand(error, "cuInit")
    number, n_gpus = ctypes.c_int(), ctypes.c_int()
    _demand(cuda.cuDriverGetVersion(ctypes.byref(number)), "cuDriverGetVersion")
    _demand(cuda.cuDeviceGetCount(ctypes.byref(n_gpus)), "cuDeviceGetCount")
    if not n_gpus.value:
        raise DriverError(f"the NVIDIA driver sees no GPU{_hidden()}")
    gpus = tuple(_gpu(cuda, place, management) for place in range(n_gpus.value))
    return Driver(gpus, management.driver(), f"{number.value // 1000}.{number.value % 1000 // 10}")


def _gpu(cuda: ctypes.CDLL, place: int, management: "_Management") -> Gpu:
    device, total, major, minor = ctypes.c_int(), ctypes.c_size_t(), ctypes.c_int(), ctypes.c_int()
    name, bus = (ctypes.create_string_buffer(_TEXT_BYTES) for _ in range(2))
    _demand(cuda.cuDeviceGet(ctypes.byref(device), place), "cuDeviceGet")
    _demand(cuda.cuDeviceGetName(name, _TEXT_BYTES, device), "cuDeviceGetName")
    _demand(cuda.cuDeviceTotalMem_v2(ctypes.byref(total), device), "cuDeviceTotalMem")
    _demand(cuda.cuDeviceGetPCIBusId(bus, _TEXT_BYTES, device), "cuDeviceGetPCIBusId")
    for value, attribute in ((major, _MAJOR_ATTRIBUTE), (minor, _MINOR_ATTRIBUTE)):
        _demand(cuda.cuDeviceGetAttribute(ctypes.byref(value), attribute, device), "cuDeviceGetAttribute")
    free = management.free_bytes(bus.value)
    return Gpu(
        name.value.decode(errors="replace"),
        total.value,
        None if free is None else min(free, total.value),
        f"{major.value}.{minor.value}",
    )


def _demand(error: int, function: str) -> None:
    if error:
        raise DriverError(f"the NVIDIA driver does not answer ({function}: CUDA error {error})")


def _hidden() -> str:
    """A word on CUDA_VISIBLE_DEVICES, where it may hide the GPUs."""
    return "; CUDA_VISIBLE_DEVICES is set and may hide it" if "CUDA_VISIBLE_DEVICES" in os.environ else ""


class _Memory(ctypes.Structure):
    """nvmlMemory_t."""

    _fields_ = (("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong))


class _Management:
    """NVML, which knows the driver's version and free memory without a context; it may be missing."""

    def __init__(self) -> None:
        self._nvml: ctypes.CDLL | None = None
        try:
            nvml = ctypes.CDLL(NVML_LIBRARY)
        except OSError:
            return
        if not nvml.nvmlInit_v2():
            self._nvml = nvml

    def driver(self) -> str | None:
        """Version of the driver."""
        text = ctypes.create_string_buffer(_TEXT_BYTES)
        if self._nvml is None or self._nvml.nvmlSystemGetDriverVersion(text, _TEXT_BYTES):
            return None
        return text.value.decode(errors="replace")

    def free_bytes(self, bus: bytes) -> int | None:
        """Free memory of the GPU at a PCI address."""
        handle, memory = ctypes.c_void_p(), _Memory()
        if self._nvml is None or self._nvml.nvmlDeviceGetHandleByPciBusId_v2(bus, ctypes.byref(handle)):
            return None
        if self._nvml.nvmlDeviceGetMemoryInfo(handle, ctypes.byref(memory)):
            return None
        return int(memory.free)
