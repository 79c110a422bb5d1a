"""The index of a policy answers what Cedar would have answered, and never in its place."""

from hypothesis import given
from hypothesis import strategies as st
from tests.unit.policy.saying import LOOK, POST, REFUND, TOOLS, call, policy

from stepwell.policy import defaults
from stepwell.policy.port import Decision
from stepwell.policy.read import read_policy
from stepwell.policy.rules import Rule
from stepwell.policy.ruleset import Pass, RuleSet
from stepwell.policy.source import PolicyFile
from stepwell.tools.port import ToolSpec

SCOPES = st.sampled_from(
    (
        "principal, action, resource",
        'principal, action == Action::"pay.refund", resource',
        'principal, action in [Action::"chat.post", Action::"db.look"], resource',
        'principal, action, resource == Tool::"chat.post"',
        'principal is Agent, action == Action::"chat.post", resource',
        'principal == User::"ann", action, resource is Tool',
    )
)
CONDITIONS = st.sampled_from(
    (
        "",
        "when { resource.read_only }",
        "when { context.granted }",
        "unless { context.approved }",
        "when { context.usage.calls_run > 3 }",
        'when { context.labels.contains("secret") }',
        "when { context.input has text || context.direct }",
    )
)
EFFECTS = st.sampled_from(
    (
        "permit",
        "forbid",
        '@effect("require_approval") forbid',
        '@effect("throttle") forbid',
        '@mode("log_only") forbid',
    )
)


@st.composite
def texts(draw: st.DrawFn) -> str:
    """A policy of a few rules."""
    count = draw(st.integers(0, 5))
    return "\n".join(
        _rule(f"r{number}", draw(EFFECTS), draw(SCOPES), draw(CONDITIONS))
        for number in range(count)
    )


def _rule(id: str, effect: str, scope: str, condition: str) -> str:
    annotations, _, word = effect.rpartition(" ")
    return f'@id("{id}") {annotations} {word}({scope}) {condition};'


class Unindexed(RuleSet):
    """Asks Cedar about every action, with every rule."""

    def naming(self, tool: str) -> tuple[Rule, ...]:
        return self.rules


@given(
    text=texts(),
    tool=st.sampled_from(TOOLS),
    principal=st.sampled_from(("user:ann", "agent:a", "service:s")),
    granted=st.booleans(),
    approved=st.booleans(),
    direct=st.booleans(),
    calls=st.integers(0, 6),
    secret=st.booleans(),
)
def test_the_index_decides_as_cedar_does(
    text: str,
    tool: ToolSpec,
    principal: str,
    granted: bool,
    approved: bool,
    direct: bool,
    calls: int,
    secret: bool,
) -> None:
    reading = read_policy([PolicyFile("rules.cedar", text)])
    rules = RuleSet((rule for rule, _ in reading.rules), version="v1")
    action = call(
        tool,
        {"amount": 5} if tool is REFUND else {},
        principal=principal,
        workflow="call" if direct else "flow",
        granted=granted,
        approved=approved,
        usage={"calls_run": calls},
        labels=frozenset({"secret"} if secret else ()),
    )
    indexed, passes = rules.decide(action), list[Pass]()
    assert _said(indexed) == _said(Unindexed(rules.rules, version="v1").decide(action, passes))


def _said(decision: Decision) -> tuple[object, ...]:
    # Of a call that is allowed anyway, Cedar also names the permits beside the grant.
    rules = () if decision.effect == "allow" else decision.rules
    return decision.effect, rules, decision.reason, decision.retry_at, decision.terms


@given(
    tool=st.sampled_from((POST, LOOK, REFUND)),
    direct=st.booleans(),
    approved=st.booleans(),
)
def test_the_defaults_are_what_their_text_says(
    tool: ToolSpec, direct: bool, approved: bool
) -> None:
    action = call(tool, workflow="call" if direct else "flow", approved=approved)
    written, built_in = policy(defaults.TEXT).decide(action), defaults.decide(action)
    assert written.effect == built_in.effect
    assert written.terms == built_in.terms
