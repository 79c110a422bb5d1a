"""Runs in progress: started here, or taken over from an owner that is gone."""

import asyncio
import logging
import random
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

from stepwell.clock import Clock
from stepwell.config import WorkerSettings
from stepwell.engine.decide import decide
from stepwell.engine.events import RunCancelled, RunStarted
from stepwell.engine.evolve import evolve
from stepwell.engine.graph import Graph
from stepwell.engine.inputs import Cancel, Start
from stepwell.engine.state import MAX_EVENTS, RunState
from stepwell.orchestrator.effects import Effects
from stepwell.orchestrator.journal import Journal
from stepwell.orchestrator.owned import OwnedRun
from stepwell.orchestrator.refusals import refusals
from stepwell.orchestrator.workflows import Workflows
from stepwell_storage.errors import StorageError
from stepwell_storage.ports import Storage
from stepwell_storage.records import Lease, NewRun

CLAIM_BATCH = 100
FOREVER = 2**62
"""A time that every lease has expired by."""

log = logging.getLogger(__name__)


class Worker:
    """Owns runs, keeps their leases alive, and takes over those whose owner is gone."""

    def __init__(
        self,
        storage: Storage,
        *,
        owner: str,
        journal: Journal,
        workflows: Workflows,
        effects: Effects,
        clock: Clock,
        settings: WorkerSettings,
        max_events: int = MAX_EVENTS,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """`owner` names this worker among all; no two that live at once may share it."""
        self._storage = storage
        self._owner = owner
        self._journal = journal
        self._workflows = workflows
        self._effects = effects
        self._clock = clock
        self._lease_us = int(settings.lease.total_seconds() * 1_000_000)
        self._beat = settings.lease.total_seconds() / 3
        self._max_events = max_events
        self._jitter = jitter
        self._runs: dict[tuple[str, str], OwnedRun] = {}
        self._ended: dict[tuple[str, str], asyncio.Future[RunState | None]] = {}
        self._claimed: deque[Lease] = deque()
        """Leases that are ours and whose logs are still to be folded."""
        self._unreadable: dict[tuple[str, str], int] = {}
        """The epochs of leases that are ours and whose logs this version cannot fold."""
        self._tasks: asyncio.TaskGroup | None = None

    @property
    def open_runs(self) -> int:
        """How many runs this worker owns that have not ended."""
        return len(self._runs)

    @asynccontextmanager
    async def working(self, *, alone: bool) -> AsyncIterator[None]:
        """Works inside the block; then lets go of every run, so that others may claim them.

        `alone` says that nobody else can own a run of this store (the home's lock is ours):
        then all open runs are taken over before the block begins, whatever their leases say.

        Raises:
            Unavailable: they could not be, as the database cannot be used.
        """
        ended_by: Exception | None = None
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            keeping: asyncio.Task[None] | None = None
            try:
                if alone:
                    with refusals():
                        await self._take_over(FOREVER)
                keeping = tasks.create_task(self._keep_leases())
                yield
            except Exception as error:  # noqa: BLE001 - raised below, where the group cannot wrap it
                ended_by = error
            finally:
                self._let_go_of_all(keeping)
        await self._give_back()
        if ended_by is not None:
            raise ended_by

    async def start(
        self,
        namespace: str,
        run: str,
        graph: Graph,
        given: Start,
        *,
        request_id: str | None = None,
        request_digest: str = "",
    ) -> RunState:
        """Begins a run; its first events are committed when this returns.

        Raises:
            What `EventLog.append` raises; nothing was begun then.
        """
        state = RunState(run, graph, self._max_events)
        events = decide(state, given)
        for event in events:
            evolve(state, event)
        new = NewRun(
            workflow=graph.name,
            version=graph.version,
            principal=given.principal,
            created_at=given.at,
            owner=self._owner,
            lease_expires_at=given.at + self._lease_us,
            labels=given.labels,
            request_id=request_id,
            request_digest=request_digest,
        )
        append = self._journal.append(
            namespace,
            run,
            epoch=1,
            after=0,
            events=[(event, given.principal) for event in events],
            new=new,
        )
        # A caller who goes away takes nothing back: what is committed is ours to carry out. One
        # who stays is woken before the run goes on, and so is told of nothing else.
        accepted = asyncio.shield(append)
        append.add_done_callback(partial(self._begin, namespace, state))
        await accepted
        return state

    def find(self, namespace: str, run: str) -> OwnedRun | None:
        """The run, if it is in our hands."""
        return self._runs.get((namespace, run))

    async def wait_ended(self, namespace: str, run: str, timeout: float) -> RunState | None:
        """The state of a run of ours once it has ended; None when it is not ours or takes longer."""
        key = namespace, run
        if key not in self._runs:
            return None
        if key not in self._ended:
            self._ended[key] = asyncio.get_running_loop().create_future()
        ended = self._ended[key]
        await asyncio.wait([ended], timeout=timeout)
        return ended.result() if ended.done() else None

    async def cancel_unreadable(self, namespace: str, run: str, given: Cancel) -> bool:
        """Ends a run of ours whose log cannot be folded; False when it is no such run.

        Raises:
            What `EventLog.append` raises; the run stays as it is.
        """
        epoch = self._unreadable.get((namespace, run))
        if epoch is None:
            return False
        cancelled = RunCancelled(at=given.at, reason=given.reason)
        await self._journal.append(
            namespace,
            run,
            epoch=epoch,
            after=await self._journal.head(namespace, run),
            events=[(cancelled, given.principal)],
        )
        self._unreadable.pop((namespace, run), None)
        return True

    def _begin(self, namespace: str, state: RunState, append: asyncio.Future[int]) -> None:
        """Goes on with a run whose first events are committed."""
        is_committed = not append.cancelled() and append.exception() is None
        # When we are being stopped the run is left to the next owner.
        if is_committed and not state.has_ended and self._tasks is not None:
            self._own(namespace, state, epoch=1).go_on()

    # --- leases ---------------------------------------------------------------------------

    async def _keep_leases(self) -> None:
        """One heartbeat for all our runs, and a look at what others left behind, for ever."""
        while True:
            try:
                now = self._clock.now()
                await self._storage.claims.heartbeat(self._owner, expires_at=now + self._lease_us)
                await self._take_over(now)
            except StorageError as error:
                log.warning("leases could not be renewed, trying again: %s", error)
            except Exception:
                # The group cancels every call now, which no call may take for its own doing.
                self._let_go_of_all(None)
                raise
            await asyncio.sleep(self._beat)

    async def _take_over(self, expired_by: int) -> None:
        while True:
            leases = await self._storage.claims.claim(
                self._owner,
                now=expired_by,
                expires_at=self._clock.now() + self._lease_us,
                limit=CLAIM_BATCH,
            )
            self._claimed.extend(leases)
            while self._claimed:
                # Taken off last: a log that cannot be read now is read at the next beat.
                await self._adopt(self._claimed[0])
                self._claimed.popleft()
            if len(leases) < CLAIM_BATCH:
                return

    async def _adopt(self, lease: Lease) -> None:
        """Folds the log of a run that is ours now, and goes on with it."""
        held = self.find(lease.namespace, lease.run)
        if held is not None:
            held.drop()
        self._unreadable.pop((lease.namespace, lease.run), None)
        try:
            state = await self._fold(lease)
        except StorageError:
            raise
        except Exception:
            # It stays as its log has it, for a newer version may know what this one does not; a
            # defect in one run does not take the others with it.
            log.exception("run %s cannot go on with this version", lease.run)
            self._unreadable[lease.namespace, lease.run] = lease.epoch
            return
        log.info("run %s goes on after event %d", lease.run, state.sequence)
        self._own(lease.namespace, state, epoch=lease.epoch).go_on()

    async def _fold(self, lease: Lease) -> RunState:
        events = await self._journal.load(lease.namespace, lease.run)
        first = events[0]
        assert isinstance(first, RunStarted), "a log begins with run_started"
        graph = await self._workflows.graph(lease.namespace, first.workflow, first.version)
        state = RunState(lease.run, graph, self._max_events)
        for event in events:
            evolve(state, event)
        return state

    def _let_go_of_all(self, keeping: asyncio.Task[None] | None) -> None:
        self._tasks = None
        if keeping is not None:
            keeping.cancel()
        for owned in tuple(self._runs.values()):
            owned.drop()

    async def _give_back(self) -> None:
        try:
            await self._storage.claims.release(self._owner, now=self._clock.now())
        except StorageError as error:
            log.warning("leases could not be given back, they will expire: %s", error)

    def _own(self, namespace: str, state: RunState, *, epoch: int) -> OwnedRun:
        assert self._tasks is not None, "the worker is not running"
        owned = OwnedRun(
            namespace,
            state,
            epoch=epoch,
            journal=self._journal,
            effects=self._effects,
            clock=self._clock,
            tasks=self._tasks,
            jitter=self._jitter,
            on_end=self._let_go,
        )
        self._runs[namespace, state.run] = owned
        return owned

    def _let_go(self, owned: OwnedRun) -> None:
        key = owned.namespace, owned.state.run
        if self._runs.get(key) is owned:
            del self._runs[key]
        ended = self._ended.pop(key, None)
        if ended is not None and not ended.done():
            ended.set_result(owned.state if owned.has_ended else None)
