"""What calls ask of the person behind their caller: kept, answered once, handed to the repeat."""

from typing import Any

import pytest
from tests.unit.engine.story import Story, plain, wish

from stepwell.engine.commands import Approval, CallTool, ExpireQuestion, ExpireStep, JudgeLost
from stepwell.engine.due import due, lull
from stepwell.engine.events import QuestionAnswered, QuestionAsked
from stepwell.engine.inputs import (
    AnswerQuestion,
    Asked,
    AskQuestions,
    CallHeld,
    Cancel,
    Expire,
    Fork,
    Pause,
    QuestionExpired,
    Resume,
    RetryStep,
    ToolBegun,
)
from stepwell.engine.objections import MOST_QUESTIONS, objection
from stepwell.engine.state import RunState
from stepwell.engine.values import Failure

ONE = "workflow: one\nnodes: [{ id: pay, tool: pay }]"
TIMED = "workflow: one\nnodes: [{ id: pay, tool: pay, timeout: 1m, retry: { max: 1 } }]"
AGENT = """
workflow: agent
agents: { a: { model: small, tools: [pay, look] } }
nodes: [{ id: ask, agent: a, with: { message: hello }, timeout: 1m }]
"""
SECOND = 1_000_000
MINUTE = 60 * SECOND
CALL = "pay/1/tool/"


def asking(
    run: Story, *keys: str, step: str = "pay", call: str = "", at: int = 0, **given: Any
) -> list[Any]:
    """A call asks; the ids of its questions are their keys."""
    expires_at = given.pop("expires_at", None)
    questions = tuple(
        Asked(key=key, id=key, question=plain({"message": f"{key}?"}), expires_at=expires_at)
        for key in keys
    )
    values = {"step": step, "attempt": 1, "call": call, **given}
    return run.give(AskQuestions(at=at, questions=questions, **values))


def answer(question: str, action: str = "accept", *, step: str = "pay", **given: Any) -> Any:
    values = {"at": 0, "principal": "user:bob", "content": plain({"n": 1}), **given}
    return AnswerQuestion(step=step, question=question, action=action, **values)


def begun(run: Story, step: str = "pay", call: str = "") -> None:
    assert run.give(ToolBegun(at=run.now, step=step, attempt=1, call=call))


def started(source: str = ONE) -> Story:
    run = Story(source)
    run.start()
    return run


def objected(run: Story, given: Any) -> str:
    found = objection(run.state, given)
    assert found is not None
    assert run.give(given) == []
    return found.message


# --- asking -------------------------------------------------------------------------------


def test_what_a_call_asks_is_in_the_log_and_the_run_waits() -> None:
    run = started()
    events = asking(run, "sure", at=7, expires_at=MINUTE)
    assert events == [
        QuestionAsked(
            at=7,
            step="pay",
            tool="pay",
            key="sure",
            id="sure",
            question=plain({"message": "sure?"}),
            expires_at=MINUTE,
        )
    ]
    assert run.state.is_waiting
    assert not run.state.is_at_rest  # whoever made the call still waits with it
    assert run.state.wakes_at == MINUTE


def test_what_is_asked_about_sealed_arguments_is_sealed_and_so_is_the_answer() -> None:
    run = Story(
        "workflow: one\nnodes:\n  - { id: read, tool: look }\n"
        "  - { id: pay, tool: pay, with: { sum: =read.output } }"
    )
    run.start()
    run.tool("read", 5, sealed="datasource:shop")
    asking(run, "sure")
    run.give(answer("sure"))
    asked, said = run.log[-2:]
    assert isinstance(asked, QuestionAsked)
    assert isinstance(said, QuestionAnswered)
    assert asked.question.sealed == said.content.sealed == "datasource:shop"


def test_a_question_that_was_asked_is_not_asked_again() -> None:
    run = started()
    asking(run, "a")
    assert [it.key for it in asking(run, "a", "b")] == ["b"]
    assert asking(run, "a", "b") == []
    run.give(answer("a"))
    assert asking(run, "a") == []


def test_a_call_may_not_ask_without_end() -> None:
    run = started()
    asking(run, *map(str, range(MOST_QUESTIONS)))
    more = AskQuestions(at=0, step="pay", attempt=1, call="", questions=(Asked(key="x", id="x"),))
    assert f"may ask {MOST_QUESTIONS} questions" in objected(run, more)


