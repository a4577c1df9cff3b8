"""The rules of docs/architecture.md that a program can check."""

import ast
import inspect
import json
import os
import pickle
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import gpuseg
from gpuseg import errors

PACKAGE = Path(gpuseg.__file__).parent
ROOT = PACKAGE.parent
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT)}

# From the bottom up; a module may import its own level and those below. The longest prefix decides.
LEVELS = [
    [
        "errors",
        "vocabulary",
        "words",
        "source_docs",
        "source_examples",
        "config",
        "config_docs",
        "config_keys",
        "config_lenses",
        "config_messages",
        "config_cluster",
        "config_dask",
        "config_parts",
        "config_rules",
        "config_sources",
        "config_yaml",
        "progress",
        "provenance",
        "rule_language",
        "rule_trees",
    ],
    ["workspace", "starter"],
    [
        "engine.base",
        "engine.program",
        "engine.expression",
        "engine.matrix",
        "engine.capabilities",
        "engine.coarse",
        "engine.opening",
        "engine.places",
        "engine.profiles",
        "engine.solver",
        "engine.spill",
        "engine.survey",
        "engine.hardware",
        "engine.driver",
        "engine.arrow",
    ],
    ["engine"],
    ["features", "matrix", "clustering"],
    ["sources", "trust", "segments", "report"],
    [
        "pipeline",
        "cutting",
        "versions",
        "attempt",
        "outcome",
        "stages",
        "stage_settings",
        "stage_table",
        "lens_stage",
        "feature_build",
        "demo",
        "synth",
    ],
    ["cli", "__main__"],
]
GPU_AND_DASK = {
    "cudf",
    "cupy",
    "cuml",
    "rmm",
    "pylibcudf",
    "raft_dask",
    "dask_cuda",
    "dask_cudf",
    "dask",
    "distributed",
}
GPU_AND_DASK |= {"distributed", "cupyx", "pylibraft", "cuvs", "ucxx"}
DATAFRAMES = {"pandas", "pyarrow", "polars", "duckdb", "cudf", "dask_cudf"}
# `import gpuseg` alone must load none of these.
HEAVY = {"pandas", "sklearn", "scipy", "numba", "pyarrow", "matplotlib", "numpy", "pydantic", "yaml", "typer", "rich"}
DATABASES = {"sqlalchemy", "adbc_driver_manager", "adbc_driver_postgresql", "psycopg", "duckdb"}
HEAVY |= {"jinja2", "fsspec", "polars"} | GPU_AND_DASK | DATABASES
MOST_LINES = 300


