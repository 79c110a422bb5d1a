"""An agent that answers from a database: its figures are the database's own, and no event
body, no other table and no log line holds a row of it.

Chinook, a real database, is asked where `STEPWELL_DATA` names the folder that has it.
"""

import logging
import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from stepwell.bootstrap import open_runtime
from stepwell.client import Client, Event, Run, RunStatus
from stepwell.config import load_settings
from stepwell.engine.events import ToolCall
from stepwell.engine.values import Json
from stepwell.errors import Code
from stepwell_server.grpc_server import GrpcServer

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("one_loop")]

SOON = timedelta(seconds=20)

WORKFLOW = """\
workflow: ask
input: { type: object, required: [question], properties: { question: { type: string } } }
agents:
  analyst:
    model: scripted
    tools: [db_schema, db_query, file_report]
    output:
      type: object
      required: [text, count]
      properties: { text: { type: string }, count: { type: integer } }
nodes:
  - { id: ask, agent: analyst, with: { message: "=input.question", datasource: data } }
  - { id: shout, transform: "=ask.output.text.upperAscii()" }
  - id: long
    switch:
      - { if: "=size(shout.output) > 3", then: report }
  - { id: report, tool: file_report, with: { title: "=ask.output.text", pages: 1 } }
output: { answer: "=ask.output", shouted: "=shout.output", report: "=report.output" }
"""

BROKEN = {
    "an expression": '{ id: shout, transform: "=string(int(ask.output.text))" }',
    "a tool": '{ id: shout, tool: file_apart, with: { title: "=ask.output.text" } }',
}
"""What the node `shout` may be instead, to fail over a row."""

SCRIPT = """\
conversations:
  - when: well
    turns:
      - tools: [{{ name: db_schema }}]
      - tools: [{{ name: db_query, arguments: {{ sql: "{sql}" }} }}]
      - json: {{ text: "=results[1].rows[0][0]", count: "=results[1].returned" }}
  - when: badly
    turns:
      - tools: [{{ name: db_query, arguments: {{ sql: "{sql}" }} }}]
      - tools:
          - name: file_report
            arguments: {{ title: "=results[0].rows[0][0]", pages: "=results[0].rows[0][0]" }}
          - {{ name: file_report, arguments: {{ title: "=results[0].rows[0][0]", pages: 0 }} }}
      - json: {{ text: "fine", count: "=results[0].rows[0][0]" }}
      - text: "={{'broken': results[0].rows[0][0]}}"
      - json: {{ text: "=results[0].rows[0][0]", count: 1 }}
  - when: hopelessly
    turns:
      - tools: [{{ name: db_query, arguments: {{ sql: "{sql}" }} }}]
      - json: {{ text: "fine", count: "=results[0].rows[0][0]" }}
      - json: {{ text: "fine", count: "=results[0].rows[0][0]" }}
      - json: {{ text: "fine", count: "=results[0].rows[0][0]" }}
  - when: refusing
    turns:
      - tools: [{{ name: db_query, arguments: {{ sql: "{sql}" }} }}]
      - {{ text: "=results[0].rows[0][0]", finish: refusal }}
"""

TOOLS = '''
from stepwell import tool


@tool(idempotent=True)
async def file_report(title: str, pages: int) -> dict[str, str]:
    """Files a report."""
    if not pages:
        raise ValueError(f"nothing to file under {title}")
    return {"filed": title}


@tool(idempotent=True)
def file_apart(title: str) -> str:
    """Fails, in a worker process."""
    raise ValueError(f"nothing to file under {title}")
'''


class Database(NamedTuple):
    """A database, a question to it in SQL, and its own answer."""

    path: Path
    sql: str
    rows: list[list[Json]]

    @property
    def canaries(self) -> set[str]:
        """The texts in its rows, long enough to be found nowhere else by chance."""
        return {value for row in self.rows for value in row if isinstance(value, str)}


class Home(NamedTuple):
    """A runtime's gRPC door, the file of its log, and what the agent is asked about."""

    client: Client
    store: Path
    database: Database


def _shop(folder: Path) -> Path:
    path = folder / "shop.db"
    with closing(sqlite3.connect(path)) as database:
        database.executescript((files("stepwell_server") / "demo" / "shop.sql").read_text())
    return path


def _chinook(_: Path) -> Path:
    path = Path(os.environ.get("STEPWELL_DATA", "")) / "chinook.sqlite"
    if "STEPWELL_DATA" not in os.environ or not path.exists():
        pytest.skip("needs chinook.sqlite in the folder that STEPWELL_DATA names")
    return path.resolve()


QUESTIONS = {
    "shop": (_shop, "SELECT name, email, city, joined_on FROM customers ORDER BY id LIMIT 20"),
    "chinook": (
        _chinook,
        "SELECT FirstName || ' ' || LastName, Email, Phone FROM Customer LIMIT 20",
    ),
}


@pytest.fixture(params=QUESTIONS)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    """Each database in turn."""
    find, sql = QUESTIONS[request.param]
    path = find(tmp_path)
    with closing(sqlite3.connect(path)) as connection:
        return Database(path, sql, [list(row) for row in connection.execute(sql)])


