"""CUDA sources of the package, and NVRTC, which compiles them for a GPU that need not be there."""

import ast
from collections.abc import Iterator, Sequence
from pathlib import Path

from gpuseg.engine.gpu import lloyd_kernel, spanning
from gpuseg.engine.gpu.shapes import Shape
from tests.rapids.world import PACKAGE

ARCHITECTURES = ("sm_80", "sm_90", "sm_100")
_KERNEL = "__global__"


LLOYD = [
    Shape(n_features, warps, stages, coarse or n_features % 4 == 0, with_second, coarse)
    for coarse in (False, True)
    for n_features, warps, stages in [(1, 16, 3), (7, 16, 3), (16, 16, 3), (32, 16, 3), (64, 8, 3), (128, 4, 2)]
    for with_second in (False, True)
]
"""Forms of the kernels of `assign_accumulate`."""


def programs() -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Name, text and options of what the package compiles; of kernels with many forms, some."""
    for shape in LLOYD:
        yield "lloyd.cu", lloyd_kernel.source(), shape.options
    yield "spanning.cu", spanning.source(), spanning.options()
    for name, text in cuda_strings():
        yield name, text, ("-std=c++17",)


def cuda_strings(folder: Path = PACKAGE) -> Iterator[tuple[str, str]]:
    """Place and text of every string in Python that holds a kernel."""
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and _KERNEL in node.value:
                yield f"{path.name}:{node.lineno}", node.value


def compile_source(name: str, text: str, architecture: str, options: Sequence[str] = ()) -> str | None:
    """The compiler's complaints, or None where it has none."""
    from cuda.bindings import nvrtc

    error, program = nvrtc.nvrtcCreateProgram(text.encode(), name.encode(), 0, [], [])
    assert not int(error), error
    told = [f"--gpu-architecture={architecture}".encode(), *(option.encode() for option in options)]
    (failed,) = nvrtc.nvrtcCompileProgram(program, len(told), told)
    if not int(failed):
        return None
    _, size = nvrtc.nvrtcGetProgramLogSize(program)
    # The library writes into these bytes, as its own examples let it.
    log = b" " * size
    nvrtc.nvrtcGetProgramLog(program, log)
    return f"{name} for {architecture}: {log.decode(errors='replace').strip()}"
