"""Calls that policy does not simply allow: held for a person, put off, answered, used once."""

from typing import Any

import pytest
from tests.unit.engine.story import RUN, Story, plain, wish

from stepwell.engine.commands import Approval, CallTool, ExpireAsk, ExpireStep, JudgeLost
from stepwell.engine.due import due
from stepwell.engine.events import (
    ApprovalDecided,
    ApprovalExpired,
    ApprovalRequested,
    PolicyDecided,
    RunFailed,
    StepFailed,
)
from stepwell.engine.inputs import (
    Answer,
    AskExpired,
    CallDenied,
    CallHeld,
    CallLost,
    CallThrottled,
    Cancel,
    ChildEnded,
    Expire,
    Fork,
    ModelAnswered,
    Pause,
    Resume,
    RetryStep,
    Start,
    ToolBegun,
)
from stepwell.engine.messages import Usage
from stepwell.engine.state import StepPhase
from stepwell.engine.values import NOTHING, Data, Failure

ONE = "workflow: one\nnodes: [{ id: pay, tool: pay, with: { sum: 5 } }]"
TIMED = "workflow: one\nnodes: [{ id: pay, tool: pay, timeout: 1m, retry: { max: 1 } }]"
AGENT = """
workflow: agent
agents: { a: { model: small, tools: [pay, look] } }
nodes: [{ id: ask, agent: a, with: { message: hello }, timeout: 1m }]
"""
MAP = """
workflow: many
input: { type: object }
nodes:
  - id: all
    map: =input.items
    concurrency: 3
    do: { tool: pay, with: { sum: =item } }
    on_error: continue
"""
HOUR = 3_600_000_000


def held(step: str = "pay", call: str = "", subject: str = "s1", **given: Any) -> CallHeld:
    values: dict[str, Any] = {
        "at": 0,
        "step": step,
        "attempt": 1,
        "call": call,
        "subject": subject,
        "nonce": "n",
        "expires_at": HOUR,
        "rules": ("big",),
        "reason": "more than 3",
        "policy": "p1",
        **given,
    }
    return CallHeld(**values)


def holding(source: str = ONE, **given: Any) -> Story:
    run = Story(source)
    run.start()
    run.give(held(**given))
    return run


def approve(run: Story, step: str = "pay", subject: str = "s1", **given: Any) -> None:
    run.resolve(step, "approve", subject=subject, **{"principal": "user:bob", **given})


def asked_twice() -> Story:
    """An agent whose model has asked for two payments and a look, all in one turn."""
    run = Story(AGENT)
    run.start()
    run.model("ask", 1, tools=(wish("a", "pay"), wish("b", "look"), wish("c", "pay")))
    run.give(held("ask", "1.0", "s1"))
    run.give(held("ask", "1.2", "s2"))
    return run


# --- asking -------------------------------------------------------------------------------


def test_a_held_call_asks_a_person_with_all_that_is_to_be_seen() -> None:
    run = Story(ONE)
    run.start()
    assert run.give(held(at=7, approver="caller", groups=("ops",))) == [
        PolicyDecided(
            at=7,
            step="pay",
            action="call_tool",
            resource="pay",
            effect="require_approval",
            rules=("big",),
            reason="more than 3",
            policy="p1",
        ),
        ApprovalRequested(
            at=7,
            step="pay",
            about="call",
            message=plain(
                {"text": "more than 3", "tool": "pay", "arguments": {"sum": 5}, "rule": "big"}
            ),
            tool="pay",
            rules=("big",),
            reason="more than 3",
            subject="s1",
            nonce="n",
            policy="p1",
            approver="caller",
            groups=("ops",),
            expires_at=HOUR,
        ),
    ]
    assert run.state.is_waiting
    assert run.calls == []
    assert run.state.wakes_at == HOUR


def test_what_is_shown_of_sealed_arguments_is_sealed() -> None:
    run = Story(
        "workflow: one\ninput: { type: object }\n"
        "nodes: [{ id: pay, tool: pay, with: { row: =input.row } }]"
    )
    run.give(Start(at=0, input=Data(value={"row": 1}, sealed="datasource:shop")))
    run.give(held())
    asked = run.last(ApprovalRequested)
    assert asked.message.sealed == "datasource:shop"
    assert asked.reason == "more than 3"


def test_held_twice_is_asked_once() -> None:
    run = holding()
    assert run.give(held(subject="s2")) == []


