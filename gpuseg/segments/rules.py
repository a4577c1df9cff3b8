"""Rules that tell the segments apart in words: a small decision tree that stands in for the clustering.

The tree (CART; Breiman, Friedman, Olshen and Stone 1984) is a surrogate (Craven and Shavlik 1996): it learns the
segments that profiles have, and how often it is right is measured on profiles that it did not learn from.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import floor, inf, isfinite
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gpuseg.engine.arrow import as_arrow, as_numpy
from gpuseg.matrix.transform import feature_values
from gpuseg.segments.conditions import Interval, conditions, rule_text
from gpuseg.segments.cuts import codes_between, readable_cuts, roundest
from gpuseg.segments.model import Model

LEARNED_SHARE = 0.8
MOST_LEARNED = 32_768
LEAST_PROFILES = 50
MOST_DEPTH = 5
_CHOICE_SHARE = 0.25
_SIZES = (1.0, 1.5, 2.0, 3.0, 4.0)
_LEAF_COST = 0.002
_LEAST_IN_LEAF = 5
_LEAST_SHARE_IN_LEAF = 0.001

Values = Mapping[str, npt.NDArray[np.float64]]
Mapped = Callable[[Callable[[int], Any], Iterable[int]], Iterable[Any]]


def surrogate_rules(sample: pa.Table, model: Model, *, mapped: Mapped = map) -> dict[str, Any] | None:
    """Rules for every segment, and how true they are.

    A tree of k leaves and ones of up to four times as many are learned on three quarters of the learning profiles. Of
    those with rules for most segments, the tree that is right most often on the last quarter is taken, where every
    leaf costs it 0.2% of the profiles, so that small trees win over ones that are hardly better. It is then learned
    anew on all learning profiles. Thresholds are the roundest numbers between percentiles. The order of the sample is
    random and the same for equal profiles, so the first rows are the learning ones.

    Parameters
    ----------
    sample : Arrow table
        Features and `segment_id` of the sampled profiles in canonical order; profiles without a segment do not count.
    model : Model
        Says which features take part: those of the matrix.
    mapped : callable, default map
        Applies a function to items and gives the results in their order: an executor's `map` learns several trees at
        once, as they are grown outside the interpreter's lock.

    Returns
    -------
    dict or None
        JSON values: `max_depth`, `n_leaves`, `fidelity` (share of held-out profiles whose segment the rules give),
        `n_profiles`, `n_held_out`, and `segments` with `precision` (of the held-out profiles that rules give to the
        segment, the share that are of it), `coverage` (of those of the segment, the share that rules give to it) and
        `rules`, largest coverage first, each with its own figures and its number of held-out profiles. A figure is
        None where there is no profile to measure it on. None below 50 profiles, where only one segment is seen, or
        where there is hardly more than one profile to a segment.
    """
    assigned = as_numpy(sample["segment_id"]) >= 0
    if not assigned.all():
        sample = sample.filter(as_arrow(assigned))
    labels = as_numpy(sample["segment_id"]).astype(np.int64)
    n_learned = min(int(labels.size * LEARNED_SHARE), MOST_LEARNED)
    n_fitted = n_learned - int(n_learned * _CHOICE_SHARE)
    n_seen = np.unique(labels[:n_fitted]).size
    if labels.size < LEAST_PROFILES or not 2 <= n_seen <= n_fitted / 2:
        return None
    items = {item["name"]: item for item in model.published}
    values = {name: feature_values(sample, name) for name in model.transform.features if name in items}
    if not values:
        return None
    cuts = {
        name: readable_cuts(each[:n_learned], whole=items[name]["dtype"] == "int64") for name, each in values.items()
    }
    learner = _Learner(values, cuts, labels[:n_learned], model.seed, mapped)
    rules = learner.learn(n_learned, learner.best_size(n_fitted, model.n_segments))
    truth = _Truth([_narrowed(rule, values) for rule in rules], values, items, labels, n_learned)
    return {
        "max_depth": max(rule.depth for rule in rules),
        "n_leaves": len(rules),
        "fidelity": truth.fidelity(),
        "n_profiles": labels.size,
        "n_held_out": labels.size - n_learned,
        "segments": [truth.segment(segment) for segment in range(model.n_segments)],
    }


@dataclass(frozen=True)
class _Rule:
    """One leaf of the tree: who falls into it, and the segment that it stands for."""

    path: Mapping[str, Interval]
    segment: int
    depth: int

    def holds(self, values: Values, rows: slice) -> npt.NDArray[np.bool_]:
        """Which profiles of some rows fall into it."""
        held = np.ones(len(next(iter(values.values()))[rows]), np.bool_)
        for name, interval in self.path.items():
            held &= interval.holds(values[name][rows])
        return held


class _Learner:
    """Learns trees on the first profiles of the sample, of which it sees between which cuts their values lie."""

    def __init__(self, values: Values, cuts: Values, labels: npt.NDArray[np.int64], seed: int, mapped: Mapped) -> None:
        n_learned = labels.size
        self.values = {name: each[:n_learned] for name, each in values.items()}
        self.cuts = cuts
        self.labels = labels
        self.seed = seed
        self.mapped = mapped
        self.codes = np.column_stack([codes_between(self.values[name], each) for name, each in cuts.items()])

    def best_size(self, n_fitted: int, n_segments: int) -> int:
        """Most leaves to allow, by what trees learned on the first profiles say of the others."""
        rest = slice(n_fitted, None)
        truth = self.labels[rest]
        sizes = sorted({max(2, round(factor * n_segments)) for factor in _SIZES})
        tried = []
        for size, rules in zip(sizes, self.mapped(partial(self.learn, n_fitted), sizes), strict=True):
            right = sum(int((truth[rule.holds(self.values, rest)] == rule.segment).sum()) for rule in rules)
            score = right / truth.size - _LEAF_COST * len(rules)
            tried.append((len({rule.segment for rule in rules}), score, -size))
        return -max(tried)[2]

    def learn(self, n_rows: int, size: int) -> list[_Rule]:
        """Leaves of a tree learned on the first profiles."""
        from sklearn.tree import DecisionTreeClassifier

        tree = DecisionTreeClassifier(
            max_leaf_nodes=size,
            max_depth=MOST_DEPTH,
            min_samples_leaf=max(_LEAST_IN_LEAF, int(n_rows * _LEAST_SHARE_IN_LEAF)),
            random_state=self.seed,
        )
        tree.fit(self.codes[:n_rows], self.labels[:n_rows])
        return self._leaves(tree, 0, {}, 0)

    def _leaves(self, fitted: Any, node: int, path: Mapping[str, Interval], depth: int) -> list[_Rule]:
        """Leaves below a node; two of one segment that a split would part are one."""
        tree = fitted.tree_
        if tree.children_left[node] < 0:
            return [_Rule(path, int(fitted.classes_[tree.value[node, 0].argmax()]), depth)]
        name = list(self.cuts)[tree.feature[node]]
        code = float(tree.threshold[node])
        # An infinite threshold parts the known from the unknown.
        cut = float(self.cuts[name][floor(code)]) if isfinite(code) else inf
        left = bool(tree.missing_go_to_left[node])
        interval = path.get(name, Interval())
        below = {**path, name: interval.below(cut, unknown=left)}
        above = {**path, name: interval.above(cut, unknown=not left)}
        found = self._leaves(fitted, int(tree.children_left[node]), below, depth + 1)
        found += self._leaves(fitted, int(tree.children_right[node]), above, depth + 1)
        if len(found) == 2 and found[0].segment == found[1].segment:
            return [_Rule(path, found[0].segment, depth)]
        return found


def _narrowed(rule: _Rule, values: Values) -> _Rule:
    """The same rule without "or unknown" where nobody in it has an unknown value."""
    held = rule.holds(values, slice(None))
    path = {
        name: replace(interval, unknown=interval.unknown and bool(np.isnan(values[name][held]).any()))
        for name, interval in rule.path.items()
    }
    return replace(rule, path=path)


class _Truth:
    """Measures rules on the profiles that the tree did not learn from."""

    def __init__(
        self,
        rules: Sequence[_Rule],
        values: Values,
        items: Mapping[str, Mapping[str, Any]],
        labels: npt.NDArray[np.int64],
        n_learned: int,
    ) -> None:
        self.rules = rules
        self.items = items
        self.floors = {name: _floor(values[name]) for rule in rules for name in rule.path}
        self.labels = labels[n_learned:]
        held = [rule.holds(values, slice(None)) for rule in rules]
        self.n_matching = [int(np.count_nonzero(each)) for each in held]
        self.held = [each[n_learned:] for each in held]

    def fidelity(self) -> float:
        """Share of profiles whose segment the rules give."""
        right = sum(int((self.labels[held] == rule.segment).sum()) for rule, held, _ in self._pairs())
        return right / self.labels.size

    def segment(self, segment: int) -> dict[str, Any]:
        """Rules of one segment and what they are worth together."""
        mine = [each for each in self._pairs() if each[0].segment == segment]
        rules = [self._rule(rule, held) | {"n_matching": n_matching} for rule, held, n_matching in mine]
        together = np.zeros(self.labels.size, np.bool_)
        for _, held, _ in mine:
            together |= held
        figures = self._figures(segment, together)
        return {
            "segment_id": segment,
            "precision": figures["precision"],
            "coverage": figures["coverage"],
            "rules": sorted(rules, key=lambda rule: -(rule["coverage"] or 0.0)),
        }

    def _rule(self, rule: _Rule, held: npt.NDArray[np.bool_]) -> dict[str, Any]:
        told = [
            each
            for name, interval in rule.path.items()
            for each in conditions(self.items[name], interval, floor=self.floors[name])
        ]
        text = rule_text([self.items[name] for name in rule.path], list(rule.path.values()))
        return {"conditions": told, "text": text, **self._figures(rule.segment, held)}

    def _figures(self, segment: int, held: npt.NDArray[np.bool_]) -> dict[str, Any]:
        n_held, n_segment = int(held.sum()), int((self.labels == segment).sum())
        n_right = int((self.labels[held] == segment).sum())
        return {
            "precision": n_right / n_held if n_held else None,
            "coverage": n_right / n_segment if n_segment else None,
            "n_profiles": n_held,
        }

    def _pairs(self) -> Iterator[tuple[_Rule, npt.NDArray[np.bool_], int]]:
        return zip(self.rules, self.held, self.n_matching, strict=True)


def _floor(values: npt.NDArray[np.float64]) -> float:
    """A round number below all known values."""
    present = values[~np.isnan(values)]
    least = float(present.min()) if present.size else 0.0
    return roundest(least - max(1.0, abs(least)), least, whole=False)


def rules_text(surrogate: Mapping[str, Any] | None, names: Mapping[int, str]) -> str:
    """Rules of every segment as plain text, for a terminal.

    Parameters
    ----------
    surrogate : mapping or None
        What `surrogate_rules` gives.
    names : mapping of segment to name
    """
    if surrogate is None:
        return f"No rules: they need at least {LEAST_PROFILES} profiles."
    lines = [
        f"These rules give the right segment to {surrogate['fidelity']:.0%} of {surrogate['n_held_out']:,} profiles "
        "from which they were not learned."
    ]
    for segment in surrogate["segments"]:
        lines += ["", f"{segment['segment_id']}  {names[segment['segment_id']]}{_worth(segment)}"]
        lines += [f"  - {rule['text']}{_worth(rule)}" for rule in segment["rules"]]
        if n_withheld := segment.get("n_rules_withheld", 0):
            lines.append(f"  - {n_withheld} more, which too few profiles match to be told")
        elif not segment["rules"]:
            lines.append("  no rule")
    return "\n".join(lines)


def _worth(figures: Mapping[str, Any]) -> str:
    if figures["precision"] is None or figures["coverage"] is None:
        return ""
    return f" (right for {figures['precision']:.0%}, covers {figures['coverage']:.0%})"
