"""Writes `signatures.json` from the real wheels of RAPIDS, which need no GPU for this.

Run by `make test-rapids` in an environment that has them. It takes the signature of every name that
`tests/rapids/exercise.py` makes the GPU device ask for, and the public names of the modules and classes that stand-ins
stand for.
"""

import ast
import importlib
import inspect
import json
import os
import re
import sys
import types
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
TABLE = Path(__file__).with_name("signatures.json")
OWNERS = (
    "cupy",
    "cupy.ndarray",
    "cupy.cuda",
    "cupy.cuda.runtime",
    "cupy.cuda.memory",
    "cudf",
    "cudf.DataFrame",
    "cudf.Series",
    "cudf.Index",
    "cudf.MultiIndex",
    "cudf.core.groupby.groupby.DataFrameGroupBy",
    "cudf.core.groupby.groupby.SeriesGroupBy",
    "cudf.core.accessors.string.StringMethods",
    "cudf.core.accessors.categorical.CategoricalAccessor",
    "cuml",
    "cuml.cluster",
    "cuml.cluster.KMeans",
    "cuml.cluster.HDBSCAN",
    "cuml.neighbors",
    "cuml.neighbors.NearestNeighbors",
    "cuml.dask",
    "cuml.dask.cluster",
    "cuml.dask.cluster.KMeans",
    "dask_cuda",
    "dask_cuda.LocalCUDACluster",
    "rmm",
    "rmm.mr",
    "rmm.mr.CudaAsyncMemoryResource",
    "rmm.mr.CudaMemoryResource",
    "rmm.mr.ManagedMemoryResource",
    "rmm.mr.PoolMemoryResource",
    "rmm.mr.StatisticsResourceAdaptor",
    "rmm.allocators",
    "rmm.allocators.cupy",
)
PASSED_ON = {
    "cuml.dask.cluster.KMeans": "cuml.cluster.KMeans",
    "dask_cuda.LocalCUDACluster": "distributed.LocalCluster",
}
"""Classes that hand keywords which they do not name to another one."""

UFUNC = ["x1", "x2", "out=", "dtype=", "casting="]


def resolve(name: str) -> Any:
    """The object of a dotted name."""
    first, *rest = name.split(".")
    found, path = importlib.import_module(first), first
    for part in rest:
        path = f"{path}.{part}"
        try:
            found = getattr(found, part)
        except AttributeError:
            found = importlib.import_module(path)
    return found


def parameters_of(name: str) -> tuple[list[str], str]:
    """Parameters of a callable as `tests.rapids.binding` reads them, and where they were found.

    Methods come without the object itself.
    """
    value = resolve(name)
    owner = resolve(name.rpartition(".")[0])
    if isinstance(value, importlib.import_module("cupy").ufunc):
        return [*UFUNC[: value.nin], "/", *UFUNC[2:3], "*", *UFUNC[3:]], "ufunc"
    try:
        found = list(inspect.signature(value).parameters.values())
        # A method taken from its class still asks for the object.
        if inspect.isclass(owner) and found and found[0].name == "self":
            found = found[1:]
        further = _passed_on(name, {one.name for one in found})
        # They stand before the **keywords that stood for them.
        return shortened([*found[: len(found) - bool(further)], *further, *found[-1:] * bool(further)]), "signature"
    except (ValueError, TypeError):
        pass
    for source, told in (("stub", from_stub(value)), ("docstring", from_docstring(value))):
        if told is not None:
            return told, source
    raise LookupError(f"{name}: no signature, stub or docstring tells its parameters")


def _passed_on(name: str, known: set[str]) -> list[inspect.Parameter]:
    """Parameters that a class takes for another one."""
    if name not in PASSED_ON:
        return []
    others = inspect.signature(resolve(PASSED_ON[name])).parameters.values()
    named = [one for one in others if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)]
    return [one.replace(kind=one.KEYWORD_ONLY) for one in named if one.name not in known]


def shortened(parameters: list[inspect.Parameter]) -> list[str]:
    """The short form of parameters; see `parameters_of`."""
    found: list[str] = []
    for place, one in enumerate(parameters):
        before = parameters[place - 1].kind if place else None
        if one.kind is one.VAR_POSITIONAL:
            found.append(f"*{one.name}")
            continue
        if one.kind is one.VAR_KEYWORD:
            found.append(f"**{one.name}")
            continue
        if before is one.POSITIONAL_ONLY and one.kind is not one.POSITIONAL_ONLY:
            found.append("/")
        if one.kind is one.KEYWORD_ONLY and before not in (one.KEYWORD_ONLY, one.VAR_POSITIONAL):
            found.append("*")
        found.append(one.name if one.default is one.empty else f"{one.name}=")
    return [*found, "/"] if parameters and parameters[-1].kind is inspect.Parameter.POSITIONAL_ONLY else found


