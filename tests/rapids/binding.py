"""Binds calls to the committed table of signatures, and finds the calls in a source that have to be exercised."""

import ast
import builtins
import inspect
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from tests.rapids.world import PACKAGE, Call

TABLE = Path(__file__).with_name("signatures.json")
LIBRARIES = {"cupy", "cudf", "cuml", "rmm", "pylibcudf", "libraries", "cupyx", "dask_cuda"}


@lru_cache(maxsize=1)
def signatures() -> dict[str, str]:
    """Dotted name to its parameters in RAPIDS."""
    listed = json.loads(TABLE.read_text("utf-8"))["callables"]
    return {name: entry["parameters"] for name, entry in listed.items()}


def signature_of(parameters: str) -> inspect.Signature:
    """A signature from its short form.

    Parameters
    ----------
    parameters : str
        Names with commas between: "a" must be given, "a=" may, "*" stands before those by keyword only, "/" after those
        by position only, "*a" for any number of positions. "**a" is left out: a keyword that is not named is refused,
        though the library might swallow it.
    """
    found: list[inspect.Parameter] = []
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    for word in filter(None, parameters.split(", ")):
        name, equals, _ = word.partition("=")
        if word == "/":
            found = [one.replace(kind=one.POSITIONAL_ONLY) for one in found]
        elif word.startswith("*"):
            if word.strip("*") and not word.startswith("**"):
                found.append(inspect.Parameter(word[1:], inspect.Parameter.VAR_POSITIONAL))
            kind = inspect.Parameter.KEYWORD_ONLY
        else:
            default = None if equals else inspect.Parameter.empty
            found.append(inspect.Parameter(name, kind, default=default))
    return inspect.Signature(found)


def problem_of(call: Call) -> str | None:
    """Why RAPIDS would refuse a call, or None."""
    where = f"{call.file}:{call.line}: {call.name}"
    parameters = signatures().get(call.name)
    if parameters is None:
        return f"{where}: not in signatures.json; run make test-rapids"
    try:
        signature_of(parameters).bind(*[None] * call.n_positional, **dict.fromkeys(call.keywords))
    except TypeError as error:
        return f"{where}({parameters}): {error}"
    return None


@dataclass(frozen=True)
class Site:
    """A call in the source that may be one on a library.

    Parameters
    ----------
    file : str
        Relative to the package.
    line : int
    end : (int, int)
    text : str
    """

    file: str
    line: int
    end: tuple[int, int]
    text: str


def call_sites(file: Path) -> list[Site]:
    """Calls in a file that may be on a library: all but those that plainly are not."""
    tree = ast.parse(file.read_text("utf-8"))
    defined = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    plain = defined | set(_imported(tree)) - LIBRARIES | set(dir(builtins))
    name = file.relative_to(PACKAGE).as_posix() if file.is_relative_to(PACKAGE) else file.name
    return [
        Site(name, node.lineno, (node.end_lineno or 0, node.end_col_offset or 0), ast.unparse(node))
        for node in _calls(tree)
        if not _is_plain(node.func, plain, defined)
    ]


def _imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from ((alias.asname or alias.name).partition(".")[0] for alias in node.names)


def _calls(node: ast.AST) -> Iterator[ast.Call]:
    """Calls below a node, but for decorators and what is raised."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Raise):
            continue
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and child in node.decorator_list:
            continue
        if isinstance(child, ast.Call):
            yield child
        yield from _calls(child)


def _is_plain(function: ast.expr, plain: set[str], defined: set[str]) -> bool:
    """Whether what is called surely belongs to no library."""
    if isinstance(function, ast.Name):
        return function.id in plain
    parts: list[str] = []
    while isinstance(function, ast.Attribute):
        parts.append(function.attr)
        function = function.value
    if isinstance(function, ast.Constant | ast.JoinedStr):
        return True
    if not isinstance(function, ast.Name):
        return False
    return function.id in plain or (function.id == "self" and len(parts) == 1 and parts[0] in defined)


def uncovered(files: Sequence[Path], executed: frozenset[tuple[str, tuple[int, int]]]) -> list[str]:
    """Calls that may be on a library and that nothing exercised."""
    return [
        f"{site.file}:{site.line}: {site.text}: no exercise reaches this call"
        for file in files
        for site in call_sites(file)
        if (site.file, site.end) not in executed
    ]
