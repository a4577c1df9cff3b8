"""CUDA sources of the package, and NVRTC, which compiles them for a GPU that need not be there."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.rapids.world import PACKAGE

ARCHITECTURES = ("sm_80", "sm_90", "sm_100")
_KERNEL = "__global__"


def cuda_sources(folder: Path = PACKAGE) -> Iterator[tuple[str, str]]:
    """Name and text of every CUDA source: files that end in .cu, and strings in Python that hold a kernel."""
    for path in sorted(folder.rglob("*.cu")):
        yield path.name, path.read_text("utf-8")
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and _KERNEL in node.value:
                yield f"{path.name}:{node.lineno}", node.value


def compile_source(name: str, text: str, architecture: str) -> str | None:
    """The compiler's complaints, or None where it has none."""
    from cuda.bindings import nvrtc

    error, program = nvrtc.nvrtcCreateProgram(text.encode(), name.encode(), 0, [], [])
    assert not int(error), error
    options = [f"--gpu-architecture={architecture}".encode(), b"--std=c++17"]
    (failed,) = nvrtc.nvrtcCompileProgram(program, len(options), options)
    if not int(failed):
        return None
    _, size = nvrtc.nvrtcGetProgramLogSize(program)
    # The library writes into these bytes, as its own examples let it.
    log = b" " * size
    nvrtc.nvrtcGetProgramLog(program, log)
    return f"{name} for {architecture}: {log.decode(errors='replace').strip()}"
