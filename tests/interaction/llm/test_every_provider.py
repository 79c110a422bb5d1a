"""What the runtime may rely on, whichever provider answers."""

import asyncio
import json
import socket
from datetime import timedelta

import pytest
from tests.interaction.llm.conftest import KEY, routed
from tests.interaction.llm.fake_provider import WAIT, FakeProvider, Reply
from tests.interaction.llm.wires import Call, Wire

from stepwell.engine.messages import Message, Opaque, ToolRequest, Usage
from stepwell.errors import Code
from stepwell.llm.port import Model, ModelError, ModelReply, ModelRequest, ToolOffer

pytestmark = pytest.mark.anyio

ASK = ModelRequest(messages=(Message(role="user", text="What is the weather?"),))
WEATHER = ToolOffer(
    name="weather.now",
    description="The weather in a city",
    schema={"type": "object", "properties": {"city": {"type": "string"}}},
)
USAGE = Usage(input=12, output=5, cache_read=2, reasoning=1)


async def error_of(model: Model, request: ModelRequest = ASK) -> ModelError:
    with pytest.raises(ModelError) as caught:
        await model.complete(request)
    return caught.value


async def test_a_plain_answer_is_read(wire: Wire, provider: FakeProvider, model: Model) -> None:
    provider.will(Reply(wire.answer("Sunny.")))

    reply = await model.complete(ASK)

    message = Message(role="assistant", text="Sunny.")
    assert reply == ModelReply(message=message, finish="stop", model="m-2026", usage=USAGE)
    assert [seen.path for seen in provider.seen] == [wire.path]


async def test_parallel_tool_calls_are_read_in_order_under_our_own_names(
    wire: Wire, provider: FakeProvider, model: Model
) -> None:
    provider.will(
        Reply(
            wire.calls(
                [
                    Call("weather_now", '{"city": "Paris"}', "a"),
                    Call("weather_now", '{"city": "Rome"}', "b"),
                ]
            )
        )
    )

    reply = await model.complete(ModelRequest(messages=ASK.messages, tools=(WEATHER,)))

    assert reply.finish == "tools"
    assert reply.message.tools == (
        ToolRequest(id="a", name="weather.now", arguments={"city": "Paris"}),
        ToolRequest(id="b", name="weather.now", arguments={"city": "Rome"}),
    )


@pytest.mark.parametrize("arguments", ['{"city": "Pari', '["Paris"]', '"Paris"', "null"])
async def test_arguments_that_are_not_an_object_become_a_problem(
    wire: Wire, provider: FakeProvider, model: Model, arguments: str
) -> None:
    body = wire.calls([Call("weather_now", arguments, "a")])
    provider.will(Reply(body, unchecked=True))

    reply = await model.complete(ModelRequest(messages=ASK.messages, tools=(WEATHER,)))

    (tool,) = reply.message.tools
    assert tool.arguments == {}
    assert tool.problem.startswith("the arguments are not")


async def test_tool_call_ids_are_unique_in_the_conversation(
    wire: Wire, provider: FakeProvider, model: Model
) -> None:
    before = Message(role="assistant", tools=(ToolRequest(id="a", name="weather.now"),))
    result = Message(role="tool", call="a", text="20")
    provider.will(Reply(wire.calls([Call("t", "{}", "a"), Call("t", "{}", "a")])))

    reply = await model.complete(ModelRequest(messages=(*ASK.messages, before, result)))

    assert [tool.id for tool in reply.message.tools] == ["a-1", "a-2"]


async def test_a_rate_limit_tells_how_long_to_wait(
    wire: Wire, provider: FakeProvider, model: Model
) -> None:
    provider.will(Reply({"error": {"message": "Slow down"}}, 429, {"retry-after": "7"}))

    error = await error_of(model)

    assert (error.code, error.retryable) == (Code.MODEL_RATE_LIMITED, True)
    assert error.detail == {"retry_after": "7"}
    assert "Slow down" in error.message


@pytest.mark.parametrize("status", [500, 503])
async def test_a_server_error_is_unavailable_and_not_tried_again_by_the_sdk(
    wire: Wire, provider: FakeProvider, model: Model, status: int
) -> None:
    provider.will(Reply({"error": {"message": "Oops"}}, status))

    error = await error_of(model)

    assert (error.code, error.retryable) == (Code.MODEL_UNAVAILABLE, True)
    assert len(provider.seen) == 1


async def test_a_refused_connection_is_unavailable(wire: Wire) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    async with routed(wire, url, timeout=timedelta(seconds=5)) as model:
        error = await error_of(model)

    assert (error.code, error.retryable) == (Code.MODEL_UNAVAILABLE, True)
    assert f"the connection to {url}" in error.message


async def test_a_server_that_stalls_is_given_up_on(wire: Wire, provider: FakeProvider) -> None:
    provider.will(Reply(stalls=True))
    async with routed(wire, provider.url, timeout=timedelta(milliseconds=200)) as model:
        error = await error_of(model)

    assert (error.code, error.retryable) == (Code.MODEL_UNAVAILABLE, True)
    assert f"no answer within 200ms (providers.{wire.provider}.timeout)" in error.message


