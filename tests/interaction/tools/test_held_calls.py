"""Calls of another server's tools that are held, while that server may do what it likes."""

import json
import os
import signal
from datetime import timedelta
from pathlib import Path

import pytest
from mcp import Client
from tests.interaction.tools.conftest import Open, call, outcome, until
from tests.interaction.web.conftest import Codes
from tests.mcp_shop import TOOLS

from stepwell.engine.values import Failure
from stepwell.errors import Code, Denied
from stepwell.orchestrator.approvals import Proof
from stepwell.orchestrator.service import Service
from stepwell.orchestrator.views import Approval, Run
from stepwell.principals import LOCAL_AGENT, LOCAL_USER
from stepwell_mcp.server import build_server

pytestmark = pytest.mark.anyio


async def held(service: Service) -> tuple[Run, Approval]:
    """An agent wants to write the note; the run, and what a person is asked."""
    run = await service.call_tool(LOCAL_AGENT, "write_note", {"text": "buy gold"})

    async def is_asked() -> bool:
        page = await service.approvals.list(LOCAL_USER)
        return any(one.run == run.id for one in page.approvals)

    await until(is_asked)
    page = await service.approvals.list(LOCAL_USER)
    (id,) = [one.id for one in page.approvals if one.run == run.id]
    return run, await service.approvals.get(LOCAL_USER, id)


async def approve(service: Service, approval: Approval, codes: Codes) -> None:
    await service.approvals.decide(
        LOCAL_USER,
        approval.id,
        verdict="approve",
        subject=approval.subject,
        proof=Proof(kind="totp", value=codes.next()),
    )


def change(shop: Path) -> None:
    """The next version of the shop describes its tools otherwise."""
    changed = [{**tool, "description": tool["description"] + " Really."} for tool in TOOLS]
    (shop / "tools.json").write_text(json.dumps(changed))
    os.kill(int((shop / "pid").read_text()), signal.SIGKILL)


async def is_suspended(service: Service) -> bool:
    return bool((await service.tools.get_tool(LOCAL_USER, "write_note")).suspended)


async def ended(service: Service, run: Run) -> object:
    view = await service.wait_run(LOCAL_USER, run.id, timedelta(seconds=10))
    assert view.status.ended, view
    return outcome(view)


async def test_what_reads_goes_through_and_what_writes_waits_for_a_person(
    opened: Open, shop: Path
) -> None:
    async with opened(holds=True) as service:
        codes = await Codes(service, LOCAL_USER).enrol()
        assert (await call(service, "readNote"))["content"][0]["text"] == "buy milk"
        run, approval = await held(service)
        assert (shop / "note").read_text() == "buy milk"
        assert approval.arguments is not None
        assert (approval.tool, approval.arguments.value) == ("write_note", {"text": "buy gold"})
        await approve(service, approval, codes)
        assert await ended(service, run) == {
            "content": [{"type": "text", "text": "wrote 8 characters"}]
        }
    assert (shop / "note").read_text() == "buy gold"
    assert (shop / "done").read_text().splitlines().count("write_note buy gold") == 1


async def test_a_client_is_told_that_its_call_is_held(opened: Open, shop: Path) -> None:
    async with opened(holds=True) as service:
        server = build_server(service, wait=timedelta(seconds=0.2))
        async with Client(server, mode="legacy") as client:
            told = await client.call_tool("write_note", {"text": "buy gold"})
            structured = await client.call_tool("price", {})
    assert told.structured_content is not None
    assert told.structured_content["status"] == "waiting"
    assert structured.structured_content == {"cents": 250}
    assert (shop / "note").read_text() == "buy milk"


async def test_an_approved_call_of_a_tool_that_has_changed_meanwhile_is_not_made(
    opened: Open, shop: Path
) -> None:
    async with opened(holds=True) as service:
        codes = await Codes(service, LOCAL_USER).enrol()
        run, approval = await held(service)
        change(shop)
        await until(lambda: is_suspended(service))
        await approve(service, approval, codes)
        failed = await ended(service, run)
    assert isinstance(failed, Failure)
    assert failed.reason == "TOOL_SUSPENDED"
    assert (shop / "note").read_text() == "buy milk"


async def test_an_approval_is_of_the_definition_that_was_shown_with_it(
    opened: Open, shop: Path
) -> None:
    async with opened(holds=True) as service:
        codes = await Codes(service, LOCAL_USER).enrol()
        run, approval = await held(service)
        change(shop)
        await until(lambda: is_suspended(service))
        offered = (await service.tools.difference(LOCAL_USER, "write_note")).offered
        proof = Proof(kind="totp", value=codes.next())
        await service.tools.approve_definition(LOCAL_USER, "write_note", offered, proof=proof)
        await approve(service, approval, codes)

        async def is_asked_again() -> bool:
            page = await service.approvals.list(LOCAL_USER)
            return any(one.run == run.id and one.id != approval.id for one in page.approvals)

        await until(is_asked_again)
        assert (shop / "note").read_text() == "buy milk"
        await service.controls.cancel_run(LOCAL_USER, run.id, "enough")


async def test_a_changed_tool_is_approved_with_the_factor_of_who_has_one(
    opened: Open, shop: Path
) -> None:
    async with opened(holds=True) as service:
        codes = await Codes(service, LOCAL_USER).enrol()
        change(shop)
        await until(lambda: is_suspended(service))
        offered = (await service.tools.difference(LOCAL_USER, "write_note")).offered
        approve_it = service.tools.approve_definition
        wrong = Proof(kind="totp", value="000000")
        for proof, code in ((None, Code.FACTOR_REQUIRED), (wrong, Code.FACTOR_WRONG)):
            with pytest.raises(Denied) as refused:
                await approve_it(LOCAL_USER, "write_note", offered, proof=proof)
            assert refused.value.code is code
            assert await is_suspended(service)
        shown = Proof(kind="totp", value=codes.next())
        assert not (await approve_it(LOCAL_USER, "write_note", offered, proof=shown)).suspended
