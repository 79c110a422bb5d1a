"""What must hold of the runs of a world in the end, whatever went wrong on their way."""

from collections.abc import Iterable, Iterator, Sequence

from tests.simulation.calm import Calm
from tests.simulation.ledger import Account, Ledger
from tests.simulation.members import INLINE_LIMIT, NAMESPACE
from tests.simulation.pictures import picture, plain

from stepwell.engine.events import (
    ApprovalExpired,
    Event,
    RunCancelled,
    StepCompleted,
    StepFailed,
    StepRetryScheduled,
    StepScheduled,
    StepStarted,
    TimerFired,
)
from stepwell.engine.evolve import evolve
from stepwell.engine.graph import FAIL, Graph, LoopNode, MapNode, WorkflowNode
from stepwell.engine.instants import instant
from stepwell.engine.state import RunPhase, RunState
from stepwell.errors import Code
from stepwell.orchestrator.journal import Journal
from stepwell_storage.memory import MemoryStorage

LATE = (Code.STEP_TIMEOUT, Code.OUTCOME_UNKNOWN, Code.APPROVAL_EXPIRED)
"""How steps fail over which time, or a death, has decided."""
LONG = 60_000_000
"""Microseconds after which a run that nobody waits for is stopped, whatever goes wrong."""
SOON = 5_000_000
"""Microseconds after which a run goes on whose time has come, where nothing goes wrong."""


class Verdict:
    """Compares runs with their plan; each `judge` raises `Violation`."""

    def __init__(self, store: MemoryStorage, ledger: Ledger, plans: Sequence[Calm]) -> None:
        self._store = store
        self._ledger = ledger
        self._calm = {it.state.run: it for plan in plans for it in plan.family}

    async def judge(self, run: str) -> None:
        """The log, the list of runs, the calls, and the end."""
        account = self._ledger.accounts[run]
        row = await self._store.runs.get(NAMESPACE, run)
        shown = (row.status, row.ended_at) == (account.state.phase, account.events[-1].at)
        self._check(run, shown, "the list of runs shows how it ended")
        await self._judge_log(account)
        self._ledger.check_executions(run)
        self._judge_children(account)
        self._judge_end(account)

    def judge_store(self) -> None:
        """Nothing is left behind."""
        kept = self._store.log._database[NAMESPACE]
        for letter in kept.letters.values():
            self._check(letter.run, False, f"no letter is left: {letter}")
        for it in kept.tickets.values():
            self._check(it.ticket.run, False, f"no ticket is left: {it}")
        for row in kept.approvals.values():
            self._check(row.run, row.status != "waiting", f"nobody is asked any more: {row}")

    def judge_calm(self) -> None:
        """Besides, where nothing went wrong."""
        for run, account in self._ledger.accounts.items():
            for event in account.events:
                if isinstance(event, TimerFired):
                    self._judge_timer(run, account, event)

    async def _judge_log(self, account: Account) -> None:
        """Read from the store, the log leads to where it did when it was written."""
        run = account.state.run
        journal = Journal(self._store, inline_limit=INLINE_LIMIT)
        read = RunState(run, account.state.graph)
        for event in await journal.history(NAMESPACE, run):
            evolve(read, event)
        same = picture(read) == picture(account.state)
        self._check(run, same, "what is read from the log is what was written")

    def _judge_timer(self, run: str, account: Account, event: TimerFired) -> None:
        wait = next(
            it for it in account.events if isinstance(it, StepScheduled) and it.step == event.step
        )
        late = event.at - max(instant(wait.input.value["until"]), wait.at)
        self._check(run, 0 <= late <= SOON, f"{event.step} goes on at its time, not {late} later")

    # --- children -------------------------------------------------------------------------

    def _judge_children(self, account: Account) -> None:
        """What a step says of its child is what the child says."""
        state = account.state
        started = {
            (it.step, it.attempt): it.child
            for it in account.events
            if isinstance(it, StepStarted) and it.child
        }
        for event in account.events:
            if isinstance(event, StepCompleted) and (event.step, event.attempt) in started:
                child = self._ledger.accounts[started[event.step, event.attempt]].state
                same = child.phase is RunPhase.COMPLETED
                same = same and plain(child.output) == plain(event.output)
                self._check(state.run, same, f"{event.step} gives what its run gave")
        last = account.events[-1]
        if account.is_unwanted:
            lasted = last.at - account.events[0].at
            stopped = isinstance(last, RunCancelled) or lasted < LONG
            self._check(state.run, stopped, "a run is stopped that nobody waits for")
        if isinstance(last, RunCancelled) and not account.is_meddled_with:
            self._check(state.run, self._is_orphan(state), "nobody has cancelled it")

    def _is_orphan(self, child: RunState) -> bool:
        """Whether the step that a run is waits for it no more."""
        parent = child.parent
        if parent is None:
            return False
        above = self._ledger.accounts[parent.run].state
        step = above.steps.get(parent.step)
        return above.has_ended or step is None or step.attempt > parent.attempt

    # --- the end --------------------------------------------------------------------------

    def _judge_end(self, account: Account) -> None:
        """The end is that of the undisturbed run, where only time or a death can change it."""
        got, run = account.state, account.state.run
        plan = self._calm.get(account.origin)
        family = list(self._family(run))
        if plan is None or got.phase is RunPhase.CANCELLED:
            return
        if any(it.is_meddled_with for it in family):
            return
        if any(_is_unanswered(it.history) for it in family) or any(
            _is_unanswered(it.events) for it in plan.family
        ):
            return
        calm = plan.state
        is_late = any(_is_late(it.history) for it in family) or any(
            _is_late(it.events) for it in plan.family
        )
        if is_late and _forgives(got.graph):
            return
        if got.phase is calm.phase:
            same = got.phase is not RunPhase.COMPLETED or plain(got.output) == plain(calm.output)
            self._check(run, same, f"the output is the undisturbed one: {calm.output}")
        else:
            self._check(run, is_late, f"undisturbed it is {calm.phase}, {calm.failure}")

    def _family(self, run: str) -> Iterator[Account]:
        """A run, and all that it started."""
        account = self._ledger.accounts[run]
        yield account
        for other in self._ledger.accounts.values():
            parent = other.state.parent
            if parent is not None and parent.run == run:
                yield from self._family(other.state.run)

    def _check(self, run: str, holds: bool, promise: str) -> None:
        self._ledger.check(run, holds, promise)


def _is_late(events: Iterable[Event]) -> bool:
    """Whether an attempt met its deadline, or a call was lost with a process."""
    return any(
        isinstance(event, StepFailed | StepRetryScheduled) and event.failure.reason in LATE
        for event in events
    )


def _is_unanswered(events: Iterable[Event]) -> bool:
    """Whether nobody said in time if a call may be made: an agent goes on, and its output shows it."""
    return any(isinstance(event, ApprovalExpired) for event in events)


def _forgives(graph: Graph) -> bool:
    """Whether a run goes on after a step has failed, so that its output shows it."""
    nodes = [*graph.nodes.values()]
    nodes += [it.body for it in nodes if isinstance(it, MapNode | LoopNode)]
    return any(it.on_error != FAIL or isinstance(it, WorkflowNode) for it in nodes)
