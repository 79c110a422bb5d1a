"""Tools that ask the person behind a client: by rounds of a newer one, on the session of an older one."""

import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INVALID_PARAMS,
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    CallToolResult,
    CreateMessageResult,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitRequestURLParams,
    ElicitResult,
    InputRequiredResult,
    ListRootsResult,
    Root,
    TextContent,
)
from mcp_types.version import LATEST_MODERN_VERSION
from pydantic import FileUrl
from tests.interaction.web.conftest import Codes

from stepwell.bootstrap import open_runtime
from stepwell.clock import Clock
from stepwell.config import load_settings
from stepwell.orchestrator.approvals import Proof
from stepwell.orchestrator.service import Service
from stepwell.orchestrator.views import Run
from stepwell.policy.source import PolicyFile
from stepwell.principals import LOCAL_AGENT, LOCAL_USER
from stepwell.vault.boxes import Boxes
from stepwell_mcp import request_state
from stepwell_mcp.server import build_server

pytestmark = pytest.mark.anyio

TOOLS = Path(__file__).parents[2] / "asking_tools.py"
KEY = b"k" * 32
ERAS = ["legacy", LATEST_MODERN_VERSION]
Opened = Callable[..., AbstractAsyncContextManager[Service]]


@pytest.fixture
def opened(tmp_path: Path) -> Opened:
    """`opened()` is the service of a home; with `holds` the policy that is in force by itself."""

    @asynccontextmanager
    async def open_home(*, holds: bool = False) -> AsyncIterator[Service]:
        home = tmp_path / "home"
        home.mkdir(exist_ok=True)
        overrides: dict[str, Any] = {
            "tools.paths": (str(TOOLS),),
            "storage.url": f"sqlite:///{tmp_path / 'runs.db'}",
            "worker.poll": timedelta(milliseconds=50),
        }
        async with open_runtime(load_settings(home, {}, overrides), environ={}) as runtime:
            allow = PolicyFile("all.cedar", '@id("all") permit(principal, action, resource);')
            if not holds:
                await runtime.service.policies.apply(LOCAL_USER, [allow])
            yield runtime.service

    return open_home


async def form(context: Any, params: Any) -> ElicitResult:
    """A user who is called Ada, and agrees to everything."""
    if isinstance(params, ElicitRequestURLParams):
        return ElicitResult(action="accept")
    named = "name" in params.requested_schema["properties"]
    return ElicitResult(action="accept", content={"name": "Ada"} if named else {})


async def words(context: Any, params: Any) -> CreateMessageResult:
    text = TextContent(type="text", text="hello")
    return CreateMessageResult(role="assistant", content=text, model="m")


async def folders(context: Any) -> ListRootsResult:
    return ListRootsResult(roots=[Root(uri=FileUrl("file:///work"))])


EVERYTHING: dict[str, Any] = {
    "elicitation_callback": form,
    "sampling_callback": words,
    "list_roots_callback": folders,
}


@asynccontextmanager
async def client_of(
    service: Service, era: str = LATEST_MODERN_VERSION, **callbacks: Any
) -> AsyncIterator[Client]:
    # A wait that is short for who cannot be asked; nobody who can is waited for by it.
    server = build_server(
        service,
        wait=timedelta(seconds=5),
        task_after=timedelta(milliseconds=200),
        states=Boxes(KEY),
    )
    async with Client(server, mode=era, **callbacks) as client:
        yield client


async def round_of(
    client: Client, tool: str, arguments: dict[str, Any] | None = None, **more: Any
) -> Any:
    """One round of a newer client, without the next."""
    return await client.session.call_tool(tool, arguments or {}, allow_input_required=True, **more)


def text_of(result: Any) -> str:
    assert isinstance(result, CallToolResult), result
    (block,) = result.content
    assert isinstance(block, TextContent)
    return block.text


def run_of(result: Any) -> str:
    run = (result.meta or {})["stepwell/run"]
    assert isinstance(run, str)
    return run


