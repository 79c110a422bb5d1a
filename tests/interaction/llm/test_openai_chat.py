"""Chat Completions: exactly what a server is sent, and what only this wire form has."""

import pytest
from tests.interaction.llm.conversation import ANSWER, CLOSED, OPEN, SCHEMA, asking_for, tool_turn
from tests.interaction.llm.fake_provider import FakeProvider, Reply
from tests.interaction.llm.wires import CHAT, Call, Wire, chat

from stepwell.engine.messages import Message, Opaque
from stepwell.llm.port import Model, ModelRequest

pytestmark = pytest.mark.anyio


@pytest.fixture
def wire() -> Wire:
    return CHAT


async def test_a_conversation_with_tool_results_is_sent(
    provider: FakeProvider, model: Model
) -> None:
    provider.will(Reply(CHAT.answer("Rome.")))

    await model.complete(tool_turn())

    assert provider.seen[0].headers["authorization"] == "Bearer sk-secret"
    assert provider.seen[0].body == {
        "model": "m",
        "max_tokens": 100,
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Paris or Rome?"},
            {
                "role": "assistant",
                "content": "I will look.",
                "tool_calls": [
                    {
                        "id": "a",
                        "type": "function",
                        "function": {"name": "weather_now", "arguments": '{"city":"Paris"}'},
                    },
                    {
                        "id": "b",
                        "type": "function",
                        "function": {"name": "weather_now", "arguments": '{"city":"Rome"}'},
                    },
                ],
            },
            {"role": "tool", "tool_call_id": "a", "content": '{"sky":"grey"}'},
            {"role": "tool", "tool_call_id": "b", "content": "no such city"},
        ],
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": "weather_now",
                    "description": "The weather in a city",
                    "parameters": SCHEMA,
                },
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
    provider.will(Reply(CHAT.answer('{"city":"Rome","degrees":25}')))

    reply = await model.complete(asking_for(schema))

    assert reply.message.text == '{"city":"Rome","degrees":25}'
    assert provider.seen[0].body["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "answer", "schema": sent, "strict": strict},
    }


async def test_reasoning_and_signatures_are_kept_and_sent_again(
    provider: FakeProvider, model: Model
) -> None:
    answer = chat({"reasoning_details": [{"data": "sealed"}]}, "tool_calls")
    call = {
        "id": "a",
        "type": "function",
        "function": {"name": "t", "arguments": "{}"},
        "extra_content": {"google": {"thought_signature": "s"}},
    }
    answer["choices"][0]["message"]["tool_calls"] = [call]
    # Extensions of the servers that need them: OpenAI's own type has neither field.
    provider.will(Reply(answer, unchecked=True), Reply(CHAT.answer("Done.")))
    ask = Message(role="user", text="Go.")

    first = await model.complete(ModelRequest(messages=(ask,)))
    result = Message(role="tool", call="a", text="ok")
    await model.complete(ModelRequest(messages=(ask, first.message, result)))

    assert first.message.opaque == (
        Opaque(
            "openai-compatible",
            {"tool": 0, "extra_content": {"google": {"thought_signature": "s"}}},
        ),
        Opaque("openai-compatible", {"reasoning_details": [{"data": "sealed"}]}),
    )
    assert provider.seen[1].body["messages"][1] == {
        "role": "assistant",
        "content": None,
        "reasoning_details": [{"data": "sealed"}],
        "tool_calls": [call],
    }


async def test_calls_without_an_id_get_one(provider: FakeProvider, model: Model) -> None:
    provider.will(Reply(CHAT.calls([Call("t", "{}", ""), Call("t", "{}", "")])))

    reply = await model.complete(tool_turn())

    assert [tool.id for tool in reply.message.tools] == ["call-1", "call-2"]


async def test_tools_count_even_where_a_server_says_stop(
    provider: FakeProvider, model: Model
) -> None:
    answer = CHAT.calls([Call("t", "{}", "a")])
    answer["choices"][0]["finish_reason"] = "stop"
    provider.will(Reply(answer))

    assert (await model.complete(tool_turn())).finish == "tools"
