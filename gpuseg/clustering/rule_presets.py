"""Ready-made rules: stages of the customer lifecycle, and named cells of RFM scores.

`lifecycle` tells where customers stand by the rhythm of their own purchases. That customers are leaving when they stay
away longer than they usually do between two purchases is what Novo calls latency (Novo, J. (2004). Drilling Down:
Turning Customer Data into Profits with a Spreadsheet). Stages and limits are those of the features of the family
`lifecycle`, `gpuseg.features.lifecycle`, here written as conditions on figures that people know.

`rfm_cells` scores recency, frequency and monetary value from 1 to 5 by fifths of the customers (Hughes, A. M. (1994).
Strategic Database Marketing. Probus), takes the mean of the last two, halves rounded up, and gives the 25 cells of
both scores the names that they commonly have in marketing tools. They go back to Putler's chart of recency against the
mean of the other two, whose ranges overlap; here every cell has one name.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Context, Decimal
from math import inf

import numpy as np
import numpy.typing as npt

from gpuseg.clustering.rule_values import Columns
from gpuseg.clustering.rules import Rule
from gpuseg.config_rules import Preset, RuleSection
from gpuseg.errors import ClusteringError, ConfigError

RECENCY, FREQUENCY, MONETARY = "recency_days", "n_orders", "amount_sum"
_SCORES = 5
_MOST_DIGITS = 17

_KNOWN = "recency_days + tenure_days > 30"
_LIFECYCLE = {
    "New": "recency_days + tenure_days <= 30",
    "Active": f"{_KNOWN} and (recency_days <= 14 or recency_days <= 2 * gap_days_mean"
    " or (gap_days_mean is null and recency_days <= 60))",
    "At risk": f"{_KNOWN} and ((recency_days > 14 and recency_days > 2 * gap_days_mean"
    " and (recency_days <= 28 or recency_days <= 4 * gap_days_mean))"
    " or (gap_days_mean is null and recency_days > 60 and recency_days <= 180))",
    "Lapsed": f"{_KNOWN} and ((recency_days > 28 and recency_days > 4 * gap_days_mean)"
    " or (gap_days_mean is null and recency_days > 180))",
}

Span = tuple[int, int]
CELLS: tuple[tuple[str, Span, Span], ...] = (
    ("Champions", (5, 5), (4, 5)),
    ("Loyal customers", (3, 4), (4, 5)),
    ("Potential loyalists", (4, 5), (2, 3)),
    ("New customers", (5, 5), (1, 1)),
    ("Promising", (4, 4), (1, 1)),
    ("Need attention", (3, 3), (3, 3)),
    ("About to sleep", (3, 3), (1, 2)),
    ("Can't lose them", (1, 2), (5, 5)),
    ("At risk", (1, 2), (3, 4)),
    ("Hibernating", (1, 2), (1, 2)),
)
"""Name, then least and most score of recency, then of frequency and monetary value."""


@dataclass(frozen=True)
class _Needs:
    features: tuple[str, ...]
    families: str


_NEEDS: dict[Preset, _Needs] = {
    "lifecycle": _Needs((RECENCY, "tenure_days", "gap_days_mean"), "families rfm and tempo make"),
    "rfm_cells": _Needs((RECENCY, FREQUENCY, MONETARY), "family rfm makes"),
}


def rules_of(rules: Preset | Sequence[RuleSection], sample: Columns) -> tuple[Rule, ...]:
    """The rules that `cluster.rules` asks for.

    Parameters
    ----------
    rules : {"lifecycle", "rfm_cells"} or sequence of RuleSection
    sample : mapping of str to float64 array, shape (n_sample,)
        Features of sampled profiles, in any order; only `rfm_cells` looks at them.

    Raises
    ------
    ClusteringError
        As `rfm_cells`.
    """
    if rules == "lifecycle":
        return lifecycle_rules()
    if rules == "rfm_cells":
        return rfm_cells(sample)
    return tuple(Rule.of(rule.name, rule.where) for rule in rules)


def check_preset(preset: Preset, names: Collection[str]) -> None:
    """Refuse ready-made rules whose features a run does not have.

    Parameters
    ----------
    preset : {"lifecycle", "rfm_cells"}
    names : collection of str
        Features of the run.

    Raises
    ------
    ConfigError
        With the features that are missing, and where they come from.
    """
    needs = _NEEDS[preset]
    missing = [name for name in needs.features if name not in names]
    if missing:
        raise ConfigError(
            f"cluster.rules: {preset} needs {_listed(needs.features)}, which {needs.families} of a source of kind "
            f"purchases; this run has no {_listed(missing, 'or')}"
        )


def lifecycle_rules() -> tuple[Rule, ...]:
    """New, active, at risk and lapsed customers; nobody is in two of them, and who never bought in none."""
    return tuple(Rule.of(name, where) for name, where in _LIFECYCLE.items())


def rfm_cells(sample: Columns) -> tuple[Rule, ...]:
    """Rules for the named cells of RFM scores, with the limits between scores as numbers.

    A limit is the roundest number between the values that it parts. Equal values have the score of the middle one of
    them, so where most customers have one order there are fewer than five scores, and cells that need the others are
    left out. Every customer is in exactly one cell, and who never bought in none.

    Parameters
    ----------
    sample : mapping of str to float64 array, shape (n_sample,)
        `recency_days`, `n_orders` and `amount_sum`, in any order; profiles that lack one do not count.

    Returns
    -------
    tuple of Rule

    Raises
    ------
    ClusteringError
        If no sampled profile has bought.
    """
    values = np.stack([sample[name] for name in _NEEDS["rfm_cells"].features])
    bought = values[:, ~np.isnan(values).any(axis=0)]
    if not bought.size:
        raise ClusteringError(
            f"cluster.rules: rfm_cells needs profiles with purchases, but none of {values.shape[1]:,} sampled "
            "profiles has any"
        )
    recency, frequency, monetary = bought
    grid = _Grid(_limits(recency, small_is_good=True), _limits(frequency), _limits(monetary))
    return tuple(Rule.of(name, where) for name, *spans in CELLS if (where := grid.cell(*spans)))


def _limits(values: npt.NDArray[np.float64], *, small_is_good: bool = False) -> dict[int, float]:
    """By score, the number that parts it from the scores below; `inf` where nobody has it, `-inf` where all have.

    Of two neighbouring values that it parts, the smaller one is at most the number and the larger one above it.
    """
    distinct, counts = np.unique(values, return_counts=True)
    if small_is_good:
        distinct, counts = distinct[::-1], counts[::-1]
    # Twice the number of values below the middle of each run of equal ones keeps all of it in whole numbers.
    middles = 2 * np.cumsum(counts) - counts
    scores = 1 + np.minimum(middles * _SCORES // (2 * len(values)), _SCORES - 1)
    limits = {}
    for score in range(1, _SCORES + 2):
        first = int(np.searchsorted(scores, score))
        if first in (0, len(scores)):
            limits[score] = inf if first else -inf
        else:
            limits[score] = _roundest(*sorted((float(distinct[first - 1]), float(distinct[first]))))
    return limits


def _roundest(low: float, high: float) -> float:
    """Number with the fewest digits from `low` on and below `high`."""
    exact = Decimal(repr(low))
    for digits in range(1, _MOST_DIGITS + 1):
        found = float(Context(prec=digits, rounding=ROUND_CEILING).plus(exact))
        if found < high:
            return found
    return low


@dataclass(frozen=True)
class _Grid:
    """Limits between the scores of recency, frequency and monetary value, as `_limits` gives them."""

    recency: dict[int, float]
    frequency: dict[int, float]
    monetary: dict[int, float]

    def cell(self, recent: Span, valuable: Span) -> str:
        """Condition of a cell; nothing where nobody can be in it."""
        least, above = self.recency[recent[0]], self.recency[recent[1] + 1]
        clauses, better = self._worth(valuable[0]), self._worth(valuable[1] + 1)
        if least == inf or above == -inf or not clauses or "" in better:
            return ""
        parts = [f"{RECENCY} > {_written(above)}"] if above != inf else []
        parts += [f"{RECENCY} <= {_written(least)}"] if least != -inf else []
        # Who never bought has no recency, but 0 orders.
        parts = parts or [f"{RECENCY} is not null"]
        parts += [_any(clauses)] if "" not in clauses else []
        parts += [f"not {_any(better)}"] if better else []
        return " and ".join(parts)

    def _worth(self, score: int) -> list[str]:
        """Conditions of which one must hold for a mean score of frequency and monetary value; "" is always true."""
        if score > _SCORES:
            return []
        # The mean with halves rounded up is at least the score where the sum is at least this.
        least = max(2, 2 * score - 1)
        pairs = [
            (self.frequency[one], self.monetary[least - one])
            for one in range(max(1, least - _SCORES), min(_SCORES, least - 1) + 1)
        ]
        possible = sorted({pair for pair in pairs if inf not in pair})
        needed = [pair for pair in possible if not any(other != pair and _easier(other, pair) for other in possible)]
        return [
            " and ".join(
                f"{name} > {_written(limit)}"
                for name, limit in zip((FREQUENCY, MONETARY), pair, strict=True)
                if limit != -inf
            )
            for pair in needed
        ]


def _easier(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return one[0] <= other[0] and one[1] <= other[1]


def _any(clauses: Sequence[str]) -> str:
    return f"({' or '.join(f'({each})' if ' and ' in each and len(clauses) > 1 else each for each in clauses)})"


def _written(number: float) -> str:
    return str(int(number)) if number.is_integer() else repr(number)


def _listed(words: Sequence[str], last: str = "and") -> str:
    return f" {last} ".join(part for part in (", ".join(words[:-1]), words[-1]) if part)