# --- both eras ----------------------------------------------------------------------------


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize(
    ("tool", "arguments", "said"),
    [
        ("greet", {}, "Hello, Ada"),
        ("erase", {"what": "it"}, "it is gone"),
        ("pay", {}, "accept"),
        ("two_rounds", {}, "Ada and Ada"),
        ("thinks", {}, "hello"),
        ("everything", {}, '["accept","accept","accept"]'),
    ],
)
async def test_a_tool_is_answered_by_whoever_is_behind_the_client(
    tool: str, arguments: dict[str, Any], said: str, era: str, opened: Opened
) -> None:
    async with opened() as service, client_of(service, era, **EVERYTHING) as client:
        assert text_of(await client.call_tool(tool, arguments)) == said


@pytest.mark.parametrize("era", ERAS)
async def test_what_a_person_would_not_say_is_told_to_the_tool(era: str, opened: Opened) -> None:
    async def declines(context: Any, params: Any) -> ElicitResult:
        return ElicitResult(action="decline")

    async with (
        opened() as service,
        client_of(service, era, elicitation_callback=declines) as client,
    ):
        assert text_of(await client.call_tool("greet", {})) == "Hello, decline"


@pytest.mark.parametrize("era", ERAS)
async def test_a_person_answers_elsewhere_what_a_client_cannot_ask(
    era: str, opened: Opened
) -> None:
    async with opened() as service, client_of(service, era) as client:
        handle = (await client.call_tool("greet", {})).structured_content
        assert handle is not None
        assert (handle["status"], handle["waiting_for"][0]["on"]) == ("waiting", "input")
        assert f"stepwell answer {handle['run']}" in handle["next"]
        await service.questions.answer(
            LOCAL_USER, handle["run"], action="accept", content={"name": "Bob"}
        )
        ended = await service.wait_run(LOCAL_AGENT, handle["run"], timedelta(seconds=5))
        assert ended.output is not None
        assert ended.output.value == "Hello, Bob"


async def test_an_older_client_that_cannot_answer_itself_leaves_the_tool_without(
    opened: Opened,
) -> None:
    async with opened() as service, client_of(service, "legacy") as client:
        assert text_of(await client.call_tool("thinks", {})) == "cancel"


# --- rounds -------------------------------------------------------------------------------


async def test_a_newer_client_gets_all_that_is_asked_at_once(opened: Opened) -> None:
    async with opened() as service, client_of(service, **EVERYTHING) as client:
        asked = await round_of(client, "everything")
    assert isinstance(asked, InputRequiredResult)
    methods = {key: it.method for key, it in (asked.input_requests or {}).items()}
    assert methods == {
        "who": "elicitation/create",
        "words": "sampling/createMessage",
        "where": "roots/list",
    }


async def test_only_what_a_client_declares_is_asked_of_it(opened: Opened) -> None:
    async with (
        opened() as service,
        client_of(service, sampling_callback=words) as client,
    ):
        asked = await round_of(client, "everything")
        assert set(asked.input_requests) == {"words"}


async def test_a_newer_client_is_told_what_it_does_not_declare(opened: Opened) -> None:
    async with opened() as service, client_of(service) as client:
        with pytest.raises(MCPError) as refused:
            await round_of(client, "thinks")
        assert refused.value.error.code == MISSING_REQUIRED_CLIENT_CAPABILITY
        assert refused.value.error.data == {"requiredCapabilities": {"sampling": {}}}


async def test_what_is_not_answered_is_asked_again(opened: Opened) -> None:
    async with opened() as service, client_of(service, **EVERYTHING) as client:
        asked = await round_of(client, "greet")
        other: dict[str, Any] = {"other": ElicitResult(action="accept", content={"name": "Eve"})}
        again = await round_of(
            client, "greet", input_responses=other, request_state=asked.request_state
        )
        assert set(again.input_requests) == {"who"}
        ada: dict[str, Any] = {"who": ElicitResult(action="accept", content={"name": "Ada"})}
        said = await round_of(
            client, "greet", input_responses=ada, request_state=again.request_state
        )
        assert text_of(said) == "Hello, Ada"


