"""The scripted provider: which turn, what it says, and how a wrong script is refused."""

from pathlib import Path

import pytest

from stepwell.engine.messages import Message, ToolRequest
from stepwell.errors import Code
from stepwell.llm.fake import FakeProvider, parse_script
from stepwell.llm.port import ModelError, ModelReply, ModelRequest

pytestmark = pytest.mark.anyio

SHOP = """
description: An analyst of the shop.
conversations:
  - when: How much
    turns:
      - tools:
          - { name: db_schema, arguments: { datasource: shop } }
          - { name: db_query, arguments: { sql: "='select ' + string(1 + 1)" } }
      - json: { text: "=message", total: "=results[1].rows[0][0]", names: ["=results[0]"] }
  - when: Break
    turns:
      - tools: [{ name: db_query, raw_arguments: '{"sql": "sel' }]
      - error: { code: MODEL_RATE_LIMITED, retryable: true, retry_after: 2, message: Slow }
  - turns:
      - text: "='You said ' + message"
        finish: length
"""


@pytest.fixture
def provider(tmp_path: Path) -> FakeProvider:
    (tmp_path / "shop.yaml").write_text(SHOP)
    return FakeProvider(tmp_path)


async def said(provider: FakeProvider, *messages: Message) -> ModelReply:
    return await provider.complete("shop.yaml", ModelRequest(messages=messages))


def user(text: str) -> Message:
    return Message(role="user", text=text)


async def test_a_conversation_asks_for_tools_and_answers_from_their_results(
    provider: FakeProvider,
) -> None:
    ask = user("How much did we sell?")

    first = await said(provider, ask)
    results = [
        Message(role="tool", call="call-1", text="plain text"),
        Message(role="tool", call="call-2", text='{"rows":[[2328.6]]}'),
    ]
    last = await said(provider, ask, first.message, *results)

    assert first.finish == "tools"
    assert first.model == "fake:shop.yaml"
    assert first.message.tools == (
        ToolRequest(id="call-1", name="db_schema", arguments={"datasource": "shop"}),
        ToolRequest(id="call-2", name="db_query", arguments={"sql": "select 2"}),
    )
    assert last.finish == "stop"
    assert last.message.text == (
        '{"text":"How much did we sell?","total":2328.6,"names":["plain text"]}'
    )


async def test_the_same_request_gets_the_same_answer_again(provider: FakeProvider) -> None:
    ask = user("How much?")

    assert await said(provider, ask) == await said(provider, ask)


async def test_the_newest_message_that_fits_decides(provider: FakeProvider) -> None:
    first = await said(provider, user("Break it"))
    reminder = user("Your answer was not JSON.")

    with pytest.raises(ModelError) as caught:
        await said(provider, user("How much?"), user("Break it"), first.message, reminder)

    assert caught.value.message == "fake: Slow"


async def test_a_conversation_without_when_is_for_every_other_message(
    provider: FakeProvider,
) -> None:
    reply = await said(provider, user("Hello"))

    assert (reply.message.text, reply.finish) == ("You said Hello", "length")


async def test_raw_arguments_are_parsed_as_a_providers_would_be(provider: FakeProvider) -> None:
    (tool,) = (await said(provider, user("Break it"))).message.tools

    assert tool.arguments == {}
    assert tool.problem.startswith("the arguments are not valid JSON")


async def test_a_scripted_error_is_raised(provider: FakeProvider) -> None:
    ask = user("Break it")
    first = await said(provider, ask)

    with pytest.raises(ModelError) as caught:
        await said(provider, ask, first.message)

    assert caught.value.code == Code.MODEL_RATE_LIMITED
    assert caught.value.retryable
    assert caught.value.detail == {"retry_after": "2"}


async def test_a_turn_too_many_is_said(provider: FakeProvider) -> None:
    with pytest.raises(ModelError, match="has 1 turns, and turn 2 was asked for"):
        await said(provider, user("Hi"), Message(role="assistant", text="x"), user("Hi"))


async def test_an_expression_without_a_value_is_said(provider: FakeProvider) -> None:
    with pytest.raises(ModelError, match=r"shop.yaml: .*results\[1\].rows"):
        await said(provider, user("How much?"), Message(role="assistant", text="x"))


@pytest.mark.parametrize("name", ["missing.yaml", "shop.txt", "."])
async def test_a_script_that_cannot_be_read_is_said(provider: FakeProvider, name: str) -> None:
    with pytest.raises(ModelError) as caught:
        await provider.complete(name, ModelRequest(messages=(user("Hi"),)))

    assert caught.value.code == Code.MODEL_NOT_CONFIGURED


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("", "Expected `object`, got `null`"),
        ("conversation: []", "unknown field `conversation`"),
        ("description: x", "missing required field `conversations`"),
        ("conversations: [{ turns: [] }]", r"at least one turn - at `\$.conversations\[0\]`"),
        ("conversations: [{ turns: [{ txt: a }] }]", "unknown field `txt`"),
        (
            "conversations: [{ turns: [{ text: a, json: 1 }] }]",
            r"`text`, `json` and `error` - at `\$.conversations\[0\].turns\[0\]`",
        ),
        ("conversations: [{ turns: [{}] }]", "exactly one of"),
        ("conversations: [{ turns: [{ text: yes }] }]", "Expected `str`, got `bool`"),
        ("conversations: [{ turns: [{ tools: [] }] }]", "names at least one tool"),
        (
            "conversations: [{ turns: [{ tools: [{ name: t, arguments: {}, raw_arguments: x }] }] }]",
            "not both",
        ),
        ("conversations: [{ turns: [{ text: a, delay: soon }] }]", "'soon' is not a duration"),
        ("conversations: [{ turns: [{ error: { code: OOPS } }] }]", "Invalid enum value 'OOPS'"),
        ("conversations: [{ turns: [{ error: { code: TOOL_ERROR } }] }]", "MODEL_RATE_LIMITED"),
        ("conversations: [{ turns: [{ text: '=result' }] }]", r"'result'.*turns\[0\].text`"),
        ("conversations: [{ turns: [{ text: a, text: b }] }]", "'text' is given twice"),
        ("conversations: [", "flow node"),
    ],
)
def test_a_wrong_script_is_refused_with_the_place(source: str, problem: str) -> None:
    with pytest.raises(ModelError, match=problem) as caught:
        parse_script(source.encode(), name="wrong.yaml")

    assert caught.value.message.startswith("fake:wrong.yaml: ")
    assert caught.value.code == Code.MODEL_NOT_CONFIGURED
