"""The tools of a runtime, by name."""

from typing import Final

from stepwell.errors import AlreadyExists, Code, SetupError
from stepwell.tools.declaration import NAME
from stepwell.tools.port import Tool, ToolSpec
from stepwell.tools.schema import compiled

RESERVED: Final = frozenset({"run_get", "run_events", "run_signal", "run_cancel"})
"""Names under which MCP clients are offered what follows their runs."""


class ToolRegistry:
    """Every tool that a workflow may name."""

    def __init__(self) -> None:
        self._tools: dict[str, Tool] = {}
        self.published_names: frozenset[str] = frozenset()
        """The names of the tools that MCP clients are offered: every direct call asks for them."""

    def add(self, tool: Tool) -> None:
        """Adds a tool, and compiles its schemas.

        Raises:
            AlreadyExists: another tool has this name.
            SetupError: the name cannot be one, or is reserved.
            InvalidRequest: INVALID_DEFINITION, a schema is not valid.
        """
        spec = tool.spec
        if not NAME.fullmatch(spec.name):
            raise SetupError(
                f"{spec.name!r} cannot be the name of a tool: 1 to 64 of a-z 0-9 _ . - "
                "beginning with a letter",
                code=Code.INVALID_DEFINITION,
            )
        if spec.name in RESERVED:
            raise SetupError(
                f"{spec.name} is the name of a tool of Stepwell's own, with which MCP clients "
                'follow their runs; give yours another one: @tool(name="...")',
                code=Code.INVALID_DEFINITION,
            )
        if spec.name in self._tools:
            raise AlreadyExists(f"there are two tools named {spec.name}; give one another name")
        compiled(spec.input_schema)
        if spec.output_schema is not None:
            compiled(spec.output_schema)
        self._tools[spec.name] = tool
        if spec.published:
            self.published_names |= {spec.name}

    def get(self, name: str) -> Tool | None:
        """The tool of this name, if there is one."""
        return self._tools.get(name)

    def names(self) -> tuple[str, ...]:
        """The name of every tool, sorted."""
        return tuple(sorted(self._tools))

    def published(self) -> tuple[ToolSpec, ...]:
        """The tools that MCP clients are offered, by name."""
        specs = (tool.spec for _, tool in sorted(self._tools.items()))
        return tuple(spec for spec in specs if spec.published)
