"""What a manifest says besides its files: where a version came from and what made it."""

import datetime as dt
import hashlib
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from gpuseg import __version__
from gpuseg.config import Config, as_json


def library_versions(names: Sequence[str]) -> dict[str, str | None]:
    """Installed version of each distribution, None where it is missing."""
    found: dict[str, str | None] = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def config_digest(config: Config) -> str:
    """Hex SHA-256 of a configuration, every default filled in."""
    return hashlib.sha256(as_json(config).encode()).hexdigest()


LIBRARIES = ("numpy", "pandas", "pyarrow", "scipy", "scikit-learn", "numba")


def provenance(
    config: Config, *, version_name: str, device: str, inputs: Mapping[str, Sequence[str]], n_buckets: int, tzdata: str
) -> dict[str, Any]:
    """Facts for the manifest, as JSON values.

    Parameters
    ----------
    config : Config
    version_name : str
    device : str
        Name of the device that did the work.
    inputs : mapping of source name to files
    n_buckets : int
    tzdata : str
        Version of the time zone database.
    """
    return {
        "format": 1,
        "gpuseg": __version__,
        "version": version_name,
        "name": config.run.name,
        "created_at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "device": device,
        "executor": config.run.executor,
        "seed": config.run.seed,
        "config": config.model_dump(mode="json"),
        "config_sha256": config_digest(config),
        "python": platform.python_version(),
        "libraries": library_versions(LIBRARIES),
        "tzdata": tzdata,
        "inputs": {source: list(files) for source, files in inputs.items()},
        "n_buckets": n_buckets,
    }
