"""Kernels that note how they are launched, so that the launch alone can be made again and timed."""

from collections.abc import Callable
from typing import Any

from gpu_kernels_world import SUMS, Centers, World

from gpuseg.engine.gpu.lloyd_kernel import LloydKernels, Wanted
from gpuseg.engine.gpu.shapes import Shape

WHOLE = "assign"
"""The kernel that makes a whole pass."""


class Watched(LloydKernels):
    """Kernels of any source.

    Parameters
    ----------
    world : World
    source : str
    """

    def __init__(self, world: World, source: str) -> None:
        super().__init__(world.libraries)
        self.launched: dict[str, tuple[Any, ...]] = {}
        self._source = source

    def _kernel(self, shape: Shape, name: str) -> tuple[Any, int]:
        if shape not in self._modules:
            self._modules[shape] = self.cupy.RawModule(code=self._source, options=shape.options)
        kernel, n_registers = super()._kernel(shape, name)
        return _Noting(kernel, name, self.launched), n_registers

    def again(
        self, rows: Any, centers: Centers, shape: Shape, wanted: Wanted = SUMS
    ) -> tuple[Callable[[], None], dict[str, Any]]:
        """What makes the launch of a whole pass again, and how it is made: room taken, scales chosen, nothing fetched.

        Sums add up from launch to launch.
        """
        self.run(rows, centers, shape, 0, wanted)
        kernel, grid, block, arguments, shared_bytes = self.launched[WHOLE]
        made = {"registers": int(kernel.num_regs), "shared_bytes": shared_bytes, "threads": block[0], "blocks": grid[0]}
        # Registers that did not fit.
        made["local_bytes"] = getattr(kernel, "local_size_bytes", None)
        return lambda: kernel(grid, block, arguments, shared_mem=shared_bytes), made


class _Noting:
    """A kernel that notes its launch; what is set on it is set on the kernel."""

    _kernel: Any
    _name: str
    _noted: dict[str, tuple[Any, ...]]

    def __init__(self, kernel: Any, name: str, noted: dict[str, tuple[Any, ...]]) -> None:
        vars(self).update(_kernel=kernel, _name=name, _noted=noted)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._kernel, name, value)

    def __call__(self, grid: Any, block: Any, arguments: Any, *, shared_mem: int) -> None:
        self._noted[self._name] = self._kernel, grid, block, arguments, shared_mem
        self._kernel(grid, block, arguments, shared_mem=shared_mem)
