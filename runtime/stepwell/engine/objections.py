"""Why a caller's wish cannot be: the sentence behind a decision without events."""

from difflib import get_close_matches

from msgspec import Struct

from stepwell.engine.graph import (
    UNDO,
    AgentNode,
    ApprovalNode,
    MapNode,
    ToolNode,
    WorkflowNode,
    spec_of,
)
from stepwell.engine.inputs import (
    AnswerQuestion,
    AskQuestions,
    Fork,
    Input,
    Pause,
    RaiseBudget,
    Resolve,
    Resume,
    RetryStep,
    Signal,
)
from stepwell.engine.state import Ask, Question, RunPhase, RunState, StepState
from stepwell.engine.subjects import approval_id
from stepwell.errors import Code

MAX_SIGNALS = 10_000
"""Messages that one run keeps until a step takes them."""

MOST_QUESTIONS = 100
"""Questions that one call may ask."""

MOST_NAMED = 20
"""Steps or messages that a sentence names."""

VERDICTS = {
    "approval": ("approve", "deny"),
    "call": ("approve", "deny"),
    "outcome": ("done", "retry", "fail"),
}
"""The answers to each thing that is asked."""


class Objection(Struct, frozen=True):
    """What stands against it, and what to do instead."""

    code: Code
    message: str


def objection(state: RunState, given: Input) -> Objection | None:
    """What stands against an input; None where `decide` takes it, or it is told twice."""
    if isinstance(given, RetryStep):
        return _against_retry(state, given)
    if state.has_ended:
        return Objection(Code.RUN_ENDED, f"the run {state.run} has ended ({state.phase})")
    match given:
        case Pause() if state.is_paused:
            return Objection(Code.NOT_APPLICABLE, f"the run {state.run} is paused already")
        case Resume() if not state.is_paused:
            return Objection(Code.NOT_APPLICABLE, f"the run {state.run} is not paused")
        case RaiseBudget(limits=limits) if limits:
            return _against_raise(state, limits)
        case Signal():
            return _against_signal(state, given)
        case Fork():
            return _against_fork(state, given)
        case Resolve():
            return _against_answer(state, given)
        case AskQuestions():
            return _against_questions(state, given)
        case AnswerQuestion():
            return _against_reply(state, given)
        case _:
            return None


def _against_raise(state: RunState, limits: dict[str, int]) -> Objection | None:
    for unit, limit in limits.items():
        if limit < state.limits.get(unit, 0):
            return Objection(
                Code.NOT_APPLICABLE,
                f"the run {state.run} may spend {state.limits[unit]} {unit} already, and a budget is "
                f"only raised; {limit} is less",
            )
        if unit not in state.limits:
            return Objection(
                Code.NOT_APPLICABLE, f"the run {state.run} has no budget of {unit} to be raised"
            )
    return None


def _against_signal(state: RunState, given: Signal) -> Objection | None:
    if given.id and given.id in state.seen:
        return None  # it came before
    if given.name not in state.graph.signals:
        return Objection(Code.NOT_APPLICABLE, _not_waited_for(state, given.name))
    if state.listening.get(given.name) or sum(map(len, state.signals.values())) < MAX_SIGNALS:
        return None
    return Objection(
        Code.LIMIT_EXCEEDED,
        f"the run {state.run} keeps {MAX_SIGNALS} messages that no step has taken, and takes no "
        "more; let its steps take some first",
    )


def _not_waited_for(state: RunState, name: str) -> str:
    known = sorted(state.graph.signals)
    told = f"no step of the workflow {state.graph.name!r} waits for the message {name!r}"
    if not known:
        return (
            f"{told}, or for any other; a run that it started as a step is told under its own name"
        )
    near = get_close_matches(name[:64], known)
    nearest = f"; did you mean {near[0]!r}?" if near else ""
    more = ", ..." if len(known) > MOST_NAMED else ""
    return f"{told}; its steps wait for {', '.join(known[:MOST_NAMED])}{more}{nearest}"


def _against_retry(state: RunState, given: RetryStep) -> Objection | None:
    if state.phase is not RunPhase.FAILED:
        return Objection(
            Code.NOT_APPLICABLE,
            f"a step is tried again when its run has failed, and the run {state.run} is "
            f"{state.phase}",
        )
    if not state.failed_step:
        return Objection(
            Code.NOT_APPLICABLE,
            "the run did not fail over a step; start a new run, or fork it",
        )
    step = state.steps.get(given.step)
    if step is None:
        return _no_step(state, given.step)
    if state.is_compensating:
        return Objection(
            Code.NOT_APPLICABLE,
            "what the run had done was undone when it failed; fork it from the first step that was "
            "undone, or start a new run",
        )
    if state.sequence + 2 > state.max_events:
        return Objection(
            Code.LIMIT_EXCEEDED, f"the run has the {state.max_events} events that one run may have"
        )
    if given.step != state.failed_step and step.owner != state.failed_step:
        return Objection(
            Code.NOT_APPLICABLE,
            f"the run failed over the step {state.failed_step!r}, not over {given.step!r}",
        )
    if step.failure is None:
        return Objection(
            Code.NOT_APPLICABLE, f"the step {given.step!r} has not failed, it is {step.phase}"
        )
    if step.failure.reason == Code.EXPRESSION_ERROR:
        return Objection(
            Code.NOT_APPLICABLE,
            f"the step {given.step!r} has an expression without a value, which it will not have "
            "next time either; fork the run from an earlier step, with another input",
        )
    return None