def from_docstring(value: Any) -> list[str] | None:
    """Parameters by the first line of a docstring, as Cython writes it, without the object itself."""
    found = re.match(r"[\w.]+\((.*?)\)(?:\s*->.*)?$", (inspect.getdoc(value) or "").partition("\n")[0])
    if found is None:
        return None
    short = []
    for part in re.split(r",(?![^(\[]*[)\]])", found[1]):
        told, equals, _ = part.strip().partition("=")
        if told:
            # A type of C may stand before the name.
            short.append(told.split()[-1] + equals)
    return [name for name in short if name != "self"]


def from_stub(value: Any) -> list[str] | None:
    """Parameters of a class by the type stub beside its module."""
    module = sys.modules.get(getattr(value, "__module__", None) or "")
    if not inspect.isclass(value) or not getattr(module, "__file__", None):
        return None
    path = Path(str(module.__file__))
    stub = path.with_name(f"{path.name.partition('.')[0]}.pyi")
    if not stub.exists():
        return None
    for node in ast.walk(ast.parse(stub.read_text("utf-8"))):
        if isinstance(node, ast.ClassDef) and node.name == value.__name__:
            for member in node.body:
                if isinstance(member, ast.FunctionDef) and member.name == "__init__":
                    made = f"def f({ast.unparse(member.args)}): ..."
                    names: dict[str, Any] = {}
                    exec(re.sub(r": (?:[^,=()\[\]]|\[[^\]]*\])+(?=[,=)])", "", made), names)
                    return shortened(list(inspect.signature(names["f"]).parameters.values())[1:])
    return None


def public_names(owner: str) -> list[str]:
    """Names that an owner has, without those that begin with an underscore."""
    found = {name for name in dir(resolve(owner)) if not name.startswith("_")}
    # Modules that are loaded only on demand are no less there.
    found |= {name.rpartition(".")[2] for name in sys.modules if name.rpartition(".")[0] == owner}
    if owner.startswith("cuml.dask.") and owner in PASSED_ON:
        # A fit over workers hands out what each of them fitted.
        found |= fitted_names(resolve(PASSED_ON[owner]))
    return sorted(name for name in found | fitted_names(resolve(owner)) if not name.startswith("_"))


def fitted_names(value: Any) -> set[str]:
    """What a fit of cuML sets, by the source that lies beside the compiled module."""
    module = sys.modules.get(getattr(value, "__module__", None) or "")
    if not inspect.isclass(value) or not value.__module__.startswith("cuml.") or module is None:
        return set()
    file = Path(str(module.__file__))
    source = file if file.suffix == ".py" else file.with_name(f"{file.name.partition('.')[0]}.pyx")
    return set(re.findall(r"^ +self\.([a-z]\w*_)\b(?=.*=)", source.read_text("utf-8"), re.MULTILINE))


def collected(names: set[str]) -> dict[str, Any]:
    """The table for the names that were asked for."""
    callables = {}
    for name in sorted(names):
        if callable(resolve(name)) and not isinstance(resolve(name), types.ModuleType):
            parameters, source = parameters_of(name)
            callables[name] = {"parameters": ", ".join(parameters), "source": source}
    packages = ("cudf-cu13", "cuml-cu13", "rmm-cu13", "cupy-cuda13x", "dask-cuda", "raft-dask-cu13")
    return {
        "versions": {package: version(package) for package in packages},
        "callables": callables,
        "attributes": {owner: public_names(owner) for owner in OWNERS},
    }


def written(table: dict[str, dict[str, Any]]) -> str:
    """The table as JSON, with one line an entry."""
    parts = []
    for section, entries in table.items():
        lines = [f"  {json.dumps(name)}: {json.dumps(entry)}" for name, entry in entries.items()]
        parts.append(f' "{section}": {{\n' + ",\n".join(lines) + "\n }")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def main() -> None:
    """Exercise the device over stand-ins that know what RAPIDS has, and write the table."""
    os.environ["RAPIDS_NO_INITIALIZE"] = "1"
    # Another package named `tests` may be installed.
    package = types.ModuleType("tests")
    package.__path__ = [str(ROOT / "tests")]
    sys.modules["tests"] = package
    for name in ("rmm.mr", "rmm.allocators.cupy", "cuml.cluster", "cuml.neighbors", "cudf", "cuml.dask", "dask_cuda"):
        importlib.import_module(name)
    from tests.rapids.exercise import exercise

    attributes = {owner: set(public_names(owner)) for owner in OWNERS}
    calls = exercise(attributes).calls
    table = collected({call.name for call in calls})
    TABLE.write_text(written(table), encoding="utf-8")
    print(f"{len(table['callables'])} signatures, {len(calls)} calls")


if __name__ == "__main__":
    main()
