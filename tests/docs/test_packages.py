"""What is published: no two say another version, and the README has the mark and the buttons."""

import base64
import json
import re
import tomllib
import zipfile
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jsonschema_rs
import pytest
from dev import package

from stepwell_server.connecting.entries import is_stepwell

README = (package.REPOSITORY / "README.md").read_text()
PROJECT = package.read_project()


def bundle(tmp_path: Path) -> dict[str, bytes]:
    """The files of a bundle, around something that stands for the wheel."""
    wheel = tmp_path / f"stepwell-{PROJECT['version']}-py3-none-any.whl"
    wheel.write_bytes(b"a wheel")
    package.write_bundle(tmp_path / "made.mcpb", PROJECT, wheel)
    with zipfile.ZipFile(tmp_path / "made.mcpb") as packed:
        return {name: packed.read(name) for name in packed.namelist()}


def config_of(link: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(link).query).items()}


def test_all_that_is_published_has_the_same_version(tmp_path: Path) -> None:
    version = PROJECT["version"]
    server, files = package.server_json(PROJECT), bundle(tmp_path)
    inner = tomllib.loads(files["pyproject.toml"].decode())
    assert {
        server["version"],
        *(each["version"] for each in server["packages"]),
        json.loads(files["manifest.json"])["version"],
        inner["project"]["version"],
    } == {version}
    assert inner["tool"]["uv"]["sources"]["stepwell"]["path"] in files


def test_the_readme_has_the_mark_of_who_owns_the_name_in_the_registry() -> None:
    assert re.findall(r"mcp-name: (\S+)", README) == [package.server_json(PROJECT)["name"]]


@pytest.mark.parametrize(
    "wrong",
    [
        {"description": "x" * 101},
        {"name": "no-namespace"},
        {"version": "latest"},
        {"version": ">=0.1.0"},
        {"packages": []},
        {"surprise": True},
    ],
)
def test_an_entry_that_the_registry_would_not_take_is_not_built(wrong: dict[str, Any]) -> None:
    package.check_server(package.server_json(PROJECT))
    with pytest.raises(jsonschema_rs.ValidationError):
        package.check_server({**package.server_json(PROJECT), **wrong})


def test_a_bundle_has_what_it_starts_and_is_the_same_each_time(tmp_path: Path) -> None:
    files = bundle(tmp_path)
    server = json.loads(files["manifest.json"])["server"]
    assert (server["type"], server["entry_point"] in files) == ("uv", True)
    assert server["mcp_config"]["args"][-1] == server["entry_point"]
    compile(files["server.py"], "server.py", "exec")
    once = (tmp_path / "made.mcpb").read_bytes()
    bundle(tmp_path)
    assert (tmp_path / "made.mcpb").read_bytes() == once


def test_the_buttons_of_the_readme_add_what_connect_would(tmp_path: Path) -> None:
    assert package.vscode_link() in README
    assert package.cursor_link() in README
    code = config_of(package.vscode_link())
    cursor = config_of(package.cursor_link())
    entries = [json.loads(code["config"]), json.loads(base64.b64decode(cursor["config"]))]
    assert [code["name"], cursor["name"]] == ["stepwell", "stepwell"]
    assert [is_stepwell(entry) for entry in entries] == [True, True]


def test_the_entry_of_the_registry_starts_the_same_command() -> None:
    (published,) = package.server_json(PROJECT)["packages"]
    values = [argument["value"] for argument in published["packageArguments"]]
    assert [published["runtimeHint"], published["identifier"], *values] == [
        package.COMMAND,
        *package.ARGUMENTS,
    ]
