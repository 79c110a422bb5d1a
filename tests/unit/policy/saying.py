"""Policies and the calls that they are asked about, in few words."""

from typing import Any

from stepwell.engine.values import Json
from stepwell.policy.port import Action, Facts
from stepwell.policy.problems import PolicyProblem
from stepwell.policy.read import read_policy, type_problems
from stepwell.policy.ruleset import RuleSet
from stepwell.policy.source import PolicyFile
from stepwell.tools.port import ToolSpec

NOON = 1_795_694_400_000_000
"""Thursday, 2026-11-26 12:00 UTC."""

REFUND = ToolSpec(
    name="pay.refund",
    description="Gives money back.",
    input_schema={
        "type": "object",
        "required": ["amount"],
        "properties": {
            "amount": {"type": "integer"},
            "to": {"type": "string"},
            "fee": {"type": "number"},
            "speed": {"enum": ["slow", "fast"], "default": "slow"},
            "either": {"type": ["integer", "string"]},
        },
    },
)
POST = ToolSpec(
    name="chat.post",
    description="Posts a text.",
    input_schema={"type": "object", "properties": {"text": {"type": "string"}}},
)
LOOK = ToolSpec(
    name="db.look",
    description="Looks something up.",
    input_schema={"type": "object"},
    read_only=True,
)
TOOLS = (REFUND, POST, LOOK)


def policy(text: str) -> RuleSet:
    """The rules of a text that has no mistake."""
    reading = read_policy([PolicyFile("rules.cedar", text)])
    assert not reading.problems + type_problems(reading, TOOLS)
    return RuleSet((rule for rule, _ in reading.rules), version="v1")


def problems(text: str) -> tuple[PolicyProblem, ...]:
    """All that is wrong with a text."""
    reading = read_policy([PolicyFile("rules.cedar", text)])
    return reading.problems + type_problems(reading, TOOLS)


def call(
    tool: ToolSpec = REFUND,
    arguments: Json = None,
    *,
    principal: str = "agent:a",
    workflow: str = "flow",
    granted: bool = True,
    at: int = NOON,
    usage: dict[str, int] | None = None,
    labels: frozenset[str] = frozenset(),
    approved_before: int = 0,
    **other: Any,
) -> Action:
    """A call of a tool, of a workflow that lists it."""
    return Action(
        namespace="default",
        principal=principal,
        workflow=workflow,
        run="r",
        step="s",
        tool=tool.name,
        arguments={"amount": 5} if arguments is None else arguments,
        granted=frozenset({tool.name}) if granted else frozenset(),
        spec=tool,
        facts=Facts(at=at, usage=usage or {}, labels=labels, approved_before=approved_before),
        **other,
    )
