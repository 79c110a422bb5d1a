"""Runs in progress: started here, or taken over from an owner that is gone.

A run that only waits is let go of after a while. It costs nothing then but its rows: whichever
process looks next takes it over when its time or a letter has come.
"""

import asyncio
import logging
import random
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial

from stepwell.clock import Clock
from stepwell.config import WorkerSettings
from stepwell.engine.commands import StartChild
from stepwell.engine.decide import decide
from stepwell.engine.events import Event, RunCancelled, RunStarted
from stepwell.engine.evolve import evolve
from stepwell.engine.graph import Graph
from stepwell.engine.inputs import Cancel, ChildEnded, Fork, RetryStep, Start
from stepwell.engine.state import MAX_EVENTS, RunState
from stepwell.errors import KeyDestroyed, StepwellError
from stepwell.orchestrator import letters
from stepwell.orchestrator.asked import take_rows
from stepwell.orchestrator.calls import Calls
from stepwell.orchestrator.effects import Effects
from stepwell.orchestrator.erased import last_words
from stepwell.orchestrator.journal import Journal
from stepwell.orchestrator.meter import Meter, RunMeter
from stepwell.orchestrator.owned import OwnedRun
from stepwell.orchestrator.peers import MAX_DEPTH, StoredPeers
from stepwell.orchestrator.refusals import refusals
from stepwell.orchestrator.spans import NO_SPANS, Spans
from stepwell.orchestrator.spending import Spending, budget_rows
from stepwell.orchestrator.standing import standing_of
from stepwell.orchestrator.views import run_of_row
from stepwell.orchestrator.workflows import Workflows
from stepwell.telemetry.metrics import Metrics
from stepwell.tools.registry import ToolRegistry
from stepwell.vault.sealer import Sealer
from stepwell_storage.errors import Conflict, Fenced, Missing, StorageError
from stepwell_storage.errors import Unavailable as StorageUnavailable
from stepwell_storage.ports import Storage
from stepwell_storage.records import Lease, Letter, NewRun, Reopened, Rest

CLAIM_BATCH = 100
LETTER_BATCH = 1000
SHORT_NAP = 10_000_000
"""Microseconds; a run that goes on by itself within this time is not let go of."""

LOOKS = 2
"""Beats at which a process that an answer did not reach looks for what it holds: a commit whose
connection broke may come after the first."""

