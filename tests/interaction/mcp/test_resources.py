"""What an MCP client reads and is prompted with, the same through every door and in both eras."""

import json
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp.shared.subscriptions import ResourceUpdated
from mcp_types import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    BlobResourceContents,
    ContentBlock,
    Icon,
    PromptReference,
    ReadResourceResult,
    ResourceTemplateReference,
    ResourceUpdatedNotification,
    TextResourceContents,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from tests.interaction.mcp.conftest import HELLO, Connect

from stepwell.engine.events import ToolCall
from stepwell.errors import Code, NotFound
from stepwell.orchestrator.service import Service
from stepwell.policy.source import PolicyFile
from stepwell.principals import LOCAL_AGENT, LOCAL_USER, Caller
from stepwell_mcp import own_resources
from stepwell_mcp.own_resources import RUN

pytestmark = pytest.mark.anyio

HASTY = timedelta(milliseconds=50)


def text_of(result: ReadResourceResult) -> str:
    (contents,) = result.contents
    assert isinstance(contents, TextResourceContents)
    return contents.text


def wire(block: ContentBlock) -> dict[str, Any]:
    return block.model_dump(by_alias=True, exclude_none=True, mode="json")


async def test_a_tool_answers_blocks_as_they_are(connect: Connect) -> None:
    async with connect() as client:
        (tool,) = [one for one in (await client.list_tools()).tools if one.name == "picture"]
        result = await client.call_tool("picture", {})
    assert tool.icons == [Icon(src="https://shop.example/eye.png")]
    assert [wire(block) for block in result.content] == [
        {"type": "text", "text": "Look:"},
        {"type": "image", "data": "cG5n", "mimeType": "image/png"},
        {"type": "audio", "data": "d2F2", "mimeType": "audio/wav"},
        {
            "type": "resource",
            "resource": {"uri": "shop://terms", "mimeType": "text/plain", "text": "Pay first."},
        },
        {"type": "resource_link", "uri": "shop://orders/7", "name": "order"},
    ]
    assert result.structured_content == {"n": 1}


async def test_resources_are_listed_by_uri_with_ours_among_them(connect: Connect) -> None:
    async with connect() as client:
        listed = await client.list_resources()
        templates = await client.list_resource_templates()
        is_modern = client.protocol_version in MODERN_PROTOCOL_VERSIONS
    uris = [resource.uri for resource in listed.resources]
    assert uris == sorted(uris)
    assert {"shop://logo", "shop://terms", "stepwell://workflows/hello"} <= set(uris)
    terms = listed.resources[uris.index("shop://terms")]
    assert (terms.name, terms.title, terms.mime_type) == ("terms", "Terms", "text/plain")
    assert terms.icons is not None
    logo = listed.resources[uris.index("shop://logo")]
    assert (logo.size, logo.annotations and logo.annotations.audience) == (3, ["user"])
    texts = [template.uri_template for template in templates.resource_templates]
    assert texts == sorted(texts)
    assert {"shop://orders/{number}{?lang}", "stepwell://runs/{run}/result"} <= set(texts)
    if is_modern:
        assert (listed.cache_scope, templates.cache_scope) == ("private", "private")


async def test_a_resource_holds_a_text_bytes_or_data(connect: Connect) -> None:
    async with connect() as client:
        terms = await client.read_resource("shop://terms")
        logo = await client.read_resource("shop://logo")
        order = await client.read_resource("shop://orders/7?lang=de")
    assert terms.contents == [
        TextResourceContents(uri="shop://terms", mime_type="text/plain", text="Pay first.")
    ]
    assert logo.contents == [
        BlobResourceContents(uri="shop://logo", mime_type="image/png", blob="cG5n")
    ]
    assert json.loads(text_of(order)) == {"number": "7", "lang": "de"}


