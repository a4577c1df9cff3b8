"""What a profile buys: shares of its lines by category."""

from collections.abc import Sequence
from functools import reduce
from operator import sub

from gpuseg.features.algebra import Context, Family, Feature, escaped

N_CATEGORIES = 20


def declare(context: Context) -> Sequence[Feature]:
    """Share of lines in each of the data's largest categories; the rest, and lines without one, in `share_other`.

    A category whose own name is `other` is counted with the rest.
    """
    if not context.has_categories:
        return []
    cells = context.table("purchases.cells")
    lines = cells.sum("n_lines")
    named = [category for category in context.categories[:N_CATEGORIES] if category != "other"]
    mine = [cells.sum("n_lines", category=category) for category in named]
    rest = reduce(sub, mine, lines)
    return [
        *(
            Feature(
                f"share_{category}",
                part / lines,
                f"share of items from {category}",
                "{value} of items from " + escaped(category),
                "share",
            )
            for category, part in zip(named, mine, strict=True)
        ),
        Feature(
            "share_other",
            rest / lines,
            "share of items from other categories",
            "{value} of items from other categories",
            "share",
        ),
    ]


FAMILY = Family("interests", "purchases", declare)
