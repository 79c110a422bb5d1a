"""README and docs: what they show is run, what they name is there."""

import asyncio
import re
import shlex
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from stepwell.definitions.compile import check_definition
from stepwell_server.cli import reference
from stepwell_server.cli.app import app
from stepwell_server.cli.child_daemon import ChildDaemon
from stepwell_server.home import Home

REPOSITORY = Path(__file__).parents[2]
README = (REPOSITORY / "README.md").read_text()
QUICKSTART = (REPOSITORY / "docs" / "quickstart.md").read_text()
PAGES = [REPOSITORY / "README.md", *(REPOSITORY / "docs").glob("**/*.md")]

ANY_PORTS = "[server]\ngrpc_port = 0\nhttp_port = 0\n"


def blocks(text: str, kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def commands(text: str) -> Iterator[tuple[str, str]]:
    """Every `$ command` of the console blocks, and what is shown below it."""
    for block in blocks(text, "console"):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            line, _, shown = part.partition("\n")
            yield line.partition("  #")[0].strip(), shown


def test_the_readme_fits_on_one_page_and_names_both_commands() -> None:
    assert len(README.splitlines()) < 130
    assert {"make demo", "make test"} < {command for command, _ in commands(README)}


def test_the_workflow_of_the_readme_is_valid() -> None:
    [source] = blocks(README, "yaml")
    assert check_definition(source.encode()) == ()


def test_the_readme_shows_the_events_that_the_demo_writes() -> None:
    """The numbers and kinds are those of `stepwell demo`, which tests/e2e runs."""
    shown = re.findall(r"^ +(\d+)  [\d:]{8}  (\w+)", README, re.MULTILINE)
    kinds = ["run_started", "step_scheduled", "llm_call", "tool_call", "llm_call", "tool_call"]
    expected = list(enumerate(kinds, 1))
    assert [(int(number), kind) for number, kind in shown[:-1]] == expected
    assert shown[-1] == ("12", "run_completed")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The quickstart's files, in a folder that is the current one, and a home in it."""
    home = Home(tmp_path / "home")
    home.create()
    for block in [text for kind in ("yaml", "python", "toml") for text in blocks(QUICKSTART, kind)]:
        first, _, rest = block.partition("\n")
        name = first.removeprefix("# ").replace("~/.stepwell", "home")
        (tmp_path / name).write_text(rest.replace("/absolute/path/to", str(tmp_path)))
    home.config_file.write_text(ANY_PORTS + home.config_file.read_text())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STEPWELL_HOME", str(home.path))
    return tmp_path


def test_the_quickstart_does_what_it_shows(folder: Path) -> None:
    """Its `up` and `kill` are the test's own; nothing else is left out, and nothing added."""
    child = ChildDaemon(Home(folder / "home"))
    outcomes: dict[str, Result] = {}
    try:
        for command, shown in commands(QUICKSTART):
            if command.startswith("stepwell up"):
                asyncio.run(child.start())
            elif command.startswith("kill -9"):
                child.kill()
            elif command.startswith("python "):
                subprocess.run([sys.executable, *shlex.split(command)[1:]], check=True)
            else:
                words = shlex.split(command)
                assert words[0] == "stepwell"
                outcomes[command] = result = CliRunner().invoke(app, words[1:])
                assert not shown or result.stdout == shown, result.stderr
                if words[1] == "down":
                    child.stop()  # it has ended; its process is still to be waited for
    finally:
        child.stop()
    refused = [command for command, result in outcomes.items() if result.exit_code]
    assert refused == ["""stepwell run greet --input '{"nmae": "Grace"}'"""]
    assert "INVALID_INPUT" in outcomes[refused[0]].stderr
    assert "buy milk" in (folder / "notes.txt").read_text()


def test_the_readme_asks_and_changes_a_database_as_it_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of what is printed it shows some lines, in their order; a name of a preview is always another."""
    home = Home(tmp_path / "home")
    home.create()
    home.config_file.write_text(ANY_PORTS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STEPWELL_HOME", str(home.path))
    with closing(sqlite3.connect("shop.db")) as database:
        database.executescript((files("stepwell_server") / "demo" / "shop.sql").read_text())
    Path("rules.cedar").write_text(
        '@id("read") permit(principal, action, resource) when { resource.read_only };'
        '@id("shop") permit(principal, action in [Action::"db_read", Action::"db_update"], '
        'resource in Datasource::"shop");'
    )
    child = ChildDaemon(home)
    try:
        asyncio.run(child.start())
        assert CliRunner().invoke(app, ["policy", "apply", "rules.cedar"]).exit_code == 0
        [block] = [it for it in blocks(README, "console") if "datasource add" in it]
        ran = 0
        for command, shown in commands(f"```console\n{block}```"):
            result = CliRunner().invoke(app, shlex.split(command)[1:])
            assert result.exit_code == 0, result.stderr
            printed = iter(_without_preview(result.stdout).splitlines())
            missing = [it for it in _without_preview(shown).splitlines() if it not in printed]
            assert missing == []
            ran += 1
        assert ran == 3
    finally:
        child.stop()


def _without_preview(text: str) -> str:
    return re.sub("'[0-9a-f-]{36}/call#[0-9a-f]{32}'", "PREVIEW", text)


def documented() -> set[str]:
    """Every command line that begins with `stepwell`, in all pages, without its arguments."""
    found: set[str] = set()
    for page in PAGES:
        text = page.read_text()
        found |= set(re.findall(r"(?:^\$ |`)(stepwell [a-z][^`\n]*)", text, re.MULTILINE))
    return found


@pytest.mark.parametrize("line", sorted(documented()))
def test_a_documented_command_exists_with_its_options(line: str) -> None:
    words = line.partition("  #")[0].split()[1:]
    command: Any = typer.main.get_command(app)
    while words and hasattr(command, "commands"):
        assert words[0] in command.commands, f"there is no `{line}`"
        command = command.commands[words.pop(0)]
    known = {name for parameter in command.params for name in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= known | {"--help"}


def test_links_between_the_pages_lead_somewhere() -> None:
    broken = [
        f"{page.name}: {target}"
        for page in PAGES
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text())
        if "://" not in target and not (page.parent / target).exists()
    ]
    assert broken == []


@pytest.mark.parametrize("name", reference.PAGES)
def test_the_reference_says_what_the_code_says(name: str) -> None:
    """`make reference` writes it anew."""
    folder = REPOSITORY / "docs" / "reference"
    assert (folder / name).read_text() == reference.render(name)
