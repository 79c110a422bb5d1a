"""Held calls, from the decision of policy to the answer of a person and the one call after it."""

import asyncio
from datetime import timedelta

import msgspec
import pytest
from msgspec.structs import replace
from tests.unit.orchestrator.governed import (
    ALLOW,
    ANN,
    BOB,
    BOT,
    CODE,
    DENY,
    EVE,
    HOLD,
    WRONG,
    Governed,
    until_approved,
)
from tests.unit.orchestrator.rig import on_virtual_time, until, until_async

from stepwell.engine.events import PolicyDecided, ToolCall, ToolCallStarted
from stepwell.engine.values import Data
from stepwell.errors import Code, Denied, FailedPrecondition, InvalidRequest, NotFound
from stepwell.orchestrator.service import Service
from stepwell.orchestrator.views import Approval, Run, RunStatus, stuck
from stepwell.policy.port import Action, Decision, Facts, Terms
from stepwell.policy.read import read_policy
from stepwell.policy.ruleset import RuleSet
from stepwell.policy.source import PolicyFile
from stepwell.tools.port import ToolFailed

SOON = timedelta(seconds=5)
HOUR = 3_600_000_000
HOURS = timedelta(hours=3)


async def hold(service: Service, amount: int = 5) -> tuple[Run, Approval]:
    """A direct call by an agent that policy holds."""
    run = await service.call_tool(BOT, "pay", {"sum": amount})
    await until_async(lambda: _status(service, run.id), RunStatus.WAITING)
    [approval] = (await service.approvals.list(BOB)).approvals
    return await service.get_run(BOT, run.id), approval


async def _status(service: Service, run: str) -> RunStatus:
    return (await service.get_run(BOT, run)).status


async def approve(service: Service, approval: Approval) -> Approval:
    return await service.approvals.decide(BOB, approval.id, verdict="approve", proof=CODE)


# --- what is shown ------------------------------------------------------------------------


@on_virtual_time
async def test_a_held_call_is_in_the_list_with_all_but_its_arguments() -> None:
    rig = Governed()
    async with rig.serving() as service:
        run, approval = await hold(service)
        assert approval == Approval(
            id=approval.subject[:20],
            run=run.id,
            step="call",
            tool="pay",
            principal="agent:local",
            rules=("big",),
            reason="more than 3",
            subject=approval.subject,
            policy="p1",
            requested_at=approval.requested_at,
            expires_at=approval.requested_at + 24 * HOUR,
        )
        shown = await service.approvals.get(BOB, approval.id)
        assert shown.arguments == Data(value={"sum": 5})
        assert len(approval.subject) == 64
        [waiting] = run.waiting
        assert (waiting.on, waiting.about, waiting.approval) == ("human", "call", approval.id)
        assert (waiting.rules, waiting.reason) == (("big",), "more than 3")
        assert rig.pay.calls == []


@on_virtual_time
async def test_who_waits_for_a_run_may_be_told_as_soon_as_it_is_held() -> None:
    rig = Governed()
    async with rig.serving() as service:
        begun = await service.call_tool(BOT, "pay", {"sum": 5})
        run = await service.wait_run(BOT, begun.id, HOURS, until=stuck)
        assert (run.status, run.waiting[0].on) == (RunStatus.WAITING, "human")
        [approval] = (await service.approvals.list(BOB)).approvals
        await approve(service, approval)
        ended = await service.wait_run(BOT, begun.id, HOURS, until=stuck)
        assert ended.status is RunStatus.COMPLETED


@on_virtual_time
async def test_a_run_of_another_is_not_there_for_who_asks_for_his_own() -> None:
    async with Governed().serving() as service:
        run = await service.call_tool(BOT, "look", {})
        assert (await service.get_run(BOT, run.id, is_own=True)).id == run.id
        with pytest.raises(NotFound) as foreign:
            await service.get_run(BOB, run.id, is_own=True)
        with pytest.raises(NotFound) as unknown:
            await service.get_run(BOB, run.id.replace("0", "1"), is_own=True)
        assert foreign.value.message == unknown.value.message.replace(
            run.id.replace("0", "1"), run.id
        )


