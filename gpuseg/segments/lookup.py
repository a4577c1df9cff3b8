"""Finds one profile of a finished run: its id's hash tells the only bucket that can hold it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gpuseg.engine import open_engine
from gpuseg.engine.arrow import as_arrow, as_numpy, text_arrow
from gpuseg.errors import DataError, IntegrityError
from gpuseg.workspace.files import read_table
from gpuseg.workspace.version import FileRecord, Version

_WHOLE = re.compile(r"-?[0-9]{1,19}")


@dataclass(frozen=True)
class Found:
    """What a run holds of one profile.

    Parameters
    ----------
    assignment : mapping
        Its row of the assignments.
    features : Arrow table
        Its row of the features, no row where it has no events.
    """

    assignment: Mapping[str, Any]
    features: pa.Table


def find_profile(version: Version, profile_id: int | str, *, below: str = "") -> Found:
    """Read a profile's rows from its bucket.

    Parameters
    ----------
    version : Version
        A finished one.
    profile_id : int or str
        Whole-number ids may be given as text.
    below : str, optional
        The folder of a lens, whose assignments are meant.

    Raises
    ------
    DataError
        If the run knows no such profile.
    IntegrityError
        If a file of the bucket is missing or differs from the committed one.
    """
    manifest = version.manifest()
    records = [FileRecord(**file) for file in manifest["files"]]
    folder = str(PurePosixPath(below) / "assignments")
    first = next((each.path for each in records if each.path.startswith(f"{folder}/")), None)
    if first is None:
        raise IntegrityError(f"{version.path / folder}: holds no tables")
    kind = read_table(version.path / first, ["profile_id"]).schema.field("profile_id").type
    ids = _as_ids(profile_id, kind)
    if ids is None:
        raise _unknown(version, kind)
    # One id is hashed; no GPU is worth waking for it.
    with open_engine(engine="cpu") as engine:
        bucket = int(engine.device.hash_ids(ids, 0)[0]) % int(manifest["n_buckets"])
    mine = {
        PurePosixPath(each.path).parent.name: each
        for each in records
        if str(PurePosixPath(each.path).parent) in (folder, "features") and _is_bucket(each.path, bucket)
    }
    version.check(list(mine.values()))
    rows = {name: _row(version, record, ids) for name, record in mine.items()}
    if "assignments" not in rows or not rows["assignments"].num_rows:
        raise _unknown(version, kind)
    assignment: dict[str, Any] = rows["assignments"].to_pylist()[0]
    return Found(assignment, rows.get("features", pa.table({})))


def _unknown(version: Version, kind: pa.DataType) -> DataError:
    what = "whole numbers" if pa.types.is_integer(kind) else "text, compared byte for byte"
    return DataError(f"{version.path}: no profile of this run has the id given; its ids are {what}")


def _as_ids(profile_id: int | str, kind: pa.DataType) -> pa.Array | None:
    """The id as a column of the run's type, None where it cannot be one."""
    if pa.types.is_integer(kind):
        number = int(profile_id) if _WHOLE.fullmatch(str(profile_id)) else None
        if number is None or not -(2**63) <= number < 2**63:
            return None
        return as_arrow(np.array([number], np.int64))
    try:
        return text_arrow([profile_id]).cast(kind) if isinstance(profile_id, str) else None
    except UnicodeEncodeError:
        return None


def _is_bucket(path: str, bucket: int) -> bool:
    file = PurePosixPath(path)
    return file.suffix == ".parquet" and int(file.stem) == bucket


def _row(version: Version, record: FileRecord, ids: pa.Array) -> pa.Table:
    table = read_table(version.path / record.path)
    place = pc.index_in(ids, value_set=table["profile_id"].combine_chunks())
    return table.slice(0, 0) if place.null_count else table.slice(int(as_numpy(place)[0]), 1)
