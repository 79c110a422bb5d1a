"""Where a run stands that has not ended, as the list of runs shows it."""

from itertools import islice

from msgspec import Struct

from stepwell.engine.budgets import exhausted_words
from stepwell.engine.events import ApprovalRequested, BudgetExhausted, QuestionAsked
from stepwell.engine.graph import SignalNode
from stepwell.engine.instants import instant
from stepwell.engine.state import RunPhase, RunState, StepState
from stepwell.engine.subjects import approval_id
from stepwell.orchestrator.views import Run, RunStatus, Waiting

MOST = 20
"""Things that a run waits for and that the list of runs still names."""


class Standing(Struct, frozen=True):
    """The status of a run, and what it waits for."""

    status: RunStatus
    waiting: tuple[Waiting, ...] = ()


RUNNING = Standing(RunStatus.RUNNING)


def standing_of(state: RunState) -> Standing:
    """Where a run stands; its status is no other than that of its list entry while it is open."""
    is_asking = state.asking or state.questioning
    if state.busy and state.is_admitted and not (state.is_paused or is_asking):
        return RUNNING
    if state.has_ended:
        return RUNNING  # the event that ends it says how
    status = RunStatus.RUNNING
    if state.is_paused:
        status = RunStatus.PAUSED
    elif state.is_waiting:
        status = RunStatus.WAITING
    return Standing(status, tuple(_waits(state)))


def run_of_state(state: RunState) -> Run:
    """The run whose state is in our hands."""
    at = state.started_at if state.ended_at is None else state.ended_at
    standing = standing_of(state)
    return Run(
        id=state.run,
        workflow=state.graph.name,
        version=state.graph.version,
        principal=state.principal,
        status=standing.status if state.phase is RunPhase.RUNNING else RunStatus(state.phase),
        created_at=state.started_at,
        updated_at=at,
        ended_at=state.ended_at,
        labels=state.labels,
        output=state.output if state.phase is RunPhase.COMPLETED else None,
        failure=state.failure,
        reason=state.reason,
        waiting=standing.waiting,
        run_key=state.run_key,
        parent=state.parent.run if state.parent else "",
        forked_from=state.forked_from,
    )


def _waits(state: RunState) -> list[Waiting]:
    if state.exhausted is not None:
        return [money_of(state.exhausted)]
    asks = (ask for step in state.asking for ask in state.steps[step].asks.values())
    asked = [asked_of(state.run, ask.asked) for ask in islice(asks, MOST)]
    questions = (it for step in state.questioning for it in state.steps[step].open_questions)
    asked += [input_of(it.asked, it.sequence) for it in islice(questions, MOST - len(asked))]
    steps = list(islice(state.napping, MOST - len(asked)))
    for names in state.listening.values():
        steps += names
        if len(steps) >= MOST:
            break
    waits = [*asked, *(_waiting(state.steps[step]) for step in steps[: MOST - len(asked)])]
    return waits + [_queueing(state, it) for it in islice(state.queueing, MOST - len(waits))]


def money_of(event: BudgetExhausted) -> Waiting:
    """What a run waits for that has spent its budget."""
    return Waiting(
        step=event.step,
        on="budget",
        about=event.scope,
        tool=event.resource,
        rules=(event.unit,),
        reason=exhausted_words(event),
    )


def asked_of(run: str, asked: ApprovalRequested) -> Waiting:
    """What a person is asked, as a list shows it: without what he is told."""
    return Waiting(
        step=asked.step,
        on="human",
        about=asked.about,
        call=asked.call,
        until=asked.expires_at,
        approval=approval_id(run, asked) if asked.about == "call" else "",
        tool=asked.tool,
        rules=asked.rules,
        reason=asked.reason,
    )


def input_of(asked: QuestionAsked, sequence: int) -> Waiting:
    """What a tool asks, as a list shows it: without what it says."""
    return Waiting(
        step=asked.step,
        on="input",
        about=asked.kind,
        call=asked.call,
        until=asked.expires_at,
        tool=asked.tool,
        question=asked.id,
        event=sequence,
    )


def _queueing(state: RunState, step: str) -> Waiting:
    queue = state.steps[step].spec.queue if step else state.queue
    return Waiting(step=step, on="queue", about=queue)


def _waiting(step: StepState) -> Waiting:
    if isinstance(step.spec, SignalNode):
        return Waiting(step=step.id, on="signal", about=step.spec.signal)
    return Waiting(step=step.id, on="timer", until=instant(step.input.value["until"]))
