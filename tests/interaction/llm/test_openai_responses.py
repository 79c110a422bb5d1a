"""The Responses API: exactly what OpenAI is sent, and what only this wire form has."""

from typing import Any

import pytest
from tests.interaction.llm.conversation import ANSWER, CLOSED, OPEN, SCHEMA, asking_for, tool_turn
from tests.interaction.llm.fake_provider import FakeProvider, Reply
from tests.interaction.llm.wires import RESPONSES, Call, Wire, called, response, said

from stepwell.engine.messages import Message
from stepwell.errors import Code
from stepwell.llm.port import Model, ModelError, ModelRequest

pytestmark = pytest.mark.anyio

ASK = Message(role="user", text="Go.")
REASONING = {
    "id": "rs_1",
    "type": "reasoning",
    "summary": [],
    "encrypted_content": "sealed",
    "status": "completed",
}


@pytest.fixture
def wire() -> Wire:
    return RESPONSES


async def test_a_conversation_with_tool_results_is_sent(
    provider: FakeProvider, model: Model
) -> None:
    provider.will(Reply(RESPONSES.answer("Rome.")))

    await model.complete(tool_turn())

    assert provider.seen[0].headers["authorization"] == "Bearer sk-secret"
    assert provider.seen[0].body == {
        "model": "m",
        "max_output_tokens": 100,
        "store": False,
        "input": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Paris or Rome?"},
            {"role": "assistant", "content": "I will look."},
            {
                "type": "function_call",
                "call_id": "a",
                "name": "weather_now",
                "arguments": '{"city":"Paris"}',
            },
            {
                "type": "function_call",
                "call_id": "b",
                "name": "weather_now",
                "arguments": '{"city":"Rome"}',
            },
            {"type": "function_call_output", "call_id": "a", "output": '{"sky":"grey"}'},
            {"type": "function_call_output", "call_id": "b", "output": "no such city"},
        ],
        "tools": [
            {
                "type": "function",
                "name": "weather_now",
                "description": "The weather in a city",
                "parameters": SCHEMA,
                "strict": False,
            }
        ],
    }


@pytest.mark.parametrize(
    ("schema", "sent", "strict"), [(ANSWER, CLOSED, True), (OPEN, OPEN, False)]
)
async def test_the_schema_of_the_answer_is_sent(
    provider: FakeProvider,
    model: Model,
    schema: dict[str, object],
    sent: dict[str, object],
    strict: bool,
) -> None:
    provider.will(Reply(RESPONSES.answer('{"city":"Rome","degrees":25}')))

    reply = await model.complete(asking_for(schema))

    assert reply.message.text == '{"city":"Rome","degrees":25}'
    assert provider.seen[0].body["text"] == {
        "format": {"type": "json_schema", "name": "answer", "schema": sent, "strict": strict}
    }


async def test_sealed_reasoning_is_sent_again_in_its_place(
    provider: FakeProvider, model: Model
) -> None:
    second = REASONING | {"id": "rs_2"}
    calls = [called(Call("t", "{}", "a")), called(Call("t", "{}", "b"))]
    provider.will(
        Reply(response(REASONING, calls[0], second, calls[1])), Reply(RESPONSES.answer("Done."))
    )

    first = await model.complete(ModelRequest(messages=(ASK,)))
    results = [Message(role="tool", call=call, text="ok") for call in ("a", "b")]
    await model.complete(ModelRequest(messages=(ASK, first.message, *results)))

    sealed = {"type": "reasoning", "summary": [], "encrypted_content": "sealed"}
    call = {"type": "function_call", "name": "t", "arguments": "{}"}
    assert provider.seen[1].body["input"][1:5] == [
        sealed | {"id": "rs_1"},
        call | {"call_id": "a"},
        sealed | {"id": "rs_2"},
        call | {"call_id": "b"},
    ]


async def test_reasoning_without_its_content_is_not_sent_again(
    provider: FakeProvider, model: Model
) -> None:
    bare = {"id": "rs_1", "type": "reasoning", "summary": []}
    provider.will(Reply(response(bare, said("Done."))))

    reply = await model.complete(ModelRequest(messages=(ASK,)))

    assert reply.message == Message(role="assistant", text="Done.")


async def test_commentary_is_not_part_of_the_final_answer_and_is_sent_again(
    provider: FakeProvider, model: Model
) -> None:
    commentary = said("I think.", phase="commentary")
    provider.will(
        Reply(response(commentary, said('{"a":1}', phase="final_answer"))),
        Reply(RESPONSES.answer("Done.")),
    )

    first = await model.complete(ModelRequest(messages=(ASK,)))
    await model.complete(ModelRequest(messages=(ASK, first.message, ASK)))

    assert first.message.text == '{"a":1}'
    assert provider.seen[1].body["input"][1:3] == [
        {key: value for key, value in commentary.items() if key != "status"},
        {"role": "assistant", "content": '{"a":1}', "phase": "final_answer"},
    ]


@pytest.mark.parametrize(
    ("changes", "code", "retryable"),
    [
        ({"error": {"code": "server_error", "message": "x"}}, Code.MODEL_UNAVAILABLE, True),
        ({"error": {"code": "rate_limit_exceeded", "message": "x"}}, Code.MODEL_RATE_LIMITED, True),
        ({"error": {"code": "bio_policy", "message": "x"}}, Code.MODEL_REFUSED, False),
        ({"error": {"code": "invalid_prompt", "message": "x"}}, Code.MODEL_ERROR, False),
        ({}, Code.MODEL_ERROR, True),
    ],
)
async def test_a_response_that_failed_is_an_error(
    provider: FakeProvider, model: Model, changes: dict[str, Any], code: Code, retryable: bool
) -> None:
    provider.will(Reply(response(status="failed", **changes)))

    with pytest.raises(ModelError) as caught:
        await model.complete(ModelRequest(messages=(ASK,)))

    assert (caught.value.code, caught.value.retryable) == (code, retryable)


async def test_a_quota_that_is_used_up_is_not_worth_another_try(
    provider: FakeProvider, model: Model
) -> None:
    error = {"message": "You exceeded your quota", "code": "insufficient_quota", "type": "x"}
    provider.will(Reply({"error": error}, 429))

    with pytest.raises(ModelError) as caught:
        await model.complete(ModelRequest(messages=(ASK,)))

    assert (caught.value.code, caught.value.retryable) == (Code.MODEL_RATE_LIMITED, False)
