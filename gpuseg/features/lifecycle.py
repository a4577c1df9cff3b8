"""Where a customer stands, judged by the rhythm of their own purchases."""

from collections.abc import Sequence

from gpuseg.features.algebra import Context, Expression, Family, Feature, at_most

NEW_DAYS = 30
PATIENCE_DAYS = 14
_ACTIVE_GAPS, _AT_RISK_GAPS = 2, 4
_ACTIVE_DAYS, _AT_RISK_DAYS = 60, 180


def declare(context: Context) -> Sequence[Feature]:
    """One stage of four, as 0 or 1 each, and how overdue the next purchase is.

    New: the first purchase lies at most 30 days before `as_of`. Of the others, active: the last purchase is no longer
    ago than two of the profile's own mean gaps between active days (or 14 days, if that is longer); at risk: no longer
    than four (or 28 days); lapsed: longer. A profile with a single active day has no gap: it is active up to 60 days
    after it and at risk up to 180. `overdue_ratio` is the days since the last purchase over the mean gap.
    """
    cells = context.table("purchases.cells")
    recency = context.as_of_day - cells.max("day")
    age = context.as_of_day - cells.min("day")
    tenure = cells.max("day") - cells.min("day")
    n_gaps = cells.count_days() - 1
    new = at_most(age, NEW_DAYS)

    def within(gaps: int, patience: int, alone: int) -> Expression:
        # In whole numbers: recency <= gaps * tenure / n_gaps, without the division.
        rhythm = _either(at_most(recency * n_gaps, tenure * gaps), at_most(recency, patience))
        single = at_most(n_gaps, 0)
        return single * at_most(recency, alone) + (1 - single) * rhythm

    active = within(_ACTIVE_GAPS, PATIENCE_DAYS, _ACTIVE_DAYS)
    kept = within(_AT_RISK_GAPS, 2 * PATIENCE_DAYS, _AT_RISK_DAYS)
    old = 1 - new
    return [
        _stage("is_new", new, "new", f"first bought in the last {NEW_DAYS} days"),
        _stage("is_active", old * active, "active", "buying in their usual rhythm"),
        _stage("is_at_risk", old * (kept - active), "at risk", "overdue by their own rhythm"),
        _stage("is_lapsed", old * (1 - kept), "lapsed", "long overdue by their own rhythm"),
        Feature(
            "overdue_ratio",
            recency * n_gaps / tenure,
            "days since the last purchase, in own gaps between purchases",
            "last bought {value} of their usual gaps ago",
            "gaps",
            in_matrix=False,
        ),
    ]


def _stage(name: str, expression: Expression, word: str, meaning: str) -> Feature:
    return Feature(
        name, expression, f"share of {word} customers ({meaning})", f"{{value}} are {word}", "share", in_matrix=False
    )


def _either(left: Expression, right: Expression) -> Expression:
    return left + right - left * right


FAMILY = Family("lifecycle", "purchases", declare)
