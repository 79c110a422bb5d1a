"""The page on steering runs does what it shows."""

import asyncio
import re
import shlex
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from stepwell_server.cli.app import app
from stepwell_server.cli.child_daemon import ChildDaemon
from stepwell_server.cli.exits import Exit
from stepwell_server.home import Home

PAGE = (Path(__file__).parents[2] / "docs" / "controls.md").read_text()
NEW_RUN = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\n").fullmatch


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The page's files and a database in the current folder, and a daemon."""
    home = Home(tmp_path / "home")
    home.create()
    home.config_file.write_text("[server]\ngrpc_port = 0\nhttp_port = 0\n")
    for block in blocks("yaml"):
        name, _, rest = block.removeprefix("# ").partition("\n")
        (tmp_path / name).write_text(rest)
    with sqlite3.connect(tmp_path / "shop.db") as database:
        database.execute("CREATE TABLE sale (month TEXT)")
        database.execute("INSERT INTO sale VALUES ('2026-01'), ('2026-01')")
    database.close()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STEPWELL_HOME", str(home.path))
    monkeypatch.setenv("COLUMNS", "200")
    child = ChildDaemon(home)
    try:
        asyncio.run(child.start())
        yield tmp_path
    finally:
        child.stop()


def commands() -> Iterator[tuple[str, str]]:
    """Every command of the page, and what is shown below it: in its block, or in the next one."""
    shown_later = iter(blocks("text"))
    for block in blocks("console"):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            line, _, shown = part.partition("\n")
            yield line, next(shown_later) if line == "stepwell show RUN" else shown


def test_the_page_does_what_it_shows(folder: Path) -> None:
    run = ""
    refused: list[str] = []
    for line, shown in commands():
        words = shlex.split(line.partition("  #")[0].replace("RUN", run))
        result: Result = CliRunner().invoke(app, words[1:])
        if result.exit_code:
            refused.append(line)
            assert result.exit_code == Exit.FAILED, result.stderr
        elif NEW_RUN(result.stdout):
            run = result.stdout.strip()
        else:
            expected = set(shown.replace("RUN", run).splitlines())
            assert expected <= set(result.stdout.splitlines()), (line, result.stderr)
    assert refused == ["stepwell wait RUN  # fails with DATASOURCE_NOT_FOUND"]
