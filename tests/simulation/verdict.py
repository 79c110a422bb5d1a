"""What must hold of a run that has ended, whatever went wrong on its way."""

from collections.abc import Iterable

from tests.simulation.faults import Planned
from tests.simulation.ledger import Ledger, picture, plain
from tests.simulation.members import INLINE_LIMIT, NAMESPACE

from stepwell.engine.events import Event, StepFailed, StepRetryScheduled
from stepwell.engine.evolve import evolve
from stepwell.engine.state import RunPhase, RunState
from stepwell.errors import Code
from stepwell.orchestrator.journal import Journal
from stepwell_storage.memory import MemoryStorage


class Verdict:
    """Compares a run with its plan; each `judge` raises `Violation`."""

    def __init__(self, store: MemoryStorage, ledger: Ledger) -> None:
        self._store = store
        self._ledger = ledger

    async def judge(self, planned: Planned) -> None:
        """The log, the list of runs, the calls, and the end."""
        account = self._ledger.accounts[planned.id]
        row = await self._store.runs.get(NAMESPACE, planned.id)
        shown = (row.status, row.ended_at) == (account.state.phase, account.events[-1].at)
        self._check(planned, shown, "the list of runs shows how it ended")
        await self._judge_log(planned, account.state)
        self._ledger.check_executions(planned.id)
        self._judge_end(planned, account.state, account.events)

    def judge_calm(self, planned: Planned) -> None:
        """Besides, where nothing went wrong."""
        epoch = self._ledger.accounts[planned.id].epoch
        self._check(planned, epoch == 1, "nobody takes a run that is in good hands")

    async def _judge_log(self, planned: Planned, written: RunState) -> None:
        read = RunState(planned.id, planned.graph)
        journal = Journal(self._store, inline_limit=INLINE_LIMIT)
        for event in await journal.load(NAMESPACE, planned.id):
            evolve(read, event)
        same = picture(read) == picture(written)
        self._check(planned, same, "what is read from the log is what was written")

    def _judge_end(self, planned: Planned, got: RunState, events: Iterable[Event]) -> None:
        """The end is that of the undisturbed run, where only time or a death can change it."""
        calm = planned.calm.state
        if got.phase is RunPhase.CANCELLED:
            self._check(planned, planned.is_cancelled, "nobody has cancelled it")
        elif got.phase is calm.phase:
            same = got.phase is not RunPhase.COMPLETED or plain(got.output) == plain(calm.output)
            self._check(planned, same, f"the output is the undisturbed one: {calm.output}")
        else:
            late = _ran_out_of_time(events) or _ran_out_of_time(planned.calm.events)
            self._check(planned, late, f"undisturbed it is {calm.phase}, {calm.failure}")

    def _check(self, planned: Planned, holds: bool, promise: str) -> None:
        self._ledger.check(planned.id, holds, promise)


def _ran_out_of_time(events: Iterable[Event]) -> bool:
    """Whether an attempt met its deadline, or a call was lost with a process."""
    return any(
        isinstance(event, StepFailed | StepRetryScheduled)
        and event.failure.reason in (Code.STEP_TIMEOUT, Code.OUTCOME_UNKNOWN)
        for event in events
    )
