"""Python functions as tools: `@tool` declares one, `function_tool` makes it callable.

An async function runs as part of the caller's task and is cancelled with it. A sync function
runs in a spawned worker process, because a thread cannot be stopped: it is killed when its
time is over or nobody waits for it any more.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, TypeVar, overload

import msgspec
from msgspec import Struct

from stepwell.durations import wanted_timedelta
from stepwell.engine.values import Data, Json
from stepwell.tools import declaration
from stepwell.tools.blocking import watched
from stepwell.tools.declaration import Declaration, Function
from stepwell.tools.frames import DECLARATION
from stepwell.tools.icons import Icon, icons_of
from stepwell.tools.modules import source_of
from stepwell.tools.outcomes import as_json
from stepwell.tools.port import (
    TASK_USES,
    Begin,
    CallContext,
    SelfTimed,
    TaskUse,
    Tool,
    ToolSpec,
)
from stepwell.tools.process import ProcessPool
from stepwell.tools.shelf import Offer

F = TypeVar("F", bound=Callable[..., Any])


@overload
def tool(function: F, /) -> F: ...
@overload
def tool(
    *,
    name: str = "",
    description: str = "",
    title: str = "",
    input_schema: Mapping[str, Any] | None = None,
    output_schema: Mapping[str, Any] | None = None,
    read_only: bool = False,
    destructive: bool | None = None,
    idempotent: bool | None = None,
    timeout: timedelta | None = None,
    published: bool = True,
    task: TaskUse = "auto",
    icons: Sequence[Icon | str] = (),
) -> Callable[[F], F]: ...
def tool(
    function: F | None = None,
    /,
    *,
    name: str = "",
    description: str = "",
    title: str = "",
    input_schema: Mapping[str, Any] | None = None,
    output_schema: Mapping[str, Any] | None = None,
    read_only: bool = False,
    destructive: bool | None = None,
    idempotent: bool | None = None,
    timeout: timedelta | None = None,
    published: bool = True,
    task: TaskUse = "auto",
    icons: Sequence[Icon | str] = (),
) -> F | Callable[[F], F]:
    """Declares a function as a tool and returns the function itself.

    The name is the function's, the description is the first paragraph of its docstring, the
    schemas come from its type hints (`Annotated[int, msgspec.Meta(ge=1)]` narrows one) and the
    section `Args:` describes the arguments. A parameter annotated `CallContext` is given the
    context of the call. With `input_schema` the function gets the JSON values as they are.

    `read_only` promises that nothing changes; `destructive` says whether what changes may be
    lost, None that it is not known; `idempotent` promises that a repeat with the same
    `CallContext.key` does no harm (a read-only tool is, unless it says otherwise): any other
    call is never repeated by itself when a crash leaves its outcome open. `published` tools
    are offered to MCP clients. To a client that takes tasks a call is answered as one when it takes
    long or waits for a person (`task="auto"`), at once (`"eager"`), always while all other clients
    are refused (`"required"`), or never. An async function runs in the daemon and must not block; any
    other one runs in a process of its own and has to be at the top level of its module.

    Raises:
        TypeError: something cannot be described; the message says what to write instead.
    """
    said = ToolSpec(
        name=name,
        description=description,
        title=title,
        input_schema=input_schema or {},
        output_schema=output_schema,
        read_only=read_only,
        destructive=destructive,
        idempotent=read_only if idempotent is None else idempotent,
        timeout=microseconds(timeout),
        published=published,
        task=task,
        icons=icons_of(icons),
    )
    if task not in TASK_USES:
        raise TypeError(f"@tool: task must be one of {', '.join(TASK_USES)}, it is {task!r}")
    if read_only and destructive:
        raise TypeError("@tool: it cannot be read_only and destructive")

    def declared(decorated: F) -> F:
        return declare(decorated, said, has_schema=input_schema is not None)

    return declared if function is None else declared(function)


def declaration_of(function: object) -> Declaration | None:
    """What `@tool` said of a function; None when it is not decorated."""
    found = getattr(function, DECLARATION, None)
    return found if isinstance(found, Declaration) else None


def function_tool(function: Callable[..., Any], *, processes: ProcessPool) -> Tool:
    """The tool that a decorated function declares.

    Raises:
        TypeError: the function is not decorated, or not async and out of reach of a child.
    """
    declared = declaration_of(function)
    if declared is None:
        raise TypeError(f"{function!r} is not a tool; decorate it with @tool")
    if inspect.iscoroutinefunction(function):
        return AsyncTool(function, declared)
    return ProcessTool(function, declared, processes)


class AsyncTool:
    """An async function; it runs in the task of its caller."""

    def __init__(self, function: Function, declared: Declaration) -> None:
        self._function = function
        self._bind = declared.bind
        self._value = declared.value
        self.spec: ToolSpec = declared.spec

    async def call(self, arguments: dict[str, Json], context: CallContext) -> Data:
        """Calls the function."""
        call = self._function(**self._bind(arguments, context))
        return Data(as_json(self._value(await watched(call, self.spec.name))))


class ProcessTool(SelfTimed):
    """A sync function; it runs in a worker process and is killed with its call."""

    def __init__(self, function: Function, declared: Declaration, processes: ProcessPool) -> None:
        self.spec: ToolSpec = declared.spec
        self._name = function.__name__
        self._source = source_of(function)
        self._timeout = (
            None if declared.spec.timeout is None else timedelta(microseconds=declared.spec.timeout)
        )
        self._processes = processes

    async def call(
        self, arguments: dict[str, Json], context: CallContext, *, begin: Begin | None = None
    ) -> Data:
        """Calls the function; the time counts from when a process has begun with it."""
        return Data(
            await self._processes.call(
                self._source,
                self._name,
                arguments,
                context=context,
                timeout=self._timeout,
                begin=begin,
            )
        )


def declare(
    function: F,
    said: ToolSpec,
    *,
    has_schema: bool = False,
    offer: Callable[[ToolSpec], Offer] | None = None,
) -> F:
    """Leaves on a function what was said of it, with what it says itself.

    `offer` makes the resource or the prompt that it is.

    Raises:
        TypeError: as `tool`.
    """
    name = said.name or getattr(function, "__name__", "")
    _check_function(function, name)
    parameters: type[Struct] | None = None
    if has_schema:
        context, input_schema = declaration.context_parameter(function, name), said.input_schema
    else:
        parameters, context = declaration.described_parameters(function, name)
        input_schema = declaration.input_schema(function, name, parameters)
    spec = msgspec.structs.replace(
        said,
        name=name,
        description=said.description or _described(function, name),
        input_schema=input_schema,
        output_schema=said.output_schema
        or (declaration.output_schema(function, name) if offer is None else None),
    )
    declared = Declaration(
        spec=spec,
        parameters=parameters,
        context=context,
        offer=None if offer is None else offer(spec),
    )
    setattr(function, DECLARATION, declared)
    return function


def _check_function(function: Function, name: str) -> None:
    if getattr(function, DECLARATION, None) is not None:
        raise TypeError(f"{name}: one function is one tool, one resource or one prompt")
    if not inspect.isfunction(function):
        raise TypeError(
            f"@tool goes on a function, {function!r} is none; "
            "what you say of a tool goes by name: @tool(name=...)"
        )
    if inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
        raise TypeError(f"tool {name}: it yields; return one result instead")
    if not declaration.NAME.fullmatch(name):
        raise TypeError(
            f"{name!r} cannot be the name of a tool: use name= with 1 to 64 of a-z 0-9 _ . - "
            "beginning with a letter"
        )


def _described(function: Function, name: str) -> str:
    description = declaration.description(function)
    if not description:
        raise TypeError(
            f"tool {name} has no description, so no model could choose it: "
            "write a docstring, or give description="
        )
    return description


def microseconds(timeout: timedelta | None) -> int | None:
    """The longest time of a call, as a spec has it.

    Raises:
        TypeError: it is none.
    """
    if timeout is None:
        return None
    if not isinstance(timeout, timedelta):
        raise TypeError(f"@tool: timeout must be {wanted_timedelta(timeout)}")
    if timeout <= timedelta(0):
        raise TypeError(f"@tool: timeout must be longer than nothing, it is {timeout}")
    return timeout // timedelta(microseconds=1)
