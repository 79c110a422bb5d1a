"""Every yes in the log was given through a door: the audit log knows of it, before the log does.

Whoever can write to the database can put an answer there that nobody gave, or a letter that makes the
daemon write it; the notary vouches for what it finds. So the two are compared.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Final, TypeAlias

import msgspec
from msgspec import Struct

from stepwell.engine.events import ApprovalDecided
from stepwell_storage.records import AuditEntry, StoredRow

APPROVED: Final = "approval.approve"
RESOLVED: Final = "run.resolve"
YES: Final = "approve"

_KIND: Final = "approval_decided"
_Answer: TypeAlias = tuple[str, str, str]
"""Of which run, about which step, by whom."""


class _Approved(Struct, frozen=True):
    run: str
    step: str


class _Resolved(Struct, frozen=True):
    step: str
    verdict: str = ""


class Answers:
    """What a chain and its log say of answers."""

    def __init__(self) -> None:
        self._recorded: Counter[_Answer] = Counter()
        self._given: Counter[_Answer] = Counter()

    def record(self, entry: AuditEntry) -> None:
        """An entry of the chain.

        Raises:
            msgspec.DecodeError: it is of an answer, and cannot be read.
        """
        if entry.action == APPROVED:
            told = msgspec.json.decode(entry.detail, type=_Approved)
            self._recorded[told.run, told.step, entry.principal] += 1
        elif entry.action == RESOLVED:
            resolved = msgspec.json.decode(entry.detail, type=_Resolved)
            if resolved.verdict == YES:
                run = entry.resource.removeprefix("run/")
                self._recorded[run, resolved.step, entry.principal] += 1

    def find(self, row: StoredRow) -> None:
        """A row of the log; what cannot be read is no answer."""
        try:
            for body in _bodies(row):
                said = msgspec.json.decode(body, type=ApprovalDecided)
                if said.decision == YES:
                    self._given[row.run, said.step, said.by] += 1
        except (msgspec.DecodeError, TypeError, AttributeError):
            return

    def unrecorded(self) -> list[_Answer]:
        """Where more was approved than the chain knows of."""
        return sorted(self._given - self._recorded)


def _bodies(row: StoredRow) -> Iterator[bytes]:
    """Those of the answers among the events of a row."""
    kinds = row.kind.split(" ")
    if _KIND not in kinds:
        return
    bodies = msgspec.json.decode(row.body, type=list[msgspec.Raw]) if len(kinds) > 1 else [row.body]
    for kind, body in zip(kinds, bodies, strict=False):
        if kind == _KIND:
            yield bytes(body)
