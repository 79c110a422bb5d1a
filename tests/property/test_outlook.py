"""What is not offered could not have been called: no argument, fact or person would have let it pass."""

import itertools
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.policy.saying import LOOK, NOON, POST, REFUND, TOOLS, call, policy

from stepwell.engine.values import Json
from stepwell.policy.port import Action
from stepwell.policy.read import read_policy
from stepwell.policy.ruleset import RuleSet
from stepwell.policy.source import PolicyFile
from stepwell.tools.port import ToolSpec

HOUR = 3_600_000_000

SCOPES = st.sampled_from(
    (
        "principal, action, resource",
        'principal, action == Action::"pay.refund", resource',
        'principal, action in [Action::"chat.post", Action::"db.look"], resource',
        'principal, action, resource == Tool::"chat.post"',
        'principal is Agent, action == Action::"chat.post", resource',
        'principal == User::"ann", action, resource is Tool',
        'principal in Group::"staff", action, resource',
    )
)
PARTS = st.sampled_from(
    (
        "resource.read_only",
        "resource.open_world",
        "context.granted",
        "!context.granted",
        "context.direct",
        'context.workflow == "call"',
        'context.workflow == "other"',
        "context.approved",
        "context.approved_before > 0",
        "context.usage.calls_run > 3",
        "context.time.hour < 13",
        'context.labels.contains("secret")',
        "context has input && context.direct == !context.granted",
        "context.input has text",
        'context.input has text && context.input.text like "a*"',
        'principal == Agent::"a"',
        'principal in Group::"staff"',
        'action == Action::"db.look"',
        'resource == Tool::"chat.post"',
        "(if context.granted then context.approved else resource.destructive)",
    )
)
JOINS = st.sampled_from((" && ", " || "))
WORDS = st.sampled_from(("when", "unless"))
EFFECTS = st.sampled_from(
    (
        "permit",
        "forbid",
        '@effect("require_approval") forbid',
        '@effect("throttle") forbid',
        '@mode("log_only") forbid',
        '@mode("log_only") permit',
    )
)


@st.composite
def conditions(draw: st.DrawFn) -> str:
    """No condition, or some, of one part or more."""
    said = []
    for _ in range(draw(st.integers(0, 2))):
        parts = draw(st.lists(PARTS, min_size=1, max_size=3))
        said.append(f"{draw(WORDS)} {{ {draw(JOINS).join(f'({part})' for part in parts)} }}")
    return " ".join(said)


@st.composite
def policies(draw: st.DrawFn) -> RuleSet:
    """A policy of a few rules."""
    rules = ['@id("any") permit(principal, action, resource);'] * draw(st.booleans())
    rules += [
        _rule(f"r{number}", draw(EFFECTS), draw(SCOPES), draw(conditions()))
        for number in range(draw(st.integers(0, 5)))
    ]
    reading = read_policy([PolicyFile("rules.cedar", "\n".join(rules))])
    assert not reading.problems
    return RuleSet((rule for rule, _ in reading.rules), version="v1")


def _rule(id: str, effect: str, scope: str, condition: str) -> str:
    annotations, _, word = effect.rpartition(" ")
    return f'@id("{id}") {annotations} {word}({scope}) {condition};'


@given(
    rules=policies(),
    tool=st.sampled_from(TOOLS),
    principal=st.sampled_from(("user:ann", "agent:a", "service:s")),
    groups=st.sampled_from((frozenset[str](), frozenset({"staff"}))),
)
def test_a_tool_that_is_not_offered_would_be_denied(
    rules: RuleSet, tool: ToolSpec, principal: str, groups: frozenset[str]
) -> None:
    if rules.could_allow(principal, groups, tool):
        return
    for action in calls_of(tool, principal, groups):
        assert rules.decide(action).effect == "deny"


