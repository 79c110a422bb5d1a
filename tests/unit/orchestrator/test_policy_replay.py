"""What a policy would have done with the calls of the log."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from tests.unit.orchestrator.rig import NAMESPACE, Rig, on_virtual_time
from tests.unit.orchestrator.test_service import ANN, SOON, serving
from tests.unit.policy.saying import policy

from stepwell.errors import Denied, InvalidRequest
from stepwell.orchestrator.approvals import NO_FACTORS
from stepwell.orchestrator.audit import Audit
from stepwell.orchestrator.policies import Policies
from stepwell.orchestrator.policy_replay import NO_RULE, PolicyReplay, Replay
from stepwell.orchestrator.service import Service
from stepwell.policy.book import PolicyBook
from stepwell.policy.ruleset import RuleSet
from stepwell.principals import Caller

TWICE = b"""
workflow: twice
nodes:
  - { id: first, tool: look, with: { q: a } }
  - { id: second, tool: look, with: { q: b }, needs: [first] }
"""
ONCE = '@id("once") forbid(principal, action, resource) when { context.usage.calls_run > 0 };'
NOBODY = '@id("other") permit(principal == User::"bob", action, resource);'


@asynccontextmanager
async def three_runs(rig: Rig, *, rules: RuleSet | None) -> AsyncIterator[PolicyReplay]:
    """Two runs that look twice and one that looks directly, and a replay with these rules."""
    book = PolicyBook()
    if rules is not None:
        book.put(NAMESPACE, rules)
    async with serving(rig) as service:
        await service.put_workflow(ANN, TWICE)
        for _ in range(2):
            run, _ = await service.start_run(ANN, "twice", {})
            for _ in range(2):
                (await rig.effects.next()).returns(1)
            await service.wait_run(ANN, run.id, SOON)
        direct = await service.call_tool(ANN, "look", {"q": "c"})
        (await rig.effects.next()).returns(1)
        await service.wait_run(ANN, direct.id, SOON)
        yield replay_of(rig, service, book)


def replay_of(rig: Rig, service: Service, book: PolicyBook) -> PolicyReplay:
    tools = service._tools
    policies = Policies(
        rig.storage,
        book=book,
        tools=tools,
        clock=rig.clock,
        factors=NO_FACTORS,
        audit=Audit(rig.storage, rig.clock),
    )
    return PolicyReplay(
        rig.storage, policies, journal=rig.journal, workflows=rig.workflows, tools=tools
    )


async def last(replays: AsyncIterator[Replay]) -> Replay:
    """The last of them, which is done."""
    found = [replay async for replay in replays]
    assert [one.is_done for one in found].count(True) == 1
    return found[-1]


@on_virtual_time
async def test_it_tells_what_would_have_been_blocked_and_by_which_rule() -> None:
    async with three_runs(Rig(), rules=policy(ONCE)) as replay:
        done = await last(replay.simulate(ANN))
    assert (done.calls, done.unknown, done.effects) == (5, 0, {"allow": 2, "deny": 3})
    assert done.rules == {"once": 2, NO_RULE: 1}
    assert [(one.step, one.tool, one.decision.rules) for one in done.changed] == [
        ("second", "look", ("once",)),
        ("second", "look", ("once",)),
        ("call", "look", ()),
    ]


@on_virtual_time
async def test_without_a_policy_the_defaults_are_replayed() -> None:
    async with three_runs(Rig(), rules=None) as replay:
        done = await last(replay.simulate(ANN))
    assert done.effects == {"allow": 4, "require_approval": 1}
    assert done.rules == {"default.hold": 1}


@on_virtual_time
async def test_it_reads_no_more_than_it_is_asked_to() -> None:
    rig = Rig()
    async with three_runs(rig, rules=policy(NOBODY)) as replay:
        few = await last(replay.simulate(ANN, events=1))
        none = await last(replay.simulate(ANN, since=rig.clock.now() + 1))
        nothing = await last(replay.simulate(Caller("elsewhere", "user:bob")))
        with pytest.raises(InvalidRequest, match="1 to 1000000 events"):
            await last(replay.simulate(ANN, events=0))
        with pytest.raises(Denied):
            await last(replay.simulate(Caller(NAMESPACE, "agent:a")))
    assert (few.of_events, few.calls) == (1, 0)
    assert (none.calls, none.is_done) == (0, True)
    assert nothing == Replay()


@on_virtual_time
async def test_calls_whose_run_or_tool_is_gone_are_counted_apart() -> None:
    rig = Rig()
    async with three_runs(rig, rules=policy(ONCE)) as replay:
        replay._tools._tools.clear()
        done = await last(replay.simulate(ANN))
    assert (done.calls, done.unknown) == (0, 5)
