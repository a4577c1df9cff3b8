"""pandas for cuDF, NumPy for CuPy, scikit-learn for cuML: libraries on which the GPU device runs without a GPU.

They agree with RAPIDS where `tests/rapids/signatures.json` and the documentation of RAPIDS 26.10 say so; that a GPU
does the same is not shown by them.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gpuseg.engine.gpu.libraries import Libraries
from tests.rapids.cudf_twin import CUDF, CUDF_TYPES, cudf_module
from tests.rapids.cuml_twin import CUML_TYPES, cuml_module, rmm_module
from tests.rapids.cupy_twin import CUPY, CUPY_TYPES, cupy_module
from tests.rapids.dask_twin import dask_cuda_module
from tests.rapids.proxies import Module
from tests.rapids.world import Call, World

TABLE = Path(__file__).with_name("signatures.json")

RECORDED: set[Call] = set()
"""Every call that any stand-in of this process has seen."""

NAMES: set[str] = set()
"""Every name that any of them was asked for."""


def known_attributes() -> dict[str, set[str]]:
    """Public names of the modules and classes of RAPIDS, from the committed table."""
    if not TABLE.exists():
        return {}
    listed: Mapping[str, list[str]] = json.loads(TABLE.read_text("utf-8"))["attributes"]
    return {owner: set(names) for owner, names in listed.items()}


def stand_ins(attributes: Mapping[str, set[str]] | None = None, *, cupy: Any = None) -> Libraries:
    """Libraries for `GpuDevice`.

    Parameters
    ----------
    attributes : mapping of str to set of str, optional
        What RAPIDS has; the committed table by default.
    cupy : object, optional
        In place of `cupy_module()`.
    """
    world = _world(attributes)
    made: dict[str, Any] = {
        "cupy": cupy or cupy_module(),
        "cudf": cudf_module(),
        "cuml": cuml_module(),
        "rmm": rmm_module(),
    }
    return Libraries(**{name: Module(world, name, module) for name, module in made.items()})


def dask_cuda(attributes: Mapping[str, set[str]] | None = None) -> Module:
    """The module `dask_cuda`; `attributes` as for `stand_ins`."""
    return Module(_world(attributes), "dask_cuda", dask_cuda_module())


def _world(attributes: Mapping[str, set[str]] | None) -> World:
    return World(
        attributes=known_attributes() if attributes is None else attributes,
        types=CUPY_TYPES | CUDF_TYPES | CUML_TYPES,
        replaced=CUPY | CUDF,
        calls=RECORDED,
        names=NAMES,
    )
