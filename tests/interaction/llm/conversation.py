"""One conversation with everything in it, for tests of what is sent."""

from collections.abc import Mapping

from stepwell.engine.messages import Message, Opaque, ToolRequest
from stepwell.llm.port import ModelRequest, ToolOffer

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
TOOL = ToolOffer(name="weather.now", description="The weather in a city", schema=SCHEMA)


def tool_turn(*opaque: Opaque) -> ModelRequest:
    """Two parallel calls, one of which failed, answered and waiting for the model."""
    return ModelRequest(
        messages=(
            Message(role="system", text="Be brief."),
            Message(role="user", text="Paris or Rome?"),
            Message(
                role="assistant",
                text="I will look.",
                tools=(
                    ToolRequest(id="a", name="weather.now", arguments={"city": "Paris"}),
                    ToolRequest(id="b", name="weather.now", arguments={"city": "Rome"}),
                ),
                opaque=opaque,
            ),
            Message(role="tool", call="a", text='{"sky":"grey"}'),
            Message(role="tool", call="b", text="no such city", is_error=True),
        ),
        tools=(TOOL,),
        max_tokens=100,
    )


ANSWER = {
    "type": "object",
    "required": ["city", "degrees"],
    "properties": {"city": {"type": "string"}, "degrees": {"type": ["number", "null"]}},
}
"""The schema of an answer in which every property is required."""

CLOSED = {
    "type": "object",
    "required": ["city", "degrees"],
    "properties": {
        "city": {"type": "string"},
        "degrees": {"anyOf": [{"type": "number"}, {"type": "null"}]},
    },
    "additionalProperties": False,
}
"""The same, as it is enforced."""

OPEN = {"type": "object", "additionalProperties": {"type": "number"}}
"""A schema that no provider enforces."""


def asking_for(schema: Mapping[str, object]) -> ModelRequest:
    """A question whose answer has a schema."""
    return ModelRequest(messages=(Message(role="user", text="Where is it warm?"),), output=schema)
