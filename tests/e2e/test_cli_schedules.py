"""The commands for queues, schedules and retention, against a real daemon."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import Result

from stepwell_server.cli.exits import Exit

Command = Callable[..., Result]

SUM = """\
workflow: sum
input: { type: object, required: [a, b], properties: { a: { type: integer }, b: { type: integer } } }
nodes:
  - { id: add, transform: { sum: "=input.a + input.b" } }
output: { sum: "=add.output.sum" }
"""
GIVEN = ("--workflow", "sum", "--input", '{"a": 1, "b": 2}')
FIRST = ("schedules", "put", "first", "--cron", "0 0 1 1 *", *GIVEN)


def put_sum(command: Command) -> None:
    Path("sum.yaml").write_text(SUM)
    assert command("workflows", "put", "sum.yaml").exit_code == Exit.OK


def test_a_queue_is_put_shown_listed_and_removed(command: Command) -> None:
    put = command("queues", "put", "db", "--concurrency", "5", "--rate", "10/1m", "--json")
    about = json.loads(put.stdout)
    assert (about["concurrency"], about["rate"], about["per"], about["created"]) == (
        5,
        10,
        "1m",
        True,
    )
    assert "the queue db: no limits" in command("queues", "put", "db").stderr
    assert json.loads(command("queues", "show", "db", "--json").stdout)["rate"] is None
    assert "db     0        0        no limits" in command("queues", "list").stdout
    assert command("queues", "remove", "db").exit_code == Exit.OK
    gone = command("queues", "show", "db")
    assert (gone.exit_code, "`stepwell queues put db` makes it" in gone.stderr) == (
        Exit.FAILED,
        True,
    )


@pytest.mark.parametrize("rate", ["10", "10/", "x/1s", "10/ever"])
def test_a_rate_that_is_none_is_told_with_one_that_is(command: Command, rate: str) -> None:
    result = command("queues", "put", "db", "--rate", rate)
    assert result.exit_code == Exit.USAGE
    assert f"--rate {rate}: it is how many in how long; write it like 10/1s" in result.stderr


def test_a_schedule_is_put_shown_triggered_and_removed(command: Command) -> None:
    put_sum(command)
    given = ("--zone", "Europe/Berlin", "--jitter", "5m", "--label", "team=shop")
    put = json.loads(command(*FIRST, *given, "--json").stdout)
    assert (put["created"], put["jitter"], put["catch_up"]) == (True, "5m", "1m")
    assert put["labels"] == {"team": "shop"}
    shown = json.loads(command("schedules", "show", "first", "--fires", "2", "--json").stdout)
    assert shown["fires"][0] == shown["next_at"]
    assert [datetime.fromisoformat(at).astimezone(UTC).day for at in shown["fires"]] == [31, 31]
    assert "first     sum       0 0 1 1 *  Europe/Berlin" in command("schedules", "list").stdout
    about = command("schedules", "show", "first").stdout
    assert "cron      0 0 1 1 * in Europe/Berlin" in about
    run = command("schedules", "trigger", "first").stdout.strip()
    assert json.loads(command("wait", run).stdout) == {"sum": 3}
    assert run in command("runs", "--filter", 'labels.schedule = "first"').stdout
    assert command("schedules", "remove", "first").exit_code == Exit.OK
    assert json.loads(command("schedules", "list", "--json").stdout) == {"schedules": []}


def test_a_schedule_is_held_with_a_note_and_goes_on(command: Command) -> None:
    put_sum(command)
    command(*FIRST)
    paused = command("schedules", "pause", "first", "--note", "the shop is closed")
    assert "it goes on with: stepwell schedules resume first" in paused.stderr
    assert "the shop is closed" in command("schedules", "show", "first").stdout
    assert json.loads(command("schedules", "show", "first", "--json").stdout)["paused"]
    resumed = json.loads(command("schedules", "resume", "first", "--json").stdout)
    assert (resumed["paused"], resumed["next_at"] is None) == (False, False)
    command("schedules", "remove", "first")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (("--cron", "0 0 30 2 *"), "is no cron expression that ever fires"),
        (("--zone", "Berlin"), "did you mean Europe/Berlin?"),
        (("--workflow", "sun"), "did you mean 'sum'?"),
        (("--input", "{}"), "the input does not fit the workflow 'sum'"),
        (("--queue", "nope"), "`stepwell queues put nope` makes it"),
        (("--catch-up", "soon"), "--catch-up: 'soon' is not a duration"),
    ],
)
def test_a_schedule_that_cannot_be_is_told_with_what_would_be_right(
    command: Command, changes: tuple[str, ...], says: str
) -> None:
    put_sum(command)
    result = command(*FIRST, *changes)
    assert result.exit_code != Exit.OK
    assert says in result.stderr


def test_how_long_runs_are_kept_is_set_shown_and_taken_back(command: Command) -> None:
    assert command("retention", "show").stdout == "ended runs are kept for ever\n"
    assert command("retention", "set", "30d").stdout == "runs are deleted 30d after their end\n"
    assert json.loads(command("retention", "show", "--json").stdout) == {"keep": "30d"}
    assert json.loads(command("retention", "off", "--json").stdout) == {"keep": None}
    refused = command("retention", "set", "3x")
    assert (refused.exit_code, "'3x' is not a duration" in refused.stderr) == (Exit.USAGE, True)
