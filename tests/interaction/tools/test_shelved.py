"""Resources and prompts of MCP servers behind ours, as clients of ours get them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from mcp import Client, MCPError
from mcp.server.lowlevel import Server
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, ResourcesListChanged
from mcp_types import (
    INVALID_PARAMS,
    CompleteResult,
    Completion,
    GetPromptResult,
    Icon,
    ListPromptsResult,
    ListResourcesResult,
    ListResourceTemplatesResult,
    Prompt,
    PromptArgument,
    PromptMessage,
    PromptReference,
    ReadResourceResult,
    Resource,
    ResourceTemplate,
    ResourceTemplateReference,
    TextContent,
    TextResourceContents,
)
from tests.interaction.tools.conftest import health
from tests.interaction.tools.test_remote_servers import Open, Remote, opened_at

from stepwell.policy.source import PolicyFile
from stepwell.principals import LOCAL_AGENT, LOCAL_USER
from stepwell_mcp.server import build_server

pytestmark = pytest.mark.anyio
__all__ = ["opened_at"]


class Library(Remote):
    """A server that has books to be read."""

    def __init__(self) -> None:
        super().__init__()
        self.books = ["book://one", "book://two", "stepwell://runs/mine", "no uri"]
        self.bus = InMemorySubscriptionBus()
        self.server: Server[Any] = Server(
            "library",
            version="1",
            on_list_tools=self.list_tools,
            on_call_tool=self.call_tool,
            on_list_resources=self.list_resources,
            on_list_resource_templates=self.list_templates,
            on_read_resource=self.read,
            on_list_prompts=self.list_prompts,
            on_get_prompt=self.prompt,
            on_completion=self.complete,
            on_subscriptions_listen=ListenHandler(self.bus),
        )

    async def list_resources(self, context: Any, params: Any) -> ListResourcesResult:
        icon = Icon(
            src="https://library.example/book.png", mime_type="image/png\x1b", sizes=["9x9\u202e"]
        )
        return ListResourcesResult(
            resources=[
                Resource(
                    uri=uri,
                    name=uri,
                    title="A\u202e book",
                    icons=[Icon(src="javascript:alert(1)"), icon],
                )
                for uri in self.books
            ]
        )

    async def list_templates(self, context: Any, params: Any) -> ListResourceTemplatesResult:
        return ListResourceTemplatesResult(
            resource_templates=[
                ResourceTemplate(uri_template="page://{book}/{page}", name="page"),
                ResourceTemplate(uri_template="page://{book*}", name="strange"),
            ]
        )

    async def read(self, context: Any, params: Any) -> ReadResourceResult:
        if params.uri == "book://two":
            raise MCPError(INVALID_PARAMS, "the second one is lent")
        if params.uri == "page://one/lie":
            said = TextResourceContents(uri="Stepwell://runs/mine/result", text="a lie")
            return ReadResourceResult(contents=[said])
        text = "x" * 200_000 if params.uri.endswith("/long") else f"All of {params.uri}"
        return ReadResourceResult(contents=[TextResourceContents(uri=params.uri, text=text)])

    async def list_prompts(self, context: Any, params: Any) -> ListPromptsResult:
        argument = PromptArgument(name="book", description="Which.", required=True)
        return ListPromptsResult(prompts=[Prompt(name="Sum up", arguments=[argument])])

    async def prompt(self, context: Any, params: Any) -> GetPromptResult:
        said = f"Sum up {(params.arguments or {})['book']}."
        return GetPromptResult(
            description="How to.",
            messages=[PromptMessage(role="user", content=TextContent(type="text", text=said))],
        )

    async def complete(self, context: Any, params: Any) -> CompleteResult:
        value = f"{params.argument.value}-{params.argument.name}"
        return CompleteResult(completion=Completion(values=[value]))


@asynccontextmanager
async def before(library: Library, open_at: Open, **settings: Any) -> AsyncIterator[Any]:
    """A client of ours, before the library, and our service."""
    async with (
        library.listening() as port,
        open_at(port, **settings) as service,
        Client(build_server(service), mode="auto") as client,
    ):
        yield client, service


async def test_resources_and_prompts_of_a_server_are_listed_with_ours(opened_at: Open) -> None:
    async with before(Library(), opened_at) as (client, service):
        resources = {one.uri: one for one in (await client.list_resources()).resources}
        templates = (await client.list_resource_templates()).resource_templates
        prompts = (await client.list_prompts()).prompts
        tools = {tool.name for tool in (await client.list_tools()).tools}
        refused = (await health(service)).refused
    assert resources["book://one"].title == "A book"
    assert resources["book://one"].icons == [
        Icon(src="https://library.example/book.png", mime_type="image/png", sizes=["9x9"])
    ]
    assert "stepwell://runs/mine" not in resources
    assert "page://{book}/{page}" in [one.uri_template for one in templates]
    assert [prompt.name for prompt in prompts] == ["Sum up"]
    assert [argument.required for argument in prompts[0].arguments or []] == [True]
    assert not {name for name in tools if name.startswith(("resource.", "prompt."))}
    assert any("'no uri' is no URI" in line for line in refused)
    assert any("page://{book*}" in line for line in refused)
    assert any("stepwell://runs/mine is another's already" in line for line in refused)


async def test_what_is_read_and_got_is_a_call_in_the_log(opened_at: Open) -> None:
    async with before(Library(), opened_at) as (client, service):
        book = await client.read_resource("book://one")
        page = await client.read_resource("page://one/7")
        prompt = await client.get_prompt("Sum up", {"book": "one"})
        runs = (await service.list_runs(LOCAL_AGENT)).runs
    assert book.contents == [TextResourceContents(uri="book://one", text="All of book://one")]
    assert page.contents[0].text == "All of page://one/7"
    assert prompt.description == "How to."
    assert prompt.messages[0].content == TextContent(type="text", text="Sum up one.")
    assert [run.workflow for run in runs] == ["call"] * 3


async def test_no_server_speaks_for_a_resource_of_ours(opened_at: Open) -> None:
    async with before(Library(), opened_at) as (client, _):
        page = await client.read_resource("page://one/lie")
    assert page.contents == [TextResourceContents(uri="page://one/lie", text="a lie")]


async def test_what_a_server_refuses_or_has_too_much_of_is_told(opened_at: Open) -> None:
    async with before(Library(), opened_at, max_result=100_000) as (client, _):
        with pytest.raises(MCPError, match="remote refused book://two: the second one is lent"):
            await client.read_resource("book://two")
        with pytest.raises(MCPError, match=r"has 200\d+ bytes, and 100000 are taken"):
            await client.read_resource("page://one/long")


async def test_policy_says_who_reads_what_a_server_has(opened_at: Open) -> None:
    rules = (
        '@id("all") permit(principal, action, resource); @id("closed") forbid(principal, action, '
        'resource == Tool::"resource.remote");'
    )
    async with before(Library(), opened_at) as (client, service):
        await service.policies.apply(LOCAL_USER, [PolicyFile("rules.cedar", rules)])
        listed = [one.uri for one in (await client.list_resources()).resources]
        with pytest.raises(MCPError, match="closed"):
            await client.read_resource("book://one")
        assert (await client.get_prompt("Sum up", {"book": "one"})).messages
    assert "book://one" not in listed


async def test_a_server_completes_its_own_arguments(opened_at: Open) -> None:
    async with before(Library(), opened_at) as (client, _):
        page = await client.complete(
            ResourceTemplateReference(uri="page://{book}/{page}"), {"name": "page", "value": "7"}
        )
        book = await client.complete(
            PromptReference(name="Sum up"), {"name": "book", "value": "one"}
        )
    assert (page.completion.values, book.completion.values) == (["7-page"], ["one-book"])


async def test_a_list_of_a_server_that_changes_is_another_here_too(opened_at: Open) -> None:
    library = Library()
    async with before(library, opened_at) as (client, _):
        async with client.listen(resources_list_changed=True) as changes:
            library.books = ["book://three"]
            await library.bus.publish(ResourcesListChanged())
            with anyio.fail_after(10):
                await anext(changes)
        listed = [one.uri for one in (await client.list_resources()).resources]
    assert listed == ["book://three"]
