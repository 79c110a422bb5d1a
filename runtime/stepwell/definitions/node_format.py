"""The part of the authoring format that is about nodes: their kinds, and the keys of each."""

from collections.abc import Mapping

from stepwell.definitions.containers import Key, Kinds, ListOf, Record, Shared
from stepwell.definitions.shapes import Anything, Condition, Number, OrExpression
from stepwell.definitions.step_format import BODY, COMPENSATE, LEAVES, RETRY
from stepwell.definitions.times import Duration
from stepwell.definitions.vocabulary import NEW_ID, NODE_ID, ON_ERROR
from stepwell.engine.graph import MAX_ITEMS

MAX_NODES = 1000

_ID = Shared("id", NEW_ID)

_PLACE = {
    "id": Key(
        _ID, "The name of the node; expressions see its output as `id.output`.", required=True
    ),
    "if": Key(Condition(), "When this is false the node is skipped and its output is null."),
    "needs": Key(
        ListOf(NODE_ID, most=MAX_NODES, unique=True),
        "Nodes that must end first, besides those that expressions refer to.",
    ),
}
_FAILURE = {
    "on_error": Key(
        ON_ERROR,
        "When the node fails: `fail` the run (unless said), `continue` with null as its output, "
        "or the id of the node that takes over, which is skipped otherwise.",
    ),
}

_CASE = Kinds(
    "a case",
    {
        "then": Record(
            "a case with `then`",
            {
                "if": Key(Condition(), "When this is true the case is chosen.", required=True),
                "then": Key(NODE_ID, "The node that runs then.", required=True),
            },
        ),
        "else": Record(
            "a case with `else`",
            {"else": Key(NODE_ID, "The node that runs when no case is chosen.", required=True)},
        ),
    },
)

_TRANSFORM = {
    "transform": Key(Anything(), "The output: any value, with expressions in it.", required=True)
}
_SWITCH = {
    "switch": Key(
        ListOf(_CASE, least=1, most=MAX_NODES),
        "The first case whose `if` is true is chosen, the nodes of the others are skipped.",
        required=True,
    )
}
_MAP = {
    "map": Key(
        OrExpression(ListOf(Anything(), most=MAX_ITEMS)),
        "The list: an expression that gives one, or a list with expressions in it.",
        required=True,
    ),
    "do": Key(
        BODY, "What is done for every item; expressions see `item` and `index`.", required=True
    ),
    "concurrency": Key(
        Number(1, MAX_ITEMS), "How many steps may be in flight at a time (100 unless said)."
    ),
    "timeout": Key(Duration(), "How long all of it may take."),
}
_LOOP = {
    "loop": Key(
        Record(
            "`loop`",
            {
                "while": Key(
                    Condition(),
                    "It goes on while this is true, looked at before each time; it sees `last` "
                    "and `index`.",
                    required=True,
                ),
                "max": Key(
                    Number(1, MAX_ITEMS), "How many times it goes round at most.", required=True
                ),
            },
            example='loop: { while: "=last == null || last.more", max: 20 }',
        ),
        "How long it is repeated.",
        required=True,
    ),
    "do": Key(
        BODY,
        "What is done each time; expressions see `index`, and as `last` the output of the time "
        "before (null at first).",
        required=True,
    ),
    "timeout": Key(Duration(), "How long all of it may take."),
}
_OF_DO: Mapping[str, str] = dict.fromkeys(
    ["with", "retry", "queue", "compensate", "idempotent"],
    "write it in `do`, it is about each step",
)

KINDS: Mapping[str, Record] = {
    **{
        kind: Record(
            f"{'an' if kind in ('agent', 'llm', 'approval') else 'a'} {kind} node",
            {**_PLACE, **keys, **_FAILURE},
        )
        for kind, keys in LEAVES.items()
    },
    "transform": Record("a transform node", _PLACE | _TRANSFORM),
    "switch": Record("a switch node", _PLACE | _SWITCH),
    "map": Record("a map node", _PLACE | _MAP | _FAILURE, misplaced=_OF_DO),
    "loop": Record("a loop node", _PLACE | _LOOP | _FAILURE, misplaced=_OF_DO),
}

NODE = Kinds(
    "a node",
    KINDS,
    refused={"memory": ("nodes of the kind `memory` come later", f"use one of {', '.join(KINDS)}")},
)

SHARED = (_ID, RETRY, COMPENSATE, BODY)
"""What the JSON Schema for editors describes once, by name."""
