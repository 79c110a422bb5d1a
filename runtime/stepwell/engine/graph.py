"""A workflow version, compiled: what `decide` reads. Built by `stepwell.definitions` only.

A graph never changes. It is valid by construction: ids are unique, references point to
nodes that are there, there is no cycle, and every expression compiled.
"""

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from msgspec import Struct, field

from stepwell.engine.expressions import Expression, Template

DEFAULT_TURNS = 20
DEFAULT_REPAIRS = 2
DEFAULT_CONCURRENCY = 100
"""Items of a map that are in flight at a time."""

MAX_ITEMS = 100_000
"""Items that one map may have."""

FAIL: Final = "fail"
"""`on_error`: a step that fails fails its run."""

CONTINUE: Final = "continue"
"""`on_error`: the run goes on as if the step had ended with null."""


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
    """What every node has. `needs` holds what `=` expressions refer to as well.

    `on_error` is FAIL, CONTINUE, or the id of the node that takes over when this one fails; that
    one needs this one, and is skipped otherwise. `queue` names the queue in which each step of the
    node needs a place. `compensate` undoes a step that ended well when the run fails later: a tool
    node whose expressions see the output of the step as `output`.
    """

    id: str
    needs: tuple[str, ...] = ()
    condition: Expression | None = None
    parameters: Template | None = None
    retry: Retry = Retry()
    timeout: int | None = None
    on_error: str = FAIL
    queue: str = ""
    compensate: "ToolNode | None" = None


class AgentNode(NodeBase, frozen=True):
    """Runs an agent; `with.message` is what it is asked.

    An `llm` node is one too: its agent has no tools and one turn.
    """

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


class WorkflowNode(NodeBase, frozen=True):
    """Runs another workflow with `with` as its input, cancelled when this run ends before it.

    `version` "" is the newest at the time.
    """

    workflow: str
    version: str = ""


class WaitNode(NodeBase, frozen=True):
    """Waits: for a length of time, or until a point in time (exactly one of the two is set).

    `length` gives seconds or a duration (`90s`, `2h`), `until` gives an RFC 3339 time.
    """

    length: Template | None = None
    until: Template | None = None


class SignalNode(NodeBase, frozen=True):
    """Waits for a message of this name; its output is the payload.

    Messages that came before are kept, in their order, and each is taken by one step.
    """

    signal: str


class ApprovalNode(NodeBase, frozen=True):
    """Waits for a person, who is shown `message`.

    Approved, the output is {approved, by, reason, value}; denied, the step fails.
    """

    message: Template


LeafNode: TypeAlias = AgentNode | ToolNode | WorkflowNode | WaitNode | SignalNode | ApprovalNode
"""What may be repeated: the body of a map or a loop."""


class MapNode(NodeBase, frozen=True):
    """Makes a step of `body` for every item of a list; its output is the list of their outputs.

    The expressions of the body see `item` and `index` (from 0). At most `concurrency` of its
    steps are in flight. `on_error` CONTINUE of the body puts null in the place of what failed.
    """

    items: Template
    body: LeafNode
    concurrency: int = DEFAULT_CONCURRENCY


class LoopNode(NodeBase, frozen=True):
    """Repeats `body` while a condition holds, at most `max` times; its output is the last one.

    Condition and body see `index` (from 0) and `last`, the output of the time before (null at
    first). The condition is looked at before each time.
    """

    again: Expression
    body: LeafNode
    max: int


Node: TypeAlias = LeafNode | TransformNode | SwitchNode | MapNode | LoopNode


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
    signals: frozenset[str] = frozenset()
    """Every message that a step of it may wait for."""
    published: bool = True
    """Whether MCP clients are offered it as a tool."""
    author: str = ""
    """The user who put this version, "" where it was none: its list of tools permits their calls
    in the runs that he starts."""
    queue: str = ""
    """The queue in which each run needs a place before it begins."""
    limits: dict[str, int] = {}
    """What each run may spend, by unit (`engine.budgets`)."""


UNDO: Final = ".undo"
"""What the id of a step ends with that undoes another."""


def spec_of(graph: Graph, node: str, step: str) -> Node:
    """By what a step is executed: its node, the body of that, or what undoes either."""
    spec = graph.nodes[node]
    if step == node:
        return spec
    if isinstance(spec, MapNode | LoopNode):
        spec = spec.body
    if not step.endswith(UNDO):
        return spec
    assert spec.compensate is not None, f"{step} undoes what cannot be undone"
    return spec.compensate
