"""What a model's reply means: tools to call, a final answer, or what is wrong with it."""

from collections.abc import Mapping

import msgspec

from stepwell.agents.requests import bound_arguments
from stepwell.engine import codec
from stepwell.engine.depth import MAX_LEVELS, TooDeep
from stepwell.engine.graph import Agent
from stepwell.engine.inputs import Answer
from stepwell.engine.messages import ToolRequest
from stepwell.engine.state import StepState
from stepwell.engine.values import Data, Failure, Json
from stepwell.engine.wording import bounded, encodable
from stepwell.errors import Code
from stepwell.llm.port import ModelReply
from stepwell.tools.port import ToolSpec
from stepwell.tools.schema import compiled

MAX_NAME = 128
"""Characters of the name of a tool, as a model may ask for it."""

MISFIT = "it does not fit the schema that was asked for; compare each member with it"
"""Said of an answer from sealed data: what is wrong in detail would quote it, and the log has it."""


def read_reply(
    reply: ModelReply,
    step: StepState,
    agent: Agent,
    tools: Mapping[str, ToolSpec],
    *,
    subject: str = "",
) -> Answer | Failure:
    """The reply as the engine takes it; a failure when there is no answer in it at all.

    `subject` is the one whose data the run holds, of which nothing is quoted.
    """
    said = encodable(reply.message.text)
    text = Data(value=said, sealed=step.sealed)
    if reply.finish == "refusal":
        return Failure(Code.MODEL_REFUSED, bounded(f"the model refused: {said or 'no reason'}"))
    if reply.message.tools:
        bound = bound_arguments(step)
        requests = tuple(_bind(_usable(request), tools, bound) for request in reply.message.tools)
        return Answer(text=text, tools=requests, opaque=reply.message.opaque, finish=reply.finish)
    if reply.finish == "length":
        return Failure(
            Code.MODEL_OUTPUT_INVALID,
            "the model's answer was cut off at its limit of tokens; ask for a shorter one",
        )
    final, problem = _final(said, agent, step.sealed, is_quiet=bool(step.sealed or subject))
    return Answer(
        text=text,
        opaque=reply.message.opaque,
        finish=reply.finish,
        final=final,
        problem=bounded(problem),
    )


def _usable(request: ToolRequest) -> ToolRequest:
    """The request as the log can hold it; where it cannot, the model is told what is wrong."""
    name, problem, arguments = request.name, request.problem, request.arguments
    if len(name) > MAX_NAME:
        problem = f"there is no such tool: a name has at most {MAX_NAME} characters"
    try:
        codec.size(arguments)
    except (TypeError, ValueError, OverflowError, TooDeep) as error:
        arguments, problem = {}, f"the arguments cannot be JSON ({error})"
    return ToolRequest(request.id, bounded(name, MAX_NAME), arguments, bounded(problem))


def _bind(
    request: ToolRequest, tools: Mapping[str, ToolSpec], bound: Mapping[str, Json]
) -> ToolRequest:
    spec = tools.get(request.name)
    known = spec.input_schema.get("properties", {}) if spec else {}
    filled = {name: value for name, value in bound.items() if name in known}
    if not filled or request.problem:
        return request
    return msgspec.structs.replace(request, arguments={**request.arguments, **filled})


def _final(text: str, agent: Agent, sealed: str, *, is_quiet: bool) -> tuple[Data | None, str]:
    if agent.output is None:
        return Data(value=text, sealed=sealed), ""
    try:
        value = msgspec.json.decode(_unfenced(text).encode())
        codec.size(value)
    except msgspec.DecodeError as error:
        return None, f"it is not JSON ({error})"
    except (RecursionError, TooDeep):
        return None, f"it cannot be read: it has more than {MAX_LEVELS} levels"
    problems = compiled(agent.output).problems(value)
    if problems:
        return None, MISFIT if is_quiet else "; ".join(problems)
    return Data(value=value, sealed=sealed), ""


def _unfenced(text: str) -> str:
    """The JSON inside a Markdown fence, which many models put around it unasked."""
    text = text.strip()
    if text.startswith("```") and text.endswith("```"):
        return text.removeprefix("```").removeprefix("json").removesuffix("```")
    return text
