"""An agent's loop is engine state: one event per call, nothing between them."""

from tests.unit.engine.story import Story, wish

from stepwell.engine.calls import REPAIR
from stepwell.engine.commands import CallModel, CallTool, Stop, WakeAt
from stepwell.engine.due import due
from stepwell.engine.events import PolicyDecided, StepRetryScheduled, ToolCall
from stepwell.engine.inputs import CallDenied, Expire
from stepwell.engine.messages import Message, Opaque, ToolRequest
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


# --- what is said, in full ----------------------------------------------------------------


def test_a_message_that_is_no_text_is_told_as_json_and_without_instructions_it_is_all() -> None:
    run = Story(AGENT.replace("    instructions: Be brief.\n", ""))
    run.start({"q": {"n": [1, None]}})
    assert run.talk("ask").messages == [Message("user", '{"n":[1,null]}')]
    assert run.talk("ask").told == 0


def test_a_talk_is_told_as_far_as_the_log_has_it() -> None:
    run = Story(AGENT)
    run.start({"q": "?"})
    run.model("ask", 1, tools=(wish("c1", at=1),), opaque=(Opaque("fake", 1),))
    assert run.talk("ask").told == 3
    run.tool("ask", 5, call="1.0")
    assert run.talk("ask").told == 3
    run.model("ask", 2, problem="it is no JSON")
    assert run.talk("ask").told == 5
    assert run.talk("ask").repairs == 1
    assert run.talk("ask").messages == [
        Message("system", "Be brief."),
        Message("user", "?"),
        Message("assistant", "...", tools=(wish("c1", at=1),), opaque=(Opaque("fake", 1),)),
        Message("tool", "5", call="c1"),
        Message("assistant", "..."),
        Message("user", REPAIR.format(problem="it is no JSON")),
    ]


def test_answers_of_a_later_turn_are_told_by_their_own_requests() -> None:
    run = Story(AGENT)
    run.start({"q": "?"})
    run.model("ask", 1, tools=(wish("a"),))
    run.tool("ask", 1, call="1.0")
    run.model("ask", 2, tools=(wish("b"), wish("c"), wish("d")))
    for index, call in enumerate(("2.0", "2.1", "2.2")):
        run.tool("ask", index, call=call)
    assert run.talk("ask").messages[-3:] == [
        Message("tool", "0", call="b"),
        Message("tool", "1", call="c"),
        Message("tool", "2", call="d"),
    ]


def test_a_denied_call_and_one_that_cannot_be_read_are_errors_to_the_model() -> None:
    run = Story(AGENT)
    run.start({"q": "?"})
    run.model("ask", 1, tools=(wish("c1"), ToolRequest("c2", "look", problem="no JSON")))
    assert [call.call for call in run.calls] == ["1.0"]
    run.give(CallDenied(at=0, step="ask", attempt=1, call="1.0", reason="not listed"))
    assert run.talk("ask").messages[-2:] == [
        Message("tool", "POLICY_DENIED: not listed", call="c1", is_error=True),
        Message("tool", "no JSON", call="c2", is_error=True),
    ]


def test_calls_that_wait_for_another_attempt_wait_as_long_as_it_does() -> None:
    run = Story(AGENT.replace('" } }', '" }, timeout: 1s }'))
    run.start({"q": "?"})
    run.model("ask", 1, tools=(wish("c1"), wish("c2")))
    run.tool("ask", 1, call="1.0")
    run.give(Expire(at=1_000_000, step="ask", attempt=1))
    again = run.last(StepRetryScheduled).retry_at
    assert run.due == [Stop("ask/1/tool/1.1"), WakeAt(again)]
    assert due(run.state, again) == [
        CallTool("ask", 2, "1.1", "look", "ask/1.1", Data(value={})),
        WakeAt(again + 1_000_000),
    ]


def test_what_is_sealed_once_seals_all_that_is_said_later() -> None:
    """Every argument that the model thinks of may quote it."""
    run = Story(AGENT)
    run.start({"q": "?"})
    run.model("ask", 1, tools=(wish("c1"),))
    run.tool("ask", 1, call="1.0", sealed="datasource:shop")
    run.model("ask", 2, tools=(wish("c2", n=1),))
    assert run.calls[0].arguments == Data(value={"n": 1}, sealed="datasource:shop")


def test_what_an_agent_asks_for_is_as_sealed_as_what_it_was_given() -> None:
    run = Story(
        "{workflow: w, agents: {a: {model: small, tools: [look]}}, nodes: [{id: rows, tool: look},"
        "{id: ask, agent: a, with: {message: =rows.output}}]}"
    )
    run.start()
    run.tool("rows", "Ada", sealed="datasource:shop")
    run.model("ask", 1, tools=(wish("a"),))
    assert run.calls[0].arguments.sealed == "datasource:shop"
    run.tool("ask", 1, call="1.0", at=1)
    assert run.last(ToolCall).arguments.sealed == "datasource:shop"
