"""The group floor: what is published of segments so small that a description would be one of persons."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt


def withheld_segments(counts: Sequence[int], floor: int) -> list[int]:
    """Segments of which nothing is published.

    Parameters
    ----------
    counts : sequence of int
        Profiles of each segment.
    floor : int
        Smallest group that may be described.

    Returns
    -------
    list of int
        Ascending: every segment below the floor, and of the others the smallest, one after the other, until all those
        withheld together reach the floor; otherwise the total less the rest would tell what was withheld
        (complementary suppression, as in Hundepool et al. 2012, Statistical Disclosure Control, 4.3).
    """
    by_size = sorted(range(len(counts)), key=lambda segment: (counts[segment], -segment))
    found = [segment for segment in by_size if counts[segment] < floor]
    for segment in by_size[len(found) :]:
        if not found or sum(counts[i] for i in found) >= floor:
            break
        found.append(segment)
    return sorted(found)


def exposed_wholes(
    parts: Sequence[Sequence[int]],
    counts: Sequence[int],
    *,
    withheld_parts: Sequence[int],
    withheld_wholes: Sequence[int],
    floor: int,
) -> list[int]:
    """Groups that, told beside a finer division of them, would tell of too few profiles that are withheld there.

    Parameters
    ----------
    parts : sequence of sequences of int
        For each whole group, the finer groups that it is made of.
    counts : sequence of int
        Profiles of each finer group.
    withheld_parts, withheld_wholes : sequence of int
        Groups of which nothing is published.
    floor : int

    Returns
    -------
    list of int
        Whole groups that are published and whose withheld parts together have fewer profiles than the floor.
    """
    found = []
    for whole, inside in enumerate(parts):
        hidden = sum(counts[part] for part in inside if part in withheld_parts)
        if whole not in withheld_wholes and 0 < hidden < floor:
            found.append(whole)
    return found


def withheld_cells(counts: npt.NDArray[np.int64], floor: int) -> npt.NDArray[np.bool_]:
    """Cells of a cross-table of two segmentations that are not published, although its row and column sums are known.

    Every small cell becomes the corner of a rectangle whose four corners are withheld. Profiles that move along its
    sides leave all sums as they are, so each corner may be any of at least `floor + 1` numbers (the hypercube method;
    Giessing and Repsilber 2002, Tools and Strategies to Protect Multiple Tables with the GHQUAR Cell Suppression
    Engine). Of all such rectangles that which withholds fewest profiles more is taken. Where there is none for a cell,
    the whole table is withheld.

    Parameters
    ----------
    counts : int64 array, shape (n_rows, n_columns)
    floor : int
        Smallest group that may be described; nobody is no group, so 0 is published where it gives nothing away.

    Returns
    -------
    bool array, shape (n_rows, n_columns)
    """
    small = (counts > 0) & (counts < floor)
    hidden = small.copy()
    for row, column in np.argwhere(small):
        # Corners next to the cell may give what it gains; the one across gives with it what they gain.
        beside = np.minimum(counts[row, :][None, :], counts[:, column][:, None])
        room = beside + np.minimum(counts[row, column], counts)
        room[row, :] = room[:, column] = -1
        shown = np.where(hidden, 0, counts)
        price = shown + shown[row, :][None, :] + shown[:, column][:, None]
        fit = room >= floor
        if not fit.any():
            return np.ones_like(hidden)
        across = np.unravel_index(np.where(fit, price, np.iinfo(np.int64).max).argmin(), counts.shape)
        hidden[np.ix_((row, across[0]), (column, across[1]))] = True
    return hidden


def floored_segments(content: Mapping[str, Any], floor: int) -> dict[str, Any]:
    """Content of `segments.json` without the segments that are withheld.

    Parameters
    ----------
    content : mapping
        With a card for every segment.
    floor : int

    Returns
    -------
    dict
        With `withheld`: the floor, how many segments and profiles are withheld, and their ids. Where fewer profiles
        than the floor have events at all, the figures over everyone are withheld too.
    """
    cards = content["segments"]
    ids = withheld_segments([card["n_profiles"] for card in cards], floor)
    hidden = {cards[place]["segment_id"] for place in ids}
    found = dict(content)
    found["segments"] = [card for card in cards if card["segment_id"] not in hidden]
    found["withheld"] = {
        "group_floor": floor,
        "n_segments": len(hidden),
        "n_profiles": sum(cards[place]["n_profiles"] for place in ids),
        "segment_ids": sorted(hidden),
    }
    merges = content.get("choice", {}).get("merges")
    if merges and hidden:
        found["choice"] = content["choice"] | {"merges": _told_merges(merges, hidden, len(cards))}
    projection = content.get("projection")
    if projection and hidden:
        points = [point for point in projection["points"] if point[2] not in hidden]
        found["projection"] = projection | {"points": points}
    if content["n_assigned"] < floor:
        found |= dict.fromkeys(("value_total", "value_per_profile", "projection"))
        blank = dict.fromkeys(("mean", "median", "std"))
        found["features"] = [feature | blank for feature in content["features"]]
    return found


def _told_merges(merges: Sequence[Sequence[Any]], hidden: set[int], n_segments: int) -> list[list[Any]]:
    """Merges of a tree without the heights of those that have only withheld segments on a side: how far these lie."""
    untold = [segment in hidden for segment in range(n_segments)]
    found = []
    for one, other, height in merges:
        found.append([one, other, None if untold[one] or untold[other] else height])
        untold.append(untold[one] and untold[other])
    return found


_UNMEASURED = dict.fromkeys(("precision", "coverage", "n_profiles"))


def floored_rules(surrogate: Mapping[str, Any] | None, withheld: Sequence[int], floor: int) -> dict[str, Any] | None:
    """The surrogate's rules without those for withheld segments, and without those that fewer profiles match.

    A rule that enough profiles match, but too few of those by whom it was measured, is told without its figures.
    """
    if surrogate is None:
        return None
    segments = []
    for segment in surrogate["segments"]:
        if segment["segment_id"] in withheld:
            continue
        matched = [rule for rule in segment["rules"] if rule["n_matching"] >= floor]
        rules = [rule if rule["n_profiles"] >= floor else rule | _UNMEASURED for rule in matched]
        segments.append(segment | {"rules": rules, "n_rules_withheld": len(segment["rules"]) - len(rules)})
    return {**surrogate, "segments": segments}
