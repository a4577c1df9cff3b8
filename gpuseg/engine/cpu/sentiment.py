"""Sentiment of comments by a lexicon: VADER (Hutto & Gilbert 2014, ICWSM), as the package vaderSentiment has it.

It is made for short English texts; in other languages most words are unknown to it and the score tends to 0.
"""

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gpuseg.engine.arrow import codes_of
from gpuseg.engine.cpu.checks import Rows, is_text, one_array, or_nothing
from gpuseg.errors import ConfigError

_MOST_CHARACTERS = 5_000


def sentiments(rows: Rows, column: str, scale: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Compound score of each comment times `scale`, 0 where there is none, and where there is one.

    Parameters
    ----------
    rows : Rows
    column : str
        A text column; blank text counts as none, text beyond 5 000 characters is cut off.
    scale : int
        Score 1 (as good as can be) becomes `scale`, -1 becomes `-scale`.

    Raises
    ------
    ConfigError
        If the package vaderSentiment is not installed.
    """
    array = or_nothing(one_array(rows.table[column]))
    if not is_text(array.type):
        raise rows.wrong_type(column, array.type, "text")
    if not pa.types.is_dictionary(array.type):
        array = array.dictionary_encode()
    codes = codes_of(array)
    texts = array.dictionary.to_pylist()
    known = np.array([*(bool(text and text.strip()) for text in texts), False])
    scores = np.zeros(len(texts) + 1, np.int64)
    for place in np.flatnonzero(known):
        compound = _analyzer().polarity_scores(texts[place][:_MOST_CHARACTERS])["compound"]
        scores[place] = round(compound * scale)
    return scores.take(codes), known.take(codes)


@lru_cache(maxsize=1)
def _analyzer() -> Any:
    try:
        from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer
    except ImportError:
        raise ConfigError(
            "columns.comment: reading comments needs the package vaderSentiment; "
            "install it, or leave the column out by privacy.deny_columns"
        ) from None
    return SentimentIntensityAnalyzer()
