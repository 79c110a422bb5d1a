"""A new owner folds the log and is handed what is still open: recovery is the normal path."""

import pytest

from stepwell.engine.commands import CallModel, CallTool, JudgeLost, WakeAt
from stepwell.engine.due import due
from stepwell.engine.inputs import CallLost, Expire, ToolBegun
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


def test_commands_are_handed_out_once_per_fold(story) -> None:
    run = story(ONE)
    run.start()
    handed = run.due
    assert due(run.state, 0) == [WakeAt(60_000_000)]
    assert due(run.fold_again(), 0) == handed


def test_a_call_that_may_not_be_repeated_is_judged_by_the_next_owner(story) -> None:
    run = story(ONE)
    run.start()
    assert [type(event).__name__ for event in run.give(begun("pay"))] == ["ToolCallStarted"]
    assert run.due == [WakeAt(60_000_000)]
    lost = due(run.fold_again(), 0)[0]
    assert lost == JudgeLost(CallTool("pay", 1, "", "pay", "pay", Data(value={})))


def test_a_lost_call_fails_the_run_and_is_never_made_again(story) -> None:
    run = story(ONE)
    run.start()
    run.give(begun("pay"))
    run.give(CallLost(at=1, step="pay", attempt=1, call=""))
    assert run.kinds[-3:] == ["tool_call", "step_failed", "run_failed"]
    assert run.state.failure.reason == "OUTCOME_UNKNOWN"
    assert "'pay'" in run.state.failure.message


@pytest.mark.parametrize("reason", ["TOOL_TIMEOUT", "INTERNAL"])
def test_a_begun_call_of_which_nobody_knows_the_outcome_is_not_tried_again(story, reason) -> None:
    run = story(ONE)
    run.start()
    run.give(begun("pay"))
    run.tool("pay", failure=Failure(reason, "what now", retryable=True))
    assert run.state.failure.reason == "OUTCOME_UNKNOWN"
    assert run.state.failure.detail["key"] == f"{run.state.run}/pay"


def test_a_defect_on_the_way_to_a_begun_call_is_not_told_to_the_model(story, wishes) -> None:
    """It might call again, under another key."""
    run = story(AGENT)
    run.start()
    run.model("ask", 1, tools=(wishes("c1", "pay"),))
    run.give(begun("ask", "1.0"))
    run.tool("ask", call="1.0", failure=Failure("INTERNAL", "a defect"))
    assert run.state.failure.reason == "OUTCOME_UNKNOWN"


def test_a_step_that_expires_over_a_begun_call_is_not_tried_again(story) -> None:
    run = story(ONE)
    run.start()
    run.give(begun("pay"))
    run.give(Expire(at=60_000_000, step="pay", attempt=1))
    assert run.state.failure.reason == "OUTCOME_UNKNOWN"


def test_a_begun_call_that_failed_for_a_known_reason_is_tried_again(story) -> None:
    run = story(ONE)
    run.start()
    run.give(begun("pay"))
    run.tool("pay", failure=Failure("TOOL_ERROR", "no funds", retryable=True))
    assert run.state.steps["pay"].attempt == 2
    assert run.kinds[-1] == "step_retry_scheduled"


def test_beginning_twice_is_written_once(story) -> None:
    run = story(ONE)
    run.start()
    run.give(begun("pay"))
    assert run.give(begun("pay")) == []


def test_an_agent_goes_on_where_its_log_ends(story, wishes) -> None:
    run = story(AGENT)
    run.start()
    run.model("ask", 1, tools=(wishes("c1"), wishes("c2")))
    run.tool("ask", "one", call="1.0")
    handed = due(run.fold_again(), 0)
    assert [(c.call, c.tool) for c in handed] == [("1.1", "look")]
    run.tool("ask", "two", call="1.1")
    assert due(run.fold_again(), 0) == [CallModel("ask", 1, 2)]
    assert run.fold_again().steps["ask"].conversation == run.state.steps["ask"].conversation


def test_a_retry_that_waits_is_still_waiting_after_a_crash(story) -> None:
    run = story(ONE)
    run.start()
    run.tool("pay", failure=Failure("TOOL_ERROR", "busy", retryable=True), jitter=1.0)
    assert due(run.fold_again(), 0) == [WakeAt(1_000_000)]
    assert due(run.fold_again(), 1_000_000)[0].attempt == 2


def test_a_run_that_reaches_its_limit_of_events_fails_and_says_which(story) -> None:
    run = story(ONE)
    run.state.max_events = 4
    run.start()
    run.tool("pay", failure=Failure("TOOL_ERROR", "busy", retryable=True))
    assert run.kinds[-1] == "step_retry_scheduled"
    run.now = 60_000_000
    run.tool("pay", 1, attempt=2)
    assert run.kinds[-1] == "run_failed"
    assert run.state.failure.reason == "LIMIT_EXCEEDED"
    assert "limits.history_events" in run.state.failure.message
