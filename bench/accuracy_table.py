"""From figures of `accuracy.py` by seed to medians, differences, the bar, and tables for people."""

from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import Any

from accuracy_methods import METHODS, PEERS, QUADRATIC_ROWS

MOST_BELOW = 0.02
"""How far below the same method's figure one may be."""


def summarise(runs: Mapping[str, Sequence[Mapping[str, float]]]) -> dict[str, Any]:
    """Median and range of every method, and gpuseg's methods held against the same ones of scikit-learn.

    Parameters
    ----------
    runs : mapping of str to sequence of mapping
        Method to its `ari` and `ami` by seed, one where no seed changes anything.

    Returns
    -------
    dict
        `figures` by method, and `compared` by method of gpuseg: `difference` is that of the medians, which the bar is
        held against; `by_seed` are the median, the least and the most of the differences of runs with the same seed,
        `n_below` of `n_seeds` of which are beyond the bar.
    """
    figures = {
        name: {index: _spread([run[index] for run in found]) for index in found[0]} for name, found in runs.items()
    }
    compared = {own: _held(runs[own], runs[peer]) | {"peer": peer} for own, peer in PEERS.items()}
    return {"figures": figures, "compared": compared}


def _held(own: Sequence[Mapping[str, float]], peer: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    ours, theirs = ([run["ari"] for run in side] for side in (own, peer))
    n = max(len(ours), len(theirs))
    pairs = zip(*(side * (n // len(side)) for side in (ours, theirs)), strict=True)
    gaps = [mine - other for mine, other in pairs]
    difference = median(ours) - median(theirs)
    return {
        "difference": difference,
        "at_most_below": MOST_BELOW,
        "met": difference >= -MOST_BELOW,
        "by_seed": _spread(gaps),
        "n_below": sum(gap < -MOST_BELOW for gap in gaps),
        "n_seeds": n,
    }


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"median": median(values), "least": min(values), "most": max(values)}


def markdown(results: Mapping[str, Any]) -> str:
    """A table of the adjusted Rand index of all sets and methods, what is below, and a table of mutual information."""
    sets, parameters = results["sets"], results["parameters"]
    absent = f" Not installed: {', '.join(results['absent'])}." if results["absent"] else ""
    missed = list(_below(sets))
    return "\n".join(
        [
            f"Adjusted Rand index of the labels against the classes, the number of classes given where a method takes "
            f"one; median (and range) of {parameters['seeds']} seeds where they change anything. Synthetic sets are "
            f"drawn anew with each seed. Noise is a label, and a class, of its own. Sets of more than "
            f"{QUADRATIC_ROWS:,} rows: figures are over as many, on which Ward, HDBSCAN (both) and BIRCH are fitted; "
            f"the others are fitted on all.{absent}",
            "",
            *_table(sets, "ari", with_range=True),
            "",
            f"gpuseg's medians are at most {MOST_BELOW:g} below scikit-learn's with the same method: "
            + verdict(results),
            "",
            *(missed or ["No seed is further below."]),
            "",
            "Adjusted mutual information, medians:",
            "",
            *_table(sets, "ami", with_range=False),
        ]
    )


def verdict(results: Mapping[str, Any]) -> str:
    """In how many of all comparisons the bar is met."""
    met = [held["met"] for one in results["sets"] for held in one["compared"].values()]
    return "met" if all(met) else f"missed in {len(met) - sum(met)} of {len(met)} comparisons"


def _below(sets: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for one in sets:
        for own, held in one["compared"].items():
            if held["met"] and not held["n_below"]:
                continue
            ours, theirs = (one["figures"][name]["ari"]["median"] for name in (own, held["peer"]))
            word = "met" if held["met"] else "missed"
            yield (
                f"- {word}: {one['name']}, {own} {ours:.3f}, {held['peer']} {theirs:.3f}; "
                f"{held['n_below']} of {held['n_seeds']} seeds more than {MOST_BELOW:g} below, "
                f"the furthest {-held['by_seed']['least']:.3f}"
            )


def _table(sets: Sequence[Mapping[str, Any]], index: str, *, with_range: bool) -> list[str]:
    lines = [["", "rows x features, classes", *METHODS], ["---", *["---:"] * (len(METHODS) + 1)]]
    for one in sets:
        size = f"{one['rows']:,} x {one['features']}, {one['classes']}"
        lines.append([one["name"], size + (", standardized" if one["standardized"] else "")])
        for name in METHODS:
            missed = with_range and not one["compared"].get(name, {"met": True})["met"]
            cell = _cell(one["figures"][name][index], with_range=with_range)
            lines[-1].append(f"{cell}: missed" if missed else cell)
    return ["| " + " | ".join(line) + " |" for line in lines]


def _cell(spread: Mapping[str, float], *, with_range: bool) -> str:
    middle, *ends = (f"{spread[name] + 0.0:.3f}".replace("-0.000", "0.000") for name in ("median", "least", "most"))
    return f"{middle} ({' to '.join(ends)})" if with_range and len({middle, *ends}) > 1 else middle