@on_virtual_time
async def test_what_is_not_there_is_not_found() -> None:
    async with Governed().serving() as service:
        for ask in (
            service.approvals.get(BOB, "0" * 20),
            service.approvals.decide(BOB, "0" * 20, verdict="deny"),
        ):
            with pytest.raises(NotFound) as refused:
                await ask
            assert refused.value.code == Code.APPROVAL_NOT_FOUND


@on_virtual_time
async def test_the_list_has_pages() -> None:
    async with Governed().serving() as service:
        for amount in range(3):
            await service.call_tool(BOT, "pay", {"sum": amount})
        await asyncio.sleep(1)
        first = await service.approvals.list(BOB, page_size=2)
        rest = await service.approvals.list(BOB, page_size=2, page_token=first.next_token)
        assert [len(first.approvals), len(rest.approvals), rest.next_token] == [2, 1, ""]
        with pytest.raises(InvalidRequest):
            await service.approvals.list(BOB, status="", page_token=first.next_token)


# --- answers ------------------------------------------------------------------------------


@on_virtual_time
async def test_an_approved_call_is_made_once_and_the_log_says_who_approved_it() -> None:
    rig = Governed()
    async with rig.serving() as service:
        run, approval = await hold(service)
        answered = await approve(service, approval)
        assert (answered.status, answered.decided_by) == ("approved", "user:bob")
        ended = await service.wait_run(BOT, run.id, SOON)
        assert (ended.status, ended.output) == (RunStatus.COMPLETED, Data(value={"paid": 5}))
        assert [arguments for arguments, _ in rig.pay.calls] == [{"sum": 5}]
        log = await rig.log(run.id)
        said = "allow: big; approved by user:bob"
        assert [it.decision for it in log if isinstance(it, ToolCallStarted | ToolCall)] == [
            said
        ] * 2
        assert rig.factors.subjects == [approval.subject]
        assert (await service.approvals.list(BOB)).approvals == ()


@on_virtual_time
async def test_a_denied_call_is_not_made_and_needs_no_factor() -> None:
    rig = Governed()
    async with rig.serving() as service:
        run, approval = await hold(service)
        await service.approvals.decide(EVE, approval.id, verdict="deny", reason="too much")
        ended = await service.wait_run(BOT, run.id, SOON)
        assert ended.failure is not None
        assert (ended.failure.reason, ended.failure.message) == (
            "APPROVAL_DENIED",
            "user:eve said no: too much",
        )
        shown = await service.approvals.get(BOB, approval.id)
        assert (shown.status, shown.decision_reason) == ("denied", "too much")
        assert rig.pay.calls == []


@on_virtual_time
async def test_only_who_may_and_has_the_factor_approves() -> None:
    rig = Governed()
    async with rig.serving() as service:
        _, approval = await hold(service)
        for caller, proof, code in (
            (BOT, CODE, Code.POLICY_DENIED),
            (BOB, None, Code.FACTOR_REQUIRED),
            (EVE, CODE, Code.FACTOR_REQUIRED),
            (BOB, WRONG, Code.FACTOR_WRONG),
        ):
            with pytest.raises(Denied) as refused:
                await service.approvals.decide(caller, approval.id, verdict="approve", proof=proof)
            assert refused.value.code == code
        assert rig.pay.calls == []