async def test_an_answer_may_come_before_it_is_asked(opened: Opened) -> None:
    async with opened() as service, client_of(service, **EVERYTHING) as client:
        ada: dict[str, Any] = {
            "who": ElicitResult(action="accept", content={"name": "Ada"}),
            "other": ElicitResult(action="accept", content={}),
        }
        assert text_of(await round_of(client, "greet", input_responses=ada)) == "Hello, Ada"


async def test_an_answer_that_does_not_fit_is_refused_and_may_be_given_better(
    opened: Opened,
) -> None:
    async with opened() as service, client_of(service, **EVERYTHING) as client:
        asked = await round_of(client, "greet")
        for wrong in (
            ElicitResult(action="accept", content={"name": 7}),
            ElicitResult(action="accept", content={}),
            ListRootsResult(roots=[]),
        ):
            with pytest.raises(MCPError) as refused:
                await round_of(
                    client,
                    "greet",
                    input_responses={"who": wrong},
                    request_state=asked.request_state,
                )
            assert refused.value.error.code == INVALID_PARAMS
        ada: dict[str, Any] = {"who": ElicitResult(action="accept", content={"name": "Ada"})}
        said = await round_of(
            client, "greet", input_responses=ada, request_state=asked.request_state
        )
        assert text_of(said) == "Hello, Ada"


async def test_of_several_answers_none_is_taken_where_one_does_not_fit(opened: Opened) -> None:
    def named(second: object) -> dict[str, Any]:
        names = {"first": "Ada", "second": second}
        return {
            key: ElicitResult.model_construct(action="accept", content={"name": name})
            for key, name in names.items()
        }

    async with opened() as service, client_of(service, **EVERYTHING) as client:
        asked = await round_of(client, "both_names")
        state = asked.request_state
        with pytest.raises(MCPError, match="does not fit the form"):
            await round_of(client, "both_names", input_responses=named(7), request_state=state)
        said = await round_of(
            client, "both_names", input_responses=named("Alan"), request_state=state
        )
        assert said.structured_content == ["Ada", "Alan"]


async def test_the_same_answer_is_not_taken_twice(opened: Opened) -> None:
    async with opened() as service, client_of(service, **EVERYTHING) as client:
        asked = await round_of(client, "erase", {"what": "it"})
        given: dict[str, Any] = {
            "input_responses": {"sure": ElicitResult(action="accept")},
            "request_state": asked.request_state,
        }
        both: list[Any] = []

        async def answer() -> None:
            try:
                both.append(await round_of(client, "erase", {"what": "it"}, **given))
            except MCPError as error:
                both.append(error.error.code)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(answer)
            tasks.start_soon(answer)
        assert sorted(map(str, (it if isinstance(it, int) else text_of(it) for it in both))) == [
            str(INVALID_PARAMS),
            "it is gone",
        ]
        await answer()
        assert both[-1] == INVALID_PARAMS


@pytest.mark.parametrize("change", ["state", "arguments", "tool", "key", "caller"])
async def test_a_state_of_another_call_is_refused(change: str, opened: Opened) -> None:
    async with opened() as service, client_of(service, **EVERYTHING) as client:
        asked = await round_of(client, "erase", {"what": "it"})
        state, tool, arguments = asked.request_state, "erase", {"what": "it"}
        match change:
            case "state":
                state = f"{state}-TAMPERED"
            case "arguments":
                arguments = {"what": "all"}
            case "tool":
                tool, arguments = "greet", {}
            case "key":
                state = sealed(Boxes(b"x" * 32), LOCAL_AGENT)
            case _:
                state = sealed(Boxes(KEY), LOCAL_USER)
        with pytest.raises(MCPError, match="not the one that this call was answered with"):
            await round_of(
                client,
                tool,
                arguments,
                input_responses={"sure": ElicitResult(action="accept")},
                request_state=state,
            )


