"""The pages on schedules, queues and retention do what they show."""

import asyncio
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from stepwell_server.cli.app import app
from stepwell_server.cli.child_daemon import ChildDaemon
from stepwell_server.cli.exits import Exit
from stepwell_server.home import Home

DOCS = Path(__file__).parents[2] / "docs"


def blocks(text: str, kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def commands(text: str) -> Iterator[tuple[str, str]]:
    """Every command, and what is shown below it."""
    for block in blocks(text, "console"):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            line, _, shown = part.partition("\n")
            yield line.partition("  #")[0], shown


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder, with a daemon."""
    home = Home(tmp_path / "home")
    home.create()
    home.config_file.write_text("[server]\ngrpc_port = 0\nhttp_port = 0\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STEPWELL_HOME", str(home.path))
    monkeypatch.setenv("COLUMNS", "200")
    child = ChildDaemon(home)
    try:
        asyncio.run(child.start())
        yield tmp_path
    finally:
        child.stop()


def test_the_pages_do_what_they_show(folder: Path) -> None:
    pages = [(DOCS / f"{name}.md").read_text() for name in ("schedules", "queues")]
    operations = (DOCS / "operations.md").read_text()
    pages.append(operations.partition("## How long runs are kept")[2].partition("\n## ")[0])
    for text in pages:
        for block in blocks(text, "yaml"):
            name, _, rest = block.removeprefix("# ").partition("\n")
            (folder / name).write_text(rest)
        for line, shown in commands(text):
            result = CliRunner().invoke(app, shlex.split(line)[1:])
            assert result.exit_code == Exit.OK, (line, result.stderr)
            assert not shown or result.stdout == shown, line