@pytest.fixture
async def home(tmp_path: Path, database: Database) -> AsyncIterator[Home]:
    """The real thing on a SQLite home, with the database as the datasource `data`."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "tools.py").write_text(TOOLS)
    (home / "script.yaml").write_text(SCRIPT.format(sql=database.sql))
    overrides = {"tools.paths": ["tools.py"], "models.scripted": "fake:script.yaml"}
    async with open_runtime(load_settings(home, {}, overrides)) as runtime:
        server = GrpcServer(runtime.service, host="127.0.0.1", port=0, owner_token="owner")
        port = await server.start()
        async with Client(f"127.0.0.1:{port}", token="owner") as client:
            await client.datasources.create("data", f"sqlite:///{database.path}")
            await client.workflows.put(WORKFLOW)
            yield Home(client, home / "stepwell.db", database)
        await server.stop(timedelta(0))


async def test_the_result_of_a_query_is_sealed_and_equals_the_rows_of_the_database(
    home: Home,
) -> None:
    run, events = await _ask(home, "well")
    (query,) = [
        event.fact
        for event in events
        if isinstance(event.fact, ToolCall) and event.fact.tool == "db_query"
    ]
    label, content = _blob(home.store, query.result.blob.digest if query.result.blob else "")

    assert run.status is RunStatus.COMPLETED
    assert run.output["answer"] == {"text": home.database.rows[0][0], "count": 20}
    assert run.output["report"] == {"filed": home.database.rows[0][0]}
    assert query.result.blob is not None
    assert query.result.blob.label == label == "datasource:data"
    assert content["rows"] == home.database.rows


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("well", None),
        ("badly", None),
        ("hopelessly", Code.MODEL_OUTPUT_INVALID),
        ("refusing", Code.MODEL_REFUSED),
    ],
)
async def test_no_event_and_no_log_line_holds_a_row(
    home: Home,
    how: str,
    reason: Code | None,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """However it goes: also when a row is in an answer that does not fit, or in an error."""
    caplog.set_level(logging.DEBUG, "stepwell")
    run, _ = await _ask(home, how)

    assert (run.failure.reason if run.failure else None) == reason
    _assert_no_row(home, caplog.text + "".join(capfd.readouterr()))


@pytest.mark.parametrize("broken", BROKEN)
async def test_what_fails_over_a_row_does_not_quote_it(
    home: Home,
    broken: str,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    node = '{ id: shout, transform: "=ask.output.text.upperAscii()" }'
    assert node in WORKFLOW
    await home.client.workflows.put(WORKFLOW.replace(node, BROKEN[broken]))
    run, events = await _ask(home, "well")

    assert run.failure is not None
    assert "sealed" in run.failure.message
    _assert_no_row(home, caplog.text + "".join(capfd.readouterr()))
    for event in events:  # who may read the blob finds there what was said
        if isinstance(event.fact, ToolCall) and event.fact.failure is not None:
            assert event.fact.result.blob is not None
            _, said = _blob(home.store, event.fact.result.blob.digest)
            assert said == f"ValueError: nothing to file under {home.database.rows[0][0]}"


async def _ask(home: Home, how: str) -> tuple[Run, tuple[Event, ...]]:
    started = await home.client.run("ask", {"question": f"Answer {how}."})
    run = await home.client.wait(started.id, SOON)
    return run, (await home.client.events(run.id)).events


def _blob(store: Path, digest: str) -> tuple[str, Any]:
    with closing(sqlite3.connect(store)) as log:
        ((label, data),) = log.execute("SELECT label, data FROM blobs WHERE digest = ?", (digest,))
    return label, msgspec.json.decode(data)


def _everything_but_blobs(store: Path) -> str:
    """All that is stored in the clear."""
    with closing(sqlite3.connect(store)) as log:
        names = [
            name for (name,) in log.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        ]
        tables = [name for name in names if name != "blobs" and not name.startswith("sqlite_")]
        return "\n".join(
            value.decode(errors="replace") if isinstance(value, bytes) else str(value)
            for table in tables
            for row in log.execute(f"SELECT * FROM {table}")
            for value in row
        )


def _assert_no_row(home: Home, logged: str) -> None:
    assert home.database.canaries
    stored = _everything_but_blobs(home.store)
    assert {canary for canary in home.database.canaries if canary in stored + logged} == set()


async def test_a_link_that_comes_to_lead_to_the_store_is_not_followed(
    home: Home, tmp_path: Path
) -> None:
    link = tmp_path / "link.db"
    link.symlink_to(home.database.path)
    await home.client.datasources.create("link", f"sqlite:///{link}")
    link.unlink()
    link.symlink_to(home.store)
    query = {"datasource": "link", "sql": "SELECT data FROM blobs"}
    started = await home.client.run("call", {"tool": "db_query", "arguments": query})
    run = await home.client.wait(started.id, SOON)

    assert run.status is RunStatus.FAILED
    assert run.failure is not None
    assert "belongs to Stepwell itself" in run.failure.message