@on_virtual_time
async def test_who_asked_does_not_approve_unless_the_rule_says_so() -> None:
    rig = Governed()
    graph = await rig.put_graph("{ workflow: one, nodes: [{ id: pay, tool: pay }] }")
    async with rig.serving() as service:
        for approver in ("other", "caller"):
            terms = Terms(approver=approver)
            held = replace(HOLD, terms=terms)
            rig.policy.says = lambda action, held=held: ALLOW if action.approved else held  # type: ignore[misc]
            await service.start_run(ANN, graph.name, {})
            await asyncio.sleep(1)
        listed = (await service.approvals.list(ANN)).approvals
        by = {it.approver: it for it in listed}
        with pytest.raises(Denied, match="somebody else has to approve"):
            await service.approvals.decide(ANN, by["other"].id, verdict="approve", proof=CODE)
        await service.approvals.decide(ANN, by["caller"].id, verdict="approve", proof=CODE)
        await until(lambda: len(rig.pay.calls) == 1)


@on_virtual_time
async def test_a_rule_may_name_who_answers() -> None:
    rig = Governed()
    held = replace(HOLD, terms=Terms(groups=("user:ann",)))
    rig.policy.says = lambda action: ALLOW if action.approved else held
    async with rig.serving() as service:
        _, approval = await hold(service)
        with pytest.raises(Denied, match="only user:ann may approve"):
            await approve(service, approval)
        await service.approvals.decide(ANN, approval.id, verdict="approve", proof=CODE)


@on_virtual_time
async def test_an_answer_to_something_else_is_refused() -> None:
    async with Governed().serving() as service:
        _, approval = await hold(service)
        with pytest.raises(FailedPrecondition, match="look at it again"):
            await service.approvals.decide(
                BOB, approval.id, verdict="approve", subject="0" * 64, proof=CODE
            )


@on_virtual_time
async def test_a_second_answer_is_refused_and_makes_no_second_call() -> None:
    rig = Governed()
    async with rig.serving() as service:
        run, approval = await hold(service)
        await approve(service, approval)
        with pytest.raises(FailedPrecondition, match="it was approved by user:bob"):
            await approve(service, approval)
        await service.wait_run(BOT, run.id, SOON)
        assert len(rig.pay.calls) == 1


@on_virtual_time
async def test_an_answer_is_in_the_audit_log_without_words_or_arguments() -> None:
    rig = Governed()
    async with rig.serving() as service:
        run, approval = await hold(service)
        await service.approvals.decide(
            BOB, approval.id, verdict="approve", reason="secret", proof=CODE
        )
        entries = await rig.storage.audit.read(ANN.namespace, after=0, limit=9)
        [entry] = [it for it in entries if it.action == "approval.approve"]
        assert (entry.principal, entry.resource) == (
            "user:bob",
            f"approval/{approval.id}",
        )
        assert msgspec.json.decode(entry.detail) == {
            "run": run.id,
            "step": "call",
            "about": "call",
            "subject": approval.subject,
        }


@on_virtual_time
async def test_of_two_answers_at_once_one_counts() -> None:
    rig = Governed()
    async with rig.serving() as service:
        run, approval = await hold(service)
        said = await asyncio.gather(
            approve(service, approval),
            service.approvals.decide(ANN, approval.id, verdict="approve", proof=CODE),
            return_exceptions=True,
        )
        assert [isinstance(it, FailedPrecondition) for it in said].count(True) == 1
        await service.wait_run(BOT, run.id, SOON)
        assert len(rig.pay.calls) == 1


@on_virtual_time
async def test_an_approval_does_not_fit_another_call() -> None:
    rig = Governed()
    async with rig.serving() as service:
        _, approval = await hold(service)
        other = await service.call_tool(BOT, "pay", {"sum": 500})
        await asyncio.sleep(1)
        await approve(service, approval)
        await asyncio.sleep(1)
        assert (await service.get_run(BOT, other.id)).status is RunStatus.WAITING
        assert [arguments for arguments, _ in rig.pay.calls] == [{"sum": 5}]


@on_virtual_time
async def test_a_held_call_is_not_answered_as_a_question_of_a_step() -> None:
    async with Governed().serving() as service:
        run, approval = await hold(service)
        with pytest.raises(FailedPrecondition, match=approval.id):
            await service.controls.resolve_step(BOB, run.id, "call", "approve", proof=CODE)


