"""The versions of a run: which there are, where each came from, and which one is current."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gpuseg.config_messages import nearest
from gpuseg.errors import ConfigError, IntegrityError
from gpuseg.workspace.files import read_json
from gpuseg.workspace.run_directory import RunDirectory
from gpuseg.workspace.version import Version


@dataclass(frozen=True)
class Told:
    """What is told of one version.

    Parameters
    ----------
    version : str
        Such as "v0001".
    is_current : bool
    state : {"finished", "unfinished", "damaged"}
        A damaged one has a manifest or cards that cannot be read; `gpuseg verify` checks every file.
    created_at : str or None
        ISO 8601, UTC; this and all that follows is None of a version that is not finished, or damaged.
    as_of : str or None
    method : str or None
    n_segments : int or None
    n_profiles : int or None
    cut_of : str or None
        The version whose merge tree it was cut from, where it is a cut.
    """

    version: str
    is_current: bool
    state: str
    created_at: str | None = None
    as_of: str | None = None
    method: str | None = None
    n_segments: int | None = None
    n_profiles: int | None = None
    cut_of: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self)


def history(path: str | Path) -> list[Told]:
    """All versions of a run, oldest first.

    Parameters
    ----------
    path : str or Path
        The run directory, or a version's folder in it.

    Raises
    ------
    IntegrityError
        If no run is kept there.
    """
    directory = _directory(path)
    try:
        current = directory.current()
    except IntegrityError:
        # Whoever mends it needs the names.
        current = None
    name = None if current is None else current.name
    return [_told(version, is_current=version.name == name) for version in directory.versions()]


def roll_back(path: str | Path, to: str | None = None) -> Version:
    """Make an earlier version the current one; all versions stay.

    Parameters
    ----------
    path : str or Path
        The run directory, or the folder of a version in it, which is then meant.
    to : str, optional
        Name of the version; by default the finished one before the current in number. A name also mends a damaged
        `CURRENT`.

    Returns
    -------
    Version
        What is current now.

    Raises
    ------
    ConfigError
        If there is no such version, none before the current one, or it is not finished.
    IntegrityError
        If no run is kept there, or a file of the version is not the one that was committed.
    WorkspaceError
        If another process is writing to the run, or `CURRENT` cannot be written.
    """
    directory = _directory(path)
    root = Path(path).absolute()
    if to is None and root != directory.root:
        to = root.name
    with directory.locked():
        # A name also mends a `CURRENT` that is damaged.
        version = _before(directory) if to is None else _named(directory, to)
        version.verify()
        directory.point_to(version)
    return version


def _directory(path: str | Path) -> RunDirectory:
    root = Path(path).absolute()
    if not (root / "CURRENT").exists() and (root.parent / "CURRENT").exists() and RunDirectory.is_version(root.name):
        root = root.parent
    directory = RunDirectory(root)
    if not directory.versions():
        raise IntegrityError(f"{path}: no run is kept here")
    return directory


def _named(directory: RunDirectory, name: str) -> Version:
    found = {version.name: version for version in directory.versions()}
    if name not in found:
        raise ConfigError(f"--to {name}: the versions are {', '.join(found)}{nearest(name, list(found))}")
    if not found[name].is_complete:
        raise ConfigError(f"--to {name}: is not finished; `gpuseg run --resume` finishes it")
    return found[name]


def _before(directory: RunDirectory) -> Version:
    current = directory.current()
    if current is None:
        raise IntegrityError(f"{directory.root}: no version is current; {directory.cure()}")
    finished = [version for version in directory.versions() if version.is_complete]
    earlier = [version for version in finished if int(version.name[1:]) < int(current.name[1:])]
    if not earlier:
        raise ConfigError(
            f"{directory.root}: {current.name} is current and no version is before it; "
            "--to VERSION makes another current"
        )
    return earlier[-1]


def _told(version: Version, *, is_current: bool) -> Told:
    if not version.is_complete:
        return Told(version.name, is_current, "unfinished")
    try:
        manifest, segments = version.manifest(), read_json(version.path / "segments.json")
        return Told(
            version.name,
            is_current,
            "finished",
            manifest["created_at"],
            manifest["config"]["run"]["as_of"],
            segments["method"],
            segments["n_segments"],
            segments["n_profiles"],
            manifest.get("cut_of"),
        )
    except (IntegrityError, KeyError, TypeError, AttributeError):
        return Told(version.name, is_current, "damaged")


def history_text(told: list[Told]) -> str:
    """The versions as a table, an asterisk at the current one."""
    rows = [("", "version", "made", "as of", "method", "segments", "profiles", "from")]
    for each in told:
        mark = "*" if each.is_current else ""
        if each.state != "finished":
            rows.append((mark, each.version, each.state, "", "", "", "", ""))
            continue
        made = str(each.created_at)[:16].replace("T", " ")
        origin = f"cut of {each.cut_of}" if each.cut_of else ""
        numbers = (f"{each.n_segments:,}", f"{each.n_profiles:,}")
        rows.append((mark, each.version, made, str(each.as_of), str(each.method), *numbers, origin))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    aligned = [
        "  ".join(
            word.rjust(width) if column in (5, 6) else word.ljust(width)
            for column, (word, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    return "\n".join(line.rstrip() for line in aligned)