async def test_a_cancelled_call_closes_its_connection(
    wire: Wire, provider: FakeProvider, model: Model
) -> None:
    provider.will(Reply(stalls=True))
    call = asyncio.ensure_future(model.complete(ASK))
    async with asyncio.timeout(WAIT):
        await provider.asked.wait()
        call.cancel()
        await provider.hung_up.wait()


async def test_a_conversation_that_is_too_long_is_told_apart(
    wire: Wire, provider: FakeProvider, model: Model
) -> None:
    provider.will(wire.overflow)

    error = await error_of(model)

    assert (error.code, error.retryable) == (Code.MODEL_CONTEXT_EXCEEDED, False)


async def test_a_refused_key_is_named_and_not_shown(
    wire: Wire, provider: FakeProvider, model: Model
) -> None:
    provider.will(wire.bad_key)

    error = await error_of(model)

    assert (error.code, error.retryable) == (Code.MODEL_NOT_CONFIGURED, False)
    assert f"check the key in {wire.key_variable}" in error.message
    assert KEY not in error.message


async def test_an_unknown_model_is_a_matter_of_configuration(
    wire: Wire, provider: FakeProvider, model: Model
) -> None:
    provider.will(Reply({"error": {"message": "no model m"}}, 404))

    error = await error_of(model)

    assert (error.code, error.retryable) == (Code.MODEL_NOT_CONFIGURED, False)


async def test_a_bad_request_is_not_worth_another_try(
    wire: Wire, provider: FakeProvider, model: Model
) -> None:
    provider.will(Reply({"error": {"message": "unknown field"}}, 400))

    error = await error_of(model)

    assert (error.code, error.retryable) == (Code.MODEL_ERROR, False)
    assert "unknown field" in error.message


async def test_a_refusal_is_an_answer(wire: Wire, provider: FakeProvider, model: Model) -> None:
    provider.will(Reply(wire.refusal("I will not.")))

    reply = await model.complete(ASK)

    assert (reply.finish, reply.message.text) == ("refusal", "I will not.")
    assert reply.usage == USAGE


async def test_an_answer_that_hit_its_limit_says_so(
    wire: Wire, provider: FakeProvider, model: Model
) -> None:
    provider.will(Reply(wire.cut_off("It is su", [])))

    reply = await model.complete(ASK)

    assert (reply.finish, reply.message.text) == ("length", "It is su")


async def test_a_tool_call_that_was_cut_off_is_not_called_with_what_is_there(
    wire: Wire, provider: FakeProvider, model: Model
) -> None:
    calls = [Call("weather_now", '{"city": "Rome"}', "a"), Call("weather_now", "{}", "b")]
    provider.will(Reply(wire.cut_off("", calls)))

    reply = await model.complete(ASK)

    first, last = reply.message.tools
    assert (reply.finish, first.problem, last.arguments) == ("length", "", {})
    assert "cut off" in last.problem


async def test_an_answer_without_a_choice_is_an_error(
    wire: Wire, provider: FakeProvider, model: Model
) -> None:
    provider.will(Reply(wire.empty))

    error = await error_of(model)

    assert (error.code, error.retryable) == (Code.MODEL_ERROR, True)


@pytest.mark.parametrize("body", [b"<html>Welcome to the proxy</html>", b"", b"{}", b"[1]"])
async def test_an_answer_that_is_something_else_is_an_error(
    wire: Wire, provider: FakeProvider, model: Model, body: bytes
) -> None:
    provider.will(Reply(body, unchecked=True))

    error = await error_of(model)

    assert (error.code, error.retryable) == (Code.MODEL_ERROR, True)
    assert "the answer cannot be used" in error.message


async def test_missing_usage_counts_as_nothing(
    wire: Wire, provider: FakeProvider, model: Model
) -> None:
    # A proxy may leave out what the provider's own types demand.
    provider.will(Reply(wire.without_usage("Sunny."), unchecked=True))

    reply = await model.complete(ASK)

    assert reply.usage == Usage()


async def test_what_another_provider_sealed_is_not_sent(
    wire: Wire, provider: FakeProvider, model: Model
) -> None:
    sealed = Opaque("another", {"after": 0, "item": {"type": "reasoning", "id": "sealed"}})
    before = Message(role="assistant", text="Where?", opaque=(sealed,))
    where = Message(role="user", text="In Rome.")
    provider.will(Reply(wire.answer("Sunny.")))

    await model.complete(ModelRequest(messages=(*ASK.messages, before, where)))

    assert "sealed" not in str(provider.seen[0].body)
    assert "In Rome." in str(provider.seen[0].body)


async def test_a_provider_that_takes_no_schema_is_told_it_in_words(
    wire: Wire, provider: FakeProvider
) -> None:
    provider.will(Reply(wire.answer("{}")))
    schema = {"type": "object", "properties": {"city": {"const": "Rome"}}, "required": ["city"]}
    wait = timedelta(seconds=5)
    async with routed(wire, provider.url, timeout=wait, structured_output=False) as model:
        await model.complete(ModelRequest(messages=ASK.messages, output=schema))

    (seen,) = provider.seen
    assert seen.body.keys().isdisjoint({"response_format", "text", "output_config"})
    assert "responseJsonSchema" not in str(seen.body)
    assert '"properties":{"city":{"const":"Rome"}}' in json.dumps(seen.body).replace("\\", "")
