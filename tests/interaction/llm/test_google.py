"""The Gemini API: exactly what Google is sent, and what only this wire form has."""

import pytest
from tests.interaction.llm.conversation import ANSWER, SCHEMA, asking_for, tool_turn
from tests.interaction.llm.fake_provider import FakeProvider, Reply
from tests.interaction.llm.wires import GEMINI, Call, Wire, function_call, gemini, gemini_error

from stepwell.engine.messages import Message
from stepwell.errors import Code
from stepwell.llm.port import Model, ModelError, ModelRequest

pytestmark = pytest.mark.anyio

ASK = Message(role="user", text="Go.")


@pytest.fixture
def wire() -> Wire:
    return GEMINI


async def test_a_conversation_with_tool_results_is_sent(
    provider: FakeProvider, model: Model
) -> None:
    provider.will(Reply(GEMINI.answer("Rome.")))

    await model.complete(tool_turn())

    assert provider.seen[0].headers["x-goog-api-key"] == "sk-secret"
    assert provider.seen[0].body == {
        "systemInstruction": {"role": "user", "parts": [{"text": "Be brief."}]},
        "contents": [
            {"role": "user", "parts": [{"text": "Paris or Rome?"}]},
            {
                "role": "model",
                "parts": [
                    {"text": "I will look."},
                    {"functionCall": {"id": "a", "name": "weather_now", "args": {"city": "Paris"}}},
                    {"functionCall": {"id": "b", "name": "weather_now", "args": {"city": "Rome"}}},
                ],
            },
            {
                "role": "user",
                "parts": [
                    {
                        "functionResponse": {
                            "id": "a",
                            "name": "weather_now",
                            "response": {"output": '{"sky":"grey"}'},
                        }
                    },
                    {
                        "functionResponse": {
                            "id": "b",
                            "name": "weather_now",
                            "response": {"error": "no such city"},
                        }
                    },
                ],
            },
        ],
        "tools": [
            {
                "functionDeclarations": [
                    {
                        "name": "weather_now",
                        "description": "The weather in a city",
                        "parameters_json_schema": SCHEMA,
                    }
                ]
            }
        ],
        "generationConfig": {"maxOutputTokens": 100},
    }


async def test_the_schema_of_the_answer_is_sent(provider: FakeProvider, model: Model) -> None:
    provider.will(Reply(GEMINI.answer('{"city":"Rome","degrees":25}')))

    reply = await model.complete(asking_for(ANSWER))

    assert reply.message.text == '{"city":"Rome","degrees":25}'
    config = provider.seen[0].body["generationConfig"]
    assert config["responseMimeType"] == "application/json"
    assert config["responseJsonSchema"] == ANSWER


async def test_signatures_are_sent_again_with_their_parts(
    provider: FakeProvider, model: Model
) -> None:
    parts = [
        {"text": "I will look.", "thoughtSignature": "c2lnbmVk"},
        function_call(Call("t", "{}", "a")) | {"thoughtSignature": "c2VhbGVk"},
        {"text": "", "thoughtSignature": "bGFzdA=="},
    ]
    thought = {"text": "Hm.", "thought": True}
    provider.will(Reply(gemini(thought, *parts)), Reply(GEMINI.answer("Done.")))

    first = await model.complete(ModelRequest(messages=(ASK,)))
    result = Message(role="tool", call="a", text="ok")
    await model.complete(ModelRequest(messages=(ASK, first.message, result)))

    assert first.message.text == "I will look."
    assert provider.seen[1].body["contents"][1] == {"role": "model", "parts": parts}


async def test_ids_that_we_made_are_not_sent(provider: FakeProvider, model: Model) -> None:
    provider.will(Reply(GEMINI.calls([Call("t", "{}", "")])), Reply(GEMINI.answer("Done.")))

    first = await model.complete(ModelRequest(messages=(ASK,)))
    (tool,) = first.message.tools
    result = Message(role="tool", call=tool.id, text="ok")
    await model.complete(ModelRequest(messages=(ASK, first.message, result)))

    assert tool.id == "call-1"
    assert provider.seen[1].body["contents"][1:] == [
        {"role": "model", "parts": [{"functionCall": {"name": "t", "args": {}}}]},
        {
            "role": "user",
            "parts": [{"functionResponse": {"name": "t", "response": {"output": "ok"}}}],
        },
    ]


async def test_a_blocked_prompt_is_refused(provider: FakeProvider, model: Model) -> None:
    provider.will(Reply({"promptFeedback": {"blockReason": "SAFETY"}}))

    with pytest.raises(ModelError) as caught:
        await model.complete(ModelRequest(messages=(ASK,)))

    assert (caught.value.code, caught.value.retryable) == (Code.MODEL_REFUSED, False)
    assert "SAFETY" in caught.value.message


async def test_a_malformed_call_is_worth_another_try(provider: FakeProvider, model: Model) -> None:
    provider.will(Reply(gemini(finish="MALFORMED_FUNCTION_CALL", finishMessage="print(")))

    with pytest.raises(ModelError) as caught:
        await model.complete(ModelRequest(messages=(ASK,)))

    assert (caught.value.code, caught.value.retryable) == (Code.MODEL_ERROR, True)
    assert "MALFORMED_FUNCTION_CALL" in caught.value.message


async def test_the_delay_of_a_rate_limit_is_read_from_the_body(
    provider: FakeProvider, model: Model
) -> None:
    info = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "17s"}
    provider.will(gemini_error(429, "RESOURCE_EXHAUSTED", "Quota exceeded", info))

    with pytest.raises(ModelError) as caught:
        await model.complete(ModelRequest(messages=(ASK,)))

    assert caught.value.code == Code.MODEL_RATE_LIMITED
    assert caught.value.detail == {"retry_after": "17"}
