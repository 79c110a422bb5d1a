"""A workflow version, compiled: what `decide` reads. Built by `stepwell.definitions` only.

A graph never changes. It is valid by construction: ids are unique, references point to
nodes that are there, there is no cycle, and every expression compiled.
"""

from collections.abc import Mapping
from typing import Any, TypeAlias

from msgspec import Struct, field

from stepwell.engine.expressions import Expression, Template

DEFAULT_TURNS = 20
DEFAULT_REPAIRS = 2


class Retry(Struct, frozen=True, kw_only=True):
    """How often a failed attempt is followed by another, and after how long.

    The n-th retry waits `initial * multiplier**(n-1)` microseconds, at most `ceiling`, of
    which a random half is taken off so that many do not return at once.
    """

    max: int = 0
    initial: int = 1_000_000
    multiplier: float = 2.0
    ceiling: int = 60_000_000


class Agent(Struct, frozen=True, kw_only=True):
    """Who asks a model, with which tools, until there is an answer.

    `output` is the JSON Schema of the answer; without it the answer is text.
    """

    name: str
    model: str
    instructions: str = ""
    tools: tuple[str, ...] = ()
    output: Mapping[str, Any] | None = None
    turns: int = DEFAULT_TURNS
    repairs: int = DEFAULT_REPAIRS


class NodeBase(Struct, frozen=True, kw_only=True):
    """What every node has. `needs` holds what `=` expressions refer to as well."""

    id: str
    needs: tuple[str, ...] = ()
    condition: Expression | None = None
    parameters: Template | None = None
    retry: Retry = Retry()
    timeout: int | None = None


class AgentNode(NodeBase, frozen=True):
    """Runs an agent; `with.message` is what it is asked."""

    agent: Agent


class ToolNode(NodeBase, frozen=True):
    """Calls one tool with `with` as its arguments.

    `tool` is a name, or an expression in the built-in workflow `call` only. `idempotent`
    None leaves it to what the tool says of itself.
    """

    tool: str | Expression
    idempotent: bool | None = None


class TransformNode(NodeBase, frozen=True):
    """Computes its output from `value`; no effect."""

    value: Template


class Case(Struct, frozen=True):
    """One way out of a switch; without a condition it is the default."""

    target: str
    condition: Expression | None = None


class SwitchNode(NodeBase, frozen=True):
    """Chooses the first case whose condition holds; the targets of the others are skipped.

    Its output is the chosen node's id, or null. A target needs the switch.
    """

    cases: tuple[Case, ...]


Node: TypeAlias = AgentNode | ToolNode | TransformNode | SwitchNode


class Graph(Struct, frozen=True, kw_only=True):
    """One version of a workflow."""

    name: str
    version: str
    nodes: Mapping[str, Node]
    """By id, every node after those that it needs."""
    dependents: Mapping[str, tuple[str, ...]]
    output: Template | None = None
    description: str = ""
    input_schema: Mapping[str, Any] = field(default_factory=dict)
    tools: frozenset[str] = frozenset()
    """Every tool that a node or an agent of it names."""
    published: bool = True
    """Whether MCP clients are offered it as a tool."""
