"""Keys as a person keeps them: `stepwell data-keys` and `doctor` on a home that encrypts."""

import asyncio
import base64
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from stepwell.errors import StepwellError
from stepwell_server.cli.app import app
from stepwell_server.cli.child_daemon import ChildDaemon
from stepwell_server.cli.exits import Exit
from stepwell_server.home import Home

SETTINGS = """
[server]
grpc_port = 0
http_port = 0
[encryption]
active = "{active}"
subject_label = "subject"
[encryption.keys]
{keys}
"""
GREET = """
workflow: greet
input: {{ type: object, properties: {{ name: {{}} }} }}
nodes:
  - {{ id: say, transform: {{ text: "='Hello, ' + input.name" }} }}
output: =say.output
"""

Command = Callable[..., Result]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(tmp_path / "home")
    made.create()
    for name in ("k1", "k2"):
        file = made.path / f"{name}.key"
        file.write_text(base64.b64encode(os.urandom(32)).decode())
        file.chmod(0o600)
    (tmp_path / "greet.yaml").write_text(GREET.format())
    return made


@pytest.fixture
def command(home: Home, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs one command on the home."""
    monkeypatch.chdir(home.path.parent)
    monkeypatch.setenv("STEPWELL_HOME", str(home.path))
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str, given: str | None = None) -> Result:
        return CliRunner().invoke(app, arguments, input=given)

    return run


def configure(home: Home, *names: str, active: str) -> None:
    keys = "\n".join(f'{name} = "file:{name}.key"' for name in names)
    home.config_file.write_text(SETTINGS.format(active=active, keys=keys))


def greeted(command: Command, name: str) -> str:
    """The id of a run that has greeted a subject."""
    given = json.dumps({"name": name})
    label = f"subject={name}"
    told = command("run", "greet.yaml", "--input", given, "--label", label, "--wait", "--json")
    assert told.exit_code == Exit.OK, told.output
    run: str = json.loads(told.stdout)["id"]
    return run


def test_a_subject_is_erased_after_a_question_and_the_ring_is_rotated(
    home: Home, command: Command
) -> None:
    configure(home, "k1", active="k1")
    daemon = ChildDaemon(home)
    try:
        asyncio.run(daemon.start())
        ann, bob = greeted(command, "ann"), greeted(command, "bob")
        declined = command("data-keys", "destroy", "--subject", "ann", given="n\n")
        assert declined.exit_code == Exit.FAILED
        assert "Hello, ann" in command("show", ann).stdout

        agreed = command("data-keys", "destroy", "--subject", "ann", given="y\n")
        assert agreed.exit_code == Exit.OK
        assert "erased the data of all runs of the subject ann" in agreed.stderr
        shown = command("show", ann).stdout
        assert "erased: its key has been destroyed" in shown
        assert "the output was erased" in command("wait", ann).stderr
        assert "Hello, bob" in command("show", bob).stdout
        assert command("events", ann).exit_code == Exit.OK
        again = command("data-keys", "destroy", "--subject", "ann", "--yes", "--json")
        assert again.exit_code == Exit.FAILED
        assert json.loads(again.stdout)["error"]["code"] == "KEY_NOT_FOUND"
        daemon.stop()

        configure(home, "k1", "k2", active="k2")
        asyncio.run(daemon.start())
        rotated = command("data-keys", "rotate", "--json")
        assert json.loads(rotated.stdout) == {"wrapped": 1, "lost": 0}
        listed = json.loads(command("data-keys", "list", "--json").stdout)
        assert [(ring["name"], ring["keys"]) for ring in listed["ring"]] == [("k1", 0), ("k2", 1)]
        assert [(key["subject"], key["destroyed_at"] is None) for key in listed["keys"]] == [
            ("ann", False),
            ("bob", True),
        ]
        daemon.stop()

        configure(home, "k2", active="k2")
        asyncio.run(daemon.start())
        assert "Hello, bob" in command("show", bob).stdout
        table = command("data-keys", "list").stdout
        assert "active" in table
        assert "bob" in table
    finally:
        daemon.stop()


def test_a_key_that_is_missing_is_found_by_doctor_and_stops_the_daemon(
    home: Home, command: Command
) -> None:
    configure(home, "k1", active="k1")
    daemon = ChildDaemon(home)
    try:
        asyncio.run(daemon.start())
        greeted(command, "ann")
    finally:
        daemon.stop()
    assert "new data keys are wrapped with k1" in command("doctor").stdout
    (home.path / "k2.key").chmod(0o644)
    configure(home, "k2", active="k2")

    diagnosed = command("doctor")
    assert diagnosed.exit_code == Exit.FAILED
    assert "wrapped with the ring key 'k1'" in diagnosed.stdout
    assert "others can read" in diagnosed.stdout
    with pytest.raises(StepwellError, match="wrapped with the ring key 'k1'"):
        asyncio.run(daemon.start())


def test_a_run_or_a_subject_is_named_and_not_both(home: Home, command: Command) -> None:
    for arguments in ((), ("--run", "r", "--subject", "s")):
        told = command("data-keys", "destroy", *arguments)
        assert told.exit_code == Exit.USAGE
        assert "either a run or a subject" in told.output