def test_a_call_that_has_begun_is_held_no_more() -> None:
    run = Story(ONE)
    run.start()
    run.give(ToolBegun(at=0, step="pay", attempt=1, call="", decision="allow: tools"))
    assert run.give(held()) == []
    assert run.give(CallThrottled(at=0, step="pay", attempt=1, call="", until=5)) == []


def test_another_owner_still_asks_and_still_lets_it_expire() -> None:
    run = holding()
    again = run.fold_again()
    assert again.asking == {"pay": None}
    assert due(again, HOUR) == [ExpireAsk("pay", 1, "", HOUR)]


# --- answers ------------------------------------------------------------------------------


def test_an_approved_call_is_made_with_its_approval() -> None:
    run = holding()
    approve(run, at=9, reason="fine")
    assert run.last(ApprovalDecided) == ApprovalDecided(
        at=9, step="pay", decision="approve", reason="fine", by="user:bob"
    )
    approval = Approval("s1", "n", "user:bob", 9, ("big",))
    assert run.calls == [
        CallTool("pay", 1, "", "pay", "pay", plain({"sum": 5}), approval=approval, withheld=1)
    ]
    assert run.fold_again().open == run.state.open
    assert run.state.approved == {"pay": 1}
    run.tool("pay", "paid")
    assert run.kinds[-1] == "run_completed"


def test_a_second_answer_teaches_nothing() -> None:
    run = holding()
    approve(run)
    before = len(run.log)
    approve(run)
    run.resolve("pay", "deny", subject="s1", principal="user:eve")
    assert len(run.log) == before


def test_an_answer_to_something_else_is_refused() -> None:
    run = holding()
    assert "look at it again" in run.objection_to(
        "pay", "approve", subject="s0", principal="user:bob"
    )
    approve(run, subject="s0")
    assert run.state.asking == {"pay": None}


def test_an_answer_that_does_not_say_to_what_is_refused() -> None:
    run = holding()
    assert "is held" in run.objection_to("pay", "approve", principal="user:bob")
    assert run.resolve("pay", "approve", principal="user:bob") == []


def test_nobody_approves_his_own_call_but_he_may_take_it_back() -> None:
    run = holding()
    said = run.objection_to("pay", "approve", subject="s1", principal="user:ann")
    assert said == "user:ann asked for the call, and somebody else has to approve it"
    run.resolve("pay", "deny", subject="s1", principal="user:ann")
    assert run.failure.reason == "APPROVAL_DENIED"


def test_a_rule_may_let_the_caller_approve() -> None:
    run = holding(approver="caller")
    approve(run, principal="user:ann")
    assert len(run.calls) == 1


def test_an_answer_that_comes_too_late_is_refused() -> None:
    run = holding()
    assert "is over" in run.objection_to(
        "pay", "approve", subject="s1", principal="user:bob", at=HOUR
    )


@pytest.mark.parametrize("verdict", ["done", "retry", "fail"])
def test_the_answers_to_an_outcome_are_none_here(verdict: str) -> None:
    run = holding()
    assert "approve or deny" in run.objection_to("pay", verdict, subject="s1")


def test_a_denied_call_fails_its_step_with_the_reason() -> None:
    run = holding()
    run.resolve("pay", "deny", subject="s1", principal="user:bob", reason="too much")
    failure = Failure("APPROVAL_DENIED", "user:bob said no: too much")
    assert run.log[-2:] == [
        StepFailed(at=0, step="pay", failure=failure),
        RunFailed(at=0, step="pay", failure=failure),
    ]


def test_a_call_that_nobody_answers_about_expires() -> None:
    run = holding(rules=("big", "late"))
    run.give(AskExpired(at=HOUR, step="pay", attempt=1, call="", until=HOUR))
    assert ApprovalExpired(at=HOUR, step="pay", attempt=1) in run.log
    assert run.failure == Failure(
        "APPROVAL_EXPIRED", "nobody answered in time", detail={"rules": "big, late"}
    )
    assert [(it.status, it.at) for it in run.state.ask_changes] == [
        ("waiting", 0),
        ("expired", HOUR),
    ]


def test_the_end_of_an_earlier_question_is_not_that_of_a_later_one() -> None:
    run = holding()
    approve(run)
    run.give(held(at=5, subject="s2", expires_at=2 * HOUR, withheld=1))
    assert run.give(AskExpired(at=HOUR, step="pay", attempt=1, call="", until=HOUR)) == []
    assert run.state.wakes_at == 2 * HOUR


