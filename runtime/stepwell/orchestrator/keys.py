"""What a user may ask about the keys that data is encrypted with, and do with them."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from stepwell.errors import Code, Denied, FailedPrecondition, NotFound, StepwellError
from stepwell.orchestrator.audit import Audit
from stepwell.orchestrator.refusals import no_run, refusals
from stepwell.orchestrator.texts import check_texts
from stepwell.orchestrator.views import DestroyedKeys, KeyPage, RingKey, RunStatus, data_key_of
from stepwell.principals import Caller
from stepwell.vault.vault import OF_RUN, OF_SUBJECT, Rotation, Vault
from stepwell_storage.ports import Storage
from stepwell_storage.records import Condition

MAX_PAGE: Final = 1000
CANCELS: Final = 20
"""Runs that are cancelled at a time before their key is destroyed."""

OPEN: Final = tuple(status for status in RunStatus if not status.ended)


class KeyKeeping:
    """Every method takes the caller first; none of it is for agents.

    Raises, besides what a method names:
        Denied: POLICY_DENIED, the caller is not a user.
        Unavailable: the database cannot be used right now; nothing was changed.
    """

    def __init__(
        self,
        storage: Storage,
        *,
        vault: Vault | None,
        audit: Audit,
        cancel_run: Callable[[Caller, str, str], Awaitable[object]],
    ) -> None:
        """`cancel_run` takes the caller, the run and the reason."""
        self._storage = storage
        self._vault = vault
        self._audit = audit
        self._cancel_run = cancel_run

    async def list_rings(self, caller: Caller) -> tuple[RingKey, ...]:
        """The keys of the ring, by name, with how many data keys each wraps in all namespaces."""
        _demand_user(caller)
        ring = self._used().ring
        with refusals():
            uses = {use.ring: use.keys for use in await self._storage.keys.rings()}
        return tuple(
            RingKey(
                name=name,
                is_active=name == ring.active,
                is_lost=name in ring.lost,
                keys=uses.get(name, 0),
            )
            for name in sorted({*ring.names, *uses})
        )

    async def list_keys(
        self, caller: Caller, *, of_runs: bool = False, after: str = "", limit: int = 50
    ) -> KeyPage:
        """Data keys of subjects, or of runs, by their names; those that are destroyed too.

        `after` is `next` of the page before.
        """
        _demand_user(caller)
        check_texts(after=after)
        prefix = OF_RUN if of_runs else OF_SUBJECT
        name, _, id = after.rpartition("/")
        with refusals():
            rows = await self._storage.keys.list(
                caller.namespace, limit=min(limit, MAX_PAGE) + 1, after=(prefix + name, id)
            )
        keys = [data_key_of(row) for row in rows if row.subject.startswith(prefix)]
        shown = keys[: min(limit, MAX_PAGE)]
        more = len(shown) < len(keys)
        return KeyPage(tuple(shown), f"{shown[-1].name}/{shown[-1].id}" if more else "")

    async def rotate(self, caller: Caller) -> Rotation:
        """Wraps every data key, of all namespaces, with the active key of the ring.

        Raises:
            FailedPrecondition: NOT_APPLICABLE, encryption is off.
            SetupError: INVALID_CONFIG, the ring lacks a key that wraps some of them.
        """
        _demand_user(caller)
        vault = self._used()
        with refusals():
            rotation = await vault.rotate()
        await self._audit.record(
            caller.namespace, caller.principal, "key.rotate", f"ring/{vault.ring.active}"
        )
        return rotation

    async def destroy_run(self, caller: Caller, run: str) -> DestroyedKeys:
        """Erases what one run has written; if it is open it is cancelled before.

        Raises:
            NotFound: RUN_NOT_FOUND; KEY_NOT_FOUND, the run has no key of its own.
        """
        _demand_user(caller)
        check_texts(run=run)
        with refusals(no_run(run)):
            row = await self._storage.runs.get(caller.namespace, run)
        subject = self._used().subject_of(row.labels)
        if subject:
            raise NotFound(
                f"the run {run} is encrypted with the key of the subject {subject}; destroy that, "
                "with all that is known of them",
                code=Code.KEY_NOT_FOUND,
            )
        return await self._destroy(caller, OF_RUN + run, [run] if row.ended_at is None else [])

    async def destroy_subject(self, caller: Caller, subject: str) -> DestroyedKeys:
        """Erases what all runs of a subject have written; those that are open are cancelled before.

        Raises:
            NotFound: KEY_NOT_FOUND, there is no key of this subject.
        """
        _demand_user(caller)
        check_texts(subject=subject)
        return await self._destroy(
            caller, OF_SUBJECT + subject, await self._open_runs(caller, subject)
        )

    # --- inside ---------------------------------------------------------------------------

    async def _destroy(self, caller: Caller, owner: str, open_runs: list[str]) -> DestroyedKeys:
        vault = self._used()
        kind, _, name = owner.partition(":")
        with refusals():
            if await self._storage.keys.of_subject(caller.namespace, owner) is None:
                raise NotFound(
                    f"there is no key of the {kind} {name}, so nothing was erased; `stepwell data-keys "
                    "list` shows those that there are",
                    code=Code.KEY_NOT_FOUND,
                )
            cancelled = await self._cancel(caller, open_runs, f"the key of the {kind} is destroyed")
            keys = await vault.destroy(caller.namespace, owner)
        detail = {"keys": str(keys), "cancelled": str(len(cancelled))}
        await self._audit.record(
            caller.namespace, caller.principal, "key.destroy", f"key/{owner}", detail
        )
        return DestroyedKeys(keys=keys, cancelled=cancelled)

    async def _cancel(self, caller: Caller, runs: list[str], reason: str) -> tuple[str, ...]:
        """Cancels runs; one that cannot be is ended by whoever reads its log next."""
        places = asyncio.Semaphore(CANCELS)

        async def cancel(run: str) -> str:
            async with places:
                try:
                    await self._cancel_run(caller, run, reason)
                except StepwellError:
                    return ""
            return run

        return tuple(filter(None, await asyncio.gather(*map(cancel, runs))))

    async def _open_runs(self, caller: Caller, subject: str) -> list[str]:
        label = self._used().subject_label
        if not label:
            return []
        where = (Condition(f"labels.{label}", "=", (subject,)), Condition("status", "=", OPEN))
        found: list[str] = []
        before: tuple[int, str] | None = None
        while True:
            with refusals():
                rows = await self._storage.runs.list(
                    caller.namespace, limit=MAX_PAGE, before=before, where=where
                )
            found += (row.run for row in rows)
            if len(rows) < MAX_PAGE:
                return found
            before = rows[-1].created_at, rows[-1].run

    def _used(self) -> Vault:
        if self._vault is None or not self._vault.is_on:
            raise FailedPrecondition(
                "encryption is off; encryption.keys and encryption.active turn it on",
                code=Code.NOT_APPLICABLE,
            )
        return self._vault


def _demand_user(caller: Caller) -> None:
    """Who destroys a key erases data for good, and an agent must never be talked into that."""
    if not caller.is_user:
        raise Denied(
            f"keys are kept by a user, and this call is by {caller.principal}; have the owner of "
            "the home run `stepwell data-keys`"
        )
