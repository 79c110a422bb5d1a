"""The provider `fake:`: answers from a script, the same ones every time. It is no model.

A script is a YAML or JSON file, named as `fake:path/to/script.yaml`:

    conversations:
      - when: How much            # the newest user message that holds this text; absent fits all
        turns:
          - tools: [{ name: db_query, arguments: { sql: select sum(total) from invoice } }]
            delay: 500ms          # optional, on any turn
            usage: { input: 900, output: 40 }   # optional: the tokens of it
          - json: { text: "=message", total: "=results[0].rows[0][0]" }

A turn is one of `tools`, `text`, `json` or `error`. A string that begins with `=` is CEL over
`results` (what the tools of this conversation returned, decoded, in order) and `message` (what
the user wrote). A tool may have `raw_arguments` in place of `arguments`: text that is parsed
as a provider's would be, to be malformed on purpose.

The turn is the number of assistant messages in the request and nothing else, so a call that is
repeated after a crash gets the same answer. An `error` is therefore given on every attempt.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import yaml
from msgspec import UNSET, Struct, UnsetType

from stepwell.durations import parse_duration
from stepwell.engine.expressions import Expression, ExpressionError, Template
from stepwell.engine.messages import Message, Usage
from stepwell.engine.values import Json
from stepwell.errors import Code
from stepwell.llm.answers import AnswerReader
from stepwell.llm.port import Finish, ModelError, ModelReply, ModelRequest
from stepwell.llm.provider import Endpoint
from stepwell.llm.tool_names import ToolNames

_VARIABLES: Final = ("results", "message")
_SUFFIXES: Final = (".yaml", ".yml", ".json")
_LARGEST: Final = 1024 * 1024
"""Bytes of a script."""


class _Part(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something written in a script."""


class ScriptedTool(_Part, frozen=True):
    """A request for a tool."""

    name: str
    arguments: dict[str, Json] | UnsetType = UNSET
    raw_arguments: str | UnsetType = UNSET

    def __post_init__(self) -> None:
        if self.arguments is not UNSET and self.raw_arguments is not UNSET:
            raise ValueError("a tool has `arguments` or `raw_arguments`, not both")


class ScriptedError(_Part, frozen=True):
    """A failure of the provider."""

    code: Code
    message: str = "the script says so"
    retryable: bool = False
    retry_after: float | None = None

    def __post_init__(self) -> None:
        if not self.code.startswith("MODEL_"):
            codes = ", ".join(code for code in Code if code.startswith("MODEL_"))
            raise ValueError(f"a model fails with one of {codes}")


class ScriptedUsage(_Part, frozen=True):
    """The tokens of an answer, as a provider would report them."""

    input: int = 0
    output: int = 0


class Turn(_Part, frozen=True):
    """What is answered once: exactly one of `tools`, `text`, `json` and `error`."""

    tools: tuple[ScriptedTool, ...] | UnsetType = UNSET
    text: str | UnsetType = UNSET
    json: Json | UnsetType = UNSET
    error: ScriptedError | UnsetType = UNSET
    delay: str = "0s"
    usage: ScriptedUsage = ScriptedUsage()
    finish: Finish | None = None

    def __post_init__(self) -> None:
        given = [self.tools, self.text, self.json, self.error]
        if sum(kind is not UNSET for kind in given) != 1:
            raise ValueError("a turn has exactly one of `tools`, `text`, `json` and `error`")
        if self.tools == ():
            raise ValueError("`tools` names at least one tool")
        parse_duration(self.delay)


class Conversation(_Part, frozen=True):
    """Turns, and the text by which they are chosen."""

    turns: tuple[Turn, ...]
    when: str | None = None

    def __post_init__(self) -> None:
        if not self.turns:
            raise ValueError("a conversation has at least one turn")


class Script(_Part, frozen=True):
    """A whole file."""

    conversations: tuple[Conversation, ...]
    description: str = ""


def parse_script(source: bytes, *, name: str) -> Script:
    """Reads a script; `name` is how errors call it. Expressions are checked too.

    Raises:
        ModelError: MODEL_NOT_CONFIGURED, with the place and what is wrong there.
    """
    try:
        script = msgspec.convert(yaml.load(source, _Loader), Script)  # noqa: S506 (safe loader)
        _check_expressions(script)
    except (
        yaml.YAMLError,
        msgspec.ValidationError,
        ExpressionError,
        RecursionError,
    ) as error:
        raise _wrong(name, str(error)) from error
    return script