@pytest.mark.parametrize(
    "uri",
    ["shop://nothing", "stepwell://runs/nothing", "stepwell://nothing", "stepwell://tools/hidden"],
)
async def test_a_resource_that_is_not_there_is_refused_in_the_words_of_the_era(
    connect: Connect, uri: str
) -> None:
    async with connect() as client:
        with pytest.raises(MCPError, match="there is no resource") as refused:
            await client.read_resource(uri)
        is_modern = client.protocol_version in MODERN_PROTOCOL_VERSIONS
    assert refused.value.error.code == (INVALID_PARAMS if is_modern else -32002)
    assert refused.value.error.data["uri"] == uri


async def test_a_resource_that_fails_says_why_and_nothing_of_our_code(connect: Connect) -> None:
    async with connect() as client:
        with pytest.raises(MCPError) as failed:
            await client.read_resource("shop://orders/404")
        with pytest.raises(MCPError) as broken:
            await client.read_resource("shop://orders/500")
        with pytest.raises(MCPError) as misfit:
            await client.read_resource("shop://orders/seven")
    assert failed.value.error.message == "TOOL_ERROR: there is no order 404"
    assert failed.value.error.code == INTERNAL_ERROR
    assert broken.value.error.message == "TOOL_ERROR: ZeroDivisionError: a secret of ours"
    assert "Traceback" not in str(broken.value.error)
    assert misfit.value.error.code == INVALID_PARAMS
    assert misfit.value.error.data["code"] == "INVALID_ARGUMENTS"


async def test_reading_is_a_call_in_the_log_that_policy_decides(
    connect: Connect, service: Service
) -> None:
    async with connect() as client:
        await client.read_resource("shop://logo")
        (newest, *_) = (await service.list_runs(LOCAL_AGENT)).runs
        events = (await service.list_events(LOCAL_AGENT, run=newest.id)).events
        rules = (
            '@id("all") permit(principal, action, resource); @id("no-logo") forbid(principal, action, '
            'resource == Tool::"resource.logo");'
        )
        await service.policies.apply(LOCAL_USER, [PolicyFile("rules.cedar", rules)])
        with pytest.raises(MCPError, match="no-logo"):
            await client.read_resource("shop://logo")
        listed = await client.list_resources()
    assert newest.workflow == "call"
    assert [event.event.tool for event in events if isinstance(event.event, ToolCall)] == [
        "resource.logo"
    ]
    assert "shop://logo" not in [resource.uri for resource in listed.resources]
    assert "shop://terms" in [resource.uri for resource in listed.resources]


@pytest.mark.filterwarnings("ignore::mcp.MCPDeprecationWarning")
async def test_what_policy_denies_is_completed_and_followed_as_little_as_it_is_listed(
    connect: Connect, service: Service
) -> None:
    template = ResourceTemplateReference(uri="shop://orders/{number}{?lang}")
    prompt = PromptReference(name="complain")
    rules = (
        '@id("all") permit(principal, action, resource); @id("none") forbid(principal, action, '
        'resource) when { resource in [Tool::"resource.order", Tool::"prompt.complain"] };'
    )
    async with connect() as client:
        assert (await client.complete(template, {"name": "lang", "value": ""})).completion.values
        await service.policies.apply(LOCAL_USER, [PolicyFile("rules.cedar", rules)])
        with pytest.raises(MCPError, match="there is no resource"):
            await client.complete(template, {"name": "lang", "value": ""})
        with pytest.raises(MCPError, match="there is no prompt"):
            await client.complete(prompt, {"name": "customer", "value": "a"})
        if client.protocol_version not in MODERN_PROTOCOL_VERSIONS:
            with pytest.raises(MCPError, match="there is no resource"):
                await client.subscribe_resource("shop://orders/7")


async def test_a_run_its_log_and_its_result_can_be_read(connect: Connect) -> None:
    async with connect() as client:
        called = await client.call_tool("add", {"a": 2, "b": 3})
        assert called.meta is not None
        run = called.meta["stepwell/run"]
        view = json.loads(text_of(await client.read_resource(f"stepwell://runs/{run}")))
        log = json.loads(text_of(await client.read_resource(f"stepwell://runs/{run}/events")))
        rest = json.loads(text_of(await client.read_resource(log["next"])))
        result = await client.read_resource(f"stepwell://runs/{run}/result")
    assert (view["status"], view["result"]) == ("completed", f"stepwell://runs/{run}/result")
    assert [event["kind"] for event in log["events"]][-1] == "run_completed"
    assert (log["caught_up"], rest["events"]) == (True, [])
    assert json.loads(text_of(result)) == {"total": 5}


