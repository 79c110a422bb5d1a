"""A new owner folds the log and is handed what is still open: recovery is the normal path."""

from tests.unit.engine.story import Story, wish

from stepwell.engine.commands import CallModel, CallTool, JudgeLost, WakeAt
from stepwell.engine.due import due
from stepwell.engine.inputs import ToolBegun
from stepwell.engine.values import Data, Failure

ONE = """
workflow: one
nodes:
  - { id: pay, tool: pay, timeout: 1m, retry: { max: 3 } }
"""
AGENT = """
workflow: asking
agents:
  a: { model: small, tools: [look, pay], limits: { turns: 5 } }
nodes:
  - { id: ask, agent: a, with: { message: hello } }
"""


def begun(step: str, call: str = "") -> ToolBegun:
    return ToolBegun(at=0, step=step, attempt=1, call=call)


def test_commands_are_handed_out_once_per_fold() -> None:
    run = Story(ONE)
    run.start()
    handed = run.due
    assert due(run.state, 0) == [WakeAt(60_000_000)]
    assert due(run.fold_again(), 0) == handed


def test_a_call_that_may_not_be_repeated_is_judged_by_the_next_owner() -> None:
    run = Story(ONE)
    run.start()
    assert [type(event).__name__ for event in run.give(begun("pay"))] == ["ToolCallStarted"]
    assert run.due == [WakeAt(60_000_000)]
    lost = due(run.fold_again(), 0)[0]
    assert lost == JudgeLost(CallTool("pay", 1, "", "pay", "pay", Data(value={})))


def test_a_begun_call_that_failed_for_a_known_reason_is_tried_again() -> None:
    run = Story(ONE)
    run.start()
    run.give(begun("pay"))
    run.tool("pay", failure=Failure("TOOL_ERROR", "no funds", retryable=True))
    assert run.state.steps["pay"].attempt == 2
    assert run.kinds[-1] == "step_retry_scheduled"


def test_beginning_twice_is_written_once() -> None:
    run = Story(ONE)
    run.start()
    run.give(begun("pay"))
    assert run.give(begun("pay")) == []


def test_an_agent_goes_on_where_its_log_ends() -> None:
    run = Story(AGENT)
    run.start()
    run.model("ask", 1, tools=(wish("c1"), wish("c2")))
    run.tool("ask", "one", call="1.0")
    handed = due(run.fold_again(), 0)
    assert [(c.call, c.tool) for c in handed if isinstance(c, CallTool)] == [("1.1", "look")]
    run.tool("ask", "two", call="1.1")
    assert due(run.fold_again(), 0) == [CallModel("ask", 1, 2)]
    assert run.fold_again().steps["ask"].conversation == run.talk("ask")


def test_a_retry_that_waits_is_still_waiting_after_a_crash() -> None:
    run = Story(ONE)
    run.start()
    run.tool("pay", failure=Failure("TOOL_ERROR", "busy", retryable=True), jitter=1.0)
    assert due(run.fold_again(), 0) == [WakeAt(1_000_000)]
    again = due(run.fold_again(), 1_000_000)[0]
    assert isinstance(again, CallTool)
    assert again.attempt == 2


def test_a_run_that_reaches_its_limit_of_events_fails_and_says_which() -> None:
    run = Story(ONE)
    run.state.max_events = 4
    run.start()
    run.tool("pay", failure=Failure("TOOL_ERROR", "busy", retryable=True))
    assert run.kinds[-1] == "step_retry_scheduled"
    run.now = 60_000_000
    run.tool("pay", 1, attempt=2)
    assert run.kinds[-1] == "run_failed"
    assert run.failure.reason == "LIMIT_EXCEEDED"
    assert "limits.history_events" in run.failure.message
