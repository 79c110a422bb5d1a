"""The page on policies does what it shows."""

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

REPOSITORY = Path(__file__).parents[2]
PAGE = (REPOSITORY / "docs" / "policy.md").read_text()


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


def commands() -> Iterator[tuple[str, str]]:
    """Every command, and what is shown below it."""
    for block in blocks("console"):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            line, _, shown = part.partition("\n")
            yield line, shown


@pytest.fixture
def daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A daemon that has the tools of the example, and a folder."""
    home = Home(tmp_path / "home")
    home.create()
    tools = REPOSITORY / "examples" / "policies" / "shop_tools.py"
    home.config_file.write_text(
        f'tools.paths = ["{tools}"]\n[server]\ngrpc_port = 0\nhttp_port = 0\n'
    )
    monkeypatch.chdir(REPOSITORY)
    monkeypatch.setenv("STEPWELL_HOME", str(home.path))
    monkeypatch.setenv("COLUMNS", "200")
    child = ChildDaemon(home)
    try:
        asyncio.run(child.start())
        yield tmp_path
    finally:
        child.stop()


def test_the_page_does_what_it_shows(daemon: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for line, shown in commands():
        result = CliRunner().invoke(app, shlex.split(line)[1:])
        assert result.exit_code == Exit.OK, (line, result.stderr)
        printed = re.sub("sha256:[0-9a-f]{64}", "sha256:DIGEST", result.stdout)
        assert printed == shown, line

    right, of_data, wrong = blocks("cedar")
    example = (REPOSITORY / "examples" / "policies" / "data.cedar").read_text()
    assert all(rule in example for rule in of_data.split("\n\n"))
    monkeypatch.chdir(daemon)
    Path("rules.cedar").write_text(wrong)
    result = CliRunner().invoke(app, ["policy", "check", "rules.cedar"])
    assert result.exit_code == Exit.USAGE
    assert result.stderr == blocks("text")[-1]
    assert right.rstrip(";\n") in "\n".join(
        line
        for line in (REPOSITORY / "examples/policies/shop.cedar").read_text().splitlines()
        if not line.startswith(("@approver", "@expires"))
    )