def _against_fork(state: RunState, given: Fork) -> Objection | None:
    if given.step.endswith(UNDO):
        return Objection(
            Code.NOT_APPLICABLE,
            f"{given.step!r} undoes a step of a run that has failed, and is no step to go on from; "
            "fork the run from an earlier one",
        )
    spec = spec_of(state.graph, given.step.partition("[")[0], given.step)
    if not given.edited or isinstance(
        spec, AgentNode | ToolNode | WorkflowNode | MapNode | ApprovalNode
    ):
        return None
    return Objection(
        Code.NOT_APPLICABLE,
        f"the step {given.step!r} takes no input that could be another; fork from one that does",
    )


def _against_answer(state: RunState, given: Resolve) -> Objection | None:
    step = state.steps.get(given.step)
    if step is None:
        return _no_step(state, given.step)
    if not step.asks or given.step not in state.asking:
        asking = ", ".join(state.asking) or "none"
        return Objection(
            Code.NOT_APPLICABLE,
            f"the step {given.step!r} does not ask anything; steps of the run that do: {asking}",
        )
    calls = ", ".join(step.asks)
    if given.call is None and len(step.asks) > 1:
        return Objection(
            Code.INVALID_REQUEST,
            f"the step {given.step!r} asks about several calls; name one of {calls}",
        )
    if given.call is not None and given.call not in step.asks:
        return Objection(
            Code.NOT_APPLICABLE,
            f"the step {given.step!r} does not ask about the call {given.call!r}, but about {calls}",
        )
    ask = step.asks[given.call if given.call is not None else next(iter(step.asks))]
    if given.verdict not in VERDICTS[ask.about]:
        return Objection(
            Code.INVALID_REQUEST,
            f"{given.verdict!r} is no answer here: the step {given.step!r} asks for "
            f"{' or '.join(VERDICTS[ask.about])}",
        )
    return _against_consent(state, given, ask) if ask.about == "call" else None


def _against_consent(state: RunState, given: Resolve, ask: Ask) -> Objection | None:
    """What is said of a held call is said of just that call, in time, and by somebody else."""
    asked = ask.asked
    if not given.subject:
        return Objection(
            Code.NOT_APPLICABLE,
            f"the call of {asked.tool!r} is held, which is answered on its page: the approval is "
            f"{approval_id(state.run, asked)}",
        )
    if given.subject != asked.subject:
        return Objection(
            Code.NOT_APPLICABLE,
            f"what is asked about the call of {asked.tool!r} is not what was answered; look at it "
            f"again: the approval is {approval_id(state.run, asked)}",
        )
    if asked.expires_at is not None and given.at >= asked.expires_at:
        return Objection(
            Code.NOT_APPLICABLE, f"the time to answer about the call of {asked.tool!r} is over"
        )
    if given.verdict == "approve" and asked.approver != "caller":
        return _against_own_consent(state, given)
    return None


def _against_own_consent(state: RunState, given: Resolve) -> Objection | None:
    if given.principal != state.principal:
        return None
    return Objection(
        Code.POLICY_DENIED,
        f"{given.principal} asked for the call, and somebody else has to approve it",
    )


def find_question(step: StepState, id: str) -> Question | None:
    """The question of this id; None where the step has not asked it."""
    return next((it for it in step.questions.values() if it.asked.id == id), None)


def _against_questions(state: RunState, given: AskQuestions) -> Objection | None:
    step = state.steps.get(given.step)
    if step is None:
        return _no_step(state, given.step)
    asked = {key for call, key in step.questions if call == given.call}
    if len(asked | {it.key for it in given.questions}) <= MOST_QUESTIONS:
        return None
    return Objection(
        Code.LIMIT_EXCEEDED, f"one call of a tool may ask {MOST_QUESTIONS} questions, and no more"
    )


def _against_reply(state: RunState, given: AnswerQuestion) -> Objection | None:
    step = state.steps.get(given.step)
    if step is None:
        return _no_step(state, given.step)
    question = find_question(step, given.question)
    if question is None or given.step not in state.questioning:
        asked = [it.asked.id for id in state.questioning for it in state.steps[id].open_questions]
        return Objection(
            Code.NOT_APPLICABLE,
            f"the question {given.question!r} waits for no answer; those that do, in the run "
            f"{state.run}: {', '.join(asked[:MOST_NAMED]) or 'none'}",
        )
    answer, expires_at = question.answer, question.asked.expires_at
    if answer is not None:
        who = f"by {answer.by}" if answer.by else "as its time was over"
        return Objection(
            Code.NOT_APPLICABLE,
            f"the question {given.question!r} was answered already, {who} ({answer.action}); an "
            "answer is given once",
        )
    if expires_at is not None and given.at >= expires_at:
        return Objection(
            Code.NOT_APPLICABLE, f"the time to answer the question {given.question!r} is over"
        )
    return None


def _no_step(state: RunState, step: str) -> Objection:
    known = [id for id in state.steps if not id.endswith(UNDO)][:MOST_NAMED]
    return Objection(
        Code.STEP_NOT_FOUND,
        f"the run {state.run} has no step {step!r}; it has {', '.join(known) or 'none yet'}",
    )
