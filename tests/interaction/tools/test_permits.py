"""Whose runs a workflow's list of tools permits: who can put a workflow has not permitted anything."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import pytest
from tests.interaction.tools.conftest import Open, until
from tests.interaction.web.conftest import Codes

from stepwell.engine.values import Json
from stepwell.errors import Code, Denied, NotFound
from stepwell.orchestrator.approvals import Proof
from stepwell.orchestrator.schedule_rules import ScheduleSpec
from stepwell.orchestrator.service import Service
from stepwell.orchestrator.views import Run, RunStatus
from stepwell.policy.source import PolicyFile
from stepwell.principals import DEFAULT_NAMESPACE, LOCAL_AGENT, LOCAL_USER, Caller

pytestmark = pytest.mark.anyio

WRITE = b"""
workflow: write
input: { type: object, properties: { text: { type: string } } }
nodes: [{ id: write, tool: write_note, with: { text: "=input.text" } }]
"""
READ = b"{ workflow: read, nodes: [{ id: read, tool: readNote }] }"
PARENT = b"""
workflow: parent
nodes: [{ id: below, workflow: write, with: { text: "from below" } }]
"""
GOLD: Json = {"text": "buy gold"}
MALLORY = Caller(DEFAULT_NAMESPACE, "user:mallory", "key")


async def ends(service: Service, run: Run, status: RunStatus) -> Run:
    async def is_so() -> bool:
        view = await service.get_run(LOCAL_USER, run.id)
        return view.status is status or view.status.ended

    await until(is_so)
    view = await service.get_run(LOCAL_USER, run.id)
    assert view.status is status, view
    return view


async def started(service: Service, caller: Caller, workflow: str, given: Json = None) -> Run:
    run, _ = await service.start_run(caller, workflow, {} if given is None else given)
    return run


async def is_held(service: Service, run: Run) -> None:
    """A person is asked about the call of a run; it is not made."""

    async def is_asked() -> bool:
        page = await service.approvals.list(LOCAL_USER)
        return any(one.run == run.id and one.tool == "write_note" for one in page.approvals)

    await until(is_asked)
    assert (await service.get_run(LOCAL_USER, run.id)).status is RunStatus.WAITING


async def test_an_agents_own_workflow_permits_nothing(opened: Open, shop: Path) -> None:
    async with opened(holds=True) as service:
        await service.put_workflow(LOCAL_AGENT, WRITE)
        await is_held(service, await started(service, LOCAL_AGENT, "write", GOLD))
        await is_held(service, await started(service, LOCAL_USER, "write", GOLD))
        await service.put_workflow(LOCAL_AGENT, READ)
        await ends(service, await started(service, LOCAL_AGENT, "read"), RunStatus.COMPLETED)
    assert (shop / "note").read_text() == "buy milk"


async def test_a_users_workflow_permits_the_runs_that_he_starts_and_no_others(
    opened: Open, shop: Path
) -> None:
    async with opened(holds=True) as service:
        await service.put_workflow(LOCAL_USER, WRITE)
        await is_held(service, await started(service, LOCAL_AGENT, "write", {"text": "mine"}))
        assert (shop / "note").read_text() == "buy milk"
        own = await started(service, LOCAL_USER, "write", GOLD)
        await ends(service, own, RunStatus.COMPLETED)
    assert (shop / "note").read_text() == "buy gold"


async def test_a_schedule_of_a_user_goes_on_without_him(opened: Open, shop: Path) -> None:
    async with opened(holds=True) as service:
        await service.put_workflow(LOCAL_USER, WRITE)
        spec = ScheduleSpec(cron="0 3 * * *", workflow="write", input=GOLD)
        await service.schedules.put_schedule(LOCAL_USER, "nightly", spec)
        run, _ = await service.schedules.trigger_schedule(LOCAL_USER, "nightly")
        await ends(service, run, RunStatus.COMPLETED)
    assert (shop / "note").read_text() == "buy gold"


async def test_an_agents_version_of_a_users_workflow_is_held_in_his_runs(
    opened: Open, shop: Path
) -> None:
    changed = WRITE.replace(b'"=input.text"', b"\"=input.text + ', and send it to me'\"")
    async with opened(holds=True) as service:
        await service.put_workflow(LOCAL_USER, WRITE)
        await service.put_workflow(LOCAL_USER, PARENT)
        await service.put_workflow(LOCAL_AGENT, changed)
        await is_held(service, await started(service, LOCAL_USER, "write", GOLD))
        above = await started(service, LOCAL_USER, "parent")

        async def is_asked_below() -> bool:
            page = await service.approvals.list(LOCAL_USER)
            return len(page.approvals) == 2

        await until(is_asked_below)
        assert not (await service.get_run(LOCAL_USER, above.id)).status.ended
    assert (shop / "note").read_text() == "buy milk"


async def test_a_user_who_puts_what_an_agent_has_put_permits_it(opened: Open, shop: Path) -> None:
    async with opened(holds=True) as service:
        await service.put_workflow(LOCAL_AGENT, WRITE)
        mine, created = await service.put_workflow(LOCAL_USER, WRITE)
        assert (mine.principal, created) == ("user:local", False)
        again, _ = await service.put_workflow(LOCAL_AGENT, WRITE)
        assert again.principal == "user:local"
        own = await started(service, LOCAL_USER, "write", GOLD)
        await ends(service, own, RunStatus.COMPLETED)


async def test_a_policy_that_permits_direct_calls_alone_permits_no_agents_workflow(
    opened: Open, shop: Path
) -> None:
    direct = '@id("d") permit(principal, action, resource) when { context.direct };'
    async with opened(holds=True) as service:
        await service.policies.apply(LOCAL_USER, [PolicyFile("direct.cedar", direct)])
        await service.put_workflow(LOCAL_AGENT, WRITE)
        run = await ends(
            service, await started(service, LOCAL_AGENT, "write", GOLD), RunStatus.FAILED
        )
        assert run.failure is not None
        assert run.failure.reason == "POLICY_DENIED"
    assert (shop / "note").read_text() == "buy milk"


async def test_a_rule_for_a_users_workflow_is_none_for_an_agents_of_the_same_name(
    opened: Open, shop: Path
) -> None:
    rule = """
        @id("write") permit(principal, action, resource)
        when { context.workflow == "write" && context.author == "user:local" };
    """
    async with opened(holds=True) as service:
        await service.policies.apply(LOCAL_USER, [PolicyFile("write.cedar", rule)])
        await service.put_workflow(LOCAL_AGENT, WRITE.replace(b"input.text", b"'mine'"))
        theirs = await started(service, LOCAL_AGENT, "write", GOLD)
        await ends(service, theirs, RunStatus.FAILED)
        await service.put_workflow(LOCAL_USER, WRITE)
        his = await started(service, LOCAL_AGENT, "write", GOLD)
        await ends(service, his, RunStatus.COMPLETED)
    assert (shop / "note").read_text() == "buy gold"


async def test_what_permits_takes_a_factor_once_anybody_has_one(opened: Open, shop: Path) -> None:
    """An agent with a shell reads the owner's token, and would put a workflow as `user:local`."""
    async with opened(holds=True) as service:
        codes = await Codes(service, LOCAL_USER).enrol()
        for caller in (LOCAL_USER, MALLORY):
            with pytest.raises(Denied) as refused:
                await service.put_workflow(caller, WRITE)
            assert refused.value.code is Code.FACTOR_REQUIRED
        with pytest.raises(NotFound):
            await service.get_workflow(LOCAL_USER, "write")

        await service.put_workflow(LOCAL_USER, READ)
        shown = Proof(kind="totp", value=codes.next())
        await service.put_workflow(LOCAL_USER, WRITE, proof=shown)
        await service.put_workflow(LOCAL_USER, WRITE)
        own = await started(service, LOCAL_USER, "write", GOLD)
        await ends(service, own, RunStatus.COMPLETED)
    assert (shop / "note").read_text() == "buy gold"


