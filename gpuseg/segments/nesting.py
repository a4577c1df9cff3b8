"""Two cuts of one merge tree: which segments of one are which of the other, and what both together would give away."""

from pathlib import Path
from typing import Any

from gpuseg.segments.model import Model
from gpuseg.trust.floor import exposed_wholes
from gpuseg.workspace.files import read_json


def came_from(model: Model, before: Model, folder_before: Path) -> dict[str, Any]:
    """Where the segments of a cut were in the version that it was made of.

    Parameters
    ----------
    model, before : Model
        Of the cut and of that version, over the same micro-clusters.
    folder_before : Path
        The version's folder.

    Returns
    -------
    dict
        JSON values: `version`; `finer`, whether there are more segments now; `segments`, for each of them the ids of
        those of that version that it shares profiles with: one where it is finer, else whole ones; `names` of those
        that are described there, by id as text.
    """
    cards = read_json(folder_before / "segments.json")["segments"]
    return {
        "version": folder_before.name,
        "finer": model.n_segments > before.n_segments,
        "segments": _shared(model, before),
        "names": {str(card["segment_id"]): card["name"] for card in cards},
    }


def exposed(model: Model, before: Model, folder: Path, folder_before: Path) -> list[str]:
    """A warning where two versions side by side tell of profiles that each by itself withholds.

    A published segment less its published parts is what is withheld of it, so its withheld parts must together reach
    the group floor.
    """
    mine, theirs = (read_json(path / "segments.json")["withheld"] for path in (folder, folder_before))
    sides = [(model, mine["segment_ids"]), (before, theirs["segment_ids"])]
    (fine, fine_ids), (coarse, coarse_ids) = sorted(sides, key=lambda side: -side[0].n_segments)
    floor = mine["group_floor"]
    counts: list[int] = fine.counts.tolist()
    parts = _shared(coarse, fine)
    if not exposed_wholes(parts, counts, withheld_parts=fine_ids, withheld_wholes=coarse_ids, floor=floor):
        return []
    return [
        f"{folder.name} and {folder_before.name} side by side tell of fewer than {floor} profiles that are withheld; "
        "publish only one of both"
    ]


def _shared(model: Model, other: Model) -> list[list[int]]:
    """For each segment of a cut the segments of the other cut that it shares profiles with."""
    pairs = zip(model.segment_of_micro_clusters, other.segment_of_micro_clusters, strict=True)
    found: list[list[int]] = [[] for _ in range(model.n_segments)]
    for mine, theirs in sorted({(int(mine), int(theirs)) for mine, theirs in pairs}):
        found[mine].append(theirs)
    return found
