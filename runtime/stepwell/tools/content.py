"""What a tool may answer besides plain data: texts, pictures, sounds, resources and links to them.

A result with such blocks is kept in the log as MCP spells it: `content`, the list of blocks, with
`structuredContent` and `_meta` where there are some. It is the same value that the tools of
wrapped servers answer, and our own MCP server gives it out as it is.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from stepwell.engine.values import Json
from stepwell.errors import Code
from stepwell.tools.port import ToolFailed

Role: TypeAlias = Literal["user", "assistant"]

KINDS: Final = frozenset({"text", "image", "audio", "resource", "resource_link"})
"""The blocks that MCP knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One part of a result; it is meant for `audience`, everybody when that is empty.

    `priority` tells how much it matters, from 0 to 1.
    """

    audience: tuple[Role, ...] = ()
    priority: float | None = None

    def wire(self) -> dict[str, Any]:
        """The block as MCP spells it."""
        notes: dict[str, Any] = {"audience": list(self.audience)} if self.audience else {}
        if self.priority is not None:
            notes["priority"] = self.priority
        return {**self._fields(), "annotations": notes} if notes else self._fields()

    def _fields(self) -> dict[str, Any]:
        raise TypeError(f"{type(self).__name__} is not a block that MCP knows")


@dataclass(frozen=True, slots=True)
class Text(Block):
    """A text."""

    text: str

    def _fields(self) -> dict[str, Any]:
        return {"type": "text", "text": self.text}


@dataclass(frozen=True, slots=True)
class Image(Block):
    """A picture, and what kind it is: `image/png`, `image/jpeg`, ..."""

    data: bytes
    mime: str = "image/png"

    def _fields(self) -> dict[str, Any]:
        return {"type": "image", "data": encoded(self.data), "mimeType": self.mime}


@dataclass(frozen=True, slots=True)
class Audio(Block):
    """A sound, and what kind it is: `audio/wav`, `audio/mpeg`, ..."""

    data: bytes
    mime: str = "audio/wav"

    def _fields(self) -> dict[str, Any]:
        return {"type": "audio", "data": encoded(self.data), "mimeType": self.mime}


@dataclass(frozen=True, slots=True)
class EmbeddedResource(Block):
    """A resource with what it holds: a text, or bytes."""

    uri: str
    data: str | bytes
    mime: str = ""

    def _fields(self) -> dict[str, Any]:
        return {"type": "resource", "resource": contents(self.data, uri=self.uri, mime=self.mime)}


@dataclass(frozen=True, slots=True)
class ResourceLink(Block):
    """The address of a resource that a client may read; `size` is in bytes."""

    uri: str
    name: str
    title: str = ""
    description: str = ""
    mime: str = ""
    size: int | None = None

    def _fields(self) -> dict[str, Any]:
        said = {"title": self.title, "description": self.description, "mimeType": self.mime}
        size = {} if self.size is None else {"size": self.size}
        return {
            "type": "resource_link",
            "uri": self.uri,
            "name": self.name,
            **{name: text for name, text in said.items() if text},
            **size,
        }


class Content:
    """Several blocks as one result; a string among them is a `Text`.

    `structured` is the same for programs: what an output schema describes. `meta` is passed on to the
    client, under names that its program knows.
    """

    __slots__ = ("_blocks", "_meta", "_structured")

    def __init__(
        self,
        *blocks: Block | str,
        structured: Json | UnsetType = UNSET,
        meta: Mapping[str, Json] | None = None,
    ) -> None:
        self._blocks = blocks
        self._structured = structured
        self._meta = dict(meta or {})

    def wire(self) -> dict[str, Any]:
        """The result as MCP spells it."""
        value: dict[str, Any] = {"content": [block_of(each) for each in self._blocks]}
        if self._structured is not UNSET:
            value["structuredContent"] = self._structured
        if self._meta:
            value["_meta"] = self._meta
        return value


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a prompt, and who speaks."""

    content: Block | str
    role: Role = field(default="user", kw_only=True)

    def wire(self) -> dict[str, Any]:
        """The message as MCP spells it."""
        return {"role": self.role, "content": block_of(self.content)}


