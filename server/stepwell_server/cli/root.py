"""The root of the tree of commands."""

import sys
from collections.abc import Sequence
from typing import Any

from typer.core import TyperGroup
from typer.exceptions import TyperException

from stepwell.errors import Code, InvalidRequest
from stepwell_server.cli.output import Output


class Root(TyperGroup):
    """Tells programs in JSON, too, that a command line is wrong."""

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
