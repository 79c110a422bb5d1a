"""AuditService, from a client to the store and back."""

import asyncio

import pytest

from stepwell.client import AuditFinding, AuditHead, Client, Verification
from stepwell.errors import Code, Denied, InvalidRequest

pytestmark = pytest.mark.anyio


async def verified(client: Client, *known: AuditHead) -> Verification:
    """The last word of a check, with all findings."""
    findings: tuple[AuditFinding, ...] = ()
    last = None
    async for last in client.audit.verify(known):
        findings += last.findings
    assert last is not None
    assert last.done
    return Verification(
        entries=last.entries,
        events=last.events,
        deleted_runs=last.deleted_runs,
        unnoted_events=last.unnoted_events,
        findings=findings,
        done=True,
        head=last.head,
    )


async def test_what_was_done_is_listed_and_checked(client: Client) -> None:
    run = await client.run("hello", {"name": "Ann"})
    await client.wait(run.id)
    await client.queues.put("mail", concurrency=3)

    async with asyncio.timeout(5):
        while (await verified(client)).unnoted_events:
            pass
    entries = [it async for it in client.audit.entries()]
    assert [it.action for it in entries[:2]] == ["policy.apply", "workflow.put"]
    [put] = [it for it in entries if it.action == "queue.put"]
    assert (put.principal, put.resource) == ("user:local", "queue/mail")
    assert [it async for it in client.audit.entries(after=put.sequence)] == entries[put.sequence :]

    checked = await verified(client, await client.audit.head())
    assert checked.findings == ()
    assert checked.events > 3
    assert checked.head == AuditHead(sequence=entries[-1].sequence, hash=entries[-1].hash)


async def test_a_head_that_is_not_in_the_chain_is_found(client: Client) -> None:
    [finding] = (await verified(client, AuditHead(sequence=0, hash="ab" * 32))).findings
    assert "no entry of the audit log has the hash abab" in finding.what
    with pytest.raises(InvalidRequest):
        await verified(client, AuditHead(sequence=0, hash="none"))


async def test_who_shows_no_credential_reads_nothing(address: str) -> None:
    async with Client(address) as agent:
        for ask in (agent.audit.head(), verified(agent), anext(agent.audit.entries())):
            with pytest.raises(Denied) as refused:
                await ask
            assert refused.value.code is Code.POLICY_DENIED