def test_a_call_that_nobody_waits_for_asks_nothing() -> None:
    run = started()
    run.give(Cancel(at=0))
    assert asking(run, "sure") == []


# --- answers ------------------------------------------------------------------------------


def test_an_answer_is_given_once() -> None:
    run = started()
    asking(run, "sure")
    assert run.give(answer("sure", at=9)) == [
        QuestionAnswered(
            at=9,
            step="pay",
            key="sure",
            id="sure",
            action="accept",
            content=plain({"n": 1}),
            by="user:bob",
        )
    ]
    assert "waits for no answer" in objected(run, answer("sure", "decline"))
    asking(run, "more")
    assert "was answered already, by user:bob (accept)" in objected(run, answer("sure", "decline"))


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (answer("other"), "the question 'other' waits for no answer; those that do"),
        (answer("sure", step="nowhere"), "no step 'nowhere'"),
        (answer("sure", at=MINUTE), "the time to answer the question 'sure' is over"),
    ],
)
def test_an_answer_that_fits_nothing_is_refused(given: Any, told: str) -> None:
    run = started()
    asking(run, "sure", expires_at=MINUTE)
    assert told in objected(run, given)


def test_nobody_answers_in_time_and_the_call_hears_of_it_as_a_cancel() -> None:
    run = started()
    asking(run, "sure", expires_at=MINUTE)
    assert due(run.state, MINUTE) == [ExpireQuestion("pay", 1, "sure", MINUTE)]
    given = QuestionExpired(at=MINUTE, step="pay", attempt=1, question="sure", until=MINUTE)
    (event,) = run.give(given)
    assert isinstance(event, QuestionAnswered)
    assert (event.action, event.by, event.content.value) == ("cancel", "", None)
    assert run.give(given) == []


# --- owners that come and go --------------------------------------------------------------


def test_a_call_that_asks_is_made_again_when_the_answer_is_there_and_not_before() -> None:
    run = started()
    asking(run, "a", "b")
    again = run.fold_again()
    assert due(again, 0) == []
    assert again.is_at_rest
    run.give(answer("a"))
    assert due(run.fold_again(), 0) == []
    run.give(answer("b"))
    (call,) = due(run.fold_again(), 0)
    assert isinstance(call, CallTool)
    assert run.due == []  # whoever made it has it still


def test_nothing_is_in_doubt_of_a_call_that_asks_though_it_was_begun() -> None:
    run = started()
    begun(run)
    assert isinstance(run.fold_again().open[CALL], JudgeLost)
    asking(run, "sure")
    assert isinstance(run.fold_again().open[CALL], CallTool)
    run.give(answer("sure"))
    assert isinstance(run.fold_again().open[CALL], CallTool)
    begun(run)  # right before it is given the answer
    assert isinstance(run.fold_again().open[CALL], JudgeLost)


def test_a_call_that_is_begun_once_more_and_asks_the_same_is_not_in_doubt_again() -> None:
    run = started()
    begun(run)
    asking(run, "sure")
    begun(run)
    (again,) = asking(run, "sure", at=5)
    assert (again.id, again.at) == ("sure", 5)
    assert isinstance(run.fold_again().open[CALL], CallTool)


def test_the_approval_of_a_call_that_asks_is_good_for_its_repeat() -> None:
    run = started()
    nonce: dict[str, Any] = {"subject": "s1", "nonce": "n", "expires_at": MINUTE}
    run.give(CallHeld(at=0, step="pay", attempt=1, call="", rules=("big",), **nonce))
    run.resolve("pay", "approve", subject="s1", principal="user:bob")
    begun(run)
    asking(run, "sure")
    again = run.fold_again().open[CALL]
    assert isinstance(again, CallTool)
    assert again.approval == Approval("s1", "n", "user:bob", 0, ("big",))


def test_whoever_lets_go_of_a_call_that_asks_leaves_it_at_rest() -> None:
    run = started()
    (call,) = run.calls
    assert not lull(run.state, call)
    asking(run, "sure")
    assert lull(run.state, call)
    assert run.state.is_at_rest
    run.give(answer("sure"))
    assert run.calls == [call]


def test_a_call_that_sleeps_until_it_is_answered_is_not_begun() -> None:
    run = started()
    (call,) = run.calls
    asking(run, "sure")
    assert lull(run.state, call)
    assert run.give(ToolBegun(at=run.now, step="pay", attempt=1, call="")) == []
    run.give(answer("sure"))
    begun(run)


