"""The tools of an MCP server behind ours: what is listed, and what comes back."""

import json
from pathlib import Path

import pytest
from mcp import Client
from tests.interaction.tools.conftest import Open, act, call, health
from tests.mcp_shop import PIXEL

from stepwell.engine.values import Failure
from stepwell.principals import LOCAL_AGENT
from stepwell_mcp.server import build_server

pytestmark = pytest.mark.anyio


async def test_the_tools_of_a_server_are_offered_as_it_describes_them(opened: Open) -> None:
    async with opened() as service, Client(build_server(service)) as client:
        offers = {tool.name: tool for tool in (await client.list_tools()).tools}
        state = await health(service)
    read, write, act_ = offers["readNote"], offers["write_note"], offers["act"]
    assert (read.title, read.description) == ("Read a note", "Reads the note.")
    assert read.annotations is not None
    assert (read.annotations.read_only_hint, read.annotations.open_world_hint) == (True, False)
    assert write.annotations is not None
    assert (write.annotations.read_only_hint, write.annotations.destructive_hint) == (False, True)
    assert write.input_schema["required"] == ["text"]
    assert act_.annotations is not None
    assert act_.annotations.destructive_hint is None
    assert (state.status, state.product, state.protocol) == ("ready", "shop 1.0", "2025-11-25")
    assert state.tools == ("act", "price", "readNote", "write_note")


async def test_a_call_is_a_run_whose_result_comes_out_as_it_came_in(
    opened: Open, shop: Path
) -> None:
    async with opened() as service, Client(build_server(service)) as client:
        wrote = await client.call_tool("write_note", {"text": "buy tea"})
        read = await client.call_tool("readNote", {})
        priced = await client.call_tool("price", {})
        shown = await client.call_tool("act", {"text": "show"})
    assert (shop / "note").read_text() == "buy tea"
    assert [block.model_dump(exclude_none=True) for block in wrote.content] == [
        {"type": "text", "text": "wrote 7 characters"}
    ]
    assert wrote.meta is not None
    assert "stepwell/run" in wrote.meta
    assert [block.model_dump(exclude_none=True) for block in read.content] == [
        {"type": "text", "text": "buy tea"}
    ]
    assert priced.structured_content == {"cents": 250}
    assert shown.meta is not None
    assert shown.meta["shop/page"] == 1
    assert [
        block.model_dump(mode="json", by_alias=True, exclude_none=True) for block in shown.content
    ] == [
        {"type": "text", "text": "a picture", "annotations": {"audience": ["user"]}},
        {"type": "image", "data": PIXEL, "mimeType": "image/png"},
        {"type": "resource_link", "uri": "file:///tmp/a.txt", "name": "a.txt"},
        {"type": "resource", "resource": {"uri": "file:///b.txt", "text": "b"}},
    ]


async def test_an_error_of_a_server_is_a_failure_with_its_words(opened: Open) -> None:
    async with opened() as service:
        failed = await act(service, "fail")
        refused = await act(service, "refuse")
    assert (failed.reason, failed.message) == ("TOOL_ERROR", "out of stock")
    assert refused.reason == "TOOL_ERROR"
    assert refused.message == "shop refused act: no such thing"


async def test_a_result_that_is_not_what_its_schema_says_is_refused(
    opened: Open, shop: Path
) -> None:
    (shop / "mood").write_text("liar")
    async with opened() as service:
        failed = await call(service, "price")
    assert isinstance(failed, Failure)
    assert failed.reason == "INVALID_RESULT"
    assert "does not fit its output schema" in failed.message


async def test_a_server_gets_the_key_of_the_call_and_no_variables_but_its_own(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-of-the-daemon")
    async with opened(**{"env.SHOP_NAME": "corner"}) as service:
        meta = json.loads(await act(service, "meta"))
        environ = (await act(service, "environ")).split()
        name = await act(service, "env SHOP_NAME")
    assert meta["stepwell/idempotency-key"].count("/") >= 1
    assert name == "corner"
    assert "OPENAI_API_KEY" not in environ
    assert {"PATH", "SHOP_NAME"} <= set(environ)


async def test_names_can_have_the_server_before_them_and_tools_can_be_chosen(opened: Open) -> None:
    async with opened(names="prefix", tools=("readNote",)) as service:
        listed = [spec.name for spec in await service.list_tools(LOCAL_AGENT)]
        answered = await call(service, "shop_readNote")
    assert [name for name in listed if not name.startswith("db_")] == ["shop_readNote"]
    assert answered == {"content": [{"type": "text", "text": "buy milk"}]}


async def test_a_secret_reaches_its_server_and_nobody_else(opened: Open, shop: Path) -> None:
    secret = "hush-hush-4711"
    settings = {"env.SHOP_TOKEN": "secret://env/DAEMON_TOKEN"}
    async with opened({"DAEMON_TOKEN": secret}, **settings) as service:
        told = await act(service, "env SHOP_TOKEN")
        await call(service, "write_note", text=f"the token is {secret}")
        (shop / "tools.json").unlink(missing_ok=True)
        read = await call(service, "readNote")
        batch = await service.list_events(LOCAL_AGENT, limit=100)
    assert told == "[secret]"
    assert read["content"][0]["text"] == "the token is [secret]"
    results = [event.event for event in batch.events if event.kind == "tool_call"]
    assert results
    assert not any(secret in str(one.result) for one in results)  # type: ignore[union-attr]


async def test_a_server_whose_secret_is_missing_is_away_and_says_why(opened: Open) -> None:
    async with opened(**{"env.SHOP_TOKEN": "secret://store/nope"}) as service:
        state = await health(service)
    assert "`stepwell secrets set nope`" in state.problem


async def test_calls_over_the_rate_wait_or_are_refused(opened: Open) -> None:
    async with opened(rate=2) as service:
        answers = [await act(service, "a")]
        failed = await act(service, "b")
    assert answers == ["did a"]
    assert failed.reason == "TOOL_RATE_LIMITED"
    assert 10 < float(failed.detail["retry_after"]) <= 30
