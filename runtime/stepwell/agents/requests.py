"""What an agent's model is asked."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from stepwell.engine.graph import Agent
from stepwell.engine.messages import Message
from stepwell.engine.state import StepState
from stepwell.engine.values import Data, Json
from stepwell.llm.port import ModelRequest, ToolOffer
from stepwell.tools.port import ToolSpec


def build_request(step: StepState, agent: Agent, tools: Iterable[ToolSpec]) -> ModelRequest:
    """The conversation so far, and the tools without the arguments that the step has bound."""
    bound = bound_arguments(step)
    return ModelRequest(
        messages=tuple(_messages(step)),
        tools=tuple(_offer(spec, bound) for spec in tools),
        output=agent.output,
    )


def new_messages(step: StepState) -> Data:
    """What the next request adds to the conversation, for the log; tool results by their call."""
    talk = step.conversation
    told = talk.told if talk else 0
    added = [
        {"role": "tool", "call": message.call} if message.role == "tool" else message
        for message in _messages(step)[told:]
    ]
    return Data(value=msgspec.to_builtins(added), sealed=step.sealed)


def bound_arguments(step: StepState) -> Mapping[str, Json]:
    """Every key of `with` but `message`: filled into the tool arguments of that name."""
    given = step.input.value
    if not isinstance(given, dict):
        return {}
    return {name: value for name, value in given.items() if name != "message"}


def _messages(step: StepState) -> list[Message]:
    return step.conversation.messages if step.conversation else []


def _offer(spec: ToolSpec, bound: Mapping[str, Json]) -> ToolOffer:
    schema: Mapping[str, Any] = spec.input_schema
    properties = schema.get("properties", {})
    if bound.keys() & properties.keys():
        schema = {
            **schema,
            "properties": {k: v for k, v in properties.items() if k not in bound},
            "required": [k for k in schema.get("required", ()) if k not in bound],
        }
    return ToolOffer(name=spec.name, description=spec.description, schema=schema)
