"""The workflows that Stepwell brings along.

`call` makes a direct call of one tool a run like any other: same journal, policy, budget,
idempotency and cancel. Its one node is given the tool's name with the arguments, and its
output is the tool's result.
"""

from typing import Any

from stepwell.definitions.version import version_of
from stepwell.engine.expressions import Expression, Template
from stepwell.engine.graph import Graph, ToolNode

CALL_DOCUMENT: dict[str, Any] = {
    "workflow": "call",
    "description": "Call one tool.",
    "input": {
        "type": "object",
        "required": ["tool", "arguments"],
        "properties": {
            "tool": {"type": "string", "minLength": 1},
            "arguments": {"type": "object"},
        },
        "additionalProperties": False,
    },
    "nodes": [{"id": "call", "tool": "=input.tool", "with": "=input"}],
    "output": "=call.output",
}
"""What `CALL` would look like in the authoring format, which refuses an expression as a tool."""

CALL = Graph(
    name="call",
    version=version_of(CALL_DOCUMENT),
    description=CALL_DOCUMENT["description"],
    input_schema=CALL_DOCUMENT["input"],
    nodes={
        "call": ToolNode(
            id="call",
            tool=Expression("input.tool", ("input",)),
            parameters=Template(Expression("input", ("input",))),
        )
    },
    dependents={"call": ()},
    output=Template(Expression("call.output", ("call",))),
)
"""The workflow of a direct tool call, compiled."""