class FakeProvider:
    """Scripts, each read once. Relative paths are under `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._scripts: dict[str, Script] = {}

    async def complete(self, model: str, request: ModelRequest) -> ModelReply:
        """Answers with the script's turn for this request.

        Raises:
            ModelError: the script cannot be read, has no turn for this request, or wants it.
        """
        if model not in self._scripts:
            self._scripts[model] = await asyncio.to_thread(self.load, model)
        turn, message = _choose(self._scripts[model], request, model)
        await asyncio.sleep(parse_duration(turn.delay).total_seconds())
        if turn.error is not UNSET:
            raise _scripted(turn.error)
        return _answer(turn, message, request, model)

    async def aclose(self) -> None:
        """Nothing is open."""

    def load(self, model: str) -> Script:
        """The script that a model's name means, read and checked.

        Raises:
            ModelError: MODEL_NOT_CONFIGURED, it cannot be read, or something in it is wrong.
        """
        path = self._folder / model
        if path.suffix not in _SUFFIXES:
            raise _wrong(model, f"a script's name ends with one of {', '.join(_SUFFIXES)}")
        try:
            with path.open("rb") as file:
                source = file.read(_LARGEST + 1)
        except OSError as error:
            raise _wrong(model, f"{path} cannot be read: {error.strerror}") from error
        if len(source) > _LARGEST:
            raise _wrong(model, f"it is larger than {_LARGEST} bytes")
        return parse_script(source, name=model)


def _choose(script: Script, request: ModelRequest, name: str) -> tuple[Turn, str]:
    """The turn for this request, and the user's message that it answers."""
    said = [message.text for message in reversed(request.messages) if message.role == "user"]
    number = sum(message.role == "assistant" for message in request.messages)
    for conversation, text in _candidates(script, said):
        if number >= len(conversation.turns):
            raise _wrong(
                name,
                f"the conversation {conversation.when or 'without `when`'!r} has "
                f"{len(conversation.turns)} turns, and turn {number + 1} was asked for",
            )
        return conversation.turns[number], text
    raise _wrong(name, f"no conversation is for the message {said[0] if said else ''!r:.200}")


def _candidates(script: Script, said: Sequence[str]) -> list[tuple[Conversation, str]]:
    """Those that fit, the best first: by the newest message, then those that fit anything."""
    named = [
        (conversation, text)
        for text in said
        for conversation in script.conversations
        if conversation.when is not None and conversation.when in text
    ]
    rest = [(c, said[0] if said else "") for c in script.conversations if c.when is None]
    return named + rest


def _answer(turn: Turn, message: str, request: ModelRequest, name: str) -> ModelReply:
    bindings = {"message": message, "results": _results(request.messages)}
    reader = AnswerReader(request, Endpoint(name="fake"), ToolNames(request))
    finish: Finish = "stop"
    try:
        if turn.tools is not UNSET:
            finish = "tools"
            for tool in turn.tools:
                reader.tool(tool.name, _arguments(tool, bindings))
        elif turn.text is not UNSET:
            reader.text(_as_text(_template(turn.text).render(bindings)))
        else:
            reader.text(_encode(_template(turn.json).render(bindings)))
    except ExpressionError as error:
        raise _wrong(name, error.message) from error
    usage = Usage(input=turn.usage.input, output=turn.usage.output)
    return reader.reply(turn.finish or finish, model=f"fake:{name}", usage=usage)


def _arguments(tool: ScriptedTool, bindings: dict[str, Json]) -> Json:
    if tool.raw_arguments is not UNSET:
        return tool.raw_arguments
    return _template({} if tool.arguments is UNSET else tool.arguments).render(bindings)


def _results(messages: Sequence[Message]) -> list[Json]:
    return [_decoded(message.text) for message in messages if message.role == "tool"]


def _decoded(text: str) -> Json:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text


def _encode(value: Json) -> str:
    return msgspec.json.encode(value).decode()


def _as_text(value: Json) -> str:
    return value if isinstance(value, str) else _encode(value)


def _template(plan: Json) -> Template:
    return Template(_mapped(plan, _leaf))


def _leaf(text: str) -> str | Expression:
    return Expression(text[1:], _VARIABLES, dynamic=_VARIABLES) if text.startswith("=") else text


def _mapped(plan: Json, leaf: Callable[[str], Any]) -> Json:
    if isinstance(plan, str):
        return leaf(plan)
    if isinstance(plan, dict):
        return {key: _mapped(part, leaf) for key, part in plan.items()}
    if isinstance(plan, list):
        return [_mapped(part, leaf) for part in plan]
    return plan


def _check_expressions(script: Script) -> None:
    for place, plan in _plans(script):
        try:
            _template(plan)
        except ExpressionError as error:
            raise ExpressionError(f"{error.message} - at `{place}`") from error


def _plans(script: Script) -> Iterator[tuple[str, Json]]:
    """Everything in which there may be expressions, with its place as msgspec would name it."""
    for first, conversation in enumerate(script.conversations):
        for second, turn in enumerate(conversation.turns):
            place = f"$.conversations[{first}].turns[{second}]"
            yield f"{place}.text", turn.text
            yield f"{place}.json", turn.json
            for third, tool in enumerate(() if turn.tools is UNSET else turn.tools):
                yield f"{place}.tools[{third}].arguments", tool.arguments


def _scripted(error: ScriptedError) -> ModelError:
    detail = {} if error.retry_after is None else {"retry_after": f"{error.retry_after:g}"}
    return ModelError(
        f"fake: {error.message}", code=error.code, retryable=error.retryable, detail=detail
    )


def _wrong(name: str, problem: str) -> ModelError:
    told = " ".join(problem.split())  # YAML and CEL draw theirs over several lines
    return ModelError(f"fake:{name}: {told}", code=Code.MODEL_NOT_CONFIGURED)


class _Loader(yaml.SafeLoader):
    """YAML in which a key that is given twice is an error, not the last one of them."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for position, key in enumerate(keys):
            if key in keys[:position]:
                mark = node.value[position][0].start_mark
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} is given twice", mark
                )
        return super().construct_mapping(node, deep)
