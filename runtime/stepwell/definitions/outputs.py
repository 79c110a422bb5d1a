"""What is known of the output of a node before the run: it is what expressions may read."""

from collections.abc import Mapping

from stepwell.definitions.scope import Schema
from stepwell.engine.values import Json

TEXT: Schema = {"type": "string"}
LIST: Schema = {"type": "array"}
TIME: Schema = {"type": "object", "properties": {"until": TEXT}}
"""What a wait gives: the time that it waited for."""

ANSWER: Schema = {
    "type": "object",
    "properties": {
        "approved": {"type": "boolean"},
        "by": TEXT,
        "reason": TEXT,
        "value": {},
    },
}
"""What a person gave who was asked for approval."""


def output_schema(entry: dict[str, Json], agents: Mapping[str, Json]) -> Schema:
    """The schema of the output of a node, or of the `do` of one, as far as it is known.

    `agents` are the entries under `agents:` that could be read.
    """
    match entry:
        case {"agent": str(name)}:
            agent = agents.get(name)
            return _of_model(agent) if isinstance(agent, dict) else {}
        case {"llm": _}:
            return _of_model(entry)
        case {"map": _}:
            return LIST
        case {"loop": _, "do": dict(body)}:
            return output_schema(body, agents)
        case {"wait": _}:
            return TIME
        case {"approval": _}:
            return ANSWER
        case _:
            return {}


def _of_model(entry: dict[str, Json]) -> Schema:
    return entry.get("output", TEXT) or {}
