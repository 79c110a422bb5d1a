"""What calls ask of the person behind their caller, and what comes of the answers.

A question is a safe point of its call: nothing is in doubt while it is open, so a call that
nobody is busy with any more is made again when the answer has come. From the moment that the answer
is handed to it, a call that may not be repeated is begun once more.
"""

from msgspec.structs import replace

from stepwell.engine.commands import CallTool, JudgeLost, expire_question_id, tool_call_id
from stepwell.engine.events import Event, QuestionAnswered, QuestionAsked
from stepwell.engine.inputs import AnswerQuestion, Asked, AskQuestions, QuestionExpired
from stepwell.engine.objections import find_question, objection
from stepwell.engine.sealing import sealed_by
from stepwell.engine.state import RunState
from stepwell.engine.values import NOTHING


def ask_questions(state: RunState, given: AskQuestions) -> list[Event]:
    """A call asks; what is asked already is asked again only where the call was begun since."""
    command = state.open.get(tool_call_id(given.step, given.attempt, given.call))
    call = command.call if isinstance(command, JudgeLost) else command
    if not isinstance(call, CallTool) or objection(state, given) is not None:
        return []
    step = state.steps[given.step]
    events: list[Event] = []
    for asked in given.questions:
        known = step.questions.get((given.call, asked.key))
        if known is None:
            events.append(_asked(given, asked, call))
        elif known.answer is None and given.call in step.begun:
            events.append(replace(known.asked, at=given.at))
    return events


def _asked(given: AskQuestions, asked: Asked, call: CallTool) -> QuestionAsked:
    return QuestionAsked(
        at=given.at,
        step=given.step,
        attempt=given.attempt,
        call=given.call,
        tool=call.tool,
        key=asked.key,
        id=asked.id,
        kind=asked.kind,
        question=sealed_by(asked.question, call.arguments.sealed),
        expires_at=asked.expires_at,
    )


def answer_question(state: RunState, given: AnswerQuestion) -> list[Event]:
    """Somebody has answered."""
    if objection(state, given) is not None:
        return []
    question = find_question(state.steps[given.step], given.question)
    assert question is not None, "else there is an objection"
    asked = question.asked
    return [
        QuestionAnswered(
            at=given.at,
            step=asked.step,
            attempt=asked.attempt,
            call=asked.call,
            key=asked.key,
            id=asked.id,
            action=given.action,
            content=sealed_by(given.content, asked.question.sealed),
            by=given.principal,
        )
    ]


def question_expired(state: RunState, given: QuestionExpired) -> list[Event]:
    """Nobody has answered in time, which the call is told as a cancel."""
    if not state.awaits(expire_question_id(given.step, given.attempt, given.question)):
        return []
    question = find_question(state.steps[given.step], given.question)
    assert question is not None, "it is waited for"
    asked = question.asked
    return [
        QuestionAnswered(
            at=given.at,
            step=asked.step,
            attempt=asked.attempt,
            call=asked.call,
            key=asked.key,
            id=asked.id,
            action="cancel",
            content=sealed_by(NOTHING, asked.question.sealed),
        )
    ]
