"""The authoring format: which keys there are, what each may hold, and what it means.

This table, of which `node_format` and `step_format` are parts, is the only list of keys. The
validator reads documents by it, and the JSON Schema for editors is made of it
(`stepwell.definitions.schema`). What no table can say (names that must exist, expressions,
cycles) is checked in `stepwell.definitions.compile`.
"""

from stepwell.definitions.containers import Key, ListOf, MapOf, Record
from stepwell.definitions.dollars import Dollars
from stepwell.definitions.json_schemas import JsonSchema
from stepwell.definitions.node_format import MAX_NODES, NODE
from stepwell.definitions.shapes import Anything, Flag, Number, Text
from stepwell.definitions.vocabulary import (
    AGENT_NAME,
    MODEL_NAME,
    QUEUE_NAME,
    TOOL_NAME,
    WORKFLOW_NAME,
)

MOST = 2**53
"""Of anything: every editor can hold it."""

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

_BUDGET = Record(
    "`limits` of a workflow",
    {
        "usd": Key(Dollars(), "Dollars for its models, as text: `0.50`."),
        "tokens": Key(Number(0, MOST), "Tokens that its models read and write."),
        "calls": Key(Number(0, MOST), "Calls of models and tools."),
        "rows": Key(Number(0, MOST), "Rows of datasources."),
    },
    example='limits: { usd: "0.50" }',
)

_AGENT = Record(
    "an agent",
    {
        "model": Key(
            MODEL_NAME, "The model class, or provider:model, that is asked.", required=True
        ),
        "instructions": Key(
            Text("text"),
            "What the model is always told. Literal: what changes belongs into `with.message`.",
        ),
        "tools": Key(
            ListOf(TOOL_NAME, most=256, unique=True), "The tools that the model may call."
        ),
        "output": Key(
            JsonSchema(), "The JSON Schema of the answer; without it the answer is text."
        ),
        "limits": Key(_LIMITS, "Bounds of one execution."),
    },
)

WORKFLOW = Record(
    "a workflow",
    {
        "workflow": Key(WORKFLOW_NAME, "The name of the workflow.", required=True),
        "description": Key(
            Text("text"), "What the workflow is for; callers, models among them, read it."
        ),
        "publish": Key(
            Flag(), "Whether MCP clients are offered the workflow as a tool (true unless said)."
        ),
        "queue": Key(QUEUE_NAME, "Each run begins when it has a place in this queue."),
        "limits": Key(
            _BUDGET,
            "What a run, with all runs below it, may spend; it is paused before it would spend more.",
        ),
        "input": Key(
            JsonSchema(of_object=True),
            "The JSON Schema of the input; a workflow without it takes none.",
        ),
        "agents": Key(MapOf(_AGENT, key=AGENT_NAME), "The agents of agent nodes, by name."),
        "nodes": Key(
            ListOf(NODE, least=1, most=MAX_NODES),
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
