"""Means over everyone, where cards are all there is."""

from math import fsum


def means_of(cards):
    """Mean of each feature over the profiles of all cards that have it."""
    found = {}
    for name in dict.fromkeys(name for card in cards for name in card["features"]):
        figures = [(card["features"].get(name) or {}, card) for card in cards]
        terms = [
            (figure["mean"], figure.get("n_known") or card.get("n_profiles") or 1)
            for figure, card in figures
            if figure.get("mean") is not None
        ]
        n_known = sum(n for _, n in terms)
        found[name] = fsum(mean * n for mean, n in terms) / n_known if n_known else None
    return found
