"""What a user may ask about the audit log."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from stepwell.orchestrator.authority import demand_user
from stepwell.orchestrator.refusals import refusals
from stepwell.orchestrator.verification import Checked, Known, verify
from stepwell.principals import Caller
from stepwell_storage.ports import Storage
from stepwell_storage.records import AuditEntry, AuditHead

MAX_PAGE = 1000


class AuditLog:
    """Every method takes the caller first; none of it is for agents.

    Raises, besides what a method names:
        Denied: POLICY_DENIED, the caller is not a user.
        Unavailable: the database cannot be used right now.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    async def list_entries(
        self, caller: Caller, *, after: int = 0, limit: int = MAX_PAGE
    ) -> list[AuditEntry]:
        """Entries with a sequence above `after`, oldest first."""
        _demand_user(caller)
        with refusals():
            return await self._storage.audit.read(
                caller.namespace, after=after, limit=min(limit, MAX_PAGE)
            )

    async def get_head(self, caller: Caller) -> AuditHead:
        """Where the chain ends."""
        _demand_user(caller)
        with refusals():
            return await self._storage.audit.head(caller.namespace)

    async def verify(
        self, caller: Caller, known: Sequence[Known] = ()
    ) -> AsyncGenerator[Checked, None]:
        """Checks the chain, and the event log against it; `known` hashes must be in the chain."""
        _demand_user(caller)
        with refusals():
            async with aclosing(verify(self._storage, caller.namespace, known)) as steps:
                async for step in steps:
                    yield step


def _demand_user(caller: Caller) -> None:
    demand_user(caller, "the audit log is read", "stepwell audit")
