"""Which GPUs this machine has, and whether RAPIDS can use them. It only looks, and never fails.

A module of RAPIDS imports without a GPU, so an import says nothing: the driver is asked first, then the versions that
are installed, and CuPy last.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version

from gpuseg.engine.driver import Driver, DriverError, Gpu, ask_driver

RAPIDS_RELEASE = "26.10"
"""Release of RAPIDS that `gpuseg.engine.gpu` is written for."""

CUPY_LEAST = "14"
"""Oldest CuPy."""

CUDA_MAJORS = (13, 12)
"""Major versions of CUDA, the preferred one first."""

LEAST_CAPABILITY = {13: "7.5"}
"""Oldest compute capability that the wheels hold code for, by major version of CUDA; read in their libraries."""

NEEDED = ("cudf", "cuml", "rmm", "cupy")
"""What the GPU device cannot do without."""

MULTI_GPU = ("dask-cudf", "raft-dask", "dask-cuda")
"""What several GPUs need besides; they belong to the same release."""

_WITHOUT_CUDA_IN_THEIR_NAME = ("dask-cuda",)


@dataclass(frozen=True)
class Library:
    """An installed library.

    Parameters
    ----------
    package : str
        Name of the distribution, such as "cudf-cu13".
    version : str
    supported : str
        The versions that gpuseg works with, such as "26.10.*".
    is_supported : bool
    """

    package: str
    version: str
    supported: str
    is_supported: bool


@dataclass(frozen=True)
class Hardware:
    """What was found.

    Parameters
    ----------
    gpus : tuple of Gpu
        In the order of CUDA; empty where the driver is missing or sees none.
    driver : str or None
        Version of the NVIDIA driver, such as "580.65.06".
    driver_cuda : str or None
        Newest CUDA that the driver runs, such as "13.0".
    cuda_runtime : str or None
        CUDA that CuPy was loaded with, asked only where nothing else is missing.
    libraries : mapping of str to Library
        Name such as "cudf" to what is installed; what is missing is absent.
    problem : str or None
        One line saying what is missing; None where the GPUs can be used.
    """

    gpus: tuple[Gpu, ...] = ()
    driver: str | None = None
    driver_cuda: str | None = None
    cuda_runtime: str | None = None
    libraries: Mapping[str, Library] = field(default_factory=dict)
    problem: str | None = None

    @property
    def usable(self) -> bool:
        """Whether `engine: gpu` can run here."""
        return self.problem is None


def find_gpus() -> Hardware:
    """Look for GPUs, their driver and the libraries that use them.

    Nothing heavy is imported unless the driver sees a GPU and every needed library is installed in a version that is
    supported.

    Returns
    -------
    Hardware
    """
    libraries = installed_libraries()
    try:
        found = ask_driver()
    except DriverError as error:
        return Hardware(libraries=libraries, problem=str(error))
    runtime = None
    problem = _library_problem(libraries, found)
    if problem is None:
        runtime, problem = _ask_cupy()
    return Hardware(found.gpus, found.driver, found.cuda, runtime, libraries, problem)


def supported_versions(name: str) -> str:
    """Versions of a library that gpuseg works with, such as "26.10.*" or ">=14"."""
    return f">={CUPY_LEAST}" if name == "cupy" else f"{RAPIDS_RELEASE}.*"


def package_names(name: str) -> tuple[str, ...]:
    """Distributions that hold a library: pip's for each CUDA, then conda's."""
    if name in _WITHOUT_CUDA_IN_THEIR_NAME:
        return (name,)
    ending = "-cuda{}x" if name == "cupy" else "-cu{}"
    return (*(name + ending.format(major) for major in CUDA_MAJORS), name)


def installed_libraries() -> dict[str, Library]:
    """Libraries of RAPIDS that are installed, by name."""
    found = {}
    for name in (*NEEDED, *MULTI_GPU):
        for package in package_names(name):
            try:
                # Damaged metadata has no version.
                told = str(version(package))
            except PackageNotFoundError:
                continue
            found[name] = Library(package, told, supported_versions(name), _is_supported(name, told))
            break
    return found


def _is_supported(name: str, told: str) -> bool:
    numbers = _numbers(told)
    if name == "cupy":
        return numbers[:1] >= (int(CUPY_LEAST),)
    return numbers == _numbers(RAPIDS_RELEASE)


def _library_problem(libraries: Mapping[str, Library], driver: Driver) -> str | None:
    """What hinders the libraries, or None."""
    majors = [major for major in CUDA_MAJORS if major <= driver.cuda_major]
    if not majors:
        return (
            f"the NVIDIA driver runs CUDA {driver.cuda_major}, but RAPIDS {RAPIDS_RELEASE} needs "
            f"{min(CUDA_MAJORS)} or newer: update the driver"
        )
    install = f"install gpuseg with its extra gpu-cu{majors[0]}, or by conda-env.yml"
    missing = [name for name in NEEDED if name not in libraries]
    if missing:
        return f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed: {install}"
    for name in NEEDED:
        library = libraries[name]
        if not library.is_supported:
            return f"{library.package} {library.version} is installed, {library.supported} is supported: {install}"
    return _cuda_problem(libraries, driver, install)


def _cuda_problem(libraries: Mapping[str, Library], driver: Driver, install: str) -> str | None:
    """What hinders libraries of supported versions on this driver and its first GPU, or None."""
    found = (re.search(r"-cu(?:da)?(\d+)", libraries[name].package) for name in NEEDED)
    majors = sorted({int(one[1]) for one in found if one})
    if len(majors) > 1:
        return f"libraries for CUDA {' and '.join(map(str, majors))} are mixed: {install}"
    if not majors:
        # Conda's packages, which it resolves together with the driver.
        return None
    if majors[0] > driver.cuda_major:
        package = libraries["cudf"].package
        return f"{package} needs CUDA {majors[0]}, the NVIDIA driver runs {driver.cuda_major}: {install}"
    gpu, least = driver.gpus[0], LEAST_CAPABILITY.get(majors[0], "0.0")
    if _numbers(gpu.compute_capability) < _numbers(least):
        return (
            f"{gpu.name} has compute capability {gpu.compute_capability}, "
            f"RAPIDS {RAPIDS_RELEASE} for CUDA {majors[0]} needs {least} or newer"
        )
    return None


def _numbers(told: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", told)[:2]))


def _ask_cupy() -> tuple[str | None, str | None]:
    """CUDA that CuPy runs with, and what hinders it."""
    try:
        import cupy

        if not cupy.cuda.is_available():
            return None, "CuPy sees no GPU that it can use"
        number = int(cupy.cuda.get_local_runtime_version())
    # A broken installation raises whatever its loader raises, and looking must not fail.
    except Exception as error:  # noqa: BLE001
        return None, f"CuPy cannot be loaded ({type(error).__name__}): reinstall it with the rest of RAPIDS"
    return f"{number // 1000}.{number % 1000 // 10}", None
