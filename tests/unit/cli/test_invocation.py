import sys
from pathlib import Path

import pytest

from stepwell_server.cli.invocation import full_name, typed_name


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The program of an environment of its own."""
    made = tmp_path / "shop" / ".venv" / "bin" / "stepwell"
    made.parent.mkdir(parents=True)
    made.touch(mode=0o755)
    monkeypatch.setattr(sys, "executable", str(made.with_name("python")))
    return made


def test_on_the_path_the_name_is_enough(script: Path, tmp_path: Path) -> None:
    assert typed_name({"PATH": f"/nowhere:{script.parent}"}, tmp_path) == "stepwell"
    linked = tmp_path / "bin" / "stepwell"
    linked.parent.mkdir()
    linked.symlink_to(script)
    assert typed_name({"PATH": str(linked.parent)}, tmp_path) == "stepwell"


def test_elsewhere_it_is_the_path_from_where_one_stands(script: Path, tmp_path: Path) -> None:
    assert typed_name({"PATH": "/nowhere"}, tmp_path / "shop") == ".venv/bin/stepwell"
    assert typed_name({"PATH": "/nowhere"}, Path("/elsewhere")) == str(script)


def test_the_program_of_another_environment_is_not_meant(script: Path, tmp_path: Path) -> None:
    other = tmp_path / "stepwell"
    other.touch(mode=0o755)
    assert typed_name({"PATH": str(tmp_path)}, tmp_path) == str(script.relative_to(tmp_path))


def test_without_a_program_it_is_the_module(script: Path, tmp_path: Path) -> None:
    script.unlink()
    expected = f"{script.with_name('python')} -m stepwell_server.cli.main"
    assert typed_name({}, tmp_path) == full_name() == expected


def test_a_host_is_given_the_whole_path(script: Path) -> None:
    assert full_name() == str(script)
