"""A call that policy holds, all the way: asked over MCP, shown and answered over gRPC and on the page."""

import asyncio
import socket
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import NamedTuple

import httpx2
import pytest
from mcp import Client as McpClient
from tests.interaction.web.conftest import OWNER_TOKEN, Browser, Codes

from stepwell.bootstrap import open_runtime
from stepwell.client import Client, Run
from stepwell.clock import SystemClock
from stepwell.config import load_settings
from stepwell.errors import Code, StepwellError
from stepwell.orchestrator.authentication import Authentication
from stepwell.orchestrator.service import Service
from stepwell.policy.defaults import HOLD
from stepwell.principals import LOCAL_USER
from stepwell_mcp.http import McpHttp
from stepwell_mcp.server import build_server
from stepwell_server.grpc_server import GrpcServer
from stepwell_server.http import HttpServer
from stepwell_server.web.app import make_app
from stepwell_server.web.lazily import mounted

pytestmark = pytest.mark.anyio

TOOLS = '''
from pathlib import Path

from stepwell import tool


@tool
async def pay(sum: int, to: str) -> str:
    """Pays."""
    with Path("{paid}").open("a") as file:
        file.write(f"{{sum}} to {{to}}\\n")
    return "paid"
'''


class Served(NamedTuple):
    """A daemon in this process, and where it pays."""

    service: Service
    grpc: str
    http: int
    paid: Path

    def payments(self) -> list[str]:
        return self.paid.read_text().splitlines() if self.paid.exists() else []


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    paid, tools = tmp_path / "paid.txt", tmp_path / "tools.py"
    tools.write_text(TOOLS.format(paid=paid))
    overrides = {"storage.url": "memory:", "tools.paths": [str(tools)]}
    settings = load_settings(tmp_path / "home", {}, overrides)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        async with open_runtime(settings, environ={}, http_port=port) as runtime:
            service = runtime.service
            authentication = Authentication(service.api_keys.identify, OWNER_TOKEN)
            pages = partial(
                make_app,
                service,
                authentication,
                origin=f"http://localhost:{port}",
                owner_token=OWNER_TOKEN,
                clock=SystemClock(),
            )
            mcp = McpHttp(build_server(service, wait=timedelta(milliseconds=50)), authentication)
            http = HttpServer([*mcp.routes, *mounted(pages)], drain=timedelta(seconds=1))
            grpc = GrpcServer(service, host="127.0.0.1", port=0, owner_token=OWNER_TOKEN)
            address = f"127.0.0.1:{await grpc.start()}"
            async with http.draining(), mcp.running():
                await http.listen(listener)
                yield Served(service, address, port, paid)
            await grpc.stop(timedelta(0))


@pytest.fixture
async def owner(served: Served) -> AsyncIterator[Client]:
    async with Client(served.grpc, token=OWNER_TOKEN) as client:
        yield client


@pytest.fixture
async def codes(served: Served) -> Codes:
    return await Codes(served.service, LOCAL_USER).enrol()


async def held(owner: Client, served: Served) -> tuple[Run, str]:
    """An agent asks to pay; the run, and the approval that waits."""
    async with Client(served.grpc) as agent:
        run = await agent.call("pay", {"sum": 5, "to": "mallory"})
    async with asyncio.timeout(5):
        while True:
            page = await owner.approvals.list()
            for one in page.approvals:
                if one.run == run.id:
                    return run, one.id
            await asyncio.sleep(0.01)


async def code_of(asked: object) -> Code:
    with pytest.raises(StepwellError) as error:
        await asked  # type: ignore[misc]
    return error.value.code


async def test_a_held_call_is_shown_exactly_and_made_once_when_approved(
    owner: Client, served: Served, codes: Codes
) -> None:
    run, id = await held(owner, served)
    one = await owner.approvals.get(id)
    assert (one.tool, one.arguments) == ("pay", {"sum": 5, "to": "mallory"})
    assert (one.principal, one.rules, one.caller_may_answer) == ("agent:local", (HOLD,), True)
    assert one.reason
    assert served.payments() == []

    told = await owner.approvals.decide(
        id, "approve", subject=one.subject, reason="fine", code=codes.next()
    )
    assert (told.status, told.decided_by, told.decision_reason) == (
        "approved",
        "user:local",
        "fine",
    )
    assert (await owner.wait(run.id, timedelta(seconds=5))).output == "paid"
    assert served.payments() == ["5 to mallory"]
    again = owner.approvals.decide(id, "approve", code=codes.next())
    assert await code_of(again) is Code.NOT_APPLICABLE
    assert served.payments() == ["5 to mallory"]


