"""What a person is asked: an approval, or what became of a call that is never repeated."""

import pytest
from tests.unit.engine.story import Story, plain, wish

from stepwell.engine.commands import CallTool
from stepwell.engine.due import due
from stepwell.engine.events import ApprovalRequested
from stepwell.engine.inputs import CallLost, Expire, RetryStep, ToolBegun
from stepwell.engine.objections import objection
from stepwell.engine.values import Failure

ASKING = """
workflow: asking
input: { type: object }
nodes:
  - { id: ok, approval: "='Refund ' + input.what + '?'", timeout: 1h }
  - { id: pay, tool: pay, needs: [ok] }
output: =ok.output
"""
PAY = "workflow: one\nnodes: [{ id: pay, tool: pay, timeout: 1m, retry: { max: 3 } }]"
AGENT = """
workflow: agent
agents: { a: { model: small, tools: [pay] } }
nodes: [{ id: ask, agent: a, with: { message: hello } }]
"""


def begun(step: str, call: str = "") -> ToolBegun:
    return ToolBegun(at=0, step=step, attempt=1, call=call)


def lost(source: str) -> Story:
    run = Story(source)
    run.start()
    run.give(begun("pay"))
    run.give(CallLost(at=1, step="pay", attempt=1, call=""))
    return run


def test_an_approval_waits_for_a_person_and_gives_on_what_was_said() -> None:
    run = Story(ASKING)
    run.start({"what": "5 euros"})
    assert run.kinds[-1] == "approval_requested"
    assert run.log[-1].message == plain("Refund 5 euros?")  # type: ignore[union-attr]
    assert run.state.is_waiting
    run.resolve("ok", "approve", reason="fine", value=5)
    assert run.state.steps["ok"].output == plain(
        {"approved": True, "by": "user:ann", "reason": "fine", "value": 5}
    )
    assert [call.tool for call in run.calls] == ["pay"]


def test_what_is_denied_fails_with_the_reason() -> None:
    run = Story(ASKING)
    run.start({"what": "all"})
    run.resolve("ok", "deny", reason="too much")
    assert run.kinds[-3:] == ["approval_decided", "step_failed", "run_failed"]
    assert run.failure.reason == "APPROVAL_DENIED"
    assert run.failure.message == "user:ann said no: too much"


def test_an_approval_that_nobody_answers_expires() -> None:
    run = Story(ASKING)
    run.start({"what": "all"})
    run.give(Expire(at=3_600_000_000, step="ok", attempt=1))
    assert run.kinds[-3:] == ["approval_expired", "step_failed", "run_failed"]
    assert run.failure.reason == "APPROVAL_EXPIRED"


def test_another_owner_still_asks() -> None:
    run = Story(ASKING)
    run.start({"what": "all"})
    assert run.fold_again().asking == run.state.asking == {"ok": None}


def test_a_lost_call_is_not_made_again_but_asked_about() -> None:
    run = lost(PAY)
    assert run.kinds[-1] == "approval_requested"
    assert run.state.is_waiting
    assert run.calls == []
    assert due(run.fold_again(), 10**12) == []


@pytest.mark.parametrize("reason", ["TOOL_TIMEOUT", "TOOL_CRASHED", "INTERNAL"])
def test_a_begun_call_of_which_nobody_knows_the_outcome_is_asked_about(reason: str) -> None:
    run = Story(PAY)
    run.start()
    run.give(begun("pay"))
    run.tool("pay", failure=Failure(reason, "what now", retryable=True))
    assert run.kinds[-1] == "approval_requested"


def test_an_outcome_that_was_well_goes_on_with_the_result_that_was_given() -> None:
    run = lost(PAY)
    run.resolve("pay", "done", value={"paid": 5})
    assert run.kinds[-4:] == ["approval_decided", "tool_call", "step_completed", "run_completed"]
    assert run.state.steps["pay"].output == plain({"paid": 5})


def test_a_call_that_may_be_made_again_after_all_is_made_with_the_same_key() -> None:
    run = lost(PAY)
    run.resolve("pay", "retry")
    assert run.calls == [CallTool("pay", 1, "", "pay", "pay", plain({}))]
    assert run.fold_again().open.keys() == run.state.open.keys()
    run.tool("pay", 1)
    assert run.kinds[-1] == "run_completed"


def test_the_time_of_a_call_that_is_made_again_begins_anew() -> None:
    run = lost(PAY)
    run.resolve("pay", "retry", at=500_000_000)
    assert due(run.state, 59_000_000) == due(run.state, 559_000_000)
    assert due(run.state, 560_000_000)[0].id == "pay/1/expire"  # type: ignore[union-attr]