@on_virtual_time
async def test_once_anybody_has_a_factor_every_yes_takes_one() -> None:
    """Or a user whom a program has made before anybody enrolled would say it."""
    rig = Governed()
    graph = await rig.put_graph("{ workflow: ask, nodes: [{ id: ok, approval: Really? }] }")
    async with rig.serving() as service:
        run, _ = await service.start_run(ANN, graph.name, {})
        for caller in (ANN, EVE):
            with pytest.raises(Denied) as refused:
                await service.controls.resolve_step(caller, run.id, "ok", "approve")
            assert refused.value.code == Code.FACTOR_REQUIRED
        await service.controls.resolve_step(ANN, run.id, "ok", "approve", proof=CODE)
        assert (await service.wait_run(ANN, run.id, SOON)).status is RunStatus.COMPLETED


@on_virtual_time
async def test_an_approval_node_is_in_the_list_and_answered_from_there() -> None:
    rig = Governed()
    graph = await rig.put_graph("{ workflow: ask, nodes: [{ id: ok, approval: Really? }] }")
    async with rig.serving() as service:
        run, _ = await service.start_run(ANN, graph.name, {})
        [approval] = (await service.approvals.list(ANN)).approvals
        assert (approval.about, approval.step, approval.principal) == ("approval", "ok", "user:ann")
        assert (await service.approvals.get(ANN, approval.id)).message == Data(value="Really?")
        await service.approvals.decide(ANN, approval.id, verdict="approve", proof=CODE)
        assert (await service.wait_run(ANN, run.id, SOON)).status is RunStatus.COMPLETED


# --- decided on again ---------------------------------------------------------------------


@on_virtual_time
async def test_policy_is_asked_again_with_what_is_known_then() -> None:
    rig = Governed()
    async with rig.serving() as service:
        run, approval = await hold(service)
        before = rig.clock.now()
        await asyncio.sleep(60)
        await approve(service, approval)
        await service.wait_run(BOT, run.id, SOON)
        first, again = rig.policy.asked
        assert (first.approved, again.approved) == (False, True)
        assert again.spec is rig.pay.spec
        assert again.facts.at >= before + 60_000_000
        assert again.facts == Facts(
            at=again.facts.at,
            usage={"calls_run": 0, "tokens_run": 0, "usd_micros_run": 0, "rows_run": 0},
            approved_before=1,
        )


@on_virtual_time
async def test_policy_may_say_no_after_a_person_has_said_yes() -> None:
    rig = Governed()
    async with rig.serving() as service:
        run, approval = await hold(service)
        rig.policy.says = lambda action: DENY
        await approve(service, approval)
        ended = await service.wait_run(BOT, run.id, SOON)
        assert ended.failure is not None
        assert ended.failure.message == "the budget is spent; what would change it: raise it"
        assert rig.pay.calls == []


@on_virtual_time
async def test_a_tool_that_has_changed_is_asked_about_as_it_is_now() -> None:
    rig = Governed()
    async with rig.serving() as service:
        run, approval = await hold(service)
        rig.redefine(description="Pays twice.")
        await approve(service, approval)
        await until_async(lambda: _status(service, run.id), RunStatus.WAITING)
        [again] = (await service.approvals.list(BOB)).approvals
        assert again.id != approval.id
        assert rig.pay.calls == []
        await approve(service, again)
        await service.wait_run(BOT, run.id, SOON)
        assert len(rig.pay.calls) == 1


@on_virtual_time
async def test_a_policy_that_has_changed_is_asked_as_if_nobody_had_said_yes() -> None:
    rig = Governed()

    def other(action: Action) -> Decision:
        return replace(until_approved(action), policy="p2")

    async with rig.serving() as service:
        run, approval = await hold(service)
        rig.policy.says = other
        await approve(service, approval)
        await until_async(lambda: _status(service, run.id), RunStatus.WAITING)
        [again] = (await service.approvals.list(BOB)).approvals
        assert (again.policy, rig.pay.calls) == ("p2", [])
        rig.policy.says = lambda action: replace(ALLOW, policy="p3")
        await approve(service, again)
        await service.wait_run(BOT, run.id, SOON)
        assert len(rig.pay.calls) == 1