DRAIN_LOOK = 0.05
"""Seconds between two looks at what is still in flight while the worker hands over."""

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
        tools: ToolRegistry,
        clock: Clock,
        settings: WorkerSettings,
        max_events: int = MAX_EVENTS,
        max_depth: int = MAX_DEPTH,
        jitter: Callable[[], float] = random.random,
        metrics: Metrics | None = None,
        spending: Spending | None = None,
        spans: Spans = NO_SPANS,
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
        self._poll = settings.poll.total_seconds()
        self._max_events = max_events
        self._jitter = jitter
        self._meter = Meter(metrics or Metrics())
        self._spans = spans
        self._spending = spending
        self._peers = StoredPeers(
            storage,
            journal=journal,
            workflows=workflows,
            tools=tools,
            clock=clock,
            start=self.start,
            max_depth=max_depth,
            spans=spans,
        )
        self._runs: dict[tuple[str, str], OwnedRun] = {}
        self._waiting: dict[tuple[str, str], dict[asyncio.Future[RunState | None], bool]] = {}
        """Who waits for the end of a run, by namespace and run; and whether for another standing
        of it too."""
        self._claimed: deque[Lease] = deque()
        """Leases that are ours and whose logs are still to be folded."""
        self._unreadable: dict[tuple[str, str], int] = {}
        """The epochs of leases that are ours and whose logs this version cannot fold."""
        self._kept_letters = 0
        """Letters that lay there at the last look, for runs that could not take them."""
        self._resting: set[OwnedRun] = set()
        """Runs that were at rest when last looked at; those that still are may be let go of."""
        self._beginning: set[tuple[str, str]] = set()
        """Runs whose first append is under way."""
        self._looks = 0
        """How often we are still to look whether we hold what we do not know of."""
        self._kept_until: int | None = None
        """Until when our leases are ours for certain."""
        self._wakes_at: int | None = None
        """When the next run that nobody holds goes on."""
        self._admits_at: int | None = None
        """When the rate limit of a queue lets the next one in."""
        self._takes_over_at = 0
        """Until then we take from nobody: who lives could not extend a lease either."""
        self._is_draining = False
        self._tasks: asyncio.TaskGroup | None = None
        self._calls: Calls | None = None

    @property
    def open_runs(self) -> int:
        """How many runs this worker owns that have not ended."""
        return len(self._runs)

    @property
    def is_busy(self) -> bool:
        """Whether anything is in flight here, or some run goes on when its time has come."""
        return self._wakes_at is not None or any(
            not owned.is_at_rest or owned.state.wakes_at is not None
            for owned in self._runs.values()
        )

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
            self._tasks, self._calls = tasks, Calls()
            keeping: list[asyncio.Task[None]] = []
            try:
                if alone:
                    with refusals():
                        await self._storage.claims.evict(self._owner, now=self._clock.now())
                        await self._take_over()
                keeping.append(tasks.create_task(self._for_ever(self._keep_leases, self._beat)))
                keeping.append(tasks.create_task(self._for_ever(self._look_around, 0)))
                yield
            except Exception as error:  # noqa: BLE001 - raised below, where the group cannot wrap it
                ended_by = error
            finally:
                self._let_go_of_all(keeping)
                await self._calls.stopped()
        await self._give_back()
        if ended_by is not None:
            raise ended_by

    async def drain(self, timeout: float) -> None:
        """Begins nothing new; hands every run over once what it has in flight has ended.

        Ends when all are handed over, or after `timeout` seconds.
        """
        self._is_draining = True
        for owned in tuple(self._runs.values()):
            owned.drain()
        try:
            async with asyncio.timeout(timeout):
                while self._runs:
                    await self._park([owned for owned in self._runs.values() if owned.is_at_rest])
                    if self._runs:
                        await asyncio.sleep(DRAIN_LOOK)
        except TimeoutError:
            log.warning("%d runs have calls in flight that did not end in time", len(self._runs))
        except StorageError as error:
            log.warning("runs could not be handed over, their leases will expire: %s", error)

    # --- beginnings -----------------------------------------------------------------------

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
        state = RunState(run, graph, self._max_events, self._journal.subject_label)
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
            run_key=given.run_key or None,
            parent=given.parent.run if given.parent else None,
        )
        return await self._begin_with(namespace, state, given, new)

    async def fork(
        self,
        namespace: str,
        state: RunState,
        given: Fork,
        *,
        request_id: str | None = None,
        request_digest: str = "",
    ) -> RunState:
        """Begins a run that goes on from where another was; `state` has folded that one's log.

        Raises:
            What `EventLog.append` raises; nothing was begun then.
        """
        new = NewRun(
            workflow=state.graph.name,
            version=state.graph.version,
            principal=given.principal,
            created_at=given.at,
            owner=self._owner,
            lease_expires_at=given.at + self._lease_us,
            labels=given.labels,
            request_id=request_id,
            request_digest=request_digest,
            forked_from=given.run,
        )
        return await self._begin_with(namespace, state, given, new)

    async def reopen(self, namespace: str, state: RunState, given: RetryStep) -> None:
        """Takes a run up again that has failed; `state` has folded all of its log.

        Raises:
            What `EventLog.append` raises; the run stays as it is.
        """
        last = await self._storage.claims.last(namespace, state.run)
        after = state.sequence
        events = [(event, given.principal) for event in decide(state, given)]
        for event, _ in events:
            evolve(state, event)
        seal = await self._journal.sealer(namespace, state.run, state.labels)
        append = self._journal.append(
            namespace,
            state.run,
            epoch=last.epoch,
            after=after,
            events=events,
            reopened=Reopened(self._owner, given.at + self._lease_us),
            approvals=take_rows(state),
            seal=seal,
        )
        await self._accepted(append, namespace, state, last.epoch + 1, seal, events)

    async def _begin_with(
        self, namespace: str, state: RunState, given: Start | Fork, new: NewRun
    ) -> RunState:
        events = [(event, given.principal) for event in decide(state, given)]
        for event, _ in events:
            evolve(state, event)
        seal = await self._journal.sealer(namespace, state.run, state.labels)
        append = self._journal.append(
            namespace,
            state.run,
            epoch=1,
            after=0,
            events=events,
            new=new,
            standing=standing_of(state),
            budgets=budget_rows(state, given.at),
            approvals=take_rows(state),
            seal=seal,
        )
        await self._accepted(append, namespace, state, 1, seal, events)
        return state

    async def _accepted(
        self,
        append: asyncio.Future[int],
        namespace: str,
        state: RunState,
        epoch: int,
        seal: Sealer | None,
        events: Sequence[tuple[Event, str]],
    ) -> None:
        """Ends with the commit of a run's first events; then the run goes on.

        A caller who goes away takes nothing back: what is committed is ours to carry out. One
        who stays is woken before the run goes on, and so is told of nothing else.
        """
        self._beginning.add((namespace, state.run))
        accepted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        begin = partial(self._begin, accepted, namespace, state, epoch, seal, events)
        append.add_done_callback(begin)
        await accepted

    def _begin(
        self,
        accepted: asyncio.Future[None],
        namespace: str,
        state: RunState,
        epoch: int,
        seal: Sealer | None,
        events: Sequence[tuple[Event, str]],
        append: asyncio.Future[int],
    ) -> None:
        """Goes on with a run whose first events are committed."""
        self._beginning.discard((namespace, state.run))
        _pass_on(append, accepted)
        error = None if append.cancelled() else append.exception()
        if isinstance(error, StorageUnavailable):
            self._looks = LOOKS
        if append.cancelled() or error is not None:
            return
        meter = self._meter.of_run()
        meter.committed(state, events)
        if state.has_ended:
            self._spans.run_ended(namespace, state)
        elif self._tasks is not None:  # else we are being stopped: it is left to the next owner
            owned = self._own(namespace, state, epoch=epoch, seal=seal, meter=meter)
            owned.go_on()
            if state.parent is not None:
                self._tasks.create_task(self._look_for_parent(owned))

    # --- asking ---------------------------------------------------------------------------

    @property
    def is_draining(self) -> bool:
        """Whether runs are handed over, and what is cancelled goes on elsewhere."""
        return self._is_draining

    def find(self, namespace: str, run: str) -> OwnedRun | None:
        """The run, if it is in our hands."""
        return self._runs.get((namespace, run))

    async def wait_ended(
        self, namespace: str, run: str, timeout: float, *, or_stands: bool = False
    ) -> RunState | None:
        """The state of a run once it has ended in our hands.

        None when that takes longer, or when the run leaves them before; with `or_stands` also as
        soon as the list of runs shows another standing of it.
        """
        key, loop = (namespace, run), asyncio.get_running_loop()
        waiter: asyncio.Future[RunState | None] = loop.create_future()
        # A timer of our own: `asyncio.wait` takes 6 us longer, and every run is waited for.
        timer = loop.call_later(timeout, _tell, waiter, None)
        waiting = self._waiting.setdefault(key, {})
        waiting[waiter] = or_stands
        try:
            return await waiter
        finally:
            timer.cancel()
            del waiting[waiter]
            if not waiting:
                del self._waiting[key]

    async def fold(self, namespace: str, run: str, *, until: int | None = None) -> RunState:
        """The state that the log of a run leads to, up to its event `until`.

        Raises:
            LookupError, msgspec.DecodeError: this version cannot read it.
        """
        return await self._fold(namespace, run, run, until)

    async def fold_as(self, namespace: str, run: str, *, of: str, until: int) -> RunState:
        """The state of a run that is to go on from where another, `of`, was after `until`."""
        return await self._fold(namespace, run, of, until)

    async def cancel_unreadable(
        self, namespace: str, run: str, given: Cancel, *, taken: Sequence[str] = ()
    ) -> bool:
        """Ends a run of ours whose log cannot be folded; False when it is no such run.

        `taken` are the letters that asked for it.

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
            taken=taken,
            withdraws=True,
        )
        self._unreadable.pop((namespace, run), None)
        return True

    # --- leases ---------------------------------------------------------------------------

    async def _for_ever(self, work: Callable[[], Awaitable[None]], pause: float) -> None:
        while True:
            try:
                await work()
            except StorageError as error:
                log.warning("the database cannot be used, trying again: %s", error)
                self._looks = LOOKS
                self._takes_over_at = self._clock.now() + self._lease_us
                await asyncio.sleep(self._poll)
            except Exception:
                # The group cancels every call now, which no call may take for its own doing.
                self._let_go_of_all([])
                raise
            await asyncio.sleep(pause)

    async def _keep_leases(self) -> None:
        """One heartbeat for all our runs; those that have been at rest since the last are let go."""
        now = self._clock.now()
        if self._kept_until is not None and now >= self._kept_until:
            self._looks = LOOKS  # we were held up for so long that others may have taken our runs
        await self._storage.claims.heartbeat(self._owner, expires_at=now + self._lease_us)
        self._kept_until = now + self._lease_us
        if self._looks:
            await self._see_what_is_ours()
            self._looks -= 1
        resting = {owned for owned in self._runs.values() if self._may_park(owned, now)}
        await self._park([owned for owned in resting if owned in self._resting])
        self._resting = {owned for owned in resting if owned.is_at_rest}

    async def _see_what_is_ours(self) -> None:
        """Takes up what we hold and do not know of, and lets go of what we do not hold.

        An answer may be lost: of a start, a claim, a run that was let go of. Its run would be
        nobody's, for its lease is kept alive with all others.
        """
        known = set(self._runs)
        leases = await self._storage.claims.held(self._owner)
        held = {(lease.namespace, lease.run): lease for lease in leases}
        for key in known - held.keys():
            owned = self._runs.get(key)
            if owned is None:
                continue
            log.warning("run %s is not ours any more: its lease has gone", key[1])
            if owned.is_at_rest:  # what is in flight comes back, and finds out when it is written
                owned.drop()
        for key, lease in held.items():
            is_known = key in self._runs or key in self._beginning or key in self._unreadable
            if not is_known and lease not in self._claimed:
                await self._adopt(lease)

    async def _look_around(self) -> None:
        """Waits for something to do, then does it: letters, places in queues, runs to take over."""
        await self._storage.inbox.wait(timeout=await self._patience())
        if self._is_draining:
            await asyncio.sleep(self._poll)
            return
        self._admits_at = await self._storage.queues.admit(now=self._clock.now())
        await self._deliver()
        await self._take_over()

    async def _patience(self) -> float:
        """Seconds until time alone makes something to do, as far as this process can see."""
        self._wakes_at = await self._storage.claims.next_wake()
        times = [at for at in (self._wakes_at, self._admits_at) if at is not None]
        soonest = min((at - self._clock.now()) / 1_000_000 for at in times) if times else self._poll
        return min(max(soonest, 0.0), self._poll)

    async def _deliver(self) -> None:
        """Gives every run of ours its letters; those that nobody can take yet stay where they are."""
        most, self._kept_letters = LETTER_BATCH + self._kept_letters, 0
        for namespace, letter in await self._storage.inbox.fetch(self._owner, limit=most):
            owned = self.find(namespace, letter.run)
            if owned is not None:
                if not await self._hand_over(owned, letter):
                    await self._storage.inbox.drop(namespace, letter.run, [letter.id])
            elif not await self._stop_unreadable(namespace, letter):
                self._kept_letters += 1

    async def _stop_unreadable(self, namespace: str, letter: Letter) -> bool:
        """Does what a letter asks of a run whose log this version cannot fold, if that is to end.

        What else it was told waits for a version that can. False when the letter is still there.
        """
        if letter.kind != letters.CANCEL or (namespace, letter.run) not in self._unreadable:
            return False
        try:
            given = letters.read(
                await self._journal.open_letter(namespace, letter), self._clock.now()
            )
            assert isinstance(given, Cancel), "it is of this kind"
        except StepwellError as error:
            # Its words were erased with the rest, and the kind of a letter says enough.
            log.warning("run %s is cancelled, why cannot be read: %s", letter.run, error)
            given = Cancel(at=self._clock.now(), principal=letter.principal)
        try:
            await self.cancel_unreadable(namespace, letter.run, given, taken=[letter.id])
        except (Fenced, Conflict) as error:
            log.warning("run %s is not ours any more: %s", letter.run, error)
            self._unreadable.pop((namespace, letter.run), None)
            return False
        return True

    async def _hand_over(self, owned: OwnedRun, letter: Letter) -> bool:
        """Gives a run its letter; False when that taught it nothing, or nobody can read it."""
        try:
            opened = await self._journal.open_letter(owned.namespace, letter)
            given = letters.read(opened, self._clock.now())
            if isinstance(given, ChildEnded):
                given = await self._peers.outcome(owned.namespace, letters.child_of(letter), given)
        except Exception as error:
            if isinstance(error, StorageError) and not isinstance(error, Missing):
                raise
            # Whatever it is, the other runs here are not to blame, and it would come again for ever.
            log.exception("run %s cannot read its letter %s", letter.run, letter.id)
            return False
        return owned.take(letter.id, given)

    async def _take_over(self) -> None:
        while True:
            now = self._clock.now()
            leases = await self._storage.claims.claim(
                self._owner,
                now=now,
                expires_at=now + self._lease_us,
                limit=CLAIM_BATCH,
                only_free=now < self._takes_over_at,
            )
            self._claimed.extend(leases)
            while self._claimed:
                # Taken off last: a log that cannot be read now is read at the next beat.
                await self._adopt(self._claimed[0])
                self._claimed.popleft()
            if leases:
                await self._deliver()
            if len(leases) < CLAIM_BATCH:
                return

    async def _adopt(self, lease: Lease) -> None:
        """Folds the log of a run that is ours now, and goes on with it."""
        held = self.find(lease.namespace, lease.run)
        if held is not None and held.epoch < lease.epoch:
            held.drop()
        self._unreadable.pop((lease.namespace, lease.run), None)
        try:
            state = await self._fold(lease.namespace, lease.run, lease.run, None)
            seal = await self._journal.sealer(lease.namespace, lease.run, state.labels)
        except StorageError:
            raise
        except KeyDestroyed as error:
            await self._end_erased(lease, error)
            return
        except Exception:
            # It stays as its log has it, for a newer version may know what this one does not; a
            # defect in one run does not take the others with it.
            log.exception("run %s cannot go on with this version", lease.run)
            self._unreadable[lease.namespace, lease.run] = lease.epoch
            return
        is_known = self.find(lease.namespace, lease.run) is not None
        if is_known or state.has_ended or self._tasks is None:
            return  # it was found out in two ways that it is ours
        log.info("run %s goes on after event %d", lease.run, state.sequence)
        self._meter.metrics.runs_claimed.add()
        owned = self._own(lease.namespace, state, epoch=lease.epoch, seal=seal)
        owned.go_on()
        if state.parent is not None and self._tasks is not None:
            self._tasks.create_task(self._look_for_parent(owned))

    async def _end_erased(self, lease: Lease, error: KeyDestroyed) -> None:
        """Ends a run of ours whose data was erased: it cannot go on, however often it is tried."""
        log.warning("run %s ends: %s", lease.run, error)
        end = await last_words(self._journal, self._workflows, lease, error, self._clock.now())
        await self._journal.append(
            lease.namespace,
            lease.run,
            epoch=lease.epoch,
            after=end.after,
            events=end.events,
            letters=end.letters,
            left=end.left,
            withdraws=True,
        )
        self._meter.of_run().committed(end.state, end.events)
        self._spans.run_ended(lease.namespace, end.state)

    async def _fold(self, namespace: str, run: str, of: str, until: int | None) -> RunState:
        events = await self._journal.history(namespace, of, until=until)
        first = events[0]
        assert isinstance(first, RunStarted), "a log begins with run_started"
        graph = await self._workflows.graph(namespace, first.workflow, first.version)
        state = RunState(run, graph, self._max_events, self._journal.subject_label)
        for event in events:
            evolve(state, event)
        # That went out with the appends of these events.
        for told in (state.left, state.orphans, state.stops, state.ask_changes):
            told.clear()
        return state

    async def _look_for_parent(self, owned: OwnedRun) -> None:
        """A child whose parent had ended before it began was never told to stop."""
        parent = owned.state.parent
        assert parent is not None, "it is a child"
        while self.find(owned.namespace, owned.state.run) is owned:
            try:
                row = await self._storage.runs.get(owned.namespace, parent.run)
            except Missing:
                return
            except StorageError as error:
                log.warning("run %s does not know how its parent is: %s", owned.state.run, error)
                await asyncio.sleep(self._poll)
                continue
            if (status := run_of_row(row).status).ended:
                reason = f"its parent {parent.run} {status}"
                owned.give(Cancel(at=self._clock.now(), reason=reason))
            return

    async def _stop_strays(self, owned: OwnedRun) -> None:
        """What we have started for a run while it was not ours any more may be what nobody wants."""
        children = [it for it in owned.state.open.values() if isinstance(it, StartChild)]
        while children:
            try:
                now = await self.fold(owned.namespace, owned.state.run)
                for child in children:
                    if not now.awaits(child.id):
                        await self._peers.stop_child(owned.namespace, now, child)
                children = []
            except StorageError as error:
                log.warning("run %s: its children are not known: %s", owned.state.run, error)
                await asyncio.sleep(self._poll)
            except Exception:
                log.exception("run %s cannot be read by this version", owned.state.run)
                return

    # --- letting go -----------------------------------------------------------------------

    def _may_park(self, owned: OwnedRun, now: int) -> bool:
        wake = owned.state.wakes_at
        return owned.is_at_rest and (wake is None or wake > now + SHORT_NAP)

    async def _park(self, resting: Sequence[OwnedRun]) -> None:
        """Lets go of runs of which nothing is in flight."""
        if not resting:
            return
        by_run = {(owned.namespace, owned.state.run): owned for owned in resting}
        rests = [self._rest(owned) for owned in resting]
        for rest in await self._storage.claims.park(self._owner, rests):
            by_run[rest.namespace, rest.run].drop()

    def _rest(self, owned: OwnedRun) -> Rest:
        state = owned.state
        wake = self._clock.now() if self._is_draining else state.wakes_at
        return Rest(owned.namespace, state.run, owned.epoch, owned.committed, wake)

    def _let_go_of_all(self, keeping: Sequence[asyncio.Task[None]]) -> None:
        self._tasks = None
        for task in keeping:
            task.cancel()
        for owned in tuple(self._runs.values()):
            owned.drop()

    async def _give_back(self) -> None:
        try:
            await self._storage.claims.release(self._owner, now=self._clock.now())
        except StorageError as error:
            log.warning("leases could not be given back, they will expire: %s", error)

    def _own(
        self,
        namespace: str,
        state: RunState,
        *,
        epoch: int,
        seal: Sealer | None,
        meter: RunMeter | None = None,
    ) -> OwnedRun:
        assert self._calls is not None, "the worker is not running"
        owned = OwnedRun(
            namespace,
            state,
            epoch=epoch,
            journal=self._journal,
            effects=self._effects,
            peers=self._peers,
            clock=self._clock,
            calls=self._calls,
            jitter=self._jitter,
            on_end=self._let_go,
            on_standing=self._tell_of,
            seal=seal,
            meter=meter or self._meter.of_run(),
            spending=self._spending,
        )
        if self._is_draining:
            owned.drain()
        self._runs[namespace, state.run] = owned
        return owned

    def _tell_of(self, owned: OwnedRun) -> None:
        """Wakes those who wait for another standing of a run."""
        for waiter, is_wanted in self._waiting.get((owned.namespace, owned.state.run), {}).items():
            if is_wanted:
                _tell(waiter, None)

    def _let_go(self, owned: OwnedRun) -> None:
        key = owned.namespace, owned.state.run
        if self._runs.get(key) is owned:
            del self._runs[key]
        self._resting.discard(owned)
        if owned.is_lost and self._tasks is not None:
            self._tasks.create_task(self._stop_strays(owned))
        if owned.has_ended:
            self._spans.run_ended(owned.namespace, owned.state)
        ended = owned.state if owned.has_ended else None
        for waiter in self._waiting.get(key, ()):
            _tell(waiter, ended)


def _pass_on(append: asyncio.Future[int], accepted: asyncio.Future[None]) -> None:
    """As `asyncio.shield`, which takes twice the callbacks: 3 us more for every run."""
    if accepted.done():
        return
    if append.cancelled():
        accepted.cancel()
    elif (error := append.exception()) is not None:
        accepted.set_exception(error)
    else:
        accepted.set_result(None)


def _tell(waiter: asyncio.Future[RunState | None], ended: RunState | None) -> None:
    if not waiter.done():
        waiter.set_result(ended)