Change = Callable[[Service, Caller], Awaitable[object]]

CHANGES: dict[str, Change] = {
    "a policy": lambda service, who: service.policies.apply(
        who, [PolicyFile("all.cedar", '@id("all") permit(principal, action, resource);')]
    ),
    "no policy": lambda service, who: service.policies.withdraw(who),
    "a budget": lambda service, who: service.budgets.set_budget(
        who, "namespace/day", {"calls": 1_000}
    ),
    "no budget": lambda service, who: service.budgets.remove_budget(who, "namespace/day", "calls"),
    "a key": lambda service, who: service.api_keys.create(who, "user:ann"),
    "a schedule": lambda service, who: service.schedules.put_schedule(
        who, "nightly", ScheduleSpec(cron="0 3 * * *", workflow="write", input=GOLD)
    ),
    "a factor": lambda service, who: service.factors.offer_totp(who),
}


@pytest.mark.parametrize("what", CHANGES)
async def test_a_user_who_was_made_before_anybody_enrolled_changes_no_limit(
    opened: Open, what: str
) -> None:
    """An agent with a shell may make itself a key in the minute before its owner enrols."""
    async with opened(holds=True) as service:
        _, token = await service.api_keys.create(LOCAL_USER, "user:mallory")
        mallory = await service.api_keys.identify(token)
        await Codes(service, LOCAL_USER).enrol()
        with pytest.raises(Denied):
            await CHANGES[what](service, mallory)


async def test_a_run_that_was_held_is_not_forked_without_a_factor(opened: Open, shop: Path) -> None:
    ask = b"""
workflow: ask
nodes:
  - { id: ok, approval: Write it down? }
  - { id: write, tool: write_note, needs: [ok], with: { text: buy milk } }
"""
    async with opened(holds=True) as service:
        await service.put_workflow(LOCAL_USER, ask)
        run = await started(service, LOCAL_USER, "ask")
        await service.controls.resolve_step(LOCAL_USER, run.id, "ok", "approve")
        assert (await service.wait_run(LOCAL_USER, run.id, timedelta(seconds=10))).status.ended
        codes = await Codes(service, LOCAL_USER).enrol()
        fork = service.controls.fork_run
        with pytest.raises(Denied) as refused:
            await fork(LOCAL_USER, run.id, "write", input=GOLD)
        assert refused.value.code is Code.FACTOR_REQUIRED
        assert (shop / "note").read_text() == "buy milk"
        shown = Proof(kind="totp", value=codes.next())
        forked, _ = await fork(LOCAL_USER, run.id, "write", input=GOLD, proof=shown)
        await ends(service, forked, RunStatus.COMPLETED)
    assert (shop / "note").read_text() == "buy gold"
