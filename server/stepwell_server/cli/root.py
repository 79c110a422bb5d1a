"""The root of the tree of commands."""

import sys
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from typer.core import TyperGroup
from typer.exceptions import TyperException

from stepwell.errors import Code, InvalidRequest
from stepwell_server.cli.output import Output

HEADINGS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "Begin": ("demo", "connect", "up", "down", "mcp", "doctor", "config", "version"),
        "Decide": (
            *("approvals", "page", "factor", "answer", "resolve"),
            *("policy", "budget", "audit"),
        ),
        "Runs": (
            *("run", "runs", "show", "events", "wait"),
            *("signal", "pause", "resume", "cancel", "retry", "fork"),
        ),
        "Workflows and tools": (
            *("workflows", "schedules", "queues"),
            *("tools", "toolset"),
        ),
        "Databases": ("ask", "datasource"),
        "Keys and data": ("key", "secrets", "data-keys", "retention"),
    }
)
"""The commands as `stepwell --help` has them: each under one heading, in the order in which it is needed."""

SENTENCE: Final = 1000
"""Characters that no first sentence has."""


class Root(TyperGroup):
    """Shows its commands under headings; tells programs in JSON, too, that a command line is wrong."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Writes a section for each heading, its columns as wide as those of the others."""
        widest = max(len(name) for names in HEADINGS.values() for name in names)
        for heading, names in HEADINGS.items():
            with formatter.section(heading):
                formatter.write_dl([(name.ljust(widest), self._about(name)) for name in names])

    def _about(self, name: str) -> str:
        """What a command does: its first clause, whole."""
        sentence = self.commands[name].get_short_help_str(limit=SENTENCE)
        return sentence.partition(";")[0].rstrip(".") + "."

    def main(self, args: Sequence[str] | None = None, *rest: Any, **settings: Any) -> Any:
        """Runs the command that the arguments name, and leaves with its exit code."""
        arguments = sys.argv[1:] if args is None else list(args)
        if "--json" not in arguments:
            return super().main(arguments, *rest, **settings)
        try:
            code = super().main(arguments, *rest, **(settings | {"standalone_mode": False}))
        except TyperException as error:
            wrong = InvalidRequest(error.format_message(), code=Code.INVALID_CONFIG)
            Output(json=True).error(wrong)
            sys.exit(error.exit_code)
        sys.exit(code)