def calls_of(tool: ToolSpec, principal: str, groups: frozenset[str]) -> Iterator[Action]:
    """Direct calls of a tool with whatever rules here look at, each as it may be."""
    texts = (None, "a", "b") if tool is POST else (None,)
    secrets = (frozenset[str](), frozenset({"secret"}))
    for approved, calls, labels, at, before, text, listed in itertools.product(
        (False, True), (0, 6), secrets, (NOON, NOON + 3 * HOUR), (0, 1), texts, (False, True)
    ):
        arguments: dict[str, Json] = {"amount": 5} if tool is REFUND else {}
        if text is not None:
            arguments["text"] = text
        yield call(
            tool,
            arguments,
            principal=principal,
            workflow="call",
            granted=listed,
            approved=approved,
            at=at,
            usage={"calls_run": calls},
            labels=labels,
            groups=groups,
            approved_before=before,
        )


@pytest.mark.parametrize(
    ("rule", "hidden"),
    [
        ("permit(principal, action, resource);", set()),
        ('permit(principal, action == Action::"db.look", resource);', {"pay.refund", "chat.post"}),
        ('permit(principal == User::"ann", action, resource);', {"pay.refund", "chat.post", "db.look"}),
        ("permit(principal, action, resource) when { resource.read_only };", {"pay.refund", "chat.post"}),
        ("permit(principal, action, resource) when { context.granted };", {"pay.refund", "chat.post", "db.look"}),
        ("permit(principal, action, resource) when { context.usage.calls_run < 3 };", set()),
        (
            "permit(principal, action, resource) when { context.approved && resource.read_only };",
            {"pay.refund", "chat.post"},
        ),
    ],
)  # fmt: skip
def test_what_no_rule_permits_is_not_offered(rule: str, hidden: set[str]) -> None:
    rules = policy(f'@id("one") {rule}')
    assert rules.never_allowed("agent:a", frozenset(), TOOLS) == hidden


@pytest.mark.parametrize(
    ("rule", "hidden"),
    [
        ("forbid(principal, action, resource) when { !resource.read_only };", {"pay.refund", "chat.post"}),
        ('forbid(principal is Agent, action == Action::"chat.post", resource);', {"chat.post"}),
        ('forbid(principal is User, action == Action::"chat.post", resource);', set()),
        ('forbid(principal, action == Action::"pay.refund", resource) when { context.input.amount > 5 };', set()),
        ("forbid(principal, action, resource) unless { context.approved };", set()),
        ("forbid(principal, action, resource) when { context.direct };", {"pay.refund", "chat.post", "db.look"}),
        ('@effect("require_approval") forbid(principal, action, resource);', set()),
        ('@effect("throttle") forbid(principal, action, resource);', set()),
        ('@mode("log_only") forbid(principal, action, resource);', set()),
    ],
)  # fmt: skip
def test_what_a_rule_forbids_whatever_is_asked_is_not_offered(rule: str, hidden: set[str]) -> None:
    rules = policy(f'@id("any") permit(principal, action, resource);\n@id("one") {rule}')
    assert rules.never_allowed("agent:a", frozenset(), TOOLS) == hidden


def test_a_member_of_a_group_is_offered_what_the_group_may_call() -> None:
    rules = policy('@id("one") permit(principal in Group::"staff", action, resource);')
    assert rules.could_allow("user:ann", frozenset({"staff"}), LOOK)
    assert not rules.could_allow("user:ann", frozenset(), LOOK)


def test_who_asks_is_looked_at_anew_each_time() -> None:
    rules = policy('@id("one") permit(principal == User::"ann", action, resource);')
    offered = {who: rules.could_allow(who, frozenset(), LOOK) for who in ("user:ann", "user:bob")}
    assert offered == {"user:ann": True, "user:bob": False}


def test_nothing_is_hidden_where_the_policy_cannot_be_read() -> None:
    assert RuleSet((), is_closed=True).never_allowed("agent:a", frozenset(), TOOLS) == frozenset()
