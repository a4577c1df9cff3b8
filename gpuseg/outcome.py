"""What a run of stages did."""

from dataclasses import dataclass

from gpuseg.segments.run import Run
from gpuseg.workspace.version import StageRecord, Version

QUARANTINED = 6
"""Exit code of a run that is done but has set bad rows apart."""


@dataclass(frozen=True)
class Outcome:
    """What `execute` did.

    Parameters
    ----------
    version : Version
    records : tuple of StageRecord
        Committed stages of the version, in order.
    executed : tuple of str
        Names of those that ran now.
    reason : str
        Why the device is the one it is.
    """

    version: Version
    records: tuple[StageRecord, ...]
    executed: tuple[str, ...]
    reason: str

    @property
    def run(self) -> Run:
        """The version as a finished run."""
        return Run(self.version.path)

    @property
    def warnings(self) -> list[str]:
        """What asks something of the reader, of every stage, once each."""
        return self._told("warnings")

    @property
    def notes(self) -> list[str]:
        """What says that a setting did its work, of every stage, once each."""
        return self._told("notes")

    @property
    def rows_quarantined(self) -> int:
        """Bad rows that were set apart."""
        return sum(record.facts.get("rows_quarantined", 0) for record in self.records)

    @property
    def exit_code(self) -> int:
        """0, or `QUARANTINED`."""
        return QUARANTINED if self.rows_quarantined else 0

    def _told(self, kind: str) -> list[str]:
        return list(dict.fromkeys(line for record in self.records for line in record.facts.get(kind, ())))
