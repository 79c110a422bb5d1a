"""`stepwell audit`: somebody writes to the database file, and it is found."""

import asyncio
import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from stepwell_server.cli.app import app
from stepwell_server.cli.child_daemon import ChildDaemon
from stepwell_server.cli.demo_home import furnish
from stepwell_server.cli.exits import Exit
from stepwell_server.home import Home

Command = Callable[..., Result]

ADD = "workflow: add\nnodes: [{ id: sum, transform: '=1 + 1' }]\noutput: =sum.output\n"


def ran(home: Home, *arguments: str) -> Result:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STEPWELL_HOME", str(home.path))
        patch.setenv("COLUMNS", "200")
        return CliRunner().invoke(app, arguments)


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home with some history, whose daemon is stopped."""
    home = Home(tmp_path_factory.mktemp("audit") / "home")
    furnish(home)
    workflow = home.path / "add.yaml"
    workflow.write_text(ADD)
    daemon = ChildDaemon(home)
    try:
        asyncio.run(daemon.start())
        for _ in range(3):
            assert ran(home, "run", str(workflow), "--wait").exit_code == Exit.OK
        assert ran(home, "queues", "put", "mail", "--concurrency", "3").exit_code == Exit.OK
        running = ran(home, "audit", "verify", "--json")
        assert running.exit_code == Exit.OK, running.output
    finally:
        daemon.stop()
    return home


@pytest.fixture
def used(history: Home, tmp_path: Path) -> Home:
    """A copy of it."""
    return Home(shutil.copytree(history.path, tmp_path / "home"))


@pytest.fixture
def command(used: Home) -> Command:
    """Runs one command on the copy."""
    return partial(ran, used)


def change(home: Home, sql: str) -> None:
    """What an agent with a shell could do."""
    with closing(sqlite3.connect(home.path / "stepwell.db")) as database:
        assert database.execute(sql).rowcount > 0
        database.commit()


def test_a_home_that_nobody_touched_is_proven_by_what_was_kept(
    used: Home, command: Command, tmp_path: Path
) -> None:
    head = command("audit", "head").stdout.strip()
    exported = tmp_path / "kept.jsonl"
    exported.write_text(command("audit", "export").stdout)

    checked = command("audit", "verify", "--head", head, "--export", str(exported))
    assert checked.exit_code == Exit.OK, checked.output
    assert f"the chain holds up to {head}" in checked.stdout
    document = json.loads(command("audit", "verify", "--json").stdout)
    assert (document["ok"], document["findings"], document["unnoted_events"]) == (True, [], 0)
    assert document["events"] >= 9
    newer = command("audit", "export", "--since", "2").stdout.splitlines()
    assert newer == exported.read_text().splitlines()[2:]
    assert "queue/mail" in command("audit", "list").stdout


@pytest.mark.parametrize(
    ("sql", "finding"),
    [
        (
            "update events set body = cast(replace(cast(body as text), '2', '3') as blob)",
            "events of the log were changed, removed or moved: run ",
        ),
        (
            "update events set body = cast(body as text) where position = (select min(position) from events)",
            "events of the log were changed, removed or moved: run ",
        ),
        (
            "update events set sequence = 'x' where position = (select min(position) from events)",
            "events of the log were changed, removed or moved: run ",
        ),
        (
            "update events set principal = 'user:ann' where position = (select min(position) from events)",
            "events of the log were changed, removed or moved: run ",
        ),
        ("delete from events where sequence > 3", "events of the log "),
        (
            "delete from events where run = (select run from events limit 1)",
            "events of the log are missing: run ",
        ),
        (
            "update audit set principal = 'agent:local' where action = 'queue.put'",
            "the entry was changed: entry ",
        ),
        ("update audit set sequence = 'x' where sequence = 2", "the entry cannot be read"),
        ("update audit set detail = 7 where sequence = 2", "the entry was changed: entry 2"),
        ("update audit_heads set sequence = 'x'", "the end that is noted for the audit log"),
        ("delete from audit where action = 'queue.put'", "of the audit log are missing"),
        (
            "delete from audit where sequence = (select max(sequence) from audit)",
            "entries at the end of the audit log are missing",
        ),
    ],
)
def test_what_somebody_changes_in_the_file_is_found(
    used: Home, command: Command, sql: str, finding: str
) -> None:
    change(used, sql)
    checked = command("audit", "verify")
    assert checked.exit_code == Exit.FAILED
    assert finding in checked.stdout


def test_a_chain_that_was_cut_with_its_end_is_found_by_what_was_kept(
    used: Home, command: Command, tmp_path: Path
) -> None:
    head = command("audit", "head").stdout.strip()
    exported = tmp_path / "kept.jsonl"
    exported.write_text(command("audit", "export").stdout)
    change(used, "delete from audit where sequence > 1")
    change(used, "update audit_heads set sequence = 1, hash = (select hash from audit)")
    change(used, "delete from events")
    change(used, "update audit_heads set noted = 0")
    change(used, "delete from log_heads")

    assert command("audit", "verify").exit_code == Exit.OK
    for kept in (("--head", head), ("--export", str(exported))):
        checked = command("audit", "verify", *kept)
        assert checked.exit_code == Exit.FAILED
        assert "the audit log has lost the entry with the hash" in checked.stdout


def test_an_export_that_was_changed_is_found(used: Home, command: Command, tmp_path: Path) -> None:
    exported = tmp_path / "kept.jsonl"
    exported.write_text(command("audit", "export").stdout.replace("queue.put", "queue.cut"))
    checked = command("audit", "verify", "--export", str(exported))
    assert checked.exit_code == Exit.FAILED
    assert "of the export" in checked.stdout


def test_to_look_at_an_empty_home_makes_no_database(home: Home) -> None:
    refused = ran(home, "audit", "verify")
    assert refused.exit_code == Exit.USAGE
    assert "there is no database" in refused.stderr
    assert not (home.path / "stepwell.db").exists()
    assert ran(home, "audit", "verify", "--head", "zz").exit_code == Exit.USAGE
