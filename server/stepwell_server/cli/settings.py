"""`stepwell config`: the settings that hold for a home."""

import os

import msgspec
import typer

from stepwell.config import effective, load_settings, origins
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
        set_by = origins(where.path, os.environ, {})
        if json:
            output.document({"home": str(where.path), "settings": values})
            return
        there = "" if where.config_file.exists() else ", which has no config.toml"
        output.note(f"the settings of {where.path}{there}")
        output.table(
            ("setting", "value", "set by"),
            ((key, _toml(value), set_by.get(key, "")) for key, value in values.items()),
            empty="",
        )


def _toml(value: object) -> str:
    """The value as `config.toml` would have it; what is not set has none."""
    # Text, numbers, booleans and lists are written alike in JSON and TOML.
    return "" if value is None else msgspec.json.encode(value).decode()