def sealed(boxes: Boxes, caller: Any, clock: Clock | None = None, run: str = "r") -> str:
    about = request_state.bound(caller, "erase", {"what": "it"})
    return request_state.RequestStates(boxes, clock=clock).seal(about, run=run)


async def test_a_state_is_good_for_ten_minutes(opened: Opened) -> None:
    class Early:
        def now(self) -> int:
            return 0

    async with opened() as service, client_of(service, **EVERYTHING) as client:
        with pytest.raises(MCPError, match="is over; the call goes on as the run r7"):
            await round_of(
                client,
                "erase",
                {"what": "it"},
                request_state=sealed(Boxes(KEY), LOCAL_AGENT, Early(), run="r7"),
            )


async def test_a_question_of_a_deeper_call_says_which_tool_asks(opened: Opened) -> None:
    source = b"workflow: deep\nnodes: [{ id: greet, tool: greet }]\noutput: { it: =greet.output }"
    async with opened() as service, client_of(service, **EVERYTHING) as client:
        await service.put_workflow(LOCAL_USER, source)
        asked = await round_of(client, "deep")
        request = asked.input_requests["who"]
        assert isinstance(request, ElicitRequest)
        assert isinstance(request.params, ElicitRequestFormParams)
        assert request.params.message == "The tool greet asks: What is your name?"


# --- processes that end -------------------------------------------------------------------


async def test_another_process_takes_the_answer_to_what_the_first_one_asked(
    opened: Opened,
) -> None:
    async with opened() as service, client_of(service, **EVERYTHING) as client:
        asked = await round_of(client, "erase", {"what": "it"})
    async with opened() as service, client_of(service, **EVERYTHING) as client:
        said = await round_of(
            client,
            "erase",
            {"what": "it"},
            input_responses={"sure": ElicitResult(action="accept")},
            request_state=asked.request_state,
        )
        assert text_of(said) == "it is gone"
        batch = await service.list_events(LOCAL_USER, run=run_of(said))
        kinds = [event.kind for event in batch.events]
        assert kinds.count("question_asked") == 1
        assert "approval_requested" not in kinds  # nothing was in doubt


async def test_a_client_that_gives_up_leaves_the_question(opened: Opened) -> None:
    asking = anyio.Event()

    async def never(context: Any, params: Any) -> ElicitResult:
        asking.set()
        await anyio.sleep_forever()
        raise AssertionError

    async with (
        opened() as service,
        client_of(service, "legacy", elicitation_callback=never) as client,
    ):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.call_tool, "greet", {})
            with anyio.fail_after(5):
                await asking.wait()
            tasks.cancel_scope.cancel()
        run = await only_run(service)
        assert [it.key for it in run.questions] == ["who"]
        await service.questions.answer(
            LOCAL_AGENT, run.id, action="accept", content={"name": "Ada"}
        )
        ended = await service.wait_run(LOCAL_AGENT, run.id, timedelta(seconds=5))
        assert ended.status.value == "completed"


async def only_run(service: Service) -> Run:
    (listed,) = (await service.list_runs(LOCAL_USER)).runs
    return await service.get_run(LOCAL_USER, listed.id)


# --- held calls ---------------------------------------------------------------------------


async def approve(service: Service, codes: Codes) -> None:
    """The user says yes on the page, with his factor."""
    (approval,) = (await service.approvals.list(LOCAL_USER)).approvals
    await service.approvals.decide(
        LOCAL_USER,
        approval.id,
        verdict="approve",
        subject=approval.subject,
        proof=Proof(kind="totp", value=codes.next()),
    )


async def test_an_older_client_is_shown_the_page_of_a_held_call_and_its_call_goes_on(
    opened: Opened,
) -> None:
    shown: list[str] = []

    async def visit(context: Any, params: Any) -> ElicitResult:
        if isinstance(params, ElicitRequestURLParams):
            shown.append(params.url)
            await approve(service, codes)
        return ElicitResult(action="accept", content={})

    async with (
        opened(holds=True) as service,
        client_of(service, "legacy", elicitation_callback=visit) as client,
    ):
        codes = await Codes(service, LOCAL_USER).enrol()
        assert text_of(await client.call_tool("erase", {"what": "it"})) == "it is gone"
    assert len(shown) == 1
    assert "/approvals/" in shown[0]