def test_a_call_that_was_begun_again_while_it_asks_something_else_is_in_doubt() -> None:
    run = started()
    begun(run)
    asking(run, "sure", "size")
    run.give(answer("sure"))
    begun(run)
    again = run.fold_again()
    (lost,) = due(again, run.now)
    assert isinstance(lost, JudgeLost)


def test_in_a_pause_an_answer_is_taken_and_the_call_goes_on_afterwards() -> None:
    run = started()
    asking(run, "sure")
    again = run.fold_again()
    run.state = again
    run.give(Pause(at=0))
    run.give(answer("sure"))
    assert run.calls == []
    run.give(Resume(at=0))
    assert len(run.calls) == 1


# --- time ---------------------------------------------------------------------------------


def test_the_time_of_a_step_does_not_run_while_something_is_asked() -> None:
    run = started(TIMED)
    asking(run, "a", "b", at=20 * SECOND)
    assert not any(isinstance(it, ExpireStep) for it in run.state.open.values())
    run.give(answer("a", at=100 * SECOND))
    assert run.give(Expire(at=100 * SECOND, step="pay", attempt=1)) == []
    run.give(answer("b", at=200 * SECOND))
    assert run.state.ripe["pay/1/expire"] == 240 * SECOND


def test_what_was_accepted_stands_for_the_next_attempt_and_the_rest_is_asked_again() -> None:
    run = started(TIMED)
    asking(run, "yes", "no", "open")
    run.give(answer("yes"))
    run.give(answer("no", "decline"))
    run.tool("pay", failure=Failure("TOOL_ERROR", "busy", retryable=True))
    assert not run.state.questioning
    run.now = run.state.wakes_at or 0
    assert [it.key for it in asking(run, "yes", "no", "open", at=run.now, attempt=2)] == [
        "no",
        "open",
    ]


# --- what ends a question -----------------------------------------------------------------


def test_a_call_that_comes_back_asks_nothing_any_more() -> None:
    run = Story(AGENT)
    run.start()
    run.model("ask", 1, tools=(wish("a", "pay"), wish("b", "look")))
    asking(run, "sure", step="ask", call="1.0", expires_at=MINUTE)
    asking(run, "other", step="ask", call="1.1")
    run.tool("ask", 1, call="1.0")
    assert [it.asked.id for it in run.state.steps["ask"].open_questions] == ["other"]
    run.tool("ask", 1, call="1.1")
    assert not run.state.questioning
    assert run.state.steps["ask"].questions == {}
    assert [type(it).__name__ for it in run.state.open.values()] == ["ExpireStep", "CallModel"]


def test_a_run_that_ends_asks_nothing_any_more() -> None:
    run = started()
    asking(run, "sure", expires_at=MINUTE)
    run.give(Cancel(at=0))
    assert not run.state.questioning
    assert not run.state.open
    assert "has ended" in objected(run, answer("sure"))


def test_a_run_that_is_taken_up_again_asks_still() -> None:
    run = Story("workflow: two\nnodes:\n  - { id: pay, tool: pay }\n  - { id: bad, tool: look }")
    run.start()
    asking(run, "sure", expires_at=MINUTE)
    run.tool("bad", failure=Failure("TOOL_ERROR", "broken"))
    assert run.state.has_ended
    run.give(RetryStep(at=1, step="bad", principal="user:bob"))
    assert run.state.questioning == {"pay": None}
    assert [it.step for it in run.calls] == ["bad"]
    assert run.state.wakes_at == MINUTE
    run.give(answer("sure"))
    assert [it.step for it in run.calls] == ["pay"]


def test_a_fork_asks_anew() -> None:
    run = Story(
        "workflow: two\nnodes:\n  - { id: pay, tool: pay }\n  - { id: look, tool: look, needs: [] }"
    )
    run.start()
    asking(run, "sure")
    run.give(answer("sure"))
    state = RunState("01930000-0000-7000-8000-000000000001", run.graph)
    other = Story(run.source, run=state.run)
    other.fold(run.log)
    other.give(
        Fork(at=9, principal="user:bob", run=run.state.run, sequence=len(run.log), step="pay")
    )
    assert other.state.steps["pay"].questions == {}
    assert [it.key for it in asking(other, "sure")] == ["sure"]
