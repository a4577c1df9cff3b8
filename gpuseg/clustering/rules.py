"""Segments by rules: which profile belongs to which rule, and what to say of rules that overlap or match nobody."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from gpuseg.clustering.rule_values import Bools, Columns, matches
from gpuseg.config_messages import nearest
from gpuseg.errors import ClusteringError, ConfigError, IntegrityError
from gpuseg.rule_language import parse_condition
from gpuseg.rule_trees import Condition, spelled
from gpuseg.vocabulary import NO_SEGMENT

_MOST_TOLD = 5
_LONGEST_SHOWN = 60
# Few enough rows that a table of all rules by these stays small; sums of as many ones are exact in float32.
_BLOCK_ROWS = 16_384


@dataclass(frozen=True)
class Rule:
    """Name of a segment, and the condition of belonging to it."""

    name: str
    where: Condition

    @classmethod
    def of(cls, name: str, where: str) -> "Rule":
        """A rule whose condition is given as text.

        Raises
        ------
        ConfigError
            If the text is no condition.
        """
        return cls(name, parse_condition(where))


@dataclass(frozen=True, eq=False)
class Tally:
    """How many profiles match which rules; tallies of parts add up.

    Parameters
    ----------
    placed : int64 array, shape (n_rules + 1,)
        Profiles by the first rule that they match; last those that match none.
    overlaps : int64 array, shape (n_rules, n_rules)
        Profiles that match both rules; on the diagonal those that match the rule.
    """

    placed: npt.NDArray[np.int64]
    overlaps: npt.NDArray[np.int64]

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(self.placed + other.placed, self.overlaps + other.overlaps)


@dataclass(frozen=True)
class RuleSet:
    """Rules in order: a profile belongs to the first one that it matches.

    What is configured has rules that may match nobody. `settled` leaves those out, so that positions become segment
    ids: 0 for the first rule that has profiles, and so on, last the profiles that match no rule.

    Parameters
    ----------
    rules : tuple of Rule
        At least one, of different names.
    unmatched : str or None
        Name of the group of profiles that match no rule; without one they are in no segment.
    overlap : {"first", "refuse"}
        Whether a profile of the fit may match several rules. A profile placed later belongs to the first either way.
    """

    rules: tuple[Rule, ...]
    unmatched: str | None = "Everyone else"
    overlap: Literal["first", "refuse"] = "first"

    @property
    def names(self) -> tuple[str, ...]:
        """Name of every group, in order of the positions that `place` gives."""
        own = tuple(rule.name for rule in self.rules)
        return own if self.unmatched is None else (*own, self.unmatched)

    @property
    def features(self) -> tuple[str, ...]:
        """Every feature that a rule names, once: the columns that are needed."""
        return tuple(dict.fromkeys(found.name for rule in self.rules for found in rule.where.features))

    def check(self, names: Collection[str], *, published: Collection[str] | None = None) -> None:
        """Refuse features that a run does not have, and a rule that is called as the unmatched are.

        Parameters
        ----------
        names : collection of str
            Features of the run.
        published : collection of str, optional
            Those that a message may name; all of them where not given.

        Raises
        ------
        ConfigError
            With the rule by its number from 1, the character, and the nearest feature.
        """
        if self.unmatched is not None and self.unmatched.casefold() in {rule.name.casefold() for rule in self.rules}:
            raise ConfigError(f"cluster.unmatched: {self.unmatched!r} is also the name of a rule; choose another")
        told = [spelled(name) for name in (names if published is None else published)]
        unknown = [
            (number, found)
            for number, rule in enumerate(self.rules, start=1)
            for found in rule.where.features
            if found.name not in names
        ]
        if unknown:
            number, found = unknown[0]
            advice = nearest(found.name, told) or f"; this run has {len(names)}, such as {', '.join(told[:_MOST_TOLD])}"
            more = f" (and {len(unknown) - 1} more)" if len(unknown) > 1 else ""
            shown = repr(found.name[:_LONGEST_SHOWN])
            raise ConfigError(
                f"cluster.rules.{number}.where: unknown feature {shown} at character {found.at}{advice}{more}"
            )

    def place(self, columns: Columns) -> npt.NDArray[np.int32]:
        """Position of every profile's group among `names`.

        Parameters
        ----------
        columns : mapping of str to float64 array, shape (n_profiles,)
            The columns of `features`; NaN for null.

        Returns
        -------
        int32 array, shape (n_profiles,)
            Of the first rule that the profile matches; without one `len(rules)`, or -1 where `unmatched` is None.
        """
        other = NO_SEGMENT if self.unmatched is None else len(self.rules)
        return np.concatenate([_first(matched, other) for matched in self._matched(columns)])

    def tally(self, columns: Columns) -> Tally:
        """Count who matches what, of profiles as in `place`."""
        n_rules = len(self.rules)
        placed, overlaps = np.zeros(n_rules + 1, np.int64), np.zeros((n_rules, n_rules), np.int64)
        for matched in self._matched(columns):
            placed += np.bincount(_first(matched, n_rules), minlength=n_rules + 1)
            ones = matched.astype(np.float32)
            overlaps += (ones @ ones.T).astype(np.int64)
        return Tally(placed, overlaps)

    def overlaps(self, columns: Columns) -> npt.NDArray[np.int64]:
        """Profiles that match each two rules, shape (n_rules, n_rules); as in `Tally`."""
        return self.tally(columns).overlaps

    def settled(self, tally: Tally, *, group_floor: int = 1) -> "RuleSet":
        """The rules that have profiles, and the unmatched if there are any.

        The profiles of the tally have the same groups as before. One that is placed later and matches a rule that is
        left out belongs to the next rule that it matches.

        Parameters
        ----------
        tally : Tally
            Of all profiles of the fit.
        group_floor : int, default 1
            A smaller number of profiles is not told.

        Raises
        ------
        ClusteringError
            If no rule matches anybody, or some overlap and `overlap` is `refuse`.
        """
        pairs = _overlapping(tally)
        if self.overlap == "refuse" and pairs:
            more = f" (and {len(pairs) - 1} more pair{'s' if len(pairs) > 2 else ''})" if len(pairs) > 1 else ""
            raise ClusteringError(
                f"cluster.rules: {self._both(pairs[0], group_floor)}, which cluster.overlap: refuse forbids; narrow "
                f"one of them, or set cluster.overlap: first to let the first one count{more}"
            )
        if not tally.placed[:-1].any():
            raise ClusteringError(
                f"cluster.rules: no rule matches any of {int(tally.placed.sum()):,} profiles; compare their numbers "
                "with the features' units and mind that a comparison with an unknown value matches nobody"
            )
        kept = tuple(rule for rule, n_placed in zip(self.rules, tally.placed[:-1], strict=True) if n_placed)
        return replace(self, rules=kept, unmatched=self.unmatched if tally.placed[-1] else None)

    def warnings(self, tally: Tally, *, group_floor: int = 1) -> list[str]:
        """One line for every rule without profiles, and for the rules that overlap most.

        Parameters
        ----------
        tally : Tally
            Of all profiles of the fit.
        group_floor : int, default 1
            A smaller number of profiles is not told.
        """
        lines = []
        for rule, n_placed, n_matching in zip(self.rules, tally.placed, tally.overlaps.diagonal(), strict=False):
            if not n_matching:
                lines.append(f"rule {rule.name!r} matches nobody; it has no segment")
            elif not n_placed:
                counted = _counted(n_matching, group_floor)
                lines.append(
                    f"rule {rule.name!r} matches {counted}, all of which belong to earlier rules; it has no segment"
                )
        pairs = _overlapping(tally)
        lines += [f"rules {self._both(pair, group_floor)}; the first one counts" for pair in pairs[:_MOST_TOLD]]
        if len(pairs) > _MOST_TOLD:
            lines.append(f"pairs of rules that overlap less: {len(pairs) - _MOST_TOLD}; the first one of each counts")
        return lines

    def as_dict(self) -> dict[str, Any]:
        """JSON form."""
        rules = [{"name": rule.name, "where": rule.where.text} for rule in self.rules]
        return {"rules": rules, "unmatched": self.unmatched, "overlap": self.overlap}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "RuleSet":
        """Rebuild from the JSON form.

        Raises
        ------
        IntegrityError
            If it is none.
        """
        try:
            rules = tuple(Rule.of(item["name"], item["where"]) for item in content["rules"])
            return cls(rules, content["unmatched"], content["overlap"])
        except (KeyError, TypeError, ConfigError):
            raise IntegrityError("the model's rules are not whole") from None

    def _matched(self, columns: Columns) -> Iterator[Bools]:
        """Who matches which rule, in blocks of shape (n_rules, n_rows); one without rows where there are none."""
        mine = {name: columns[name] for name in self.features}
        n_rows = len(next(iter(mine.values())))
        for start in range(0, max(n_rows, 1), _BLOCK_ROWS):
            block = {name: values[start : start + _BLOCK_ROWS] for name, values in mine.items()}
            yield np.stack([matches(rule.where, block) for rule in self.rules])

    def _both(self, pair: tuple[int, int, int], group_floor: int) -> str:
        first, second, count = pair
        names = f"{self.rules[first].name!r} and {self.rules[second].name!r}"
        return f"{names} both match {_counted(count, group_floor)}"


def _first(matched: Bools, other: int) -> npt.NDArray[np.int32]:
    """Position of the first rule that each row matches."""
    return np.where(matched.any(axis=0), matched.argmax(axis=0), other).astype(np.int32)


def _overlapping(tally: Tally) -> list[tuple[int, int, int]]:
    """Positions of each two rules that match the same profiles, and of how many, most first."""
    firsts, seconds = np.nonzero(np.triu(tally.overlaps, 1))
    pairs = [(int(i), int(j), int(tally.overlaps[i, j])) for i, j in zip(firsts, seconds, strict=True)]
    return sorted(pairs, key=lambda pair: (-pair[2], pair[:2]))


def _counted(count: int, group_floor: int) -> str:
    if count < group_floor:
        return f"fewer than {group_floor:,} profiles"
    return f"{count:,} profile{'' if count == 1 else 's'}"
