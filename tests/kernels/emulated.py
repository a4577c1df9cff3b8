"""gpuseg's CUDA sources compiled for the processor, as `cupy.RawModule` hands them out."""

import ctypes
import hashlib
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from gpuseg.engine.gpu.libraries import Libraries
from tests.rapids.cupy_twin import cupy_module
from tests.rapids.proxies import bare
from tests.rapids.stand_ins import stand_ins

EMULATOR = Path(__file__).with_name("emulator.hpp")
COMPILER = shutil.which("g++") or shutil.which("clang++")
_ENTRY = re.compile(r'extern "C" __global__ void (?:__launch_bounds__\([^)]*\)\s+)?(\w+)\(')
_FLAGS = ("-std=c++17", "-O1", "-ffp-contract=off", "-fno-strict-aliasing", "-fPIC", "-shared", "-w")


def emulated_libraries(attributes: Mapping[str, set[str]] | None = None) -> Libraries:
    """Stand-ins whose CuPy runs CUDA sources, on a device that kernels are made for; parameters as of `stand_ins`."""
    cupy = cupy_module()
    cupy.RawModule = EmulatedModule
    cupy.cuda.Device = type("Device", (cupy.cuda.Device,), {"compute_capability": "90"})
    return stand_ins(attributes, cupy=cupy)


class EmulatedModule:
    """As `cupy.RawModule`, for sources that leave the hardware to `gpuseg/engine/gpu/cuda/primitives.cuh`."""

    def __init__(self, *, code: str, options: Sequence[str] = (), enable_cooperative_groups: bool = False) -> None:
        self._library = ctypes.CDLL(str(_compiled(code, tuple(options))))
        self._together = enable_cooperative_groups

    def get_function(self, name: str) -> "EmulatedKernel":
        """The kernel of a name."""
        return EmulatedKernel(getattr(self._library, f"launch_{name}"), together=self._together)


class EmulatedKernel:
    """As `cupy.RawKernel`."""

    max_dynamic_shared_size_bytes = 48 << 10
    num_regs = 64

    def __init__(self, launch: Any, *, together: bool = False) -> None:
        self._launch, self._together = launch, together

    def __call__(
        self, grid: tuple[int, ...], block: tuple[int, ...], args: tuple[Any, ...], *, shared_mem: int
    ) -> None:
        """Run all blocks, one after the other or together."""
        if shared_mem > self.max_dynamic_shared_size_bytes:
            raise ValueError(f"{shared_mem} bytes of shared memory of {self.max_dynamic_shared_size_bytes} allowed")
        values = [_value(bare(argument)) for argument in args]
        pointers = (ctypes.c_void_p * len(values))(*[value.ctypes.data for value in values])
        sizes = ctypes.c_uint(*grid), ctypes.c_uint(*block), ctypes.c_size_t(shared_mem)
        self._launch(pointers, *sizes, ctypes.c_bool(self._together))


def _value(argument: Any) -> Any:
    """An array's address, or a number as it is, in memory."""
    if isinstance(argument, np.ndarray):
        if not argument.flags.c_contiguous:
            raise ValueError("a kernel takes arrays in C order")
        return np.array(argument.ctypes.data, np.uint64)
    if not isinstance(argument, np.generic):
        raise TypeError(f"{type(argument).__name__}: its size is not said")
    return np.array(argument)


@lru_cache(maxsize=1)
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="gpuseg-emulated-")


@lru_cache
def _compiled(code: str, options: tuple[str, ...]) -> Path:
    defines = [option for option in options if option.startswith("-D")]
    name = hashlib.sha256("\n".join([code, *defines]).encode()).hexdigest()[:16]
    source, library = (Path(_folder().name) / f"{name}{suffix}" for suffix in (".cpp", ".so"))
    launches = [
        f'extern "C" void launch_{entry}(void** args, unsigned blocks, unsigned threads, size_t bytes, bool together) '
        f"{{ emulator::launch({entry}, args, blocks, threads, bytes, together); }}"
        for entry in _ENTRY.findall(code)
    ]
    source.write_text("\n".join([f'#include "{EMULATOR}"', "#define EMULATED", code, *launches]) + "\n", "utf-8")
    assert COMPILER is not None
    subprocess.run([COMPILER, *_FLAGS, *defines, "-o", str(library), str(source)], check=True)
    return library
