"""What profiles say: ratings, recommendations and the tone of their comments."""

from collections.abc import Sequence

from gpuseg.features.algebra import Context, Family, Feature


def declare(context: Context) -> Sequence[Feature]:
    """How often and how well a profile rates; each part is declared where any source has the column.

    `nps_score` is the share of promoters (9 or 10) less that of detractors (0 to 6), from -1 to 1 (Reichheld 2003);
    `sentiment_mean` the mean compound score of the comments, from -1 to 1.
    """
    cells = context.table("feedback.cells")
    features = [
        Feature(
            "n_feedback",
            cells.sum("n_lines", window=window),
            "pieces of feedback",
            "gave feedback {value} times",
            "times",
        ).over(window)
        for window in context.spans
    ]
    if context.has("feedback", "rating"):
        mean = cells.sum("rating_milli") / (cells.sum("n_ratings") * 1000)
        features.append(Feature("rating_mean", mean, "mean rating", "rates {value} on average", "points"))
    if context.has("feedback", "nps"):
        score = (cells.sum("n_promoters") - cells.sum("n_detractors")) / cells.sum("n_nps")
        label = "promoters less detractors, -1 to 1"
        features.append(Feature("nps_score", score, label, "net recommendation of {value}", "score"))
    if context.has("feedback", "comment"):
        tone = cells.sum("sentiment_e4") / (cells.sum("n_comments") * 10_000)
        label = "tone of comments, -1 to 1"
        features.append(Feature("sentiment_mean", tone, label, "comments in a tone of {value}", "score"))
    return features


FAMILY = Family("feedback", "feedback", declare)