async def test_nobody_approves_without_the_factor_of_a_person(
    owner: Client, served: Served, codes: Codes
) -> None:
    run, id = await held(owner, served)
    subject = (await owner.approvals.get(id)).subject
    assert await code_of(owner.approvals.decide(id, "approve")) is Code.FACTOR_REQUIRED
    assert await code_of(owner.approvals.decide(id, "approve", code="000000")) is Code.FACTOR_WRONG
    wrong = owner.approvals.decide(id, "approve", subject="0" * 64, code=codes.next())
    assert await code_of(wrong) is Code.NOT_APPLICABLE
    async with Client(served.grpc) as agent:
        for asked in (
            agent.approvals.decide(id, "approve", code=codes.next()),
            agent.approvals.decide(id, "deny"),
            agent.resolve(run.id, "call", "approve"),
            agent.factors.offer_totp(),
        ):
            assert await code_of(asked) is Code.POLICY_DENIED
    for step in ("call", "step"):
        resolved = owner.resolve(run.id, step, "approve", code="000000")
        assert await code_of(resolved) in (
            Code.INVALID_REQUEST,
            Code.NOT_APPLICABLE,
            Code.STEP_NOT_FOUND,
            Code.FACTOR_WRONG,
        )
    assert (await owner.approvals.get(id)).status == "waiting"
    assert (await owner.approvals.get(id)).subject == subject
    assert served.payments() == []


async def test_a_namespace_knows_nothing_of_the_approvals_of_others(
    owner: Client, served: Served, codes: Codes
) -> None:
    _, id = await held(owner, served)
    _, token = await owner.api_keys.create("user:ann", namespace="team", code=codes.next())
    async with Client(served.grpc, token=token) as ann:
        assert (await ann.approvals.list(status="all")).approvals == ()
        assert await code_of(ann.approvals.get(id)) is Code.APPROVAL_NOT_FOUND
        assert await code_of(ann.approvals.decide(id, "deny")) is Code.APPROVAL_NOT_FOUND


async def test_of_two_answers_at_once_one_counts(
    owner: Client, served: Served, codes: Codes
) -> None:
    run, id = await held(owner, served)
    answers = await asyncio.gather(
        owner.approvals.decide(id, "approve", code=codes.next()),
        owner.approvals.decide(id, "approve", code=codes.next()),
        owner.approvals.decide(id, "deny"),
        return_exceptions=True,
    )
    refused = [answer for answer in answers if isinstance(answer, StepwellError)]
    assert [error.code for error in refused] == [Code.NOT_APPLICABLE] * 2
    await owner.wait(run.id, timedelta(seconds=5))
    assert len(served.payments()) <= 1


async def test_the_page_approves_what_it_shows(owner: Client, served: Served, codes: Codes) -> None:
    run, id = await held(owner, served)
    origin = f"http://127.0.0.1:{served.http}"
    async with httpx2.AsyncClient(base_url=origin) as http:
        browser = Browser(http, origin)
        page = (await browser.get(f"/approvals/{id}")).text
        for told in ("Call pay", "mallory", HOLD, "agent:local"):
            assert told in page
        subject = (await owner.approvals.get(id)).subject
        assert subject in page
        assert "mallory" in (await browser.get("/approvals")).text
        refused = await browser.post(f"/approvals/{id}/decide", verdict="approve", subject=subject)
        assert refused.status_code == 403
        done = await browser.post(
            f"/approvals/{id}/decide", verdict="approve", subject=subject, code=codes.next()
        )
        assert done.status_code == 303
        assert "approved" in (await browser.get(f"/approvals/{id}")).text
        assert id in (await browser.get("/approvals?status=all")).text
        assert id not in (await browser.get("/approvals")).text
    assert (await owner.wait(run.id, timedelta(seconds=5))).output == "paid"
    assert served.payments() == ["5 to mallory"]


async def test_a_model_is_told_where_a_person_answers_and_has_no_tool_for_it(
    owner: Client, served: Served
) -> None:
    async with McpClient(f"http://127.0.0.1:{served.http}/mcp") as model:
        names = [tool.name for tool in (await model.list_tools()).tools]
        assert not [name for name in names if "approv" in name or "resolve" in name]
        result = await model.call_tool("pay", {"sum": 1, "to": "ann"})
    [one] = (await owner.approvals.list()).approvals
    assert f"http://localhost:{served.http}/approvals/{one.id}" in str(result.content)
    assert served.payments() == []
