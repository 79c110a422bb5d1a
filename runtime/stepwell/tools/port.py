"""What a tool is, and what one call of it is given."""

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from functools import cached_property
from typing import Any, Final, Literal, Protocol, TypeAlias, get_args

import msgspec
from msgspec import Struct

from stepwell.engine.values import Data, Json
from stepwell.errors import Code, StepwellError
from stepwell.principals import Attributes
from stepwell.tools.icons import Icon

TaskUse: TypeAlias = Literal["auto", "eager", "required", "never"]
"""When a call becomes a task, for a client that takes tasks: once it takes long (`auto`), at once
(`eager`), always and for nobody else (`required`), never."""
TASK_USES: Final[tuple[TaskUse, ...]] = get_args(TaskUse)


class ToolSpec(Struct, frozen=True, kw_only=True, dict=True):
    """A tool as callers see it; maps one to one to an MCP Tool.

    `timeout` is in microseconds. `destructive` is None when nobody said, and so is `open_world`,
    which tells whether it reaches what is outside of our knowledge. `published` tools are offered
    to MCP clients. `kind` is how it is called: `python`, `sql`, `mcp`, `http`. What a tool
    answers carries its `labels`; it reads at most `most_rows` of a datasource. `task` says when an
    MCP client is answered a task instead of a result. What has another `role` is called when a
    resource is read or a prompt is got, and is in no list of tools. A `keyed` one does nothing more
    when it is called again with the same idempotency key: what became of a call is never in doubt.
    """

    name: str
    description: str
    input_schema: Mapping[str, Any]
    title: str = ""
    output_schema: Mapping[str, Any] | None = None
    read_only: bool = False
    destructive: bool | None = None
    idempotent: bool = False
    keyed: bool = False
    timeout: int | None = None
    published: bool = True
    kind: str = "python"
    open_world: bool | None = None
    labels: frozenset[str] = frozenset()
    most_rows: int = 0
    task: TaskUse = "auto"
    role: Literal["tool", "resource", "prompt"] = "tool"
    icons: tuple[Icon, ...] = ()

    @cached_property
    def described(self) -> dict[str, Any]:
        """What a caller is told of the tool, and what an approval of it is of."""
        return {
            "name": self.name,
            "title": self.title,
            "description": self.description,
            "input_schema": self.input_schema,
            "output_schema": self.output_schema,
            "annotations": {
                "read_only": self.read_only,
                "destructive": self.destructive,
                "idempotent": self.idempotent,
                "open_world": self.open_world,
            },
        }

    @cached_property
    def definition(self) -> str:
        """Names what `described` says: the SHA-256 of its canonical JSON, in hex."""
        canonical = msgspec.json.encode(self.described, order="sorted")
        return hashlib.sha256(canonical).hexdigest()


class CallContext(Struct, frozen=True, kw_only=True):
    """What a call knows besides its arguments.

    `key` is the idempotency key: the same on every attempt of the same call, different for
    any other; pass it to systems that deduplicate. `traceparent` is the W3C header of that name;
    pass it to systems that trace. It is "" when nobody does.
    """

    namespace: str
    principal: str
    run: str
    step: str
    attempt: int
    key: str
    traceparent: str = ""
    attributes: Attributes = {}
    """What is known of the principal besides its name."""


Begin: TypeAlias = Callable[[], Awaitable[bool]]
"""Commits that a call is about to be made; False when nobody waits for it any more."""


class NotBegun(Exception):
    """The call was not made, because nobody waits for it any more; there is nothing to tell."""


class ToolFailed(StepwellError):
    """The tool did not do what it was asked; the message says why."""

    code = Code.TOOL_ERROR
    retryable = True


class Tool(Protocol):
    """Something that can be called. Callers go through `stepwell.tools.invoke`, never here."""

    @property
    def spec(self) -> ToolSpec:
        """What callers see of it; the same object every time."""
        ...

    async def call(self, arguments: dict[str, Json], context: CallContext) -> Data:
        """Calls it; cancellation stops it. Arguments fit the schema already.

        Raises:
            ToolFailed: whatever went wrong, with a code and whether trying again may help.
        """
        ...


class Foresees:
    """Marks a tool that may know beforehand that a call is in vain: no person is asked about such a one."""

    __slots__ = ()

    async def foresee(self, arguments: dict[str, Json], context: CallContext) -> None:
        """Looks whether the call could be made now; does nothing. Arguments fit the schema already.

        Raises:
            ToolFailed: it could not.
        """
        raise NotImplementedError


class SelfTimed:
    """Marks a tool that keeps `spec.timeout` itself: its calls may wait for a place to begin.

    For every other tool `invoke` awaits `begin`, and measures the time from the beginning of
    `call`. Not an ABC: every call asks whether its tool is one, and an ABC takes 0.3 us to answer.
    """

    __slots__ = ()
    spec: ToolSpec

    async def call(
        self, arguments: dict[str, Json], context: CallContext, *, begin: Begin | None = None
    ) -> Data:
        """As `Tool.call`; awaits `begin` once it has its place, before anything is done.

        Raises:
            ToolFailed: as `Tool.call`.
            NotBegun: `begin` answered False, and nothing was done.
        """
        raise NotImplementedError