def test_a_call_that_failed_fails_its_step() -> None:
    run = lost(PAY)
    run.resolve("pay", "fail")
    assert run.failure.reason == "OUTCOME_UNKNOWN"
    assert run.failure.detail["key"] == f"{run.state.run}/pay"


def test_a_step_that_expires_over_a_begun_call_asks_about_it() -> None:
    run = Story(PAY)
    run.start()
    run.give(begun("pay"))
    run.give(Expire(at=60_000_000, step="pay", attempt=1))
    assert run.kinds[-1] == "approval_requested"
    assert run.stopped == ["pay/1/tool/"]
    run.resolve("pay", "done", value=1)
    assert run.kinds[-1] == "run_completed"


def test_an_agent_hears_what_a_person_found_out() -> None:
    run = Story(AGENT)
    run.start()
    run.model("ask", 1, tools=(wish("c1", "pay"), wish("c2", "pay")))
    for call in ("1.0", "1.1"):
        run.give(begun("ask", call))
        run.tool("ask", call=call, failure=Failure("TOOL_CRASHED", "gone"))
    assert "name one of 1.0, 1.1" in run.objection_to("ask", "done")
    run.resolve("ask", "done", call="1.1", value="paid too")
    run.resolve("ask", "done", call="1.0", value="paid")
    assert [message.text for message in run.talk("ask").messages[-2:]] == ['"paid"', '"paid too"']
    assert run.due[0].id == "ask/1/model/2"  # type: ignore[union-attr]


def test_what_cannot_be_answered_says_why() -> None:
    run = Story(ASKING)
    run.start({"what": "all"})
    assert "no step 'nope'" in run.objection_to("nope", "approve")
    assert "asks for approve or deny" in run.objection_to("ok", "done")
    run.resolve("ok", "approve")
    assert "does not ask anything" in run.objection_to("ok", "approve")
    assert run.resolve("ok", "approve") == []


def test_an_answer_is_taken_once() -> None:
    run = lost(PAY)
    run.resolve("pay", "done", value=1)
    assert run.resolve("pay", "done", value=2) == []
    assert objection(run.state, run.answer("pay", "done")) is not None


def test_an_approval_that_was_denied_is_asked_again_when_it_is_tried_again() -> None:
    run = Story(ASKING)
    run.start({"what": "all"})
    run.resolve("ok", "deny")
    run.give(RetryStep(at=5, step="ok"))
    assert run.kinds[-2:] == ["step_retry_scheduled", "approval_requested"]
    assert run.log[-1].message == plain("Refund all?")  # type: ignore[union-attr]
    run.resolve("ok", "approve")
    assert [call.tool for call in run.calls] == ["pay"]


def test_who_was_asked_by_a_map_that_failed_is_still_asked_when_it_goes_on() -> None:
    run = Story("workflow: w\nnodes: [{id: m, map: '=[1, 2]', do: {approval: really?}}]")
    run.start()
    run.resolve("m[0]", "deny")
    run.give(RetryStep(at=5, step="m"))
    assert sorted(run.state.asking) == ["m[0]", "m[1]"]
    assert run.kinds.count("approval_requested") == 3
    run.resolve("m[1]", "approve")
    run.resolve("m[0]", "approve")
    assert run.kinds[-1] == "run_completed"


def test_an_outcome_is_asked_about_once_when_the_run_is_taken_up_again() -> None:
    run = Story("workflow: w\nnodes: [{id: pay, tool: pay, timeout: 1m}, {id: b, tool: look}]")
    run.start()
    run.give(begun("pay"))
    run.give(CallLost(at=1, step="pay", attempt=1, call=""))
    run.tool("b", failure=Failure("TOOL_ERROR", "no"))
    run.give(RetryStep(at=5, step="b"))
    assert [call.step for call in run.calls] == ["b"]
    assert run.due == run.calls
    assert list(run.state.asking) == ["pay"]
    run.resolve("pay", "done", value=7)
    assert run.state.steps["pay"].output == plain(7)


def test_an_outcome_is_asked_of_the_attempt_that_is_under_way() -> None:
    run = Story(PAY)
    run.start()
    run.tool("pay", failure=Failure("TOOL_ERROR", "busy", retryable=True))
    assert run.state.steps["pay"].attempt == 2
    run.give(ToolBegun(at=0, step="pay", attempt=2, call=""))
    run.give(CallLost(at=1, step="pay", attempt=2, call=""))
    asked = run.log[-1]
    assert isinstance(asked, ApprovalRequested)
    assert (asked.about, asked.attempt) == ("outcome", 2)
