"""What is said between an agent and its model, in one form for every provider."""

from typing import Literal

from msgspec import Struct

from stepwell.engine.values import Json


class ToolRequest(Struct, frozen=True, gc=False, omit_defaults=True):
    """A model's wish to call a tool.

    `problem` is set when the arguments were not a JSON object: the tool is not called, the
    model is told.
    """

    id: str
    name: str
    arguments: dict[str, Json] = {}
    problem: str = ""


class Opaque(Struct, frozen=True, gc=False):
    """What a provider wants to see again and nobody else may read: signatures, sealed reasoning."""

    provider: str
    data: Json


class Message(Struct, frozen=True, gc=False, omit_defaults=True):
    """One message of a conversation.

    `tool` messages answer the request `call`; `is_error` tells the model that it failed.
    """

    role: Literal["system", "user", "assistant", "tool"]
    text: str = ""
    tools: tuple[ToolRequest, ...] = ()
    call: str = ""
    is_error: bool = False
    opaque: tuple[Opaque, ...] = ()


class Usage(Struct, frozen=True, gc=False, omit_defaults=True):
    """Tokens, as the provider reports them; all 0 where it does not.

    `input` and `output` are the whole; the others say how much of it was read from a cache,
    written to one, or spent on reasoning.
    """

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0
    reasoning: int = 0