async def test_a_result_that_is_cut_links_to_the_whole_of_it(connect: Connect) -> None:
    name = "x" * 100_000
    async with connect() as client:
        result = await client.call_tool("echo", {"text": name})
        link = wire(result.content[1])
        whole = await client.read_resource(link["uri"])
    assert wire(result.content[0])["text"].startswith("[truncated: this result has 100000 char")
    assert whole.contents == [
        TextResourceContents(uri=link["uri"], mime_type="text/plain", text=name)
    ]


async def test_the_blocks_of_a_result_are_what_its_resource_holds(connect: Connect) -> None:
    async with connect() as client:
        called = await client.call_tool("picture", {})
        assert called.meta is not None
        uri = f"stepwell://runs/{called.meta['stepwell/run']}/result"
        contents = (await client.read_resource(uri)).contents
    assert [(held.uri, held.mime_type) for held in contents] == [
        (uri, "text/plain"),
        (uri, "image/png"),
        (uri, "audio/wav"),
        ("shop://terms", "text/plain"),
    ]


async def test_a_run_that_goes_on_has_no_result_to_be_read(connect: Connect) -> None:
    async with connect(wait=HASTY) as client:
        handle = await client.call_tool("till", {})
        run = handle.structured_content["run"]
        with pytest.raises(MCPError, match="has no result: it is waiting"):
            await client.read_resource(f"stepwell://runs/{run}/result")
        view = json.loads(text_of(await client.read_resource(f"stepwell://runs/{run}")))
    assert view["waiting_for"][0]["about"] == "paid"


async def test_workflows_tools_and_schemas_can_be_read(
    connect: Connect, service: Service, tmp_path: Path
) -> None:
    path = tmp_path / "data" / "shop.db"
    path.parent.mkdir()
    database = sqlite3.connect(path)
    database.execute("create table customers (id integer primary key, name text)")
    database.commit()
    database.close()
    await service.datasources.add(LOCAL_USER, "shop", f"sqlite:///{path}")
    async with connect() as client:
        workflow = await client.read_resource("stepwell://workflows/hello")
        tool = json.loads(text_of(await client.read_resource("stepwell://tools/add")))
        schema = json.loads(
            text_of(await client.read_resource("stepwell://datasources/shop/schema"))
        )
        uris = [resource.uri for resource in (await client.list_resources()).resources]
        with pytest.raises(MCPError, match="there is no resource"):
            await client.read_resource("stepwell://datasources/none/schema")
    assert "workflow: hello" in text_of(workflow)
    assert (tool["name"], len(tool["definition"])) == ("add", 64)
    assert schema["tables"][0]["name"] == "customers"
    assert "stepwell://datasources/shop/schema" in uris


async def test_prompts_are_listed_and_got(connect: Connect) -> None:
    async with connect() as client:
        listed = await client.list_prompts()
        got = await client.get_prompt("complain", {"customer": "Ada", "tone": "firm"})
    prompts = {prompt.name: prompt for prompt in listed.prompts}
    assert list(prompts) == ["complain", "stuck"]
    complain = prompts["complain"]
    assert complain.title == "Complain"
    assert [
        (argument.name, argument.description, argument.required)
        for argument in complain.arguments or []
    ] == [("customer", "Who complains.", True), ("tone", None, False)]
    assert [(message.role, wire(message.content)) for message in got.messages] == [
        ("user", {"type": "text", "text": "Answer Ada in a firm way."}),
        ("assistant", {"type": "image", "data": "cG5n", "mimeType": "image/png"}),
    ]
    assert got.description == "Answers a complaint."


