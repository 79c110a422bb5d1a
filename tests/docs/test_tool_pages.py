"""The pages about tools and MCP servers: the settings that they show are settings."""

import re
from pathlib import Path

import pytest

from stepwell.config import load_settings
from stepwell.tools.http import HttpTool
from stepwell.tools.secrets import Secrets
from stepwell_server.connecting.clients import NAMES

DOCS = Path(__file__).parents[2] / "docs"


def settings_of(page: str) -> list[str]:
    text = (DOCS / page).read_text()
    return re.findall(r"^```toml\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("block", [*settings_of("connect.md"), *settings_of("tools.md")])
def test_the_settings_of_a_page_are_settings(block: str, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(block)
    tools = load_settings(tmp_path).tools
    assert tools.paths or tools.servers or tools.http
    for name, request in tools.http.items():
        assert HttpTool(name, request, secrets=Secrets({}, home=tmp_path)).spec.name == name


def test_every_client_that_we_know_is_on_the_page() -> None:
    text = (DOCS / "connect.md").read_text()
    assert [name for name in NAMES if f"| `{name}` |" not in text] == []
