"""Reading a provider's answer into our message, and showing it again as it was.

Tool arguments are parsed here and nowhere else: what is not a JSON object becomes a
`ToolRequest` with a `problem`, never an empty one, so that no tool runs on a guess.
"""

from collections.abc import Sequence

import msgspec

from stepwell.engine.messages import Message, Opaque, ToolRequest, Usage
from stepwell.engine.values import Json
from stepwell.llm.failures import unusable
from stepwell.llm.port import Finish, ModelReply, ModelRequest
from stepwell.llm.provider import Endpoint
from stepwell.llm.tool_names import ToolNames

_EXCERPT = 200
"""Characters of broken arguments that the model is shown again."""

_LEFT_OUT = "this one and those after it were left out; ask for them again, fewer at a time"

MAX_TOOLS = 128
"""Tools that one answer may ask for; nobody reads the results of more."""


def parse_arguments(raw: Json) -> tuple[dict[str, Json], str]:
    """Arguments, as JSON text or decoded already, and what is wrong with them ("" is nothing)."""
    if isinstance(raw, str):
        try:
            decoded = msgspec.json.decode(raw)
        except msgspec.DecodeError as error:
            return {}, f"the arguments are not valid JSON ({error}): {raw[:_EXCERPT]!r}"
        except RecursionError:
            return {}, f"the arguments are nested too deeply: {raw[:_EXCERPT]!r}"
    else:
        decoded = raw
    if not isinstance(decoded, dict):
        return {}, f"the arguments are not a JSON object: {decoded!r:.{_EXCERPT}}"
    return decoded, ""


class AnswerReader:
    """Collects one answer, part by part, in the order in which the provider gave it."""

    def __init__(self, request: ModelRequest, endpoint: Endpoint, names: ToolNames) -> None:
        self._endpoint = endpoint
        self._names = names
        self._ids = {tool.id for message in request.messages for tool in message.tools}
        self._text: list[str] = []
        self._tools: list[ToolRequest] = []
        self._opaque: list[Opaque] = []

    @property
    def parts(self) -> int:
        """How many parts there are: the text, if any, is one, and so is every tool request."""
        return len(self._tools) + any(self._text)

    def text(self, text: str) -> None:
        """Adds a piece of the text."""
        self._text.append(text)

    def tool(self, name: str, arguments: Json, *, given_id: str = "") -> None:
        """Adds a request for a tool, under an id that no request of the conversation has.

        Of those beyond `MAX_TOOLS` only the first is kept, to tell the model that they were not.
        """
        if len(self._tools) > MAX_TOOLS:
            return
        parsed, problem = parse_arguments(arguments)
        if len(self._tools) == MAX_TOOLS:
            parsed, problem = {}, f"one answer may ask for {MAX_TOOLS} tools, {_LEFT_OUT}"
        request = ToolRequest(
            id=self._unique(given_id),
            name=self._names.inward(name),
            arguments=parsed,
            problem=problem,
        )
        self._tools.append(request)

    def keep(self, item: Json) -> None:
        """Adds an item that only this provider reads, and wants to see again at this place."""
        self.note({"after": self.parts, "item": item})

    def note(self, data: Json) -> None:
        """Adds what the adapter itself has to know when it shows the message again."""
        self._opaque.append(Opaque(self._endpoint.name, data))

    def reply(self, finish: Finish, *, model: str, usage: Usage) -> ModelReply:
        """The whole answer; `finish` is what the provider said, made to fit what it gave.

        Raises:
            ModelError: it said that it wants tools, and asked for none.
        """
        if finish == "tools" and not self._tools:
            raise unusable(self._endpoint, "it ends with a tool call, and there is none")
        if finish == "stop" and self._tools:
            finish = "tools"
        if finish == "length" and self._tools and not self._tools[-1].problem:
            problem = "the answer was cut off by its token limit, so the arguments may be too"
            self._tools[-1] = msgspec.structs.replace(
                self._tools[-1], arguments={}, problem=problem
            )
        message = Message(
            role="assistant",
            text="".join(self._text),
            tools=tuple(self._tools),
            opaque=tuple(self._opaque),
        )
        return ModelReply(message=message, finish=finish, model=model, usage=usage)

    def _unique(self, given: str) -> str:
        """The given id, or one made from it. The same answer gets the same ids every time."""
        unique, count = given, 1
        while not unique or unique in self._ids:
            unique, count = f"{given or MADE_ID}-{count}", count + 1
        self._ids.add(unique)
        return unique


MADE_ID = "call"
"""How ids begin that we made because the provider gave none."""


def notes(message: Message, endpoint: Endpoint) -> list[dict[str, Json]]:
    """What this provider, and no other, gave to be shown again with this message."""
    return [part.data for part in message.opaque if part.provider == endpoint.name]


def with_kept(parts: Sequence[Json], message: Message, endpoint: Endpoint) -> list[Json]:
    """The parts of an assistant's message, with every kept item back in its place."""
    kept = [note for note in notes(message, endpoint) if "item" in note]
    shown: list[Json] = []
    for place in range(len(parts) + 1):
        shown += [note["item"] for note in kept if min(note["after"], len(parts)) == place]
        shown += parts[place : place + 1]
    return shown
