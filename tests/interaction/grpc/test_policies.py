"""PolicyService, from a client to the store and back, and to the calls that it decides on."""

import asyncio
from collections.abc import Collection
from datetime import UTC, datetime

import pytest
from tests.unit.policy.data.shop import shop

from stepwell.client import Client, PolicyFile, RunStatus
from stepwell.client.policies import ChangeReach, TableExplained
from stepwell.errors import Code, Denied, InvalidRequest, NotFound, StepwellError
from stepwell.orchestrator.service import Service
from stepwell.policy.data.check import Known

pytestmark = pytest.mark.anyio

SMALL = [
    PolicyFile(
        "small.cedar",
        '@id("direct") permit(principal, action, resource) when { context.direct };\n'
        '@id("small") @reason("sums above 100 are for people") @remedy("ask the desk")\n'
        'forbid(principal, action == Action::"add", resource) when { context.input.a > 100 };\n'
        '@id("slow") @effect("throttle") @retry("1h")\n'
        'forbid(principal, action == Action::"flaky", resource);\n',
    )
]


async def ended(client: Client, tool: str, **arguments: int) -> RunStatus:
    run = await client.call(tool, arguments)
    return (await client.wait(run.id)).status


async def test_what_is_applied_decides_the_next_call_and_is_told_in_its_log(
    client: Client,
) -> None:
    applied = await client.policies.apply(SMALL)
    assert applied.created
    assert applied.in_force
    assert applied.applied_by == "user:local"

    assert await ended(client, "add", a=1, b=2) is RunStatus.COMPLETED
    refused = await client.call("add", {"a": 101, "b": 2})
    view = await client.wait(refused.id)
    assert view.status is RunStatus.FAILED
    assert view.failure is not None
    assert view.failure.reason == Code.POLICY_DENIED
    assert "sums above 100 are for people" in view.failure.message
    (told,) = [
        event.fact
        for event in (await client.events(refused.id)).events
        if event.kind == "policy_decided"
    ]
    assert (told.effect, told.rules, told.remedy, told.policy) == (  # type: ignore[union-attr]
        "deny",
        ("small",),
        "ask the desk",
        applied.version,
    )

    assert await client.policies.withdraw()
    assert await ended(client, "add", a=101, b=2) is RunStatus.COMPLETED


async def test_by_default_reading_is_allowed_and_the_rest_waits_for_a_person(
    client: Client, service: Service
) -> None:
    await client.policies.withdraw()
    assert await ended(client, "add", a=1, b=2) is RunStatus.COMPLETED
    run = await client.call("pay", {})
    async with asyncio.timeout(5):
        while not (await client.get(run.id)).waiting_for:
            pass
    (waiting,) = (await client.get(run.id)).waiting_for
    assert waiting.on == "human"
    await client.cancel(run.id)


async def test_versions_are_shown_listed_and_put_into_force_again(client: Client) -> None:
    first = await client.policies.apply(SMALL)
    assert first.files == tuple(SMALL)
    reads = PolicyFile(
        "reads.cedar",
        '@id("reads") permit(principal, action, resource) when { resource.read_only };',
    )
    second = await client.policies.apply([reads])

    listed = {policy.version: policy.in_force for policy in await client.policies.list()}
    assert (listed[first.version], listed[second.version]) == (False, True)
    again = await client.policies.apply(version=first.version)
    assert (again.version, again.created) == (first.version, False)
    with pytest.raises(NotFound) as missing:
        await client.policies.get("sha256:0")
    assert missing.value.code is Code.POLICY_NOT_FOUND
    with pytest.raises(InvalidRequest, match="either files or a version"):
        await client.policies.apply()


async def test_problems_have_their_place(client: Client) -> None:
    bad = [PolicyFile("bad.cedar", '@id("a") permit(principal, action == Action::"ad", resource);')]
    (problem,) = await client.policies.check(bad)
    assert (problem.file, problem.line, problem.column, problem.length) == ("bad.cedar", 1, 46, 4)
    assert problem.hint == "did you mean `add`?"
    assert problem.text == bad[0].text
    with pytest.raises(InvalidRequest) as refused:
        await client.policies.apply(bad)
    assert refused.value.code is Code.INVALID_POLICY


