"""The authoring format: which keys there are, what each may hold, and what it means.

This table is the only list of keys. The validator reads documents by it, and the JSON Schema
for editors is made of it (`stepwell.definitions.schema`). What no table can say (names that
must exist, expressions, cycles) is checked in `stepwell.definitions.compile`.
"""

from stepwell.definitions.containers import Key, Kinds, ListOf, MapOf, Record
from stepwell.definitions.json_schemas import JsonSchema
from stepwell.definitions.shapes import Anything, Condition, Flag, Number, Text
from stepwell.definitions.times import Duration

MAX_NODES = 1000

KINDS_TO_COME = frozenset(
    {"llm", "map", "loop", "workflow", "wait", "signal", "approval", "memory"}
)

RESERVED_IDS = frozenset(
    # what every expression sees besides the nodes
    {"input", "run"}
    # the reserved words of CEL
    | {"as", "break", "const", "continue", "else", "false", "for", "function", "if", "import"}
    | {"in", "let", "loop", "namespace", "null", "package", "return", "true", "var", "void"}
    | {"while"}
    # its types, and the roots of its own functions
    | {"bool", "bytes", "double", "dyn", "int", "list", "map", "null_type", "string", "type"}
    | {"uint", "cel", "google", "math", "optional", "strings"}
)

BUILT_IN = frozenset({"call"})
"""Workflows that Stepwell brings along; see `stepwell.definitions.builtin`."""

_NAME_RULE = "small letters, digits, _ and -, a letter first, at most 63"
_WORKFLOW_NAME = Text(f"a name: {_NAME_RULE}", pattern="^[a-z][a-z0-9_-]{0,62}$", reserved=BUILT_IN)
_AGENT_NAME = Text(f"the name of an agent: {_NAME_RULE}", pattern="^[a-z][a-z0-9_-]{0,62}$")
_TOOL_NAME = Text(
    "the name of a tool: letters, digits, _ . - and /, at most 128",
    pattern="^[A-Za-z0-9_./-]{1,128}$",
)
_ID = Text(
    "an id: small letters, digits and _, a letter first, at most 63",
    pattern="^[a-z][a-z0-9_]{0,62}$",
    reserved=RESERVED_IDS,
)
_NODE_ID = Text("the id of a node", pattern="^[a-z][a-z0-9_]{0,62}$")

_LIMITS = Record(
    "`limits`",
    {
        "turns": Key(
            Number(1, 1000),
            "How often the model may be asked before the step fails (20 unless said).",
        ),
        "repairs": Key(
            Number(0, 20),
            "How often an answer that does not fit `output` is given back (2 unless said).",
        ),
    },
    example="limits: { turns: 8 }",
)

_AGENT = Record(
    "an agent",
    {
        "model": Key(
            Text("the name of a model or a model class", pattern=r"^[^=\s]\S{0,255}$"),
            "The model class, or provider:model, that is asked.",
            required=True,
        ),
        "instructions": Key(
            Text("text"),
            "What the model is always told. Literal: what changes belongs into `with.message`.",
        ),
        "tools": Key(
            ListOf(_TOOL_NAME, most=256, unique=True), "The tools that the model may call."
        ),
        "output": Key(
            JsonSchema(), "The JSON Schema of the answer; without it the answer is text."
        ),
        "limits": Key(_LIMITS, "Bounds of one execution."),
    },
)

_RETRY = Record(
    "`retry`",
    {
        "max": Key(
            Number(0, 100),
            "How often the step is tried again after its first attempt.",
            required=True,
        ),
        "initial": Key(Duration(), "The wait before the first retry (1s unless said)."),
        "multiplier": Key(
            Number(1, 100, fractions=True),
            "By what the wait grows from retry to retry (2 unless said).",
        ),
        "ceiling": Key(Duration(), "The longest wait between two attempts (60s unless said)."),
    },
    example="retry: { max: 3 }",
)

_CASE = Kinds(
    "a case",
    {
        "then": Record(
            "a case with `then`",
            {
                "if": Key(Condition(), "When this is true the case is chosen.", required=True),
                "then": Key(_NODE_ID, "The node that runs then.", required=True),
            },
        ),
        "else": Record(
            "a case with `else`",
            {"else": Key(_NODE_ID, "The node that runs when no case is chosen.", required=True)},
        ),
    },
)

_COMMON = {
    "id": Key(
        _ID, "The name of the node; expressions see its output as `id.output`.", required=True
    ),
    "if": Key(Condition(), "When this is false the node is skipped and its output is null."),
    "needs": Key(
        ListOf(_NODE_ID, most=MAX_NODES, unique=True),
        "Nodes that must end first, besides those that expressions refer to.",
    ),
}
_EFFECT = {
    "retry": Key(_RETRY, "How a failed attempt is tried again."),
    "timeout": Key(Duration(), "How long one attempt may take."),
}

_NODE = Kinds(
    "a node",
    {
        "agent": Record(
            "an agent node",
            _COMMON
            | {
                "agent": Key(_AGENT_NAME, "Runs this agent of `agents`.", required=True),
                "with": Key(
                    MapOf(Anything()),
                    "`message` is what the agent is asked. Every other key is bound: an argument "
                    "of that name is filled in at the agent's tools, and hidden from the model.",
                    required=True,
                ),
            }
            | _EFFECT,
        ),
        "tool": Record(
            "a tool node",
            _COMMON
            | {
                "tool": Key(_TOOL_NAME, "Calls this tool.", required=True),
                "with": Key(MapOf(Anything()), "The arguments of the tool."),
            }
            | _EFFECT
            | {
                "idempotent": Key(
                    Flag(),
                    "Whether a call may be made again when its outcome is not known; what the "
                    "tool says of itself unless said.",
                ),
            },
        ),
        "transform": Record(
            "a transform node",
            _COMMON
            | {
                "transform": Key(
                    Anything(), "The output: any value, with expressions in it.", required=True
                )
            },
        ),
        "switch": Record(
            "a switch node",
            _COMMON
            | {
                "switch": Key(
                    ListOf(_CASE, least=1, most=MAX_NODES),
                    "The first case whose `if` is true is chosen, the nodes of the others are "
                    "skipped.",
                    required=True,
                )
            },
        ),
    },
    KINDS_TO_COME,
)

WORKFLOW = Record(
    "a workflow",
    {
        "workflow": Key(_WORKFLOW_NAME, "The name of the workflow.", required=True),
        "description": Key(
            Text("text"), "What the workflow is for; callers, models among them, read it."
        ),
        "publish": Key(
            Flag(), "Whether MCP clients are offered the workflow as a tool (true unless said)."
        ),
        "input": Key(
            JsonSchema(of_object=True),
            "The JSON Schema of the input; a workflow without it takes none.",
        ),
        "agents": Key(MapOf(_AGENT, key=_AGENT_NAME), "The agents of agent nodes, by name."),
        "nodes": Key(
            ListOf(_NODE, least=1, most=MAX_NODES),
            "The nodes. One starts when every node that it needs has ended.",
            required=True,
        ),
        "output": Key(
            Anything(),
            "The output of the run: any value, with expressions in it. Without it, a map of the "
            "outputs of the nodes on which no other node depends.",
        ),
    },
)
