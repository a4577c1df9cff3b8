"""How well gpuseg finds classes that are known, against the same methods of scikit-learn, BIRCH and mixtures.

`python bench/accuracy.py` labels real and synthetic sets by all methods and several seeds, prints the agreement with
the classes and writes `bench/results/accuracy.json`. The bar: no method of gpuseg is more than 0.02 of the adjusted
Rand index below the same one of scikit-learn on any set. A part of it: `python bench/accuracy.py --sets iris wine`;
`--small` takes a minute.
"""

import argparse
import importlib.metadata
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import script
from accuracy_methods import METHODS, QUADRATIC_ROWS, density_of, labels_of
from accuracy_sets import NOISE, PENGUINS, SETS, Labelled, absent, rows_of
from accuracy_table import markdown, summarise
from measure import BenchmarkError

SMALL = {"seeds": 2, "rows": 300, "large_rows": 1_000}
LEAST_ROWS = 100
_DIGITS = 6
say = partial(script.say, "accuracy")


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    made = script.parser("accuracy", "Hold gpuseg's segments against known classes.")
    made.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS), metavar="SET", help=", ".join(SETS))
    made.add_argument("--seeds", type=script.whole, default=15, help="seeds from 0, of methods and synthetic sets")
    made.add_argument("--rows", type=script.whole, default=1_500, help="rows of a synthetic set")
    made.add_argument("--large-rows", type=script.whole, default=50_000, help="rows of a large synthetic set")
    made.add_argument("--small", action="store_true", help="few rows and seeds, in place of those above")
    options = made.parse_args(arguments)
    if options.small:
        vars(options).update(SMALL)
    for name in ("rows", "large_rows"):
        if getattr(options, name) < LEAST_ROWS:
            made.error(f"--{name.replace('_', '-')} must be at least {LEAST_ROWS}")
    return options


def agreement(classes: Any, labels: Any) -> dict[str, float]:
    """Adjusted Rand index (Hubert and Arabie 1985) and adjusted mutual information (Vinh, Epps and Bailey 2010)."""
    from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score

    found = {"ari": adjusted_rand_score(classes, labels), "ami": adjusted_mutual_info_score(classes, labels)}
    return {name: round(float(value), _DIGITS) for name, value in found.items()}


def runs_of(drawn: Sequence[Labelled], k: int, seeds: int) -> dict[str, list[dict[str, float]]]:
    """Agreement of every method by seed, once where neither the rows nor the method depend on it.

    Parameters
    ----------
    drawn : sequence of Labelled
        Rows of each seed, or one for all.
    k : int
        Number of classes, noise not counted.
    seeds : int
    """
    found: dict[str, list[dict[str, float]]] = {}
    for name, method in METHODS.items():
        n = seeds if method.seeded or len(drawn) > 1 else 1
        found[name] = []
        for seed in range(n):
            rows, classes = drawn[seed % len(drawn)]
            labels = labels_of(name, rows, k, seed)
            found[name].append(agreement(classes[:QUADRATIC_ROWS], labels))
    return found


def measured_set(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """One set: its size, agreement by method and seed, and the comparison."""
    one = SETS[name]
    n = options.large_rows if one.large else options.rows
    drawn = [rows_of(one, n, seed) for seed in range(options.seeds if one.synthetic else 1)]
    rows, classes = drawn[0]
    k = len(set(classes.tolist()) - {NOISE})
    runs = runs_of(drawn, k, options.seeds)
    return {
        "name": name,
        "about": one.about,
        "rows": len(rows),
        "features": rows.shape[1],
        "classes": k,
        "standardized": one.standardized,
        "synthetic": one.synthetic,
        "hdbscan": density_of(min(len(rows), QUADRATIC_ROWS)),
        **summarise(runs),
        "ari_by_seed": {method: [run["ari"] for run in found] for method, found in runs.items()},
    }


def measured_results(options: argparse.Namespace, _scratch: Path) -> dict[str, Any]:
    """Measure every set that is there."""
    missing = [name for name in absent() if name in options.sets]
    there = [name for name in SETS if name in options.sets and name not in missing]
    if not there:
        raise BenchmarkError(f"{', '.join(missing)}: the package {PENGUINS} is not installed")
    sets = []
    for name in there:
        say(f"{name}: {SETS[name].about}")
        sets.append(measured_set(name, options))
    found = script.circumstances()
    if "penguins" in there:
        found["versions"][PENGUINS] = importlib.metadata.version(PENGUINS)
    given = {name: value for name, value in vars(options).items() if not isinstance(value, Path | None)}
    return {**found, "parameters": given, "absent": missing, "sets": sets}


def main(arguments: Sequence[str] | None = None) -> int:
    options = parsed(arguments)
    return script.shown("accuracy", options, partial(measured_results, options), markdown)


if __name__ == "__main__":
    sys.exit(main())