async def test_a_decision_is_explained_and_cases_are_tried(client: Client) -> None:
    found = await client.policies.explain("add", {"a": 101, "b": 1}, files=SMALL)
    assert (found.decision.effect, found.decision.rules) == ("deny", ("small",))
    assert [one.rules for one in found.passes] == [("small",)]
    assert set(found.naming) == {"small", "direct"}
    at = datetime(2026, 11, 26, 12, tzinfo=UTC)
    later = await client.policies.explain("flaky", {"n": 1}, files=SMALL, at=at)
    assert later.decision.retry_at == datetime(2026, 11, 26, 13, tzinfo=UTC)

    cases = "cases: [{ tool: add, arguments: { a: 1, b: 1 }, expect: deny, name: one }]"
    (case,) = await client.policies.test(cases, SMALL)
    assert (case.name, case.problem) == ("one", "expected deny, it is allow by direct")


async def test_what_somebody_sees_of_a_database_is_explained(
    client: Client, service: Service
) -> None:
    service.policies.databases = Shop()
    text = """@id("read") @columns("id, email") @mask("email: redact") @most_rows("5")
    @rows("tenant_id = principal.tenant")
    permit(principal in Group::"support", action in [Action::"db_read", Action::"db_update"],
           resource == Table::"shop.customers");"""
    files = [PolicyFile("data.cedar", text)]
    known = {"tenant": ["42"], "groups": ["support"]}
    found = await client.policies.explain_access(
        "shop", files=files, principal="agent:x", attributes=known
    )
    assert (found.open, found.most_rows) == (False, 1000)
    customers, orders = found.tables
    assert customers == TableExplained(
        name="customers",
        readable=True,
        columns=("id", "email"),
        masks={"email": "redact"},
        rows='("tenant_id" = 42)',
        changes=(ChangeReach("update", ("id",), '("tenant_id" = 42)'),),
        most_rows=5,
        rules=("read",),
        notes=(),
        on_trial="",
    )
    assert (orders.name, orders.readable) == ("orders", False)
    without = await client.policies.explain_access("shop", files=files, groups=["support"])
    assert without.tables[0].notes
    assert (await client.policies.explain_access("shop")).open
    with pytest.raises(StepwellError) as error:
        await client.policies.explain_access("shpo")
    assert error.value.code is Code.DATASOURCE_NOT_FOUND


class Shop:
    """A shop whose tables are known."""

    async def known(self, namespace: str, wanted: Collection[str]) -> Known:
        """Just it."""
        return Known({"shop": shop()})


async def test_the_schema_has_an_action_for_every_tool(client: Client) -> None:
    text = await client.policies.schema()
    for name in ("add", "pay", "db_query"):
        assert f'action "{name}" appliesTo' in text or f"action {name} appliesTo" in text


async def test_what_was_done_is_simulated(client: Client) -> None:
    await client.policies.apply(SMALL)
    for a in (1, 99, 100):
        await ended(client, "add", a=a, b=0)
    stricter = [PolicyFile("s.cedar", SMALL[0].text.replace("> 100", "> 98"))]
    found = [one async for one in client.policies.simulate(stricter)][-1]
    assert (found.done, found.calls, dict(found.rules)) == (True, 3, {"small": 2})
    assert {one.tool for one in found.changed} == {"add"}
    assert found.changed[0].decision.reason == "sums above 100 are for people"


async def test_an_agent_sees_and_changes_nothing(address: str, client: Client) -> None:
    async with Client(address) as agent:
        for asked in (
            agent.policies.apply(SMALL),
            agent.policies.get(),
            agent.policies.list(),
            agent.policies.schema(),
            agent.policies.explain("add"),
            agent.policies.withdraw(),
        ):
            with pytest.raises(Denied, match="agent:local"):
                await asked
        with pytest.raises(Denied):
            await anext(agent.policies.simulate(SMALL))
