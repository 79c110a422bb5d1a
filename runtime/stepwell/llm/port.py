"""What is asked of a model and what comes back, the same for every provider."""

from collections.abc import Mapping
from typing import Any, Literal, Protocol, TypeAlias

from msgspec import Struct

from stepwell.engine.messages import Message, Usage
from stepwell.errors import Code, StepwellError

Finish: TypeAlias = Literal["stop", "tools", "length", "refusal"]
"""Why the model stopped: it was done, wants tools, ran out of tokens, or would not."""


class ToolOffer(Struct, frozen=True, kw_only=True):
    """A tool as a model sees it."""

    name: str
    description: str
    schema: Mapping[str, Any]


class ModelRequest(Struct, frozen=True, kw_only=True):
    """One call: the whole conversation, the tools on offer, and the schema of the answer."""

    messages: tuple[Message, ...]
    tools: tuple[ToolOffer, ...] = ()
    output: Mapping[str, Any] | None = None
    max_tokens: int = 4096


class ModelReply(Struct, frozen=True, kw_only=True):
    """The assistant's message; its tool arguments are parsed by us, never by an SDK helper.

    `model` is the provider's own name of what answered.
    """

    message: Message
    finish: Finish
    model: str
    usage: Usage = Usage()


class ModelError(StepwellError):
    """The provider did not give a usable answer."""

    code = Code.MODEL_ERROR


class Model(Protocol):
    """One model of one provider."""

    async def complete(self, request: ModelRequest) -> ModelReply:
        """Asks once, without a retry of its own; cancellation closes the connection.

        Raises:
            ModelError: with the code that says which kind (MODEL_RATE_LIMITED,
                MODEL_UNAVAILABLE, MODEL_REFUSED, MODEL_CONTEXT_EXCEEDED, MODEL_ERROR;
                MODEL_NOT_CONFIGURED where the provider knows neither key nor model) and
                `retryable`; `detail["retry_after"]` holds seconds where the provider said so.
                MODEL_REFUSED is a request that was blocked; a model that answers with a
                refusal has answered, and the reply's `finish` says so.
        """
        ...


class Models(Protocol):
    """The router: finds the model that a name stands for."""

    def resolve(self, namespace: str, name: str) -> Model:
        """The model bound to a class (`small`), or named in full (`provider:model`).

        Raises:
            ModelError: MODEL_NOT_CONFIGURED, saying how to configure it; MISSING_EXTRA,
                with the command that installs the SDK.
        """
        ...