def test_a_question_of_a_later_attempt_ends_with_its_own_time_or_its_answer() -> None:
    run = Story(TIMED)
    run.start()
    run.tool("pay", failure=Failure("TOOL_ERROR", "busy", retryable=True))
    run.give(held(attempt=2))
    assert ExpireAsk("pay", 2, "", HOUR) in due(run.fold_again(), HOUR)
    approve(run, at=5)
    assert [it for it in run.state.open.values() if isinstance(it, ExpireAsk)] == []


def test_the_time_of_a_step_goes_on_when_nobody_has_answered() -> None:
    run = asked_twice()
    for call in ("1.0", "1.2"):
        run.give(AskExpired(at=HOUR, step="ask", attempt=1, call=call, until=HOUR))
    assert run.state.wakes_at == HOUR + 60_000_000


# --- used once ----------------------------------------------------------------------------


def test_an_approval_is_gone_once_the_call_has_begun() -> None:
    run = holding()
    approve(run)
    begun = ToolBegun(at=0, step="pay", attempt=1, call="", decision="allow: big")
    assert run.give(begun)[0].decision == "allow: big"  # type: ignore[union-attr]
    lost = run.fold_again().open["pay/1/tool/"]
    assert isinstance(lost, JudgeLost)
    assert lost.call.approval is None


def test_what_is_made_again_after_an_unknown_outcome_is_asked_about_anew() -> None:
    run = holding()
    approve(run)
    run.give(ToolBegun(at=0, step="pay", attempt=1, call=""))
    run.give(CallLost(at=1, step="pay", attempt=1, call=""))
    run.resolve("pay", "retry", principal="user:bob")
    assert [call.approval for call in run.calls] == [None]
    run.give(held(subject="s2", withheld=1))
    approve(run, subject="s1")
    assert run.state.asking == {"pay": None}
    approve(run, subject="s2")
    assert run.calls[0].approval is not None


def test_another_attempt_of_an_approved_call_is_asked_about_anew() -> None:
    run = holding(TIMED)
    approve(run)
    run.tool("pay", failure=Failure("TOOL_ERROR", "no", retryable=True))
    again = next(it for it in due(run.state, 10**9) if isinstance(it, CallTool))
    assert (again.attempt, again.approval) == (2, None)


def test_a_definition_that_has_changed_is_asked_about_anew() -> None:
    run = holding()
    approve(run)
    run.give(held(subject="s2", withheld=1))
    assert run.state.asking == {"pay": None}
    assert run.calls == []
    assert "look at it again" in run.objection_to(
        "pay", "approve", subject="s1", principal="user:bob"
    )


def test_what_policy_said_before_a_yes_is_out_of_date() -> None:
    run = holding()
    approve(run)
    stale: dict[str, Any] = {"at": 9, "step": "pay", "attempt": 1, "call": ""}
    assert run.give(held()) == []
    assert run.give(CallThrottled(**stale, until=500)) == []
    assert run.give(CallDenied(**stale)) == []
    assert run.calls == []


def test_what_policy_said_before_it_put_a_call_off_is_out_of_date() -> None:
    run = Story(ONE)
    run.start()
    put_off = CallThrottled(at=1, step="pay", attempt=1, call="", until=500)
    run.give(put_off)
    assert run.give(put_off) == []
    assert run.give(held()) == []


def test_an_approved_call_may_still_be_denied() -> None:
    run = holding()
    approve(run)
    denied = CallDenied(
        at=1, step="pay", attempt=1, call="", rules=("spent",), reason="the budget is spent",
        remedy="raise it", policy="p2", withheld=1,
    )  # fmt: skip
    run.give(denied)
    assert run.failure == Failure(
        "POLICY_DENIED",
        "the budget is spent; what would change it: raise it",
        detail={"rules": "spent"},
    )


# --- put off ------------------------------------------------------------------------------


def test_a_call_that_is_put_off_is_due_at_its_time() -> None:
    run = Story(ONE)
    run.start()
    run.give(
        CallThrottled(
            at=1, step="pay", attempt=1, call="", until=500, rules=("rate",), reason="3 in a minute"
        )
    )
    assert run.last(PolicyDecided) == PolicyDecided(
        at=1,
        step="pay",
        action="call_tool",
        resource="pay",
        effect="throttle",
        rules=("rate",),
        reason="3 in a minute",
        retry_at=500,
    )
    assert run.calls == []
    assert run.state.wakes_at == 500
    assert run.state.is_at_rest
    assert run.fold_again().wakes_at == 500
    assert [type(it) for it in due(run.state, 500)] == [CallTool]