async def test_a_prompt_that_cannot_be_got_says_why(connect: Connect) -> None:
    async with connect(wait=HASTY) as client:
        refused = []
        for name, arguments in (
            ("nothing", {}),
            ("complain", {}),
            ("complain", {"customer": "Ada", "tone": "rude"}),
            ("complain", {"customer": "nobody"}),
            ("stuck", {}),
        ):
            with pytest.raises(MCPError) as error:
                await client.get_prompt(name, arguments)
            refused.append((error.value.error.code, error.value.error.data["code"]))
    assert refused == [
        (INVALID_PARAMS, "PROMPT_NOT_FOUND"),
        (INVALID_PARAMS, "INVALID_ARGUMENTS"),
        (INVALID_PARAMS, "INVALID_ARGUMENTS"),
        (INTERNAL_ERROR, "TOOL_ERROR"),
        (INTERNAL_ERROR, "DEADLINE_EXCEEDED"),
    ]


async def test_arguments_are_completed(connect: Connect) -> None:
    complain = PromptReference(name="complain")
    order = ResourceTemplateReference(uri="shop://orders/{number}{?lang}")
    workflow = ResourceTemplateReference(uri="stepwell://workflows/{name}")
    async with connect() as client:
        tone = await client.complete(complain, {"name": "tone", "value": "F"})
        customer = await client.complete(complain, {"name": "customer", "value": "A"})
        unknown = await client.complete(order, {"name": "number", "value": "1"})
        lang = await client.complete(order, {"name": "lang", "value": ""})
        name = await client.complete(workflow, {"name": "name", "value": "wal"})
        nothing = ResourceTemplateReference(uri="shop://nothing/{x}")
        with pytest.raises(MCPError, match="there is no resource"):
            await client.complete(nothing, {"name": "x", "value": ""})
    assert tone.completion.values == ["firm"]
    assert len(customer.completion.values) == 100
    assert (customer.completion.total, customer.completion.has_more) == (150, True)
    assert unknown.completion.values == []
    assert lang.completion.values == ["de", "en"]
    assert name.completion.values == ["walk"]


@pytest.mark.filterwarnings("ignore::mcp.MCPDeprecationWarning")
async def test_a_client_is_told_when_a_resource_that_it_follows_has_changed(
    connect: Connect,
) -> None:
    told = list[str]()
    news = anyio.Event()

    async def note(message: object) -> None:
        if isinstance(message, ResourceUpdatedNotification):
            told.append(message.params.uri)
            news.set()

    async with connect(wait=HASTY, message_handler=note) as client:
        handle = await client.call_tool("till", {})
        run = handle.structured_content["run"]
        uri = f"stepwell://runs/{run}"
        with anyio.fail_after(10):
            if client.protocol_version in MODERN_PROTOCOL_VERSIONS:
                uris = ["shop://terms", uri]
                async with client.listen(resource_subscriptions=uris) as changes:
                    await client.call_tool("touch", {"uri": "shop://logo"})
                    await client.call_tool("touch", {"uri": "shop://terms"})
                    first = await anext(changes)
                    await client.call_tool("run_signal", {"run": run, "name": "paid"})
                    second = await anext(changes)
                told[:] = [getattr(first, "uri", ""), getattr(second, "uri", "")]
            else:
                await client.subscribe_resource("shop://terms")
                await client.subscribe_resource(uri)
                await client.call_tool("touch", {"uri": "shop://logo"})
                await client.call_tool("touch", {"uri": "shop://terms"})
                await news.wait()
                news = anyio.Event()
                await client.call_tool("run_signal", {"run": run, "name": "paid"})
                await news.wait()
                await client.unsubscribe_resource("shop://terms")
                await client.call_tool("touch", {"uri": "shop://terms"})
    assert told[:2] == ["shop://terms", uri]
    assert "shop://logo" not in told


