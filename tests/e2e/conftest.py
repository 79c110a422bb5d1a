"""A home with the demo's files, and commands that run on it."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.processes import end_processes_in
from typer.testing import CliRunner, Result

from stepwell_server.cli.app import app
from stepwell_server.cli.child_daemon import ChildDaemon
from stepwell_server.cli.demo_home import furnish
from stepwell_server.home import Home

Stepwell = Callable[..., "subprocess.CompletedProcess[str]"]
Command = Callable[..., Result]


@pytest.fixture(autouse=True)
def no_process_outlives_its_test(tmp_path: Path) -> Iterator[None]:
    """Ends what a failed test has left behind, and finds the test that leaves something."""
    yield
    left = end_processes_in(tmp_path)
    assert not left, f"these were left running, and are ended now: {left}"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A furnished home that no daemon serves yet."""
    made = Home(tmp_path / "home")
    furnish(made)
    return made


@pytest.fixture
def daemon(home: Home) -> Iterator[ChildDaemon]:
    """The home's daemon, not started; it is stopped after the test."""
    child = ChildDaemon(home)
    yield child
    child.stop()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A home with a daemon for all tests of a file."""
    home = Home(tmp_path_factory.mktemp("cli") / "home")
    furnish(home)
    child = ChildDaemon(home)
    try:
        asyncio.run(child.start())
        yield home
    finally:
        child.stop()


@pytest.fixture
def command(served: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs one command on the served home, in this process, from an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STEPWELL_HOME", str(served.path))
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str, given: str | None = None) -> Result:
        return CliRunner().invoke(app, arguments, input=given)

    return run


@pytest.fixture
def stepwell(home: Home) -> Stepwell:
    """Runs one command on the home, as a process of its own."""

    def run(*arguments: str, given: str | None = None) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "stepwell_server.cli.main", *arguments],
            env=clean_environment() | {"STEPWELL_HOME": str(home.path)},
            cwd=home.path / "demo",
            input=given,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


def clean_environment() -> dict[str, str]:
    """The environment without anybody's settings."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("STEPWELL_", "DATABASE_URL"))
    }