@on_virtual_time
async def test_an_approved_call_may_be_put_off_and_stays_approved() -> None:
    rig = Governed()
    async with rig.serving() as service:
        run, approval = await hold(service)
        late = rig.clock.now() + 60_000_000
        rig.policy.says = lambda action: (
            ALLOW
            if action.facts.at >= late and action.approved
            else Decision("throttle", ("rate",), "too fast", retry_at=late, policy="p1")
        )
        await approve(service, approval)
        await service.wait_run(BOT, run.id, SOON)
        assert rig.pay.calls == []
        await service.wait_run(BOT, run.id, timedelta(minutes=2))
        assert len(rig.pay.calls) == 1
        log = await rig.log(run.id)
        assert [it.effect for it in log if isinstance(it, PolicyDecided)] == [
            "require_approval",
            "throttle",
        ]


@on_virtual_time
async def test_an_approved_call_that_fails_is_asked_about_again_before_another_attempt() -> None:
    rig = Governed()
    source = (
        "{ workflow: one, nodes: [{ id: pay, tool: pay, retry: { max: 1 }, idempotent: true }] }"
    )
    graph = await rig.put_graph(source)
    async with rig.serving() as service:
        run, _ = await service.start_run(ANN, graph.name, {})
        await until_async(lambda: _status(service, run.id), RunStatus.WAITING)
        [approval] = (await service.approvals.list(BOB)).approvals
        rig.pay.fails = ToolFailed("busy")
        await approve(service, approval)
        await until(lambda: len(rig.policy.asked) == 3)
        await until_async(lambda: _status(service, run.id), RunStatus.WAITING)
        [again] = (await service.approvals.list(BOB)).approvals
        assert again.id != approval.id
        assert len(rig.pay.calls) == 1


# --- days, restarts, other processes ------------------------------------------------------


@on_virtual_time
async def test_an_approval_after_three_days_and_a_fail_over_still_makes_one_call() -> None:
    rig = Governed()
    held = replace(HOLD, terms=Terms(expires_us=7 * 24 * HOUR))
    rig.policy.says = lambda action: ALLOW if action.approved else held
    async with rig.serving("one", alone=False) as service:
        run, approval = await hold(service)
        await asyncio.sleep(60)
    await asyncio.sleep(3 * 24 * 3600)
    async with (
        rig.serving("two", alone=False) as service,
        rig.serving("three", alone=False) as third,
    ):
        await asyncio.sleep(60)
        assert (await approve(service, approval)).status == "approved"
        assert (await third.wait_run(BOT, run.id, SOON)).status is RunStatus.COMPLETED
        assert len(rig.pay.calls) == 1


@on_virtual_time
async def test_a_run_that_another_process_owns_is_told_by_letter() -> None:
    rig = Governed()
    async with rig.serving("one", alone=False) as service:
        run, approval = await hold(service)
        async with rig.serving("two", alone=False) as other:
            answered = await approve(other, approval)
            assert answered.status == "approved"
            with pytest.raises(FailedPrecondition):
                await approve(other, approval)
        await service.wait_run(BOT, run.id, SOON)
        assert len(rig.pay.calls) == 1


@on_virtual_time
async def test_a_run_at_rest_lets_its_question_expire() -> None:
    rig = Governed()
    rig.policy.says = lambda _: replace(HOLD, terms=Terms(expires_us=HOUR))
    async with rig.serving() as service:
        run, approval = await hold(service)
        await asyncio.sleep(2 * 3600)
        assert (await service.approvals.get(BOB, approval.id)).status == "expired"
        ended = await service.get_run(BOT, run.id)
        assert ended.failure is not None
        assert ended.failure.reason == "APPROVAL_EXPIRED"
        with pytest.raises(FailedPrecondition, match="it was expired"):
            await approve(service, approval)