@dataclass(frozen=True)
class Import:
    """One import statement of a module, wherever it stands."""

    module: str
    line: int
    target: str


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imports_of(module: str, source: str, known: set[str]) -> list[Import]:
    """Imports at any depth, and those by a constant name through `import_module`."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [Import(module, node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                found.append(Import(module, node.lineno, full if full in known else str(node.module)))
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in ("import_module", "__import__") and isinstance(node.args[0].value, str):
                found.append(Import(module, node.lineno, node.args[0].value))
    return found


ALL_IMPORTS = [
    found for name, path in MODULES.items() for found in imports_of(name, path.read_text("utf-8"), set(MODULES))
]


def level_of(module: str) -> int | None:
    """Position of a module of gpuseg in LEVELS; None for one that has no place."""
    name = module.removeprefix("gpuseg.")
    places = [(len(prefix), level) for level, row in enumerate(LEVELS) for prefix in row if _within(name, prefix)]
    return max(places)[1] if places else None


def _within(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(f"{prefix}.")


def upward(found: Import) -> bool:
    # The package itself holds nothing but the version and lazy names.
    if not found.target.startswith("gpuseg.") or found.module == "gpuseg":
        return False
    source, target = level_of(found.module), level_of(found.target)
    return source is None or target is None or target > source


def root_of(name: str) -> str:
    return name.partition(".")[0]


# --- layers ---


def test_every_module_has_a_place():
    assert [name for name in MODULES if name != "gpuseg" and level_of(name) is None] == []


def test_every_place_has_a_module():
    for row in LEVELS:
        for prefix in row:
            assert any(_within(name.removeprefix("gpuseg."), prefix) for name in MODULES), prefix


def test_imports_point_downward_only():
    assert [found for found in ALL_IMPORTS if upward(found)] == []


@pytest.mark.parametrize(
    ("module", "source", "wrong"),
    [
        ("gpuseg.features.rfm", "from gpuseg.segments.model import Model", True),
        ("gpuseg.engine.program", "def f():\n    from gpuseg.engine.cpu.device import CpuDevice", True),
        ("gpuseg.engine.base", "if TYPE_CHECKING:\n    import gpuseg.config", False),
        ("gpuseg.workspace.files", "from gpuseg import pipeline", True),
        ("gpuseg.workspace.files", "from gpuseg import __version__", False),
        ("gpuseg.segments.fit", "from gpuseg.clustering.kmeans import lloyd", False),
        ("gpuseg.errors", "import_module('gpuseg.cli')", True),
        ("gpuseg.cli.app", "from gpuseg.pipeline import execute", False),
    ],
)
def test_the_rule_of_layers_itself(module, source, wrong):
    found = imports_of(module, source, set(MODULES))
    assert found
    assert any(upward(each) for each in found) is wrong


def test_only_the_pipeline_knows_the_stages():
    users = {found.module for found in ALL_IMPORTS if found.target == "gpuseg.stages"}
    assert users == {"gpuseg.pipeline", "gpuseg.stage_table", "gpuseg.lens_stage", "gpuseg.cutting"}


def test_the_seam_is_two_protocols_and_nothing_else():
    tree = ast.parse((PACKAGE / "engine" / "base.py").read_text("utf-8"))
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    assert [node.name for node in classes] == ["Device", "Executor"]
    assert all([ast.unparse(base) for base in node.bases] == ["Protocol"] for node in classes)
    assert not [node for node in tree.body if isinstance(node, ast.FunctionDef)]


# --- what may be imported where ---


def test_gpu_and_dask_stay_in_their_rooms():
    # Hardware is found by asking CuPy last, which only an import can.
    allowed = re.compile(r"gpuseg\.engine\.(gpu|dask|hardware$)")
    wrong = [f for f in ALL_IMPORTS if root_of(f.target) in GPU_AND_DASK and not allowed.match(f.module)]
    assert wrong == []


def test_features_know_no_dataframe_library():
    wrong = [
        found
        for found in ALL_IMPORTS
        if found.module.startswith("gpuseg.features") and root_of(found.target) in DATAFRAMES | {"numpy", "numba"}
    ]
    assert wrong == []


def test_features_and_clustering_do_no_input_or_output():
    rooms = ("gpuseg.features", "gpuseg.clustering")
    doors = ("gpuseg.workspace", "pathlib", "os", "io", "fsspec", "logging", "time")
    wrong = [f for f in ALL_IMPORTS if f.module.startswith(rooms) and any(_within(f.target, door) for door in doors)]
    assert wrong == []


def test_no_hardware_is_chosen_outside_the_engine():
    """No `try: import cudf`, and no device classes but through `open_engine`."""
    wrong = [
        found
        for found in ALL_IMPORTS
        if re.match(r"gpuseg\.engine\.(cpu|gpu|local|dask)", found.target)
        and not found.module.startswith("gpuseg.engine")
    ]
    # The estimator may be used without a run, and then works on the processor it is called on.
    assert {found.module for found in wrong} <= {"gpuseg.clustering.segmenter"}


def test_nothing_is_pickled():
    wrong = [found for found in ALL_IMPORTS if root_of(found.target) in {"pickle", "cloudpickle", "joblib", "shelve"}]
    assert wrong == []


@pytest.mark.parametrize("name", sorted(MODULES))
def test_only_the_command_line_prints(name):
    calls = [
        node
        for node in ast.walk(ast.parse(MODULES[name].read_text("utf-8")))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "print"
    ]
    assert calls == [] or name.startswith("gpuseg.cli")


@pytest.mark.parametrize("name", sorted(MODULES))
def test_files_are_small(name):
    assert len(MODULES[name].read_text("utf-8").splitlines()) <= MOST_LINES


# --- the public names ---


def test_all_is_what_there_is():
    assert dir(gpuseg) == sorted(gpuseg.__all__)
    assert len(set(gpuseg.__all__)) == len(gpuseg.__all__)
    for name in gpuseg.__all__:
        assert getattr(gpuseg, name) is not None


def test_names_come_from_their_homes():
    from gpuseg.clustering.segmenter import Segmenter
    from gpuseg.pipeline import run
    from gpuseg.segments.model import Model, load
    from gpuseg.segments.run import Run

    assert (gpuseg.Segmenter, gpuseg.run, gpuseg.Model, gpuseg.load, gpuseg.Run) == (Segmenter, run, Model, load, Run)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'gpuseg' has no attribute 'runn'"):
        _ = gpuseg.runn


def test_names_for_type_checkers_are_the_lazy_names():
    tree = ast.parse((PACKAGE / "__init__.py").read_text("utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    typed = {alias.name: node.module for node in block.body for alias in node.names}
    assert typed == gpuseg._HOME
    assert {*typed, "__version__"} == set(gpuseg.__all__)


def loaded_by(statement: str) -> set[str]:
    """Modules that a fresh interpreter has loaded after a statement and not before."""
    code = f"import json, sys; old = set(sys.modules); {statement}; print(json.dumps(sorted(set(sys.modules) - old)))"
    told = subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, text=True, check=True)
    return set(json.loads(told.stdout))


def test_a_cold_import_loads_almost_nothing():
    loaded = loaded_by("import gpuseg")
    assert "gpuseg" in loaded
    assert {root_of(name) for name in loaded} & HEAVY == set()
    assert len(loaded) < 25


def test_dir_and_all_load_nothing():
    loaded = loaded_by("import gpuseg; dir(gpuseg); gpuseg.__all__; gpuseg.__version__")
    assert {name for name in loaded if name.startswith("gpuseg.")} == set()


def test_a_name_loads_its_home():
    loaded = loaded_by("import gpuseg; gpuseg.Model")
    assert "gpuseg.segments.model" in loaded
    assert "gpuseg.pipeline" not in loaded


def test_help_needs_no_numbers():
    """`gpuseg --help` and a usage error answer without loading what computes."""
    loaded = loaded_by("from gpuseg.cli import main; import gpuseg.cli.app")
    heavy = {"numpy", "pandas", "pyarrow", "sklearn", "scipy", "numba", "matplotlib", "pydantic"}
    assert {root_of(name) for name in loaded} & (heavy | GPU_AND_DASK) == set()


def test_a_run_loads_no_gpu_library_and_no_driver():
    loaded = loaded_by("import gpuseg.pipeline, gpuseg.engine.cpu.device")
    assert {root_of(name) for name in loaded} & (GPU_AND_DASK | DATABASES | {"matplotlib", "polars"}) == set()


# --- errors ---

ERRORS = [value for _, value in inspect.getmembers(errors, inspect.isclass) if issubclass(value, errors.GpusegError)]


def test_the_tree_that_is_drawn_is_the_tree():
    drawn = {}
    for line in errors.__doc__.splitlines():
        found = re.match(r"[│├└─ ]*([A-Z]\w+)(?: \(ValueError\))? +(\d) +([\w-]+)$", line)
        if found:
            drawn[found[1]] = (int(found[2]), found[3], "(ValueError)" in line)
    raised = {
        error.__name__: (error.exit_code, error.code, ValueError in error.__bases__)
        for error in ERRORS
        if error is not errors.GpusegError
    }
    below = {name: row for name, row in raised.items() if not row[2]}
    assert {name: drawn[name] for name in raised} == raised
    assert below


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_errors_survive_a_process_boundary(error):
    again = pickle.loads(pickle.dumps(error("what, where; what next")))
    assert type(again) is error
    assert str(again) == "what, where; what next"
    assert again.exit_code == error.exit_code


def test_codes_are_distinct():
    codes = [error.code for error in ERRORS]
    assert len(set(codes)) == len(codes)


def test_a_run_loads_neither_pandas_nor_scikit_learn(tmp_path):
    """Both cost a good part of a second; Arrow imports pandas for the smallest of Python objects."""
    at = pa.array([1_740_823_200_000_000 + n for n in range(40)], pa.timestamp("us"))
    lines = {"profile_id": list(range(40)), "at": at, "amount": [n / 2 for n in range(40)], "category": ["a", "b"] * 20}
    pq.write_table(pa.table(lines), tmp_path / "lines.parquet")
    config = {
        "run": {"out": str(tmp_path / "run"), "as_of": "2025-04-01"},
        "sources": [{"name": "shop", "kind": "purchases", "uri": str(tmp_path / "lines.parquet")}],
        "cluster": {"segments": 3},
    }
    code = "import sys, json; from gpuseg.pipeline import execute, read_config; "
    code += "execute(read_config(json.loads(sys.argv[1])), until='assign'); print(*sorted(sys.modules))"
    command = [sys.executable, "-c", code, json.dumps(config)]
    told = subprocess.run(command, capture_output=True, text=True, check=True, env=ENVIRONMENT)
    assert {"pandas", "sklearn", "matplotlib"}.isdisjoint(told.stdout.split())
