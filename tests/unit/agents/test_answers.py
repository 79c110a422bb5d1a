"""What a model's reply means, whatever stands in it."""

from typing import Any

import msgspec
import pytest

from stepwell.agents.answers import MAX_NAME, MISFIT, read_reply
from stepwell.engine.graph import Agent, AgentNode
from stepwell.engine.inputs import Answer
from stepwell.engine.messages import Message, ToolRequest
from stepwell.engine.state import StepPhase, StepState
from stepwell.engine.values import Failure
from stepwell.engine.wording import MAX_WORDS
from stepwell.errors import Code
from stepwell.llm.port import Finish, ModelReply

FREE = Agent(name="clerk", model="any")
STEP = StepState("ask", "ask", StepPhase.ACTIVE, AgentNode(id="ask", agent=FREE))
STRICT = Agent(name="clerk", model="any", output={"type": "object", "additionalProperties": False})


def read(
    *requests: ToolRequest,
    text: str = "",
    finish: Finish = "stop",
    agent: Agent = FREE,
    subject: str = "",
) -> Answer | Failure:
    message = Message("assistant", text, tools=requests)
    reply = ModelReply(message=message, finish=finish, model="any")
    return read_reply(reply, STEP, agent, {}, subject=subject)


def requested(request: ToolRequest) -> ToolRequest:
    answer = read(request, finish="tools")
    assert isinstance(answer, Answer)
    (read_request,) = answer.tools
    return read_request


def test_the_name_of_a_tool_has_an_end() -> None:
    asked = requested(ToolRequest("1", "x" * 1_000_000))
    assert len(asked.name) <= MAX_NAME
    assert "at most 128 characters" in asked.problem


def test_a_request_that_fits_stays_as_it_is() -> None:
    request = ToolRequest("1", "look", {"q": [1, None]})
    assert requested(request) == request


def nested(levels: int) -> Any:
    value: Any = None
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value", ["\ud800", 10**5000, nested(129)], ids=["surrogate", "number", "depth"]
)
def test_arguments_that_the_log_cannot_hold_are_told_to_the_model(value: Any) -> None:
    asked = requested(ToolRequest("1", "look", {"q": value}))
    assert asked.arguments == {}
    assert "cannot be JSON" in asked.problem
    msgspec.json.encode(asked)


@pytest.mark.parametrize("levels", [129, 100_000])
def test_an_answer_that_lies_too_deep_is_one_to_be_mended(levels: int) -> None:
    deep = '{"a": ' + "[" * levels + "]" * levels + "}"
    answer = read(text=deep, agent=Agent(name="clerk", model="any", output={"type": "object"}))
    assert isinstance(answer, Answer)
    assert (answer.final, "it cannot be read" in answer.problem) == (None, True)


def test_a_text_with_half_a_character_is_an_answer() -> None:
    answer = read(text="done \ud83d")
    assert isinstance(answer, Answer)
    assert answer.final is not None
    assert answer.final.value == "done ?"


def test_a_refusal_without_end_is_cut() -> None:
    refused = read(text="no " * 1_000_000, finish="refusal")
    assert isinstance(refused, Failure)
    assert refused.reason == Code.MODEL_REFUSED
    assert len(refused.message) <= MAX_WORDS


def test_what_is_wrong_with_an_answer_is_cut() -> None:
    members = {f"member {number}": number for number in range(10_000)}
    answer = read(text=msgspec.json.encode(members).decode(), agent=STRICT)
    assert isinstance(answer, Answer)
    assert 0 < len(answer.problem) <= MAX_WORDS


def test_what_is_wrong_with_an_answer_about_a_subject_is_told_without_quoting_it() -> None:
    wrong = '{"card": "4111"}'
    plain = read(text=wrong, agent=STRICT)
    of_subject = read(text=wrong, agent=STRICT, subject="the subject ann")
    assert isinstance(plain, Answer)
    assert isinstance(of_subject, Answer)
    assert "4111" in plain.problem
    assert of_subject.problem == MISFIT
