"""What two folds of one log must agree on, whoever folded it."""

from typing import Any

import msgspec

from stepwell.engine.commands import CallTool, Command, JudgeLost
from stepwell.engine.state import Ask, Fan, Question, RunState, StepState
from stepwell.engine.values import Data


def picture(state: RunState) -> bytes:
    """All that matters of a state.

    What was handed out already, and whether data came inline or from a blob, differs between
    folds and is left out.
    """
    steps = [_step(step) for step in state.steps.values()]
    opened = sorted((id, _shape(command)) for id, command in state.open.items())
    return msgspec.json.encode([_run(state), steps, opened])


def plain(data: Data) -> Any:
    """Data, whether it came inline or from a blob."""
    return [data.value, data.sealed]


def _run(state: RunState) -> list[Any]:
    return [
        state.phase,
        state.principal,
        [state.labels, state.run_key, state.queue, state.parent, state.forked_from, state.trace],
        [state.started_at, state.ended_at],
        plain(state.input),
        state.waiting,
        state.ended,
        plain(state.output),
        [state.failure, state.failed_step, state.reason],
        state.sequence,
        [state.is_admitted, state.is_paused, state.is_compensating],
        [state.undo, state.not_undone],
        {name: [plain(data) for data in kept] for name, kept in state.signals.items()},
        [{name: list(steps) for name, steps in state.listening.items() if steps}],
        sorted(state.seen),
        [list(state.asking), list(state.questioning), list(state.napping)],
        [list(state.queueing), list(state.tickets)],
        state.busy,
        [state.calls, state.approved, state.tokens, sorted(state.read)],
    ]


def _step(step: StepState) -> list[Any]:
    return [
        step.id,
        step.node,
        step.phase,
        step.attempt,
        plain(step.input),
        plain(step.output),
        step.sealed,
        [step.failure, step.handled],
        [step.owner, step.index, step.child],
        step.conversation,
        step.fan and _fan(step.fan),
        sorted(step.begun),
        {call: _ask(ask) for call, ask in step.asks.items()},
        [_question(it) for it in step.questions.values()],
        step.time_left,
        sorted(step.open),
        step.in_queue,
    ]


def _fan(fan: Fan) -> list[Any]:
    done = [fan.next, fan.ended, fan.last, list(fan.active), fan.sealed]
    return [fan.outputs, *done]


def _ask(ask: Ask) -> list[Any]:
    asked = ask.asked
    bound = [asked.subject, asked.nonce, asked.expires_at, asked.approver, ask.sequence]
    return [ask.about, plain(ask.message), ask.call and _shape(ask.call), bound]


def _question(question: Question) -> list[Any]:
    asked, answer = question.asked, question.answer
    said = [answer.action, answer.by, plain(answer.content)] if answer else None
    bound = [asked.call, asked.key, asked.id, asked.kind, asked.expires_at]
    return [bound, plain(asked.question), said, question.sequence, question.answered]


def _shape(command: Command) -> Any:
    kind = type(command).__name__
    call = command.call if isinstance(command, JudgeLost) else command
    if isinstance(call, CallTool):
        approved = [call.idempotent, call.approval, call.withheld]
        return [kind, call.tool, call.key, plain(call.arguments), approved]
    return [kind]