async def test_a_newer_client_is_shown_the_page_of_a_held_call_at_once(opened: Opened) -> None:
    async with opened(holds=True) as service, client_of(service, **EVERYTHING) as client:
        codes = await Codes(service, LOCAL_USER).enrol()
        asked = await round_of(client, "erase", {"what": "it"})
        ((key, request),) = asked.input_requests.items()
        assert isinstance(request.params, ElicitRequestURLParams)
        assert request.params.url.endswith(key.removeprefix("approval-"))
        await approve(service, codes)
        went_on = await round_of(
            client,
            "erase",
            {"what": "it"},
            input_responses={key: ElicitResult(action="accept")},
            request_state=asked.request_state,
        )
        assert set(went_on.input_requests) == {"sure"}


@pytest.mark.parametrize("era", ERAS)
async def test_a_user_who_will_not_look_at_the_page_leaves_the_call_held(
    era: str, opened: Opened
) -> None:
    async def declines(context: Any, params: Any) -> ElicitResult:
        return ElicitResult(action="decline")

    async with (
        opened(holds=True) as service,
        client_of(service, era, elicitation_callback=declines) as client,
    ):
        handle = (await client.call_tool("erase", {"what": "it"})).structured_content
        assert handle is not None
        assert handle["waiting_for"][0]["tool"] == "erase"
        assert len((await service.approvals.list(LOCAL_USER)).approvals) == 1


async def test_a_schema_whose_reading_is_held_is_read_by_one_run(
    opened: Opened, tmp_path: Path
) -> None:
    with closing(sqlite3.connect(tmp_path / "shop.db")) as shop:
        shop.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY)")
    rules = (
        '@id("all") permit(principal, action, resource); @id("ask") @effect("require_approval") '
        'forbid(principal, action, resource == Tool::"db_schema");'
    )
    uri = "stepwell://datasources/shop/schema"
    async with opened() as service, client_of(service, **EVERYTHING) as client:
        await service.datasources.add(LOCAL_USER, "shop", f"sqlite:///{tmp_path / 'shop.db'}")
        await service.policies.apply(LOCAL_USER, [PolicyFile("rules.cedar", rules)])
        codes = await Codes(service, LOCAL_USER).enrol()
        asked: Any = await client.session.read_resource(uri, allow_input_required=True)
        ((key, _),) = asked.input_requests.items()
        await approve(service, codes)
        schema = await client.session.read_resource(
            uri,
            input_responses={key: ElicitResult(action="accept")},
            request_state=asked.request_state,
        )
        assert [held.uri for held in schema.contents] == [uri]
        assert (await only_run(service)).status.value == "completed"


@pytest.mark.parametrize("era", ERAS)
async def test_a_client_that_only_fills_in_forms_is_asked_for_no_code_and_decides_nothing(
    era: str, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mcp.client.session.types.UrlElicitationCapability", lambda: None)
    shown: list[str] = []

    async def accepts(context: Any, params: Any) -> ElicitResult:
        shown.append(params.message)
        return ElicitResult(action="accept", content={"code": codes.next()})

    rule = """
        @id("all") permit(principal, action, resource);
        @id("mine") @effect("require_approval") @approver("caller")
        forbid(principal, action == Action::"erase", resource);
    """
    async with (
        opened() as service,
        client_of(service, era, elicitation_callback=accepts) as client,
    ):
        await service.policies.apply(LOCAL_USER, [PolicyFile("mine.cedar", rule)])
        codes = await Codes(service, LOCAL_USER).enrol()
        handle = (await client.call_tool("erase", {"what": "it"})).structured_content
        (approval,) = (await service.approvals.list(LOCAL_USER)).approvals
    assert handle is not None
    assert handle["waiting_for"][0]["approval"] == approval.id
    assert (approval.approver, approval.status) == ("caller", "waiting")
    assert shown == []
