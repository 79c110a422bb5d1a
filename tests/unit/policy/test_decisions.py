"""What becomes of a call: the two passes, and what whoever asked is told."""

import json
from typing import Any

import pytest
from cedarpy import _internal as cedar
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.unit.policy.saying import LOOK, NOON, POST, REFUND, call, policy

from stepwell.policy.port import Action, Decision, Terms
from stepwell.policy.ruleset import Pass
from stepwell.policy.schema import TIME, USAGE, schema_json
from stepwell.policy.shapes import input_shape
from stepwell.policy.values import seen

BIG = """
@id("big") @effect("require_approval") @group("finance") @expires("PT12H") @reason("over 500")
forbid(principal, action == Action::"pay.refund", resource)
when { context.input.amount > 500 };
"""
BUDGET = """
@id("budget") @reason("the run has spent its share")
forbid(principal, action, resource) when { context.usage.usd_micros_run >= 2000000 };
"""
RATE = """
@id("rate") @effect("throttle") @retry("30s") @reason("not so fast")
forbid(principal, action, resource) when { context.usage.calls_day > 100 };
"""
SPENT = {"usd_micros_run": 2_000_000}
OFTEN = {"calls_day": 101}


def test_what_a_workflow_lists_is_allowed_where_no_rule_forbids() -> None:
    allowed = Decision("allow", ("tools",), policy="v1")
    assert policy(BIG).decide(call()) == allowed
    assert policy(BIG).decide(call(POST, {})) == allowed


def test_what_nobody_permits_is_denied_and_told_what_would() -> None:
    assert policy(BIG).decide(call(granted=False)) == Decision(
        "deny",
        (),
        "no rule allows pay.refund here",
        'a rule that permits it: permit(principal, action == Action::"pay.refund", resource)',
        policy="v1",
    )


def test_a_permit_allows_what_no_workflow_lists() -> None:
    rules = policy('@id("ops") permit(principal in Group::"ops", action, resource);')
    assert rules.decide(call(granted=False)).effect == "deny"
    decision = rules.decide(call(granted=False, groups=frozenset({"ops"})))
    assert decision == Decision("allow", ("ops",), policy="v1")


def test_what_a_rule_wants_approved_is_held_on_its_terms() -> None:
    assert policy(BIG).decide(call(arguments={"amount": 501})) == Decision(
        "require_approval",
        ("big",),
        "over 500",
        "a person's approval; it has been asked for",
        terms=Terms(expires_us=12 * 3_600_000_000, groups=("finance",)),
        policy="v1",
    )


