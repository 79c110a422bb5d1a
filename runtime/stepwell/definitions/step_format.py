"""The part of the authoring format that says what a step does.

Each of `LEAVES` is a node by itself, and may be the `do` of a map or a loop.
"""

from collections.abc import Mapping

from stepwell.definitions.containers import Key, Kinds, MapOf, Record, Shared
from stepwell.definitions.json_schemas import JsonSchema
from stepwell.definitions.shapes import (
    Anything,
    Flag,
    Number,
    OneOf,
    OrExpression,
    Something,
    Text,
)
from stepwell.definitions.times import Duration, Instant, Wait
from stepwell.definitions.vocabulary import (
    AGENT_NAME,
    CHILD_NAME,
    MODEL_NAME,
    QUEUE_NAME,
    SIGNAL_NAME,
    TOOL_NAME,
    WORKFLOW_VERSION,
)
from stepwell.engine.graph import CONTINUE, FAIL

LONGEST_WAIT = 3650
"""Days."""

# --- what several kinds have ----------------------------------------------------------------

RETRY = Shared(
    "retry",
    Record(
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
    ),
)

_TRIES = {
    "retry": Key(RETRY, "How a failed attempt is tried again."),
    "timeout": Key(Duration(), "How long one attempt may take."),
}
_CALL = {
    "tool": Key(TOOL_NAME, "Calls this tool.", required=True),
    "with": Key(MapOf(Anything()), "The arguments of the tool."),
}
_IDEMPOTENT = {
    "idempotent": Key(
        Flag(),
        "Whether a call may be made again when its outcome is not known; what the tool says of "
        "itself unless said.",
    ),
}

COMPENSATE = Shared(
    "compensate",
    Record(
        "`compensate`",
        _CALL
        | {
            "retry": Key(RETRY, "How a failed attempt is tried again (three times unless said)."),
            "timeout": _TRIES["timeout"],
        }
        | _IDEMPOTENT,
        example='compensate: { tool: refund, with: { id: "=output.id" } }',
    ),
)

_EFFECT = _TRIES | {
    "queue": Key(QUEUE_NAME, "Each step begins when it has a place in this queue."),
    "compensate": Key(
        COMPENSATE,
        "The call that undoes the step when the run fails later; its expressions see what the "
        "step gave as `output`.",
    ),
}

# --- what a step can do ---------------------------------------------------------------------

_LENGTH = Duration(days=LONGEST_WAIT)
_WAIT = Wait(
    _LENGTH,
    Kinds(
        "`wait`",
        {
            "for": Record(
                "`wait` with `for`",
                {
                    "for": Key(
                        OrExpression(_LENGTH),
                        "A duration; an expression may also give seconds.",
                        required=True,
                    )
                },
            ),
            "until": Record(
                "`wait` with `until`",
                {
                    "until": Key(
                        OrExpression(Instant()),
                        "A point in time, as RFC 3339 writes it.",
                        required=True,
                    )
                },
            ),
        },
    ),
)

LEAVES: Mapping[str, Mapping[str, Key]] = {
    "agent": {
        "agent": Key(AGENT_NAME, "Runs this agent of `agents`.", required=True),
        "with": Key(
            MapOf(Anything()),
            "`message` is what the agent is asked. Every other key is bound: an argument "
            "of that name is filled in at the agent's tools, and hidden from the model.",
            required=True,
        ),
    }
    | _EFFECT,
    "tool": _CALL | _EFFECT | _IDEMPOTENT,
    "llm": {
        "llm": Key(MODEL_NAME, "Asks this model class, or provider:model, once.", required=True),
        "instructions": Key(
            Text("text"),
            "What the model is always told. Literal: what changes belongs into `with.message`.",
        ),
        "with": Key(MapOf(Anything()), "`message` is what the model is asked.", required=True),
        "output": Key(
            JsonSchema(), "The JSON Schema of the answer; without it the answer is text."
        ),
    }
    | _EFFECT,
    "workflow": {
        "workflow": Key(CHILD_NAME, "Runs this workflow, as a run of its own.", required=True),
        "with": Key(MapOf(Anything()), "The input of that run."),
        "version": Key(WORKFLOW_VERSION, "The version that is run (the newest unless said)."),
    }
    | _EFFECT,
    "wait": {"wait": Key(_WAIT, "How long the step waits, or until when.", required=True)},
    "signal": {
        "signal": Key(
            SIGNAL_NAME, "Waits for a message of this name; it is the output.", required=True
        ),
        "timeout": Key(Duration(), "How long the message may take; then the step fails."),
    },
    "approval": {
        "approval": Key(
            Something("text for the person who decides"),
            "What a person is shown who approves or denies: any value, with expressions in it.",
            required=True,
        ),
        "timeout": Key(Duration(), "How long the answer may take; then the step fails."),
    },
}

_A_WORKFLOW = "put these nodes into a workflow of their own, and write do: { workflow: NAME }"

BODY = Shared(
    "do",
    Kinds(
        "`do`",
        {
            kind: Record(
                f"`do` with `{kind}`",
                {
                    **keys,
                    "on_error": Key(
                        OneOf(
                            (FAIL, CONTINUE),
                            "a node that takes over belongs beside `do`: it is for the whole",
                        ),
                        "`fail` (unless said), or `continue`: the output of a step that fails is "
                        "null.",
                    ),
                },
                misplaced={
                    "id": "its steps go by the id beside `do`",
                    "if": "write it beside `do`, for all of them; or filter the list of the map, "
                    "or let `while` end the loop",
                    "needs": "write it beside `do`",
                },
            )
            for kind, keys in LEAVES.items()
        },
        refused={
            "transform": (
                "nothing is to be done step by step about a transform",
                'write it as a node, CEL goes through lists: "=input.items.map(x, x.name)"',
            ),
            "switch": ("`do` cannot be a switch", _A_WORKFLOW),
            "map": ("`do` cannot be a map", _A_WORKFLOW),
            "loop": ("`do` cannot be a loop", _A_WORKFLOW),
        },
    ),
)
