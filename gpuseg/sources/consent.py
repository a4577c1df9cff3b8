"""What consent tables say, asked before any other row is looked at."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from gpuseg.engine import Engine
from gpuseg.engine.profiles import Profiles, ProfileSet, profile_set, profiles_of
from gpuseg.engine.program import CONSENT, ConsentRule, ReadPlan

_MERGED_AT_ONCE = 1 << 20


@dataclass
class Consents:
    """The rule that holds for every row of a run, and who it turned away without having said no.

    Parameters
    ----------
    rule : ConsentRule or None
        None where no table speaks for profiles.
    refusing : ProfileSet or None
        Profiles that any table says have refused.
    """

    rule: ConsentRule | None = None
    refusing: ProfileSet | None = None
    _merged: npt.NDArray[Any] | None = None
    _waiting: list[npt.NDArray[Any]] = field(default_factory=list)

    def add(self, refused: npt.NDArray[Any] | None) -> None:
        """Take in the marks of profiles of one batch that may not be used."""
        if refused is not None and refused.size:
            self._waiting.append(refused)
            held = 0 if self._merged is None else self._merged.size
            if sum(part.size for part in self._waiting) > max(held, _MERGED_AT_ONCE):
                self._merge()

    def n_without_record(self) -> int:
        """Profiles turned away for want of a record; two of one 64-bit hash would count as one."""
        self._merge()
        if self._merged is None:
            return 0
        known = np.empty(0, self._merged.dtype) if self.refusing is None else self.refusing.marks
        return int(np.setdiff1d(self._merged, known, assume_unique=False).size)

    def _merge(self) -> None:
        parts = [*([] if self._merged is None else [self._merged]), *self._waiting]
        if parts:
            self._merged, self._waiting = np.unique(np.concatenate(parts)), []


def read_consents(reads: Sequence[ReadPlan], engine: Engine) -> Consents:
    """Ask every source of attributes with a consent column who may be used.

    Parameters
    ----------
    reads : sequence of ReadPlan
        With their identity maps. A profile may be used if no table says no, and every table whose `consent_unknown` is
        "refuse" says yes; a row that cannot be used says nothing.
    engine : Engine

    Returns
    -------
    Consents
        Of all ids only those that the rule needs are held.
    """
    no: list[pa.Array] = []
    yes: list[ProfileSet] = []
    agreed: Profiles | None = None
    tables = [plan for plan in reads if plan.tells_consent]
    if not tables:
        return Consents()
    kind = pa.int64() if tables[0].id_type == "int64" else pa.large_string()
    for plan in tables:
        agreeing: list[pa.Array] = []
        # Where rows may be set apart for what another column holds, all columns are read: such a row says no yes.
        whole = plan.quarantine and plan.format in ("csv", "jsonl")
        columns = dict(plan.columns) if whole else {name: plan.columns[name] for name in ("profile_id", CONSENT)}
        for batch in engine.device.scan(replace(plan, columns=columns)):
            rows, _ = engine.device.partition_to_host(batch, 1)
            says, ids = rows[CONSENT], rows["profile_id"]
            no.append(ids.filter(pc.invert(says)))
            if plan.consent_unknown == "refuse":
                agreeing.append(ids.filter(says))
        if plan.consent_unknown == "refuse":
            mine = profiles_of(_together(agreeing, kind), engine.device.hash_ids)
            if agreed is None:
                agreed = mine
            else:
                yes.append(profile_set(mine))
    refusing = profile_set(profiles_of(_together(no, kind), engine.device.hash_ids))
    if agreed is None:
        return Consents(ConsentRule(refusing, may_be_used=False), refusing)
    kept = ~refusing.contains(agreed)
    for other in yes:
        kept &= other.contains(agreed)
    allowed = profile_set(replace(agreed, known=kept))
    # Only the marks of those who refused are needed from here on.
    return Consents(ConsentRule(allowed, may_be_used=True), ProfileSet(refusing.marks))


def _together(parts: Sequence[pa.Array], kind: pa.DataType) -> pa.Array:
    parts = [part for part in parts if len(part)]
    return pa.concat_arrays(parts) if parts else pa.array([], kind)