@pytest.mark.filterwarnings("ignore::mcp.MCPDeprecationWarning")
async def test_what_is_not_there_cannot_be_followed(connect: Connect) -> None:
    uris = ["shop://nothing", "stepwell://runs/nothing", "stepwell://workflows/nothing"]
    async with connect() as client:
        if client.protocol_version in MODERN_PROTOCOL_VERSIONS:
            wanted = [*uris, "shop://terms", "shop://orders/7", "stepwell://tools/add"]
            async with client.listen(resource_subscriptions=wanted) as changes:
                honored = changes.honored.resource_subscriptions
            assert honored == ["shop://terms", "shop://orders/7", "stepwell://tools/add"]
        else:
            for uri in uris:
                with pytest.raises(MCPError, match="there is no resource") as refused:
                    await client.subscribe_resource(uri)
                assert refused.value.error.code == -32002


@pytest.mark.filterwarnings("ignore::mcp.MCPDeprecationWarning")
async def test_a_client_follows_a_hundred_resources_and_no_more(connect: Connect) -> None:
    uris = [f"shop://orders/{number}" for number in range(101)]

    async def follow(client: Client) -> None:
        if client.protocol_version in MODERN_PROTOCOL_VERSIONS:
            async with client.listen(resource_subscriptions=uris):
                return
        for uri in uris:
            await client.subscribe_resource(uri)

    async with connect() as client:
        with pytest.raises(MCPError, match="101 resources cannot be followed") as refused:
            await follow(client)
    assert refused.value.error.data["code"] == "LIMIT_EXCEEDED"


@pytest.mark.filterwarnings("ignore::mcp.MCPDeprecationWarning")
async def test_a_client_is_told_of_a_new_version_of_a_workflow_that_it_follows(
    connect: Connect, service: Service
) -> None:
    uri, told = "stepwell://workflows/hello", anyio.Event()

    async def note(message: object) -> None:
        if isinstance(message, ResourceUpdatedNotification) and message.params.uri == uri:
            told.set()

    async with connect(message_handler=note) as client:
        with anyio.fail_after(10):
            if client.protocol_version in MODERN_PROTOCOL_VERSIONS:
                async with client.listen(resource_subscriptions=[uri]) as changes:
                    await service.put_workflow(LOCAL_USER, HELLO.replace(b"hello ", b"hi "))
                    assert await anext(changes) == ResourceUpdated(uri)
            else:
                await client.subscribe_resource(uri)
                await service.put_workflow(LOCAL_USER, HELLO.replace(b"hello ", b"hi "))
                await told.wait()
        text = text_of(await client.read_resource(uri))
    assert "hi " in text


async def test_nothing_of_another_namespace_can_be_read(service: Service) -> None:
    stranger = Caller("elsewhere", "agent:stranger")
    run = await service.call_tool(LOCAL_AGENT, "add", {"a": 2, "b": 3})
    uris = [f"stepwell://runs/{run.id}{part}" for part in ("", "/events", "/result")]
    for uri in (*uris, "stepwell://workflows/hello", "stepwell://datasources/shop/schema"):
        with pytest.raises(NotFound) as refused:
            await own_resources.read(service, stranger, uri)
        with pytest.raises(NotFound):
            await own_resources.find(service, stranger, uri)
        assert refused.value.code is Code.RESOURCE_NOT_FOUND
    assert (await own_resources.complete(service, stranger, RUN.template.text, "")).values == ()


async def test_what_a_datasource_has_answered_is_in_no_page_of_the_log(
    connect: Connect, service: Service, tmp_path: Path
) -> None:
    path = tmp_path / "data" / "shop.db"
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as database:
        database.execute("create table customers (name text)")
        database.execute("insert into customers values ('Ada of Shalott')")
        database.commit()
    await service.datasources.add(LOCAL_USER, "shop", f"sqlite:///{path}")
    async with connect() as client:
        arguments = {"datasource": "shop", "sql": "select name from customers"}
        called = await client.call_tool("db_query", arguments)
        assert called.meta is not None
        uri = f"stepwell://runs/{called.meta['stepwell/run']}"
        log = text_of(await client.read_resource(f"{uri}/events"))
        result = text_of(await client.read_resource(f"{uri}/result"))
    assert "Ada of Shalott" in result
    assert "tool_call" in log
    assert "Ada of Shalott" not in log
