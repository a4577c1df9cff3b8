"""The planted segments: how large each is, how its profiles behave, and what they like to buy."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

# Percent of the profiles per segment, by the number of segments.
SEGMENT_PERCENT = {
    2: (60, 40),
    3: (45, 33, 22),
    4: (38, 28, 20, 14),
    5: (35, 25, 18, 13, 9),
    6: (35, 21, 16, 12, 9, 7),
    7: (34, 19, 14, 11, 9, 7, 6),
    8: (34, 16, 12, 10, 9, 7, 6, 6),
}

# Median price of a line, in cents.
DEPARTMENTS = {
    "grocery": 450, "produce": 350, "bakery": 400, "household": 700, "baby": 1500, "pharmacy": 1100,
    "beauty": 1600, "fashion": 3200, "electronics": 11000, "sports": 4200, "garden": 2600, "toys": 2000,
}  # fmt: skip


@dataclass(frozen=True)
class Persona:
    """How the profiles of one planted segment behave.

    Parameters
    ----------
    name : str
        Name for people, as in the truth file.
    tastes : dict of str to int
        Weight of the favoured departments; every other department weighs 1.
    purchases, web, social, feedback : float
        Events relative to other segments.
    basket : float
        Lines per order, before the cap of six.
    price : float
        Factor on the department's price.
    regular : float
        0: orders fall anywhere in the active time; 1: evenly spaced.
    quiet, active : tuple of float
        Smallest and largest share of the history between the active time and `as_of`, and of the active time.
    sentiment : tuple of float
        Probability of negative and of neutral feedback.
    buys_online : float
        Probability that a long enough web session ends in a purchase.
    age, income, tier, consent : float
        Mean age in years, mean position in the income bands and loyalty tiers, share that consents.
    network : int
        Favoured social network, a position in `WORDS`.
    """

    name: str
    tastes: dict[str, int]
    purchases: float
    basket: float
    price: float
    regular: float
    quiet: tuple[float, float]
    active: tuple[float, float]
    web: float
    social: float
    feedback: float
    sentiment: tuple[float, float]
    buys_online: float
    age: float
    income: float
    tier: float
    consent: float
    network: int


PERSONAS = (
    Persona("loyal grocery planners", {"grocery": 30, "produce": 24, "bakery": 14}, 1.5, 3.2, 1.0, 0.9,
            (0.0, 0.01), (0.88, 0.98), 0.8, 0.5, 1.2, (0.08, 0.22), 0.15, 48, 2.4, 2.5, 0.75, 2),
    Persona("lapsed bargain hunters", {"household": 48, "grocery": 6, "toys": 6}, 0.6, 1.6, 0.6, 0.2,
            (0.45, 0.65), (0.15, 0.30), 0.5, 0.4, 0.6, (0.55, 0.30), 0.08, 41, 0.8, 0.4, 0.35, 2),
    Persona("young fashion browsers", {"fashion": 40, "beauty": 28}, 0.8, 1.5, 0.9, 0.1,
            (0.0, 0.05), (0.70, 0.95), 2.2, 2.8, 0.9, (0.18, 0.37), 0.10, 25, 1.2, 1.0, 0.60, 1),
    Persona("premium electronics enthusiasts", {"electronics": 44, "sports": 20}, 0.6, 1.2, 1.7, 0.3,
            (0.08, 0.20), (0.55, 0.75), 1.2, 0.8, 1.0, (0.25, 0.25), 0.20, 37, 3.5, 1.6, 0.55, 3),
    Persona("new family starters", {"baby": 44, "pharmacy": 22, "toys": 8}, 1.0, 3.0, 1.1, 0.6,
            (0.0, 0.01), (0.10, 0.20), 1.5, 1.6, 1.4, (0.12, 0.28), 0.25, 31, 2.2, 0.7, 0.80, 0),
    Persona("spring home gardeners", {"garden": 56, "sports": 4}, 0.7, 2.0, 1.2, 0.5,
            (0.18, 0.30), (0.30, 0.45), 0.7, 0.3, 0.8, (0.15, 0.35), 0.12, 58, 2.6, 1.8, 0.50, 2),
    Persona("wellness regulars", {"pharmacy": 34, "sports": 26, "produce": 6}, 1.0, 1.3, 1.0, 0.95,
            (0.0, 0.02), (0.80, 0.95), 1.0, 1.1, 1.1, (0.10, 0.25), 0.18, 44, 2.8, 2.1, 0.70, 0),
    Persona("holiday gift givers", {"toys": 52, "electronics": 4, "beauty": 4}, 0.7, 4.5, 1.3, 0.2,
            (0.04, 0.10), (0.05, 0.08), 0.9, 0.7, 0.5, (0.20, 0.40), 0.22, 52, 3.0, 0.9, 0.45, 3),
)  # fmt: skip

TASTE_SLOTS = 1024


def _slots(tastes: dict[str, int]) -> npt.NDArray[np.intp]:
    weights = np.array([tastes.get(name, 1) for name in DEPARTMENTS])
    ends = np.cumsum(weights) * TASTE_SLOTS // weights.sum()
    return np.searchsorted(ends, np.arange(TASTE_SLOTS), side="right")


# Departments in proportion to every persona's tastes, so that a random slot is a department drawn by taste.
TASTES = np.array([_slots(persona.tastes) for persona in PERSONAS], dtype=np.uint8)
