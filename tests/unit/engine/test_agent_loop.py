"""An agent's loop is engine state: one event per call, nothing between them."""

from tests.unit.engine.story import Story, wish

from stepwell.engine.commands import CallModel, CallTool
from stepwell.engine.events import PolicyDecided, StepRetryScheduled
from stepwell.engine.inputs import CallDenied
from stepwell.engine.messages import Message, ToolRequest
from stepwell.engine.state import RunPhase
from stepwell.engine.values import Data, Failure

AGENT = """
workflow: asking
input: { type: object }
agents:
  a:
    model: small
    instructions: Be brief.
    tools: [look]
    limits: { turns: 3 }
nodes:
  - { id: ask, agent: a, with: { message: "=input.q" } }
output: "=ask.output"
"""


def test_a_final_answer_ends_the_step_with_it() -> None:
    run = Story(AGENT)
    run.start({"q": "how many?"})
    assert run.due == [CallModel("ask", 1, 1)]
    assert run.talk("ask").messages == [
        Message("system", "Be brief."),
        Message("user", "how many?"),
    ]
    run.model("ask", 1, final=Data(value="seven"))
    assert run.kinds == [
        "run_started",
        "step_scheduled",
        "llm_call",
        "step_completed",
        "run_completed",
    ]
    assert run.state.output == Data(value="seven")


def test_tools_of_one_turn_run_together_and_are_told_in_the_order_of_the_requests() -> None:
    run = Story(AGENT)
    run.start({"q": "?"})
    run.model("ask", 1, tools=(wish("c1", at=1), wish("c2", at=2)))
    assert run.due == [
        CallTool("ask", 1, "1.0", "look", "ask/1.0", Data(value={"at": 1})),
        CallTool("ask", 1, "1.1", "look", "ask/1.1", Data(value={"at": 2})),
    ]
    run.tool("ask", {"n": 2}, call="1.1")
    assert run.due == []
    run.tool("ask", call="1.0", failure=Failure("TOOL_ERROR", "broken"))
    assert run.due == [CallModel("ask", 1, 2)]
    assert run.talk("ask").messages[-2:] == [
        Message("tool", "TOOL_ERROR: broken", call="c1", is_error=True),
        Message("tool", '{"n":2}', call="c2"),
    ]


def test_a_request_with_malformed_arguments_is_told_to_the_model_and_not_called() -> None:
    run = Story(AGENT)
    run.start({"q": "?"})
    run.model("ask", 1, tools=(ToolRequest("c1", "look", problem="the arguments are no JSON"),))
    assert run.due == [CallModel("ask", 1, 2)]
    assert run.talk("ask").messages[-1] == Message(
        "tool", "the arguments are no JSON", call="c1", is_error=True
    )


def test_a_denied_call_is_told_to_the_model_and_logged() -> None:
    run = Story(AGENT)
    run.start({"q": "?"})
    run.model("ask", 1, tools=(wish("c1", "pay"),))
    run.give(
        CallDenied(at=0, step="ask", attempt=1, call="1.0", rules=("r1",), reason="not listed")
    )
    assert run.log[-1] == PolicyDecided(
        at=0,
        step="ask",
        attempt=1,
        call="1.0",
        action="call_tool",
        resource="pay",
        effect="deny",
        rules=("r1",),
        reason="not listed",
    )
    assert run.due == [CallModel("ask", 1, 2)]
    assert run.talk("ask").messages[-1].text == "POLICY_DENIED: not listed"


def test_an_answer_that_cannot_be_used_is_asked_for_again_twice() -> None:
    run = Story(AGENT)
    run.start({"q": "?"})
    for call in (1, 2):
        run.model("ask", call, problem="it is not JSON")
        assert run.due == [CallModel("ask", 1, call + 1)]
        assert "it is not JSON" in run.talk("ask").messages[-1].text
    run.model("ask", 3, problem="it is not JSON")
    assert run.failure.reason == "MODEL_OUTPUT_INVALID"


def test_a_model_that_never_stops_asking_for_tools_fails_the_step() -> None:
    run = Story(AGENT)
    run.start({"q": "?"})
    for call in (1, 2):
        run.model("ask", call, tools=(wish("c"),))
        run.tool("ask", 1, call=f"{call}.0")
    run.model("ask", 3, tools=(wish("c"),))
    assert run.failure.reason == "TURNS_EXCEEDED"


def test_a_model_call_that_fails_is_tried_again_in_the_same_conversation() -> None:
    run = Story(AGENT)
    run.start({"q": "?"})
    run.model("ask", 1, tools=(wish("c1"),))
    run.tool("ask", 1, call="1.0")
    limited = Failure("MODEL_RATE_LIMITED", "slow", retryable=True, detail={"retry_after": "7"})
    run.model("ask", 2, failure=limited)
    assert run.last(StepRetryScheduled).retry_at == 7_000_000
    run.now = 7_000_000
    assert run.model("ask", 2, final=Data(value="late")) == []
    assert run.due == [CallModel("ask", 2, 2)]
    run.model("ask", 2, attempt=2, final=Data(value="done"))
    assert run.state.phase is RunPhase.COMPLETED


def test_after_two_retries_a_failing_model_fails_the_run() -> None:
    run = Story(AGENT)
    run.start({"q": "?"})
    for attempt in (1, 2, 3):
        run.now += 100_000_000
        failure = Failure("MODEL_UNAVAILABLE", "down", retryable=True)
        run.model("ask", 1, attempt=attempt, failure=failure)
    assert run.failure.reason == "MODEL_UNAVAILABLE"


def test_an_answer_made_from_sealed_results_is_sealed() -> None:
    run = Story(AGENT)
    run.start({"q": "?"})
    run.model("ask", 1, tools=(wish("c1"),))
    from stepwell.engine.inputs import ToolAnswered

    rows = Data(value=[1], sealed="datasource:shop")
    run.give(ToolAnswered(at=0, step="ask", attempt=1, call="1.0", result=rows))
    assert run.state.steps["ask"].sealed == "datasource:shop"
