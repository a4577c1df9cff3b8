"""Activity on social networks."""

from collections.abc import Sequence

from gpuseg.features.algebra import Context, Family, Feature, escaped


def declare(context: Context) -> Sequence[Feature]:
    """Actions, how many of them create something, and where they happen.

    `created_share` is the share of comments, shares, posts and the like among all actions; `share_on_NETWORK` that of
    each of the data's largest networks.
    """
    cells = context.table("social.cells")
    actions = cells.sum("n_lines")
    features = [
        Feature(
            "n_social_actions",
            cells.sum("n_lines", window=window),
            "social actions",
            "acted {value} times on social networks",
            "times",
        ).over(window)
        for window in context.spans
    ]
    features.append(
        Feature(
            "social_recency_days",
            context.as_of_day - cells.max("day"),
            "days since the last social action",
            "last seen on social networks {value} days ago",
            "days",
        )
    )
    if context.has("social", "action"):
        features.append(
            Feature(
                "created_share",
                cells.sum("n_created") / actions,
                "share of social actions that create something",
                "{value} of social actions are comments, shares or posts",
                "share",
            )
        )
    return features + [
        Feature(
            f"share_on_{network}",
            cells.sum("n_lines", category=network) / actions,
            f"share of social actions on {network}",
            "{value} of social actions on " + escaped(network),
            "share",
        )
        for network in context.networks
    ]


FAMILY = Family("social", "social", declare)