def test_an_approved_call_that_is_put_off_stays_approved() -> None:
    run = holding()
    approve(run)
    run.give(CallThrottled(at=1, step="pay", attempt=1, call="", until=500, withheld=1))
    [call] = due(run.state, 500)
    assert isinstance(call, CallTool)
    assert call.approval is not None


def test_the_time_of_a_step_runs_on_while_its_call_is_put_off() -> None:
    run = Story(TIMED)
    run.start()
    run.give(CallThrottled(at=1, step="pay", attempt=1, call="", until=90_000_000))
    run.give(Expire(at=60_000_000, step="pay", attempt=1))
    assert run.kinds[-1] == "step_retry_scheduled"


# --- agents -------------------------------------------------------------------------------


def test_the_other_calls_of_a_turn_go_on_while_some_are_held() -> None:
    run = asked_twice()
    run.tool("ask", "seen", call="1.1")
    assert list(run.state.steps["ask"].asks) == ["1.0", "1.2"]
    assert run.state.is_waiting
    assert run.calls == []


def test_an_agent_goes_on_when_all_is_answered() -> None:
    run = asked_twice()
    run.tool("ask", "seen", call="1.1")
    run.resolve("ask", "deny", call="1.0", subject="s1", principal="user:bob", reason="no money")
    assert run.state.steps["ask"].phase is StepPhase.ACTIVE
    approve(run, "ask", "s2", call="1.2")
    assert [call.call for call in run.calls] == ["1.2"]
    run.tool("ask", "paid", call="1.2")
    told = [(it.text, it.is_error) for it in run.talk("ask").messages[-3:]]
    assert told == [
        ("APPROVAL_DENIED: user:bob said no: no money", True),
        ('"seen"', False),
        ('"paid"', False),
    ]
    assert "ask/1/model/2" in run.state.open
    assert run.fold_again().steps == run.state.steps


def test_an_agent_is_told_what_nobody_answered() -> None:
    run = asked_twice()
    run.tool("ask", "seen", call="1.1")
    for call in ("1.0", "1.2"):
        run.give(AskExpired(at=HOUR, step="ask", attempt=1, call=call, until=HOUR))
    assert run.talk("ask").messages[-1].text == "APPROVAL_EXPIRED: nobody answered in time"
    assert run.state.asking == {}


