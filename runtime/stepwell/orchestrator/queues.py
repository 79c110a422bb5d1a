"""Queues: how many steps or runs go on at a time, and how many begin in a while.

A workflow names its queues, and people make them and set their limits, also while runs are waiting.
Who gets a place when is the store's business: it counts over all processes.
"""

from datetime import timedelta

from stepwell.clock import Clock
from stepwell.errors import Code, FailedPrecondition, InvalidRequest
from stepwell.orchestrator.audit import Audit
from stepwell.orchestrator.authority import demand_user
from stepwell.orchestrator.refusals import refusals
from stepwell.orchestrator.texts import check_texts
from stepwell.orchestrator.views import Queue
from stepwell.principals import Caller
from stepwell_storage.errors import Exists
from stepwell_storage.ports import Storage
from stepwell_storage.records import QueueLoad, QueueRow

MOST = 1_000_000
"""What a limit can be; who wants more wants none."""

LONGEST = timedelta(days=31)
"""The time that a rate is for: the store remembers that many admissions for so long."""

_MICROSECOND = timedelta(microseconds=1)


class Queues:
    """What a caller may ask about queues. Every method takes the caller first."""

    def __init__(self, storage: Storage, clock: Clock, audit: Audit) -> None:
        self._storage = storage
        self._audit = audit
        self._clock = clock

    async def put_queue(
        self,
        caller: Caller,
        name: str,
        *,
        concurrency: int | None = None,
        rate: int | None = None,
        per: timedelta | None = None,
    ) -> tuple[Queue, bool]:
        """Makes a queue, or changes its limits at once; the flag tells whether it is new.

        At most `concurrency` have a place at a time, and at most `rate` get one in any `per`; None
        is no limit. A concurrency of 0 holds back whatever comes; what has a place keeps it.

        Raises:
            Denied: POLICY_DENIED, the caller is not a user.
            InvalidRequest: INVALID_REQUEST, the limits are none.
        """
        demand_user(caller, "limits are set", "stepwell queues put")
        check_texts(name=name)
        _check(concurrency, rate, per)
        per_us = None if per is None else per // _MICROSECOND
        row = QueueRow(name, concurrency, rate, per_us, self._clock.now())
        with refusals():
            is_new = await self._storage.queues.put(caller.namespace, row)
        await self._audit.record(
            caller.namespace, caller.principal, "queue.put", f"queue/{name}", _limits(row)
        )
        return await self.get_queue(caller, name), is_new

    async def get_queue(self, caller: Caller, name: str) -> Queue:
        """One queue, with how many have a place in it and how many wait.

        Raises:
            NotFound: QUEUE_NOT_FOUND.
        """
        check_texts(name=name)
        with refusals(_no_queue(name), Code.QUEUE_NOT_FOUND):
            return _queue(await self._storage.queues.get(caller.namespace, name))

    async def list_queues(self, caller: Caller) -> tuple[Queue, ...]:
        """All of them, by name."""
        with refusals():
            return tuple(map(_queue, await self._storage.queues.list(caller.namespace)))

    async def remove_queue(self, caller: Caller, name: str) -> None:
        """Forgets a queue that nobody is in: workflows that name it are not limited any more.

        Raises:
            Denied: POLICY_DENIED, the caller is not a user.
            NotFound: QUEUE_NOT_FOUND.
            FailedPrecondition: NOT_APPLICABLE, somebody has a place in it or waits for one.
        """
        demand_user(caller, "queues are removed", "stepwell queues remove")
        check_texts(name=name)
        try:
            with refusals(_no_queue(name), Code.QUEUE_NOT_FOUND):
                await self._storage.queues.remove(caller.namespace, name)
        except Exists:
            raise FailedPrecondition(
                f"the queue {name!r} is in use: see `stepwell queues show {name}`. Take its limits "
                f"away with `stepwell queues put {name}`, or cancel the runs that are in it",
                code=Code.NOT_APPLICABLE,
            ) from None
        await self._audit.record(
            caller.namespace, caller.principal, "queue.remove", f"queue/{name}"
        )


def _limits(row: QueueRow) -> dict[str, str]:
    limits = {"concurrency": row.concurrency, "rate": row.rate, "per_us": row.per_us}
    return {name: str(limit) for name, limit in limits.items() if limit is not None}


def _check(concurrency: int | None, rate: int | None, per: timedelta | None) -> None:
    if concurrency is not None and not 0 <= concurrency <= MOST:
        raise _wrong("concurrency", f"is {concurrency}; it is a number from 0 to {MOST}")
    if (rate is None) != (per is None):
        raise _wrong("rate", "is so many in so long: give the number and the time, like 10/1s")
    if rate is not None and not 1 <= rate <= MOST:
        raise _wrong("rate", f"is {rate}; it is a number from 1 to {MOST}")
    if per is not None and not timedelta(milliseconds=1) <= per <= LONGEST:
        raise _wrong("per", f"is {per}; it is a time from 1ms to {LONGEST.days}d")


def _wrong(field: str, problem: str) -> InvalidRequest:
    return InvalidRequest(f"{field} {problem}", detail={field: problem})


def _no_queue(name: str) -> str:
    return (
        f"there is no queue {name!r}; `stepwell queues list` shows all, "
        f"and `stepwell queues put {name}` makes it"
    )


def _queue(load: QueueLoad) -> Queue:
    row = load.queue
    return Queue(
        name=row.name,
        concurrency=row.concurrency,
        rate=row.rate,
        per_us=row.per_us,
        running=load.running,
        waiting=load.waiting,
        updated_at=row.updated_at,
    )
