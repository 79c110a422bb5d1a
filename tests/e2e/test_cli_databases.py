"""The commands that ask, read and change a datasource, against a real daemon."""

import json
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from stepwell_server.cli.exits import Exit

Command = Callable[..., Result]

RULES = """
@id("shop") permit(principal, action in [Action::"db_read", Action::"db_update"], resource in Datasource::"shop");
@id("reading") permit(principal, action, resource) when { resource.read_only };
@id("applies") permit(principal, action == Action::"db_apply", resource);
"""
LOUDER = "UPDATE goods SET name = upper(name) WHERE id = :id"


@pytest.fixture
def shop(command: Command) -> Iterator[Path]:
    path = Path("shop.db").resolve()
    with closing(sqlite3.connect(path)) as database:
        database.executescript(
            "CREATE TABLE goods (id INTEGER PRIMARY KEY, name TEXT, price REAL);"
            "INSERT INTO goods VALUES (1, 'Lamp', 0.1), (2, 'Mug', 0.2);"
        )
    assert command("datasource", "add", "shop", f"sqlite:///{path}").exit_code == Exit.OK
    yield path
    command("datasource", "remove", "shop")


def answered(command: Command, *given: str) -> Any:
    return json.loads(command(*given, "--json").stdout)


def test_a_query_prints_its_rows_and_a_program_gets_its_answer(
    command: Command, shop: Path
) -> None:
    result = command("datasource", "query", "shop", "SELECT count(*) AS n, sum(price) FROM goods")
    assert result.stdout.split()[-4:] == ["2", "0.3", "rows", "1"], result.stderr
    statement = ("SELECT name FROM goods WHERE id = ?", "--parameters", "[2]")
    answer = answered(command, "datasource", "query", "shop", *statement)
    assert (answer["rows"], answer["total"]) == ([["Mug"]], 1)


def test_a_refusal_is_an_error_that_names_its_run(command: Command, shop: Path) -> None:
    result = command("datasource", "query", "shop", "DELETE FROM goods", "--json")
    error = json.loads(result.stdout)["error"]
    assert (result.exit_code, error["code"], error["detail"]["rule"]) == (
        Exit.FAILED,
        "QUERY_REFUSED",
        "sql.write",
    )
    assert answered(command, "show", error["detail"]["run"])["status"] == "failed"


def test_ctrl_c_ends_the_statement(command: Command, shop: Path) -> None:
    endless = (
        "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT count(*) FROM c"
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "stepwell_server.cli.main", "datasource", "query", "shop", endless],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        run = ""
        while not run:
            assert process.poll() is None
            found = answered(command, "runs")["runs"][:1]
            run = found[0]["id"] if found and found[0]["status"] == "running" else ""
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=20)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, said) == (Exit.INTERRUPTED, "stopped\n")
    assert answered(command, "show", run)["status"] == "cancelled"


def test_a_change_is_previewed_made_once_and_taken_back(
    command: Command, shop: Path, request: pytest.FixtureRequest
) -> None:
    Path("rules.cedar").write_text(RULES)
    request.addfinalizer(partial(command, "policy", "withdraw"))
    assert command("policy", "apply", "rules.cedar").exit_code == Exit.OK
    given = ("datasource", "preview", "shop", LOUDER, "--parameters", '{"id": 1}')
    text = command(*given).stdout
    assert text.startswith(
        "update of 1 row of goods\n- id = 1, name = Lamp, price = 0.1\n+ id = 1,"
    )
    preview = answered(command, *given)["preview"]

    made = command("datasource", "apply", preview)
    assert made.stderr.startswith("the update of 1 row of goods is made\n"), made.stderr
    assert answered(command, "datasource", "apply", preview)["repeated"] is True

    back = answered(command, "datasource", "undo", preview)
    assert answered(command, "datasource", "apply", back["preview"])["rows"] == 1
    rows = answered(command, "datasource", "query", "shop", "SELECT name FROM goods")["rows"]
    assert rows == [["Lamp"], ["Mug"]]