def counted_questions(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The contexts that Cedar is asked with from now on."""
    asked: list[str] = []
    ask = cedar.is_authorized_batch

    def told(requests: list[dict[str, Any]], *rest: Any) -> list[str]:
        asked.extend(request["context"] for request in requests)
        return ask(requests, *rest)

    monkeypatch.setattr(cedar, "is_authorized_batch", told)
    return asked


def test_cedar_is_not_asked_the_very_same_again(monkeypatch: pytest.MonkeyPatch) -> None:
    rules, asked = policy(BIG), counted_questions(monkeypatch)
    first, again = (rules.decide(call(arguments={"amount": 501})) for _ in range(2))
    assert first == again
    assert first.effect == "require_approval"
    assert len(asked) == 2  # the two passes of the first
    assert rules.decide(call(arguments={"amount": 500})).effect == "allow"
    assert len(asked) == 3


@pytest.mark.parametrize(
    "other",
    [
        call(granted=False),
        call(principal="agent:b"),
        call(groups=frozenset({"ops"})),
        call(approved=True),
        call(usage=SPENT),
        call(arguments={"amount": 2}),
        call(replace(REFUND, labels=frozenset({"money"}))),
    ],
)
def test_what_rules_can_tell_apart_is_asked_apart(
    monkeypatch: pytest.MonkeyPatch, other: Action
) -> None:
    rules = policy(
        """
        @id("all") forbid(principal, action == Action::"pay.refund", resource) when {
            context.input.amount == 0 && context.approved && context.usage.usd_micros_run == 7 };
        @id("seen") forbid(principal in Group::"nobody", action == Action::"pay.refund", resource)
        when { resource.labels.contains("secret") };
        """
    )
    asked = counted_questions(monkeypatch)
    rules.decide(call())
    before = len(asked)
    rules.decide(other)
    assert len(asked) > before


def test_two_rules_that_ask_hold_on_the_strictest_terms() -> None:
    rules = policy(
        BIG + '@id("all") @effect("require_approval") @approver("caller") @group("ops") '
        "forbid(principal, action, resource);"
    )
    decision = rules.decide(call(arguments={"amount": 501}))
    assert decision.rules == ("all", "big")
    assert decision.terms == Terms(
        expires_us=12 * 3_600_000_000, groups=("finance", "ops"), approver="other"
    )
    assert rules.decide(call()).terms == Terms(groups=("ops",), approver="caller")


def test_nobody_is_asked_about_what_would_be_refused_anyway() -> None:
    passes: list[Pass] = []
    decision = policy(BIG + BUDGET).decide(call(arguments={"amount": 501}, usage=SPENT), passes)
    assert decision == Decision(
        "deny",
        ("budget",),
        "the run has spent its share",
        "less use in this run or today",
        policy="v1",
    )
    ungranted = call(arguments={"amount": 501}, granted=False)
    assert policy(BIG).decide(ungranted).reason == "no rule allows pay.refund here"


def test_the_second_pass_gives_its_own_reasons() -> None:
    rules = policy(
        BIG + '@id("never") @reason("not even with a signature") '
        'forbid(principal, action == Action::"pay.refund", resource) '
        "when { context.approved && context.input.amount > 9000 };"
    )
    passes: list[Pass] = []
    decision = rules.decide(call(arguments={"amount": 9001}), passes)
    assert (decision.effect, decision.rules) == ("deny", ("never",))
    assert passes == [
        Pass(approved=False, is_allowed=False, rules=("big",)),
        Pass(approved=True, is_allowed=False, rules=("never",)),
    ]


def test_an_approved_call_is_decided_again_with_fresh_facts() -> None:
    rules = policy(BIG + BUDGET)
    big = {"amount": 501}
    assert rules.decide(call(arguments=big, approved=True)).effect == "allow"
    assert rules.decide(call(arguments=big, approved=True, usage=SPENT)).rules == ("budget",)


def test_an_approval_answers_only_the_rules_that_asked() -> None:
    rules = policy(
        BIG + '@id("late") @effect("require_approval") forbid(principal, action, resource) '
        "when { context.usage.calls_run > 10 };"
    )
    approved: dict[str, Any] = {"approved": True, "approved_rules": ("big",)}
    assert rules.decide(call(arguments={"amount": 501}, **approved)).effect == "allow"
    again = rules.decide(call(arguments={"amount": 501}, usage={"calls_run": 11}, **approved))
    assert (again.effect, again.rules) == ("require_approval", ("late",))


def test_a_rule_may_put_off_and_says_until_when() -> None:
    assert policy(RATE).decide(call(usage=OFTEN)) == Decision(
        "throttle",
        ("rate",),
        "not so fast",
        "time: it is tried again",
        retry_at=NOON + 30_000_000,
        policy="v1",
    )


def test_what_must_wait_and_be_approved_waits_first() -> None:
    both = call(arguments={"amount": 501}, usage=OFTEN)
    assert policy(BIG + RATE).decide(both).effect == "throttle"
    assert policy(BIG + RATE + BUDGET).decide(
        call(arguments={"amount": 501}, usage=OFTEN | SPENT)
    ).rules == ("budget",)


def test_a_forbid_that_cannot_be_applied_refuses() -> None:
    rules = policy(
        '@id("sum") forbid(principal, action == Action::"pay.refund", resource) '
        "when { context.input.amount * 1000000000000 > 5000000000000000 };"
    )
    assert rules.decide(call(arguments={"amount": 3})).effect == "allow"
    decision = rules.decide(call(arguments={"amount": 10**15}))
    assert (decision.effect, decision.rules) == ("deny", ("sum",))
    assert decision.reason == "the rule sum cannot be applied to these arguments"


def test_an_argument_that_rules_cannot_read_is_no_way_past_them() -> None:
    rules = policy(BIG)
    decision = rules.decide(call(arguments={"amount": 2**64}))
    assert decision == Decision(
        "deny",
        ("big",),
        "the rules for pay.refund look at its arguments and cannot read amount: rules can weigh whole "
        "numbers of 64 bits, this one is larger",
        "other arguments",
        policy="v1",
    )
    # What no rule looks at may be anything.
    assert rules.decide(call(arguments={"amount": 5, "fee": 1e-9})).effect == "allow"


def test_a_default_is_no_way_past_a_rule() -> None:
    rules = policy(
        '@id("slow") forbid(principal, action == Action::"pay.refund", resource) '
        'when { context.input.speed == "slow" };'
    )
    assert rules.decide(call(arguments={"amount": 5})).rules == ("slow",)
    assert rules.decide(call(arguments={"amount": 5, "speed": "fast"})).effect == "allow"


def test_text_that_is_no_text_is_denied_and_not_an_error() -> None:
    rules = policy(
        '@id("to") forbid(principal, action == Action::"pay.refund", resource) '
        'when { context.input has to && context.input.to like "*evil*" };'
    )
    assert rules.decide(call(arguments={"amount": 5, "to": "\ud800"})).effect == "deny"
    assert rules.decide(call(arguments={"amount": 5, "to": 'a"\n\\ü€😀'})).effect == "allow"


def test_an_argument_cannot_become_something_else_on_its_way_to_cedar() -> None:
    rules = policy(
        '@id("to") forbid(principal, action == Action::"pay.refund", resource) '
        'when { context.input has to && context.input.to != "ann" };'
    )
    entity = {"__entity": {"type": "User", "id": "ann"}}
    assert rules.decide(call(arguments={"amount": 5, "to": entity})).effect == "deny"


@pytest.mark.parametrize(
    ("condition", "remedy"),
    [
        ('context.input.amount > 5 && context.input.fee.lessThan(decimal("1.0"))', "amount, fee"),
        ("context.time.hour > 11", "another time"),
        ('context.labels.contains("secret")', "a run that has read less"),
        ('context.workflow == "flow"', "another workflow"),
        ("true", "another policy; these rules always forbid it"),
    ],
)
def test_the_remedy_tells_what_a_rule_looks_at_and_no_more(condition: str, remedy: str) -> None:
    rules = policy(
        '@id("a") forbid(principal, action == Action::"pay.refund", resource) '
        f"when {{ context.input has fee && {condition} }};"
        if "fee" in condition
        else '@id("a") forbid(principal, action == Action::"pay.refund", resource) '
        f"when {{ {condition} }};"
    )
    decision = rules.decide(call(arguments={"amount": 6, "fee": 0.5}, labels=frozenset({"secret"})))
    assert decision.effect == "deny"
    assert decision.remedy.endswith(remedy)
    assert "secret" not in decision.reason + decision.remedy


def test_an_author_may_say_what_would_help() -> None:
    rules = policy('@id("a") @remedy("ask the front desk") forbid(principal, action, resource);')
    assert rules.decide(call()).remedy == "ask the front desk"


def test_a_rule_on_trial_is_noted_and_not_followed() -> None:
    rules = policy(
        '@id("new") @mode("log_only") forbid(principal, action == Action::"pay.refund", resource) '
        "when { context.input.amount > 100 };"
    )
    assert rules.decide(call()) == Decision("allow", ("tools",), policy="v1")
    assert rules.decide(call(arguments={"amount": 101})) == Decision(
        "allow", ("tools",), policy="v1", log_only="deny: new"
    )


def test_principals_have_their_type_and_tools_their_attributes() -> None:
    rules = policy(
        '@id("agents") forbid(principal is Agent, action, resource) when { resource.destructive };'
        '@id("ann") forbid(principal == User::"ann", action, resource) when { resource.read_only };'
    )
    assert rules.decide(call(POST, {})).rules == ("agents",)
    assert rules.decide(call(LOOK, {})).effect == "allow"
    assert rules.decide(call(POST, {}, principal="user:ann")).effect == "allow"
    assert rules.decide(call(LOOK, {}, principal="user:ann")).rules == ("ann",)
    assert rules.decide(call(POST, {}, principal="service:x")).effect == "allow"


def test_a_tool_that_has_changed_is_decided_by_what_it_is_now() -> None:
    rules = policy('@id("w") forbid(principal, action, resource) when { !resource.read_only };')
    assert rules.decide(call(POST, {})).effect == "deny"
    changed = type(POST)(name="chat.post", description="", input_schema={}, read_only=True)
    assert rules.decide(call(changed, {})).effect == "allow"


def test_rules_are_found_by_the_tools_that_they_name() -> None:
    rules = policy(
        '@id("one") forbid(principal, action == Action::"pay.refund", resource);'
        '@id("two") forbid(principal, action in [Action::"pay.refund", Action::"chat.post"], resource);'
        '@id("tool") forbid(principal, action, resource == Tool::"chat.post");'
        '@id("all") permit(principal, action, resource);'
    )
    named = {
        tool.name: {rule.id for rule in rules.naming(tool.name)} for tool in (REFUND, POST, LOOK)
    }
    assert named == {
        "pay.refund": {"one", "two", "all"},
        "chat.post": {"two", "tool", "all"},
        "db.look": {"all"},
    }


@pytest.mark.parametrize(
    "answer",
    [
        '{"decision":"NoDecision","diagnostics":{"errors":["failed to build request"]}}',
        '{"decision":"Allow","diagnostics":{"reason":[],"errors":["nobody knows this"]}}',
        "no json",
    ],
)
def test_no_answer_is_a_denial_and_logged_as_our_defect(
    answer: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    rules = policy(BIG)
    monkeypatch.setattr(cedar, "is_authorized_batch", lambda *_: [answer])
    assert rules.decide(call()) == Decision(
        "deny",
        ("internal",),
        "the policy could not be asked; that is a defect of Stepwell, and it is logged",
        policy="v1",
    )
    assert [record.levelname for record in caplog.records][-1] == "ERROR"


@given(
    amount=st.integers(-(2**63), 2**63 - 1),
    to=st.none() | st.text(),
    fee=st.none() | st.decimals(-(10**9), 10**9, places=4).map(float),
)
def test_what_rules_see_fits_the_schema_that_they_are_checked_against(
    amount: int, to: str | None, fee: float | None
) -> None:
    arguments = {"amount": amount, "to": to, "fee": fee}
    shape = input_shape(REFUND.input_schema)
    context = {
        "approved": False,
        "approved_before": 0,
        "author": "user:ann",
        "direct": False,
        "granted": True,
        "input": seen(shape, arguments),
        "labels": [],
        "time": dict.fromkeys(TIME, 1),
        "usage": dict.fromkeys(USAGE, 0),
        "workflow": "flow",
    }
    (answer,) = cedar.is_authorized_batch(
        [
            {
                "principal": {"type": "User", "id": "ann"},
                "action": {"type": "Action", "id": REFUND.name},
                "resource": {"type": "Tool", "id": REFUND.name},
                "context": json.dumps(context),
            }
        ],
        "permit(principal, action, resource);",
        "[]",
        schema_json({REFUND.name: shape}),
    )
    assert json.loads(answer)["decision"] == "Allow", answer