def test_the_time_of_a_step_does_not_run_while_a_person_is_asked() -> None:
    run = asked_twice()
    assert "ask/1/expire" not in run.state.open
    approve(run, "ask", "s1", call="1.0", at=HOUR // 2)
    assert "ask/1/expire" not in run.state.open
    approve(run, "ask", "s2", call="1.2", at=HOUR // 2)
    assert run.state.open["ask/1/expire"] == ExpireStep("ask", 1)
    assert run.state.wakes_at == HOUR // 2 + 60_000_000


def test_two_held_calls_are_told_apart_by_name() -> None:
    run = asked_twice()
    assert "name one of 1.0, 1.2" in run.objection_to(
        "ask", "approve", subject="s1", principal="user:bob"
    )


# --- maps ---------------------------------------------------------------------------------


def many() -> Story:
    run = Story(MAP)
    run.start({"items": [1, 2, 3]})
    run.give(held("all[0]", subject="s0"))
    run.give(held("all[2]", subject="s2"))
    return run


def test_items_of_a_map_are_asked_about_one_by_one() -> None:
    run = many()
    run.tool("all[1]", "b")
    approve(run, "all[0]", "s0")
    run.tool("all[0]", "a")
    approve(run, "all[2]", "s2")
    run.tool("all[2]", "c")
    assert run.state.steps["all"].output == plain(["a", "b", "c"])


def test_what_a_map_asked_is_withdrawn_when_it_fails() -> None:
    run = many()
    run.tool("all[1]", failure=Failure("TOOL_ERROR", "no"))
    assert run.state.asking == {}
    assert [(it.ask.asked.step, it.status) for it in run.state.ask_changes[2:]] == [
        ("all[0]", "withdrawn"),
        ("all[2]", "withdrawn"),
    ]


# --- the run around it --------------------------------------------------------------------


def test_a_paused_run_takes_an_answer_and_makes_the_call_when_it_goes_on() -> None:
    run = holding()
    run.give(Pause(at=1))
    approve(run, at=2)
    assert run.calls == []
    run.give(Resume(at=3))
    assert len(run.calls) == 1


def test_a_question_expires_when_a_paused_run_goes_on() -> None:
    run = holding()
    run.give(Pause(at=1))
    assert due(run.state, 2 * HOUR) == []
    run.give(Resume(at=2 * HOUR))
    assert run.due == [ExpireAsk("pay", 1, "", HOUR)]


def test_a_cancelled_run_asks_nothing_any_more() -> None:
    run = holding()
    run.give(Cancel(at=5))
    assert [(it.status, it.at) for it in run.state.ask_changes] == [
        ("waiting", 0),
        ("withdrawn", 5),
    ]
    assert run.resolve("pay", "approve", subject="s1", principal="user:bob") == []
    assert due(run.state, HOUR) == []


def test_every_change_of_a_question_is_told() -> None:
    run = holding()
    approve(run, at=4, reason="fine")
    assert [(it.status, it.at, it.by, it.reason) for it in run.state.ask_changes] == [
        ("waiting", 0, "", ""),
        ("approved", 4, "user:bob", "fine"),
    ]
    assert run.state.ask_changes[0].ask.sequence == run.kinds.index("approval_requested") + 1


TWO = """
workflow: two
nodes:
  - { id: look, tool: look }
  - { id: pay, tool: pay }
  - { id: ok, approval: really? }
"""


def test_a_run_that_is_taken_up_again_asks_policy_about_its_held_calls() -> None:
    run = Story(TWO)
    run.start()
    run.give(held())
    run.tool("look", at=5, failure=Failure("TOOL_ERROR", "no"))
    run.give(RetryStep(at=9, step="look"))
    assert list(run.state.asking) == ["ok"]
    assert sorted(call.step for call in run.calls) == ["look", "pay"]
    assert [(it.ask.asked.step, it.status, it.at) for it in run.state.ask_changes[2:]] == [
        ("ok", "withdrawn", 5),
        ("pay", "withdrawn", 5),
        ("ok", "waiting", 9),
    ]
    assert run.fold_again().asking == run.state.asking


CHAIN = """
workflow: chain
nodes:
  - { id: pay, tool: pay }
  - { id: ok, approval: really? }
  - { id: look, tool: look }
  - { id: end, tool: look, needs: [look] }
"""


def test_a_fork_asks_policy_itself_and_has_questions_of_its_own() -> None:
    run = Story(CHAIN)
    run.start()
    run.give(held())
    run.tool("look", 1)
    fork = Story(CHAIN, run="01930000-0000-7000-8000-000000000001")
    at = next(i for i, it in enumerate(run.log) if getattr(it, "node", "") == "end")
    fork.fold(run.log[:at])
    fork.state.ask_changes.clear()
    fork.give(Fork(at=9, principal="user:ann", run=RUN, sequence=at, step="end"))
    assert list(fork.state.asking) == ["ok"]
    assert sorted(call.step for call in fork.calls) == ["end", "pay"]
    [again] = fork.state.ask_changes
    assert (again.ask.asked.step, again.status, again.ask.sequence) == ("ok", "waiting", 0)
    assert again.at == 9


UNDONE = """
workflow: undone
nodes:
  - { id: book, tool: book, compensate: { tool: unbook } }
  - { id: pay, tool: pay }
  - { id: look, tool: look, needs: [book] }
"""


def test_questions_are_withdrawn_before_a_run_is_undone_and_undoing_may_ask() -> None:
    run = Story(UNDONE)
    run.start()
    run.tool("book", 1)
    run.give(held())
    run.tool("look", at=5, failure=Failure("TOOL_ERROR", "no"))
    assert run.state.is_compensating
    withdrawn = run.state.ask_changes[-1]
    assert (withdrawn.status, withdrawn.at) == ("withdrawn", 5)
    [undo] = run.calls
    run.give(held(undo.step, subject="u"))
    run.resolve(undo.step, "deny", subject="u", principal="user:bob")
    assert run.failure.detail == {"not_undone": "book"}


# --- what policy is told ------------------------------------------------------------------


def test_a_run_knows_what_it_has_called_read_and_spent() -> None:
    run = Story(AGENT)
    run.start()
    run.model("ask", 1, tools=(wish("a", "pay"), wish("b", "look")))
    run.tool("ask", 1, call="1.0", sealed="datasource:shop")
    run.tool("ask", call="1.1", failure=Failure("TOOL_ERROR", "no"))
    state = run.state
    assert (state.calls, state.read) == ({"pay": 1, "look": 1}, {"datasource:shop"})


def test_a_run_counts_every_row_that_it_has_read() -> None:
    run = Story(AGENT)
    run.start()
    run.model("ask", 1, tools=(wish("a", "look"), wish("b", "look"), wish("c", "look")))
    for call, rows in (("1.0", [[1], [2]]), ("1.1", [[3]]), ("1.2", [])):
        run.tool("ask", {"rows": rows}, call=call, sealed="datasource:shop")
    assert run.state.rows == 3


def test_a_run_counts_what_people_approved_and_a_fork_begins_anew() -> None:
    run = asked_twice()
    approve(run, "ask", "s1", call="1.0")
    approve(run, "ask", "s2", call="1.2")
    assert run.state.approved == {"pay": 2}
    fork = Story(AGENT, run="01930000-0000-7000-8000-000000000001")
    fork.fold(run.log)
    fork.give(Fork(at=9, principal="user:ann", run=RUN, sequence=len(run.log), step="ask"))
    assert fork.state.approved == {}


def test_a_call_that_is_put_off_again_and_again_says_how_often() -> None:
    run = Story(ONE)
    run.start()
    for number in range(2):
        put_off = CallThrottled(at=0, step="pay", attempt=1, call="", until=5, withheld=number)
        assert run.give(put_off)
    assert run.state.steps["pay"].withheld == 2


def test_a_run_counts_all_that_its_models_cost() -> None:
    run = Story(AGENT)
    run.start()
    for number, cost in enumerate((5, 7, None, None), 1):
        wishes = (wish("a"),) if number < 4 else ()
        run.give(
            ModelAnswered(
                at=0,
                step="ask",
                attempt=1,
                call=number,
                model="fake",
                messages=NOTHING,
                answer=Answer(text=plain("..."), tools=wishes),
                usage=Usage(input=10, output=1),
                cost=cost,
            )
        )
        if wishes:
            run.tool("ask", 1, call=f"{number}.0")
    state = run.state
    assert (state.tokens, state.usd_micros, state.unpriced) == (44, 12, 2)


def test_an_agent_that_has_read_something_sealed_goes_on_under_that_seal() -> None:
    run = Story(AGENT)
    run.start()
    run.model("ask", 1, tools=(wish("a"), wish("b")))
    run.tool("ask", 1, call="1.0", sealed="datasource:shop")
    run.tool("ask", 1, call="1.1")
    run.model("ask", 2, tools=(wish("c"),))
    assert run.calls[0].arguments.sealed == "datasource:shop"


def test_a_run_knows_what_it_was_given_and_what_its_children_read() -> None:
    run = Story(
        "{workflow: w, input: {type: object}, nodes: [{id: sub, workflow: v}, {id: a, tool: look}]}"
    )
    run.give(Start(at=0, principal="user:ann", input=Data(value={}, sealed="subject:eve")))
    assert run.state.read == {"subject:eve"}
    found = Data(value=1, sealed="datasource:shop")
    run.give(ChildEnded(at=1, step="sub", attempt=1, output=found, called=("pay",)))
    assert run.state.read == {"subject:eve", "datasource:shop"}
    assert run.state.calls == {"pay": 0}
    run.tool("a", 1)
    assert run.state.calls == {"pay": 0, "look": 1}


def test_an_answer_to_one_begun_call_leaves_the_others_begun() -> None:
    run = Story(AGENT)
    run.start()
    run.model("ask", 1, tools=(wish("a", "pay"), wish("b", "pay"), wish("c", "pay")))
    for call in ("1.0", "1.1", "1.2"):
        run.give(ToolBegun(at=0, step="ask", attempt=1, call=call))
    run.tool("ask", 1, call="1.0")
    assert run.state.steps["ask"].begun == {"1.1", "1.2"}
    run.give(CallLost(at=1, step="ask", attempt=1, call="1.1"))
    run.resolve("ask", "retry", call="1.1")
    assert run.state.steps["ask"].begun == {"1.2"}
