"""Segment cards as plain text, for a terminal."""

from collections.abc import Mapping
from textwrap import fill
from typing import Any

from gpuseg.segments.figures import share_text
from gpuseg.segments.phrases import stem_of

_WIDTH = 96


def card_text(card: Mapping[str, Any], value_feature: str | None) -> str:
    """One card: name, headline, who they are, what they do, what they are worth, how they differ, what to try.

    Parameters
    ----------
    card : mapping
        Of `segments.json`.
    value_feature : str or None
        The feature of which "Worth" tells; it is not told again.
    """
    title = f"{card['segment_id']}  {card['name']}"
    lines = [title, "-" * len(title)]
    if "rule" in card:
        lines.append(fill(f"Rule: {card['rule'] or 'matches no rule'}", _WIDTH))
    lines.append(fill(card["headline"], _WIDTH))
    for label, key in (("Who they are", "who"), ("What they do", "does"), ("Worth", "worth")):
        if card.get(key):
            lines += [f"{label}:", _indented(card[key])]
    traits = [trait["phrase"] for trait in card["distinguishing"] if stem_of(trait["feature"])[0] != value_feature]
    if traits:
        lines += ["How they differ, clearest first:", *(_indented(f"- {words}", hanging=4) for words in traits)]
    if card.get("actions"):
        lines.append("What to try:")
        lines += [_indented(f"- {each['text']} Why: {each['because']}.", hanging=4) for each in card["actions"]]
    return "\n".join(lines)


def withheld_text(withheld: Mapping[str, Any]) -> str:
    """One line on the segments that are not described."""
    n, n_profiles = withheld["n_segments"], withheld["n_profiles"]
    what = "1 segment is" if n == 1 else f"{n} segments are"
    return (
        f"{what} not described ({n_profiles:,} {'profile' if n_profiles == 1 else 'profiles'}), so that no group of "
        f"fewer than {withheld['group_floor']:,} can be made out."
    )


def noise_text(content: Mapping[str, Any]) -> str:
    """One line on the profiles that are in no dense group; nothing where there are none.

    Parameters
    ----------
    content : mapping
        Of `segments.json`.
    """
    noise, choice = content.get("noise"), content["choice"]
    if noise:
        n, share = noise["n_profiles"], share_text(noise["profile_share"])
        value = f", with {share_text(noise['value_share'])} of sales" if noise["value_share"] is not None else ""
        are = "profile is" if n == 1 else "profiles are"
        return f"{n:,} {are} in no segment ({share}{value}): too few others are alike."
    if choice.get("noise") == "nearest" and (n := choice["n_noise"]):
        are = "profile is in no dense group and was" if n == 1 else "profiles are in no dense group and were"
        return f"{n:,} {are} put into the nearest segment, with confidence 0."
    return ""


def _indented(text: str, *, hanging: int = 2) -> str:
    return fill(text, _WIDTH, initial_indent="  ", subsequent_indent=" " * hanging)