@on_virtual_time
async def test_a_cancelled_run_withdraws_what_it_asks() -> None:
    rig = Governed()
    async with rig.serving() as service:
        run, approval = await hold(service)
        await service.controls.cancel_run(ANN, run.id)
        assert (await service.approvals.get(BOB, approval.id)).status == "withdrawn"
        with pytest.raises(FailedPrecondition, match="it was withdrawn"):
            await approve(service, approval)


@on_virtual_time
async def test_a_paused_run_takes_the_answer_and_makes_the_call_later() -> None:
    rig = Governed()
    async with rig.serving() as service:
        run, approval = await hold(service)
        await service.controls.pause_run(ANN, run.id)
        await approve(service, approval)
        await asyncio.sleep(10)
        assert rig.pay.calls == []
        await service.controls.resume_run(ANN, run.id)
        await service.wait_run(BOT, run.id, SOON)
        assert len(rig.pay.calls) == 1


@on_virtual_time
async def test_a_run_that_breaks_withdraws_what_it_asks() -> None:
    rig = Governed()
    async with rig.working() as worker:
        service = rig.service(worker)
        run, approval = await hold(service)
        rig.owned(worker, run.id)._break_off(RuntimeError("on purpose"), "a test")
        await service.wait_run(BOT, run.id, SOON)
        assert (await service.approvals.get(BOB, approval.id)).status == "withdrawn"


@on_virtual_time
async def test_a_fork_asks_for_itself() -> None:
    rig = Governed()
    graph = await rig.put_graph("{ workflow: one, nodes: [{ id: pay, tool: pay }] }")
    async with rig.serving() as service:
        run, _ = await service.start_run(BOT, graph.name, {})
        await until_async(lambda: _status(service, run.id), RunStatus.WAITING)
        [approval] = (await service.approvals.list(BOB)).approvals
        with pytest.raises(Denied) as refused:
            await service.controls.fork_run(ANN, run.id, "pay")
        assert refused.value.code == Code.FACTOR_REQUIRED
        fork, _ = await service.controls.fork_run(ANN, run.id, "pay", proof=CODE)
        await until_async(lambda: _status(service, fork.id), RunStatus.WAITING)
        await approve(service, approval)
        await service.wait_run(BOT, run.id, SOON)
        [other] = (await service.approvals.list(BOB)).approvals
        assert (other.run, other.principal) == (fork.id, "user:ann")
        assert len(rig.pay.calls) == 1


@on_virtual_time
async def test_what_is_allowed_costs_one_decision_and_no_event() -> None:
    rig = Governed()
    rig.policy.says = lambda action: ALLOW
    async with rig.serving() as service:
        run = await service.call_tool(BOT, "look", {})
        await service.wait_run(BOT, run.id, SOON)
        assert len(rig.policy.asked) == 1
        assert await rig.kinds(run.id) == [
            "run_started",
            "step_scheduled",
            "tool_call",
            "step_completed",
            "run_completed",
        ]
        assert (await service.approvals.list(BOB, status="")).approvals == ()


@on_virtual_time
async def test_labels_of_tools_that_answered_are_known_to_policy() -> None:
    rig = Governed()
    rig.look.spec = replace(rig.look.spec, labels=frozenset({"confidential"}))
    rig.policy.says = lambda action: ALLOW
    graph = await rig.put_graph(
        "{ workflow: two, nodes: [{ id: look, tool: look }, { id: pay, tool: pay, needs: [look] }] }"
    )
    async with rig.serving() as service:
        run, _ = await service.start_run(BOT, graph.name, {})
        await service.wait_run(BOT, run.id, SOON)
        assert [it.facts.labels for it in rig.policy.asked] == [
            frozenset(),
            frozenset({"confidential"}),
        ]
        assert rig.policy.asked[1].facts.usage["calls_run"] == 1


# --- with rules of Cedar ------------------------------------------------------------------

