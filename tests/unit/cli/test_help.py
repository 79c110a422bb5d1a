"""`stepwell --help`: every command once, under a heading, and what it does in whole words."""

import re

import typer
from typer.testing import CliRunner

from stepwell_server.cli.app import app
from stepwell_server.cli.reference import command_line
from stepwell_server.cli.root import HEADINGS, Root


def shown(columns: str) -> str:
    return CliRunner(env={"COLUMNS": columns}).invoke(app, ["--help"]).output


def test_every_command_has_one_heading() -> None:
    root = typer.main.get_command(app)
    assert isinstance(root, Root)
    listed = [name for names in HEADINGS.values() for name in names]
    assert sorted(listed) == sorted(
        name for name, command in root.commands.items() if not command.hidden
    )


def test_headings_stand_in_their_order_and_nothing_is_cut_off() -> None:
    text = shown("80")
    assert re.findall(r"^(\w.*):$", text, re.MULTILINE) == ["Options", *HEADINGS]
    assert "..." not in text.partition("Begin:")[2]
    assert max(map(len, text.splitlines())) <= 80


def test_descriptions_begin_in_one_column() -> None:
    lines = [line for line in shown("80").splitlines() if _names(line)]
    assert len(lines) > 30
    assert len({line.index(line.split(maxsplit=1)[1]) for line in lines}) == 1


def _names(line: str) -> bool:
    return any(line.startswith(f"  {name} ") for names in HEADINGS.values() for name in names)


def test_the_keys_of_data_answer_to_their_old_name_which_is_shown_nowhere() -> None:
    told = CliRunner().invoke(app, ["keys", "--help"])
    assert told.exit_code == 0
    assert "rotate" in told.output
    assert "stepwell keys" not in command_line()
    assert "stepwell data-keys rotate" in command_line()
