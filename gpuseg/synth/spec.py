"""What to make, checked at the door, and what was made."""

import datetime as dt
from dataclasses import KW_ONLY, dataclass
from typing import Literal

from gpuseg.config_messages import nearest
from gpuseg.errors import ConfigError
from gpuseg.synth.personas import SEGMENT_PERCENT

TIMEZONE = "America/New_York"
# Parts of all events, in the order in which kinds vouch for a profile's first event.
EVENT_PARTS = {"purchases": 35, "web": 45, "social": 12, "feedback": 8}
SYNTH_KINDS = ("web", "social", "purchases", "feedback", "crm")
ID_TYPES = ("int64", "text")

EPOCH = dt.date(1970, 1, 1)
LATEST = dt.date(2200, 1, 1)


@dataclass(frozen=True)
class SynthSpec:
    """What to make.

    Parameters
    ----------
    n_profiles : int
        Profiles, at least 1.
    n_events : int
        Rows over all event kinds together, exactly; CRM rows do not count.
    seed : int, default 0
        From 0 to 2**32 - 1.
    n_segments : int, default 5
        Planted segments, 2 to 8 and at most `n_profiles`.
    kinds : tuple of str
        Kinds to write; all five where not given.
    id_type : {"int64", "text"}, default "int64"
        `text` gives ids such as "C-0000123".
    as_of : datetime.date, default 2026-01-01
        Every event lies before its midnight in New York.
    history_days : int, default 365
        Days before `as_of` in which events lie.
    rows_per_file : int, default 2 000 000
        Most rows of a file; the truth is always one file.

    Raises
    ------
    ConfigError
        If a value cannot be, with the nearest one that can.
    """

    n_profiles: int
    n_events: int
    _: KW_ONLY
    seed: int = 0
    n_segments: int = 5
    kinds: tuple[str, ...] = SYNTH_KINDS
    id_type: Literal["int64", "text"] = "int64"
    as_of: dt.date = dt.date(2026, 1, 1)
    history_days: int = 365
    rows_per_file: int = 2_000_000

    def __post_init__(self) -> None:
        if not _is_day(self.as_of) or not EPOCH < self.as_of <= LATEST:
            raise ConfigError(f"as_of: {str(self.as_of)!r}: must be a date from 1970-01-02 to {LATEST}")
        _in_range("n_profiles", self.n_profiles, 1, 2**40)
        _in_range("n_events", self.n_events, 0, 2**50)
        _in_range("seed", self.seed, 0, 2**32 - 1)
        _in_range("history_days", self.history_days, 1, (self.as_of - EPOCH).days)
        _in_range("rows_per_file", self.rows_per_file, 1, 2**40)
        _in_range("n_segments", self.n_segments, 2, max(SEGMENT_PERCENT))
        if self.n_segments > self.n_profiles:
            raise ConfigError(f"n_segments: {self.n_segments}: must be at most n_profiles, {self.n_profiles}")
        if self.id_type not in ID_TYPES:
            raise ConfigError(f"id_type: {self.id_type!r}: must be int64 or text{nearest(self.id_type, ID_TYPES)}")
        self._check_kinds()

    def _check_kinds(self) -> None:
        for kind in self.kinds:
            if kind not in SYNTH_KINDS:
                raise ConfigError(
                    f"kinds: {kind!r}: must be one of {', '.join(SYNTH_KINDS)}{nearest(kind, SYNTH_KINDS)}"
                )
        if not self.kinds or len(set(self.kinds)) != len(self.kinds):
            raise ConfigError(f"kinds: name at least one of {', '.join(SYNTH_KINDS)}, and each once")
        if self.n_events and not self.event_kinds:
            raise ConfigError(f"n_events: {self.n_events}: crm has no events; ask for 0 or for another kind")
        if "crm" not in self.kinds and self.n_events < self.n_profiles:
            raise ConfigError(
                f"n_events: {self.n_events}: must be at least n_profiles, {self.n_profiles}, where kinds has "
                "no crm: a profile needs an event or a CRM row"
            )

    @property
    def event_kinds(self) -> tuple[str, ...]:
        """The requested kinds that hold events, in a fixed order."""
        return tuple(kind for kind in EVENT_PARTS if kind in self.kinds)


@dataclass(frozen=True)
class SynthSummary:
    """What was written.

    Parameters
    ----------
    rows : dict of str to int
        Rows per requested kind.
    files : dict of str to tuple of str
        File names per requested kind and `truth`, in order.
    segments : dict of str to int
        Profiles per planted segment, by name.
    config : str or None
        Name of the ready-to-run configuration; None where no requested kind can be read yet.
    """

    rows: dict[str, int]
    files: dict[str, tuple[str, ...]]
    segments: dict[str, int]
    config: str | None


def _is_day(value: object) -> bool:
    return isinstance(value, dt.date) and not isinstance(value, dt.datetime)


def _in_range(name: str, value: object, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ConfigError(f"{name}: {value!r}: must be a whole number from {low} to {high}")
    if not low <= value <= high:
        closest = min(max(value, low), high)
        raise ConfigError(f"{name}: {value}: must be from {low} to {high}; nearest valid: {closest}")