BIG = """
@id("work") permit(principal, action, resource);
@id("big") @effect("require_approval") @approver("other") @expires("PT1H") @reason("more than 3")
forbid(principal, action, resource) when { context.input has sum && context.input.sum > 3 && !context.approved };
"""
SPENT = """
@id("often") @reason("two calls are enough")
forbid(principal, action, resource) when { context.usage.calls_run >= 2 };
"""


def rules(text: str, version: str) -> RuleSet:
    """A policy as it would be applied."""
    reading = read_policy([PolicyFile("rules.cedar", text)])
    assert not reading.problems
    return RuleSet((rule for rule, _ in reading.rules), version=version)


@on_virtual_time
async def test_rules_hold_a_call_and_are_asked_again_before_it_is_made() -> None:
    rig = Governed()
    schema = {"type": "object", "properties": {"sum": {"type": "integer"}}}
    rig.redefine(input_schema=schema)
    rig.policy.says = rules(BIG, "v1").decide
    async with rig.serving() as service:
        small = await service.call_tool(BOT, "pay", {"sum": 3})
        assert (await service.wait_run(BOT, small.id, SOON)).status is RunStatus.COMPLETED
        run, approval = await hold(service)
        assert (approval.rules, approval.reason, approval.policy) == (("big",), "more than 3", "v1")
        assert approval.expires_at == approval.requested_at + HOUR
        await approve(service, approval)
        assert (await service.wait_run(BOT, run.id, SOON)).status is RunStatus.COMPLETED
        assert [it["sum"] for it, _ in rig.pay.calls] == [3, 5]


@on_virtual_time
async def test_rules_that_were_changed_meanwhile_want_another_yes_or_say_no() -> None:
    rig = Governed()
    schema = {"type": "object", "properties": {"sum": {"type": "integer"}}}
    rig.redefine(input_schema=schema)
    rig.policy.says = rules(BIG, "v1").decide
    async with rig.serving() as service:
        run, approval = await hold(service)
        rig.policy.says = rules(BIG + SPENT, "v2").decide
        await approve(service, approval)
        await until_async(lambda: _status(service, run.id), RunStatus.WAITING)
        [again] = (await service.approvals.list(BOB)).approvals
        assert (again.policy, rig.pay.calls) == ("v2", [])
        rig.policy.says = rules(BIG.replace("permit", "forbid") + SPENT, "v2").decide
        await approve(service, again)
        ended = await service.wait_run(BOT, run.id, SOON)
        assert ended.failure is not None
        assert (ended.failure.reason, rig.pay.calls) == ("POLICY_DENIED", [])


READS = "{ workflow: reads, nodes: [{ id: look, tool: look }], output: =look.output }"
PAYS = """
workflow: pays
input: { type: object }
nodes: [{ id: pay, tool: pay }]
"""
FAMILY = """
workflow: family
nodes:
  - { id: read, workflow: reads }
  - { id: pay, tool: pay, needs: [read] }
  - { id: below, workflow: pays, needs: [pay], with: { what: "=read.output" } }
"""


@on_virtual_time
async def test_what_a_child_has_read_is_known_to_its_parent_and_to_other_children() -> None:
    rig = Governed()
    rig.look.spec = replace(rig.look.spec, labels=frozenset({"confidential"}))
    rig.policy.says = lambda action: ALLOW
    for source in (READS, PAYS, FAMILY):
        await rig.put_graph(source)
    async with rig.serving() as service:
        run, _ = await service.start_run(BOT, "family", {})
        ended = await service.wait_run(BOT, run.id, timedelta(minutes=1))
        assert ended.status is RunStatus.COMPLETED, ended
        secret = frozenset({"confidential"})
        assert [(it.tool, it.facts.labels) for it in rig.policy.asked] == [
            ("look", frozenset()),
            ("pay", secret),
            ("pay", secret),
        ]
        assert [it.facts.usage["calls_run"] for it in rig.policy.asked] == [0, 0, 0]
