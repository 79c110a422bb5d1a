"""What a program that can write the database can truly do, and what finds it."""

from pathlib import Path

import pytest
from tests.interaction.tools.conftest import Open, until
from tests.interaction.tools.test_held_calls import approve, ended, held
from tests.interaction.web.conftest import Codes

from stepwell.engine.inputs import Resolve
from stepwell.orchestrator.letters import letter_to
from stepwell.orchestrator.service import Service
from stepwell.orchestrator.verification import Finding
from stepwell.principals import LOCAL_USER

pytestmark = pytest.mark.anyio


async def findings(service: Service) -> list[Finding]:
    """What `stepwell audit verify` finds, once all is vouched for."""
    found: list[Finding] = []

    async def is_vouched_for() -> bool:
        found.clear()
        async for step in service.audit_log.verify(LOCAL_USER):
            found.extend(step.findings)
        return step.unnoted == 0

    await until(is_vouched_for)
    return found


async def test_an_approval_that_was_put_into_the_database_is_found(
    opened: Open, shop: Path
) -> None:
    async with opened(holds=True) as service:
        await Codes(service, LOCAL_USER).enrol()
        run, approval = await held(service)
        forged = Resolve(
            at=approval.requested_at + 1,
            principal="user:local",
            step=approval.step,
            call=approval.call,
            verdict="approve",
            subject=approval.subject,
        )
        await service._storage.inbox.send("default", letter_to(run.id, "forged", forged))
        await ended(service, run)
        assert (shop / "note").read_text() == "buy gold"
        (found,) = await findings(service)
    assert found.where == f"run {run.id}, step {approval.step}"
    assert "user:local" in found.what
    assert "forged" in found.what


async def test_an_approval_that_a_person_gave_is_none(opened: Open) -> None:
    async with opened(holds=True) as service:
        codes = await Codes(service, LOCAL_USER).enrol()
        run, approval = await held(service)
        await approve(service, approval, codes)
        await ended(service, run)
        assert await findings(service) == []
