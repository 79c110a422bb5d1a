"""`stepwell config`: the settings that hold for a home."""

import os

import typer

from stepwell.config import effective, load_settings
from stepwell_server.cli.command import HomeOption, JsonOption, command, home_or_default
from stepwell_server.cli.output import Output


def add_to(app: typer.Typer) -> None:
    """Adds the command of this module."""

    @command(app, "config")
    def show_settings(*, home: HomeOption = None, json: JsonOption = False) -> None:
        """Print every setting with its value; passwords are not shown."""
        output = Output(json=json)
        where = home_or_default(home)
        values = effective(load_settings(where.path, os.environ))
        if json:
            output.document({"home": str(where.path), "settings": values})
            return
        output.note(f"the settings of {where.path}, from {where.config_file} and STEPWELL_*")
        output.table(
            ("setting", "value"),
            ((key, _text(value)) for key, value in values.items()),
            empty="",
        )


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(value)
    return "" if value is None else str(value)