def is_rich(kind: object) -> bool:
    """Whether a type of result is made of blocks, so that no schema describes it."""
    return isinstance(kind, type) and issubclass(kind, Block | Content | Message)


def block_of(part: object) -> dict[str, Any]:
    """One block as MCP spells it; a string is a text.

    Raises:
        ToolFailed: INVALID_RESULT, it is neither.
    """
    if isinstance(part, str):
        return Text(part).wire()
    if isinstance(part, Block):
        return part.wire()
    raise _invalid(f"a value of type {type(part).__name__} stands among blocks")


def tool_value(result: object) -> object:
    """What a tool has returned, with its blocks as MCP spells them; plain data as it is.

    Raises:
        ToolFailed: INVALID_RESULT, something else stands among its blocks.
    """
    if isinstance(result, Content):
        return result.wire()
    if isinstance(result, Block):
        return Content(result).wire()
    if isinstance(result, list | tuple) and any(isinstance(part, Block) for part in result):
        return Content(*result).wire()
    return result


def resource_value(result: object) -> object:
    """What a resource function has returned, as the list of contents that MCP wants.

    A string is a text, bytes are a blob, an `EmbeddedResource` is itself, in a list several; anything
    else is JSON.

    Raises:
        ToolFailed: INVALID_RESULT, there is nothing.
    """
    if result is None:
        raise _invalid("the resource returned None; raise ToolFailed where there is nothing")
    parts: list[object] = [result]
    if isinstance(result, list | tuple) and all(
        isinstance(one, EmbeddedResource) for one in result
    ):
        parts = list(result) or parts
    return {"contents": [_contents_of(part) for part in parts]}


def prompt_value(result: object) -> object:
    """What a prompt function has returned, as the list of messages that MCP wants.

    A string or a block is one message of the user.

    Raises:
        ToolFailed: INVALID_RESULT, it is something else, or nothing.
    """
    parts = list(result) if isinstance(result, list | tuple) else [result]
    if not parts:
        raise _invalid("the prompt returned no message")
    messages = [each if isinstance(each, Message) else _said(each) for each in parts]
    return {"messages": [message.wire() for message in messages]}


def contents(data: str | bytes, *, uri: str = "", mime: str = "") -> dict[str, Any]:
    """What a resource holds, as MCP spells it."""
    named = {"uri": uri} if uri else {}
    kind = {"mimeType": mime} if mime else {}
    held = {"text": data} if isinstance(data, str) else {"blob": encoded(data)}
    return {**named, **kind, **held}


def encoded(data: bytes) -> str:
    """Bytes as they travel in JSON."""
    return base64.b64encode(data).decode("ascii")


def _contents_of(part: object) -> dict[str, Any]:
    if isinstance(part, EmbeddedResource):
        return contents(part.data, uri=part.uri, mime=part.mime)
    if isinstance(part, str | bytes):
        return contents(part)
    return contents(_json_text(part), mime="application/json")


def _json_text(value: object) -> str:
    try:
        return msgspec.json.encode(value).decode()
    except (TypeError, ValueError, RecursionError) as error:
        raise _invalid(
            f"the resource returned a value of type {type(value).__name__} that cannot be JSON "
            f"({error}); return a string, bytes, or plain data"
        ) from error


def _said(part: object) -> Message:
    if isinstance(part, Block | str):
        return Message(part)
    raise _invalid(
        f"the prompt returned a value of type {type(part).__name__}; return a string, a block, a "
        "Message, or a list of them"
    )


def _invalid(why: str) -> ToolFailed:
    return ToolFailed(why, code=Code.INVALID_RESULT, retryable=False)
