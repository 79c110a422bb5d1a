"""The Messages API: exactly what Anthropic is sent, and what only this wire form has."""

import pytest
from tests.interaction.llm.conversation import ANSWER, CLOSED, OPEN, SCHEMA, asking_for, tool_turn
from tests.interaction.llm.fake_provider import FakeProvider, Reply
from tests.interaction.llm.wires import (
    ANTHROPIC,
    Call,
    Wire,
    anthropic_message,
    text_block,
    tool_use,
)

from stepwell.engine.messages import Message, ToolRequest, Usage
from stepwell.errors import Code
from stepwell.llm.port import Model, ModelError, ModelRequest

pytestmark = pytest.mark.anyio

ASK = Message(role="user", text="Go.")


@pytest.fixture
def wire() -> Wire:
    return ANTHROPIC


async def test_a_conversation_with_tool_results_is_sent(
    provider: FakeProvider, model: Model
) -> None:
    provider.will(Reply(ANTHROPIC.answer("Rome.")))

    await model.complete(tool_turn())

    assert provider.seen[0].headers["authorization"] == "Bearer sk-secret"
    assert provider.seen[0].body == {
        "model": "m",
        "max_tokens": 100,
        "system": "Be brief.",
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "Paris or Rome?"}]},
            {
                "role": "assistant",
                "content": [
                    {"type": "text", "text": "I will look."},
                    {
                        "type": "tool_use",
                        "id": "a",
                        "name": "weather_now",
                        "input": {"city": "Paris"},
                    },
                    {
                        "type": "tool_use",
                        "id": "b",
                        "name": "weather_now",
                        "input": {"city": "Rome"},
                    },
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "a", "content": '{"sky":"grey"}'},
                    {
                        "type": "tool_result",
                        "tool_use_id": "b",
                        "content": "no such city",
                        "is_error": True,
                    },
                ],
            },
        ],
        "tools": [
            {
                "name": "weather_now",
                "description": "The weather in a city",
                "input_schema": SCHEMA,
            }
        ],
    }


async def test_messages_and_results_without_text_have_no_empty_blocks(
    provider: FakeProvider, model: Model
) -> None:
    call = Message(role="assistant", tools=(ToolRequest(id="a", name="t"),))
    result = Message(role="tool", call="a")
    provider.will(Reply(ANTHROPIC.answer("Done.")))

    await model.complete(ModelRequest(messages=(ASK, Message(role="assistant"), ASK, call, result)))

    assert provider.seen[0].body["messages"] == [
        {"role": "user", "content": [text_block("Go."), text_block("Go.")]},
        {"role": "assistant", "content": [tool_use(Call("t", "{}", "a"))]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a"}]},
    ]


async def test_the_schema_of_the_answer_is_enforced(provider: FakeProvider, model: Model) -> None:
    provider.will(Reply(ANTHROPIC.answer('{"city":"Rome","degrees":25}')))

    reply = await model.complete(asking_for(ANSWER))

    assert reply.message.text == '{"city":"Rome","degrees":25}'
    assert provider.seen[0].body["output_config"] == {
        "format": {"type": "json_schema", "schema": CLOSED}
    }


async def test_a_schema_that_cannot_be_enforced_is_told_in_words(
    provider: FakeProvider, model: Model
) -> None:
    provider.will(Reply(ANTHROPIC.answer("{}")))

    await model.complete(asking_for(OPEN))

    assert "output_config" not in provider.seen[0].body
    assert '{"type":"object","additionalProperties"' in provider.seen[0].body["system"]


async def test_thinking_is_sent_again_in_its_place(provider: FakeProvider, model: Model) -> None:
    thinking = {"type": "thinking", "thinking": "Hm.", "signature": "sealed"}
    redacted = {"type": "redacted_thinking", "data": "sealed too"}
    content = [thinking, text_block("I will look."), redacted, tool_use(Call("t", "{}", "a"))]
    provider.will(
        Reply(anthropic_message(*content, stop="tool_use")), Reply(ANTHROPIC.answer("Done."))
    )

    first = await model.complete(ModelRequest(messages=(ASK,)))
    result = Message(role="tool", call="a", text="ok")
    await model.complete(ModelRequest(messages=(ASK, first.message, result)))

    assert provider.seen[1].body["messages"][1] == {"role": "assistant", "content": content}


async def test_the_input_counts_what_the_cache_wrote(provider: FakeProvider, model: Model) -> None:
    usage = {
        "input_tokens": 3,
        "output_tokens": 5,
        "cache_read_input_tokens": 10,
        "cache_creation_input_tokens": 100,
    }
    provider.will(Reply(anthropic_message(text_block("Done."), usage=False) | {"usage": usage}))

    reply = await model.complete(ModelRequest(messages=(ASK,)))

    assert reply.usage == Usage(input=113, output=5, cache_read=10, cache_write=100)


@pytest.mark.parametrize(
    ("stop", "code"),
    [
        ("model_context_window_exceeded", Code.MODEL_CONTEXT_EXCEEDED),
        ("pause_turn", Code.MODEL_ERROR),
        ("tool_use", Code.MODEL_ERROR),
    ],
)
async def test_an_answer_that_did_not_end_is_an_error(
    provider: FakeProvider, model: Model, stop: str, code: Code
) -> None:
    provider.will(Reply(anthropic_message(text_block("It is"), stop=stop)))

    with pytest.raises(ModelError) as caught:
        await model.complete(ModelRequest(messages=(ASK,)))

    assert caught.value.code == code


async def test_an_overloaded_provider_is_unavailable(provider: FakeProvider, model: Model) -> None:
    error = {"type": "overloaded_error", "message": "Overloaded"}
    provider.will(Reply({"type": "error", "error": error}, 529))

    with pytest.raises(ModelError) as caught:
        await model.complete(ModelRequest(messages=(ASK,)))

    assert (caught.value.code, caught.value.retryable) == (Code.MODEL_UNAVAILABLE, True)
