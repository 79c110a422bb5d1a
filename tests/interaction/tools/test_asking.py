"""What a server says while a call is in flight: its progress, and questions to the caller's user."""

import json
from datetime import timedelta
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.client._memory import InMemoryTransport
from mcp_types import CallToolResult, ElicitResult, TextContent
from mcp_types.version import LATEST_MODERN_VERSION
from tests.interaction.tools.conftest import Open, act, outcome

from stepwell.principals import LOCAL_AGENT, LOCAL_USER
from stepwell_mcp.server import build_server

pytestmark = pytest.mark.anyio

ERAS = ["legacy", LATEST_MODERN_VERSION]


def text_of(result: CallToolResult) -> str:
    (block,) = result.content
    assert isinstance(block, TextContent)
    return block.text


@pytest.mark.parametrize("era", ERAS)
async def test_progress_of_a_server_reaches_whoever_waits_for_the_call(
    era: str, opened: Open
) -> None:
    told: list[tuple[float, str | None]] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        told.append((progress, message))

    async with (
        opened() as service,
        Client(InMemoryTransport(build_server(service)), mode=era) as client,
    ):
        result = await client.call_tool("act", {"text": "progress"}, progress_callback=note)
    assert text_of(result) == "done"
    words = [message for _, message in told]
    assert "call: 1 of 2 part 1" in words
    assert "call: 2 of 2 part 2" in words
    numbers = [number for number, _ in told]
    assert numbers == sorted(set(numbers))


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("action", ["accept", "decline"])
async def test_a_question_of_a_server_reaches_the_user_of_the_client(
    action: Any, era: str, opened: Open
) -> None:
    asked: list[str] = []

    async def answer(context: Any, params: Any) -> ElicitResult:
        asked.append(params.message)
        return ElicitResult(action=action, content={"name": "Ada"} if action == "accept" else None)

    async with (
        opened() as service,
        Client(build_server(service), mode=era, elicitation_callback=answer) as client,
    ):
        result = await client.call_tool("act", {"text": "ask"})
    replied = json.loads(text_of(result))
    assert replied["action"] == action
    assert replied.get("content") == ({"name": "Ada"} if action == "accept" else None)
    assert len(asked) == 1
    assert asked[0].endswith("What is your name?")


@pytest.mark.parametrize("era", ERAS)
async def test_what_no_client_can_ask_is_answered_elsewhere(era: str, opened: Open) -> None:
    async with (
        opened() as service,
        Client(build_server(service, task_after=timedelta(milliseconds=100)), mode=era) as client,
    ):
        handle = (await client.call_tool("act", {"text": "ask"})).structured_content
        assert handle is not None
        (asked,) = (await service.get_run(LOCAL_USER, handle["run"])).questions
        assert (asked.tool, asked.message) == ("act", "What is your name?")
        await service.questions.answer(
            LOCAL_USER, handle["run"], action="accept", content={"name": "Ada"}
        )
        run = await service.wait_run(LOCAL_USER, handle["run"], timedelta(seconds=10))
    assert json.loads(outcome(run)["content"][0]["text"])["content"] == {"name": "Ada"}


async def test_a_server_whose_call_is_cancelled_asks_nobody_any_more(opened: Open) -> None:
    async with opened() as service:
        run = await service.call_tool(LOCAL_AGENT, "act", {"text": "ask"})
        view = await service.wait_run(
            LOCAL_AGENT, run.id, timedelta(seconds=10), until=lambda it: bool(it.questions)
        )
        assert view.questions
        assert (await service.controls.cancel_run(LOCAL_AGENT, run.id)).questions == ()
        assert await act(service, "progress") == "done"


async def test_a_person_takes_longer_than_a_call_may(opened: Open) -> None:
    async def answer(context: Any, params: Any) -> ElicitResult:
        await anyio.sleep(0.6)  # a user who thinks
        return ElicitResult(action="cancel")

    async with (
        opened(timeout=timedelta(seconds=0.5)) as service,
        Client(build_server(service), mode="legacy", elicitation_callback=answer) as client,
    ):
        result = await client.call_tool("act", {"text": "ask"})
    assert json.loads(text_of(result))["action"] == "cancel"
