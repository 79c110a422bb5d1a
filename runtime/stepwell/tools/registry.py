"""The tools of a runtime, by name. They may come, change and go while it runs."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from stepwell.errors import AlreadyExists, Code, SetupError
from stepwell.tools.declaration import NAME
from stepwell.tools.port import Tool, ToolSpec
from stepwell.tools.schema import compiled

RESERVED: Final = frozenset(
    {"run_start", "run_get", "run_result", "run_events", "run_signal", "run_cancel"}
    | {"search_tools", "describe_tools", "call_tool"}
)
"""Names under which MCP clients are offered what follows their runs, and what finds their tools."""

OF_DATA: Final = frozenset({"db_read", "db_insert", "db_update", "db_delete"})
"""Actions of data in policies: a rule that names one would not be about a tool of that name."""

FOREIGN_NAME: Final = re.compile(r"[A-Za-z0-9_./-]{1,128}")
"""What a tool of another's MCP server may be called: whatever that protocol allows."""

Listener = Callable[[], None]


class ToolRegistry:
    """Every tool that a workflow may name."""

    def __init__(self) -> None:
        self._tools: dict[str, Tool] = {}
        self._suspended: dict[str, str] = {}
        self._listeners: dict[object, Listener] = {}
        self._open = 0
        self._is_changed = False
        self._published: tuple[ToolSpec, ...] | None = None
        self.published_names: frozenset[str] = frozenset()
        """The names of the tools that MCP clients may call: every direct call asks for them."""
        self.direct_names: frozenset[str] = frozenset()
        """Those, and the tools by which resources are read and prompts are got."""

    def add(self, tool: Tool) -> None:
        """Adds a tool, and compiles its schemas.

        Raises:
            AlreadyExists: another tool has this name.
            SetupError: the name cannot be one, or is reserved.
            InvalidRequest: INVALID_DEFINITION, a schema is not valid.
        """
        self.check(tool.spec)
        if tool.spec.name in self._tools:
            raise AlreadyExists(
                f"there are two tools named {tool.spec.name}; give one another name"
            )
        self._put(tool)

    def replace(self, tool: Tool) -> None:
        """Puts a tool in the place of the one of its name, which need not be there.

        A suspended one stays suspended. Calls that have begun end with the tool they began with.

        Raises:
            SetupError, InvalidRequest: as `add`; the old tool is left as it is.
        """
        self.check(tool.spec)
        self._put(tool)

    def withdraw(self, name: str) -> None:
        """Forgets a tool, if it is there."""
        self._suspended.pop(name, None)
        if self._tools.pop(name, None) is not None:
            self.published_names -= {name}
            self.direct_names -= {name}
            self._changed()

    def suspend(self, name: str, reason: str) -> None:
        """Keeps a tool from being called or offered; `reason` says why, and what to do."""
        if name in self._tools and self._suspended.get(name) != reason:
            self._suspended[name] = reason
            self._changed()

    def resume(self, name: str) -> None:
        """Lets a suspended tool be called again."""
        if self._suspended.pop(name, None) is not None:
            self._changed()

    def get(self, name: str) -> Tool | None:
        """The tool of this name, if there is one, suspended or not."""
        return self._tools.get(name)

    def suspension(self, name: str) -> str:
        """Why the tool of this name may not be called now; "" when it may."""
        return self._suspended.get(name, "")

    def names(self) -> tuple[str, ...]:
        """The name of every tool, sorted."""
        return tuple(sorted(self._tools))

    def all(self) -> tuple[ToolSpec, ...]:
        """Every tool there is, by name."""
        return tuple(tool.spec for _, tool in sorted(self._tools.items()))

    def published(self) -> tuple[ToolSpec, ...]:
        """The tools that MCP clients are offered, by name."""
        if self._published is None:
            self._published = tuple(
                spec for spec in self.all() if is_listed(spec) and spec.name not in self._suspended
            )
        return self._published

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Calls `listener` after each change, until what is answered is called."""
        token = object()
        self._listeners[token] = listener

        def leave() -> None:
            self._listeners.pop(token, None)

        return leave

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Makes the changes inside one for those that listen."""
        self._open += 1
        try:
            yield
        finally:
            self._open -= 1
            if not self._open and self._is_changed:
                self._changed()

    def check(self, spec: ToolSpec) -> None:
        """Whether a tool may be here, but for whether its name is free; compiles its schemas.

        Raises:
            SetupError, InvalidRequest: as `add`.
        """
        if spec.kind == "mcp":
            if not FOREIGN_NAME.fullmatch(spec.name):
                raise SetupError(
                    f"{spec.name!r} cannot be the name of a tool: 1 to 128 letters, digits, "
                    "_ . - and /",
                    code=Code.INVALID_DEFINITION,
                )
        elif not NAME.fullmatch(spec.name):
            raise SetupError(
                f"{spec.name!r} cannot be the name of a tool: 1 to 64 of a-z 0-9 _ . - "
                "beginning with a letter",
                code=Code.INVALID_DEFINITION,
            )
        if spec.name in RESERVED:
            other = (
                '`names = "prefix"` for the server' if spec.kind == "mcp" else '@tool(name="...")'
            )
            raise SetupError(
                f"{spec.name} is the name of a tool of Stepwell's own, with which MCP clients "
                f"follow their runs or find tools; give yours another one: {other}",
                code=Code.INVALID_DEFINITION,
            )
        if spec.name in OF_DATA:
            raise SetupError(
                f"{spec.name} is what policies call an action of data; give the tool another name",
                code=Code.INVALID_DEFINITION,
            )
        compiled(spec.input_schema)
        if spec.output_schema is not None:
            compiled(spec.output_schema)

    def _put(self, tool: Tool) -> None:
        spec = tool.spec
        before = self._tools.get(spec.name)
        self._tools[spec.name] = tool
        if spec.published:
            self.direct_names |= {spec.name}
        else:
            self.direct_names -= {spec.name}
        if is_listed(spec):
            self.published_names |= {spec.name}
        else:
            self.published_names -= {spec.name}
        self._published = None
        if before is None or before.spec != spec:
            self._changed()

    def _changed(self) -> None:
        self._published = None
        self._is_changed = True
        if self._open:
            return
        self._is_changed = False
        for listener in tuple(self._listeners.values()):
            listener()


def is_listed(spec: ToolSpec) -> bool:
    """Whether MCP clients see it among the tools, when it is not suspended."""
    return spec.published and spec.role == "tool"
