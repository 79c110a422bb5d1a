"""The commands against a real daemon, and without one."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from stepwell_server.cli.app import app
from stepwell_server.cli.exits import Exit
from stepwell_server.home import Home

Command = Callable[..., Result]

QUESTION = '{"question": "Which customer spent the most?"}'

SUM = """\
workflow: sum
description: Add two numbers.
input: { type: object, required: [a, b], properties: { a: { type: integer }, b: { type: integer } } }
nodes:
  - { id: add, transform: { sum: "=input.a + input.b" } }
output: { sum: "=add.output.sum" }
"""

BROKEN = """\
workflow: broken
nodes:
  - { id: one, tool: db_qery, with: { datasource: shop } }
  - { id: two, transfrom: 1 }
"""

FAILING = """\
workflow: failing
nodes:
  - { id: ask, tool: db_query, with: { datasource: nowhere, sql: select 1 } }
"""


def write(name: str, text: str) -> str:
    Path(name).write_text(text)
    return name


# --- workflows ------------------------------------------------------------------------------


def test_every_problem_of_a_definition_is_shown_with_its_place(command: Command) -> None:
    result = command("workflows", "check", write("broken.yaml", BROKEN))
    assert result.exit_code == Exit.USAGE
    assert "broken.yaml:3:" in result.stderr
    assert "did you mean `db_query`?" in result.stderr
    assert "broken.yaml:4:" in result.stderr
    assert "transform" in result.stderr


def test_a_valid_definition_is_said_to_be_valid(command: Command) -> None:
    result = command("workflows", "check", write("sum.yaml", SUM))
    assert (result.exit_code, result.stdout) == (Exit.OK, "")
    assert "sum.yaml is a valid workflow" in result.stderr


def test_what_was_put_is_listed_and_shown_byte_for_byte(command: Command) -> None:
    first = json.loads(command("workflows", "put", write("sum.yaml", SUM), "--json").stdout)
    again = json.loads(command("workflows", "put", "sum.yaml", "--json").stdout)
    assert again == first | {"created": False}
    listed = json.loads(command("workflows", "list", "--json").stdout)["workflows"]
    [mine] = [workflow for workflow in listed if workflow["name"] == "sum"]
    assert mine["version"] == first["version"]
    assert mine["description"] == "Add two numbers."
    assert mine["principal"] == "user:local"
    assert datetime.fromisoformat(mine["created_at"]).tzinfo is not None
    assert command("workflows", "show", "sum").stdout == SUM


def test_a_broken_definition_is_not_put(command: Command) -> None:
    result = command("workflows", "put", write("broken.yaml", BROKEN), "--json")
    assert result.exit_code == Exit.USAGE
    error = json.loads(result.stdout)["error"]
    assert error["code"] == "INVALID_DEFINITION"
    assert len(error["detail"]) >= 2


@pytest.mark.parametrize(
    ("text", "words"),
    [("", "the document is empty"), ("# " + "x" * 1024 * 1024, "the limit is 1048576")],
    ids=["empty", "too large"],
)
@pytest.mark.parametrize("arguments", [("workflows", "check"), ("workflows", "put"), ("run",)])
def test_a_file_that_fits_no_request_is_told_as_a_problem_of_the_file(
    command: Command, arguments: tuple[str, ...], text: str, words: str
) -> None:
    result = command(*arguments, write("odd.yaml", text))
    assert result.exit_code == Exit.USAGE
    assert "odd.yaml:1:1" in result.stderr
    assert words in result.stderr


def test_a_file_that_is_not_there_is_named(command: Command) -> None:
    result = command("workflows", "put", "nowhere.yaml")
    assert result.exit_code == Exit.USAGE
    assert "nowhere.yaml cannot be read: No such file" in result.stderr


# --- runs -----------------------------------------------------------------------------------


def test_a_file_is_put_and_run_and_its_output_is_printed(command: Command) -> None:
    result = command("run", write("sum.yaml", SUM), "--input", '{"a": 1, "b": 2}', "--wait")
    assert result.exit_code == Exit.OK
    assert json.loads(result.stdout) == {"sum": 3}


def test_watching_shows_the_events_as_progress_and_the_output_as_answer(command: Command) -> None:
    result = command("run", write("sum.yaml", SUM), "--input", '{"a": 1, "b": 2}', "--watch")
    assert json.loads(result.stdout) == {"sum": 3}
    first, *lines = result.stderr.splitlines()
    assert re.fullmatch(r"run [0-9a-f-]{36}", first)
    assert re.fullmatch(r"   1  \d\d:\d\d:\d\d  run_started +sum \{.*\}", lines[0])
    assert "run_completed" in lines[-1]


def test_watching_for_programs_is_one_document_a_line(command: Command) -> None:
    given = '{"a": 1, "b": 2}'
    result = command("run", write("sum.yaml", SUM), "--input", given, "--watch", "--json")
    *events, run = map(json.loads, result.stdout.splitlines())
    assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
    assert (run["status"], run["output"], run["created"]) == ("completed", {"sum": 3}, True)


@pytest.mark.parametrize("way", ["@given.json", "-"])
def test_input_comes_from_a_file_or_standard_input_too(command: Command, way: str) -> None:
    command("workflows", "put", write("sum.yaml", SUM))
    given = write("given.json", '{"a": 20, "b": 22}')
    result = command("run", "sum", "--input", way, "--wait", given=Path(given).read_text())
    assert json.loads(result.stdout) == {"sum": 42}


def test_a_run_that_is_not_waited_for_is_found_by_its_id(command: Command) -> None:
    given = '{"a": 1, "b": 2}'
    run = command("run", write("sum.yaml", SUM), "--input", given, "--label", "team=x")
    run_id = run.stdout.strip()
    assert f"stepwell events {run_id} --follow" in run.stderr
    assert run_id in command("runs", "--workflow", "sum").stdout
    followed = command("events", run_id, "--follow").stdout.splitlines()
    assert [line.split()[0] for line in followed] == [str(n + 1) for n in range(len(followed))]
    assert command("events", run_id).stdout.splitlines() == followed
    listed = json.loads(command("runs", "--json").stdout)["runs"]
    assert {"team": "x"} in [one["labels"] for one in listed]
    assert [one for one in listed if {"output", "created"} & one.keys()] == []


def test_a_run_is_shown_with_its_input_output_and_steps(command: Command) -> None:
    given = ("--input", '{"a": 1, "b": 2}', "--label", "team=x", "--wait", "--json")
    ended = json.loads(command("run", write("sum.yaml", SUM), *given).stdout)
    shown = json.loads(command("show", ended["id"], "--json").stdout)
    assert shown["input"] == {"a": 1, "b": 2}
    assert [(step["id"], step["status"]) for step in shown["steps"]] == [("add", "completed")]
    assert ended == {name: shown[name] for name in ended if name != "created"} | {"created": True}
    text = command("show", ended["id"]).stdout
    for line in (
        f"run       {ended['id']}",
        "status    completed",
        "labels    team=x",
        'input     {"a":1,"b":2}',
        'output    {"sum":3}',
    ):
        assert line in text.splitlines()
    assert re.search(r"^add +completed +1 +\d\d:\d\d:\d\d .*\{\"sum\":3\}$", text, re.MULTILINE)


def test_a_failed_run_is_shown_with_its_failure(command: Command) -> None:
    run = json.loads(command("run", write("failing.yaml", FAILING), "--wait", "--json").stdout)
    text = command("show", run["id"]).stdout
    assert "failure   DATASOURCE_NOT_FOUND: there is no datasource" in text


def test_a_failure_is_told_once_in_the_log(command: Command) -> None:
    run = json.loads(command("run", write("failing.yaml", FAILING), "--wait", "--json").stdout)
    log = command("events", run["id"]).stdout
    assert log.count("there is no datasource") == 1
    assert log.count("DATASOURCE_NOT_FOUND (as above)") == 2
    assert "[]" not in log


def test_the_beginning_of_an_id_is_enough_where_it_means_one_run(command: Command) -> None:
    command("workflows", "put", write("sum.yaml", SUM))
    given = ("--input", '{"a": 1, "b": 2}')
    one, other = (command("run", "sum", *given).stdout.strip() for _ in range(2))
    ids = [
        run["id"] for run in json.loads(command("runs", "--limit", "1000", "--json").stdout)["runs"]
    ]
    same = next(n for n in range(36) if one[n] != other[n])
    enough = next(n for n in range(37) if sum(id.startswith(one[:n]) for id in ids) == 1)
    assert json.loads(command("show", one[:enough], "--json").stdout)["id"] == one
    assert command("events", one[:enough], "--follow").exit_code == Exit.OK
    several = command("cancel", one[:same], "--json")
    message = json.loads(several.stdout)["error"]["message"]
    assert several.exit_code == Exit.FAILED
    assert one in message
    assert other in message
    none = json.loads(command("events", "ffff", "--json").stdout)["error"]
    assert none["code"] == "RUN_NOT_FOUND"
    assert "begins with ffff" in none["message"]


def test_a_request_id_starts_one_run_only(command: Command) -> None:
    flags = ("--input", '{"a": 1, "b": 2}', "--request-id", "once")
    first = command("run", write("sum.yaml", SUM), *flags)
    second = command("run", "sum.yaml", *flags)
    assert first.stdout == second.stdout
    assert "this is that run" in second.stderr
    third = json.loads(command("run", "sum.yaml", *flags, "--wait", "--json").stdout)
    assert (third["id"], third["created"]) == (first.stdout.strip(), False)


def test_a_failed_run_is_an_error_with_its_reason(command: Command) -> None:
    result = command("run", write("failing.yaml", FAILING), "--wait")
    assert (result.exit_code, result.stdout) == (Exit.FAILED, "")
    assert "DATASOURCE_NOT_FOUND" in result.stderr
    assert "See: stepwell events" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "exit_code"),
    [
        (("run", "sum", "--input", '{"a": "x", "b": 1}'), "INVALID_INPUT", Exit.FAILED),
        (("run", "nothing-like-it"), "WORKFLOW_NOT_FOUND", Exit.FAILED),
        (("run", "sum", "--input", "{a: 1}"), "INVALID_CONFIG", Exit.USAGE),
        (("run", "sum", "--input", "@nowhere.json"), "INVALID_CONFIG", Exit.USAGE),
        (("run", "sum", "--label", "team"), "INVALID_CONFIG", Exit.USAGE),
        (("events", "01900000-0000-7000-8000-000000000000"), "RUN_NOT_FOUND", Exit.FAILED),
        (("cancel", "01900000-0000-7000-8000-000000000000"), "RUN_NOT_FOUND", Exit.FAILED),
        (("datasource", "remove", "nothing"), "DATASOURCE_NOT_FOUND", Exit.FAILED),
        (("datasource", "add", "other", "sqlite:///nowhere.db"), "INVALID_REQUEST", Exit.FAILED),
        (("datasource", "add", "other", "mysql://host/db"), "INVALID_REQUEST", Exit.FAILED),
        (("events", "not/an id"), "INVALID_REQUEST", Exit.FAILED),
    ],
)
def test_a_refused_request_has_a_code_a_sentence_and_an_exit_code(
    command: Command, arguments: tuple[str, ...], code: str, exit_code: Exit
) -> None:
    command("workflows", "put", write("sum.yaml", SUM))
    result = command(*arguments, "--json")
    error = json.loads(result.stdout)["error"]
    assert (error["code"], result.exit_code) == (code, exit_code), error
    assert len(error["message"]) > 20
    told = command(*arguments)
    assert code in told.stderr
    assert "Traceback" not in told.stderr


def test_a_cancelled_run_says_so_and_cannot_be_cancelled_again(
    command: Command, served: Home
) -> None:
    source = str(served.path / "demo" / "answer-question.yaml")
    run = command("run", source, "--input", QUESTION).stdout.strip()
    assert command("cancel", run, "--reason", "changed my mind").exit_code == Exit.OK
    found = json.loads(command("runs", "--status", "cancelled", "--json").stdout)["runs"]
    assert run in [one["id"] for one in found]
    again = json.loads(command("cancel", run, "--json").stdout)
    assert again["error"]["code"] == "RUN_ENDED"


# --- datasources, tools, the rest -----------------------------------------------------------


def test_a_datasource_is_named_from_where_the_command_was_typed(
    command: Command, served: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(served.path / "demo")
    added = json.loads(command("datasource", "add", "shop", "sqlite:///shop.db", "--json").stdout)
    assert added == {"name": "shop", "url": f"sqlite:///{served.path}/demo/shop.db"}
    assert json.loads(command("datasource", "list", "--json").stdout) == {"datasources": [added]}
    taken = json.loads(command("datasource", "add", "shop", "sqlite:///shop.db", "--json").stdout)
    assert taken["error"]["code"] == "ALREADY_EXISTS"
    assert "datasource shop" in command("doctor").stdout
    assert command("datasource", "remove", "shop").exit_code == Exit.OK


def test_tools_are_listed_as_mcp_clients_see_them(command: Command) -> None:
    tools = json.loads(command("tools", "list", "--json").stdout)["tools"]
    assert {"db_query", "db_schema", "post_message", "run_get"} <= {tool["name"] for tool in tools}
    listed = command("tools", "list").stdout.splitlines()
    assert ["post_message", "Posts"] in [line.split()[:2] for line in listed]


def test_doctor_finds_nothing_wrong_with_a_good_home(command: Command) -> None:
    result = command("doctor", "--json")
    report = json.loads(result.stdout)
    assert (result.exit_code, report["ok"]) == (Exit.OK, True), report
    not_ok = {
        check["name"]: check["status"] for check in report["checks"] if check["status"] != "ok"
    }
    assert not_ok == {"factor": "warn"}, "nobody has one here yet"
    names = {check["name"] for check in report["checks"]}
    assert {"python", "home", "disk", "settings", "daemon", "grpc", "mcp", "models.small"} <= names


NEEDS_A_DAEMON = [
    ("run", "x"),
    ("runs",),
    ("events", "x"),
    ("events", "x", "--follow"),
    ("show", "x"),
    ("wait", "x"),
    ("pause", "x"),
    ("resume", "x"),
    ("cancel", "x"),
    ("retry", "x"),
    ("fork", "x", "a"),
    ("signal", "x", "paid"),
    ("resolve", "x", "a", "approve"),
    ("workflows", "put", "sum.yaml"),
    ("workflows", "list"),
    ("workflows", "show", "x"),
    ("datasource", "add", "x", "sqlite:///x.db"),
    ("datasource", "list"),
    ("datasource", "remove", "x"),
    ("tools", "list"),
]


@pytest.mark.parametrize("arguments", NEEDS_A_DAEMON, ids=" ".join)
def test_without_a_daemon_a_command_says_how_to_start_one(
    arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write("sum.yaml", SUM)
    result = CliRunner().invoke(app, [*arguments, "--home", "empty"])
    assert result.exit_code == Exit.NOT_RUNNING
    assert f"start it with: stepwell up --home {tmp_path}/empty" in result.stderr
    assert not Path("empty").exists()


def test_a_definition_can_be_checked_without_a_daemon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STEPWELL_HOME", str(tmp_path / "home"))
    good = CliRunner().invoke(app, ["workflows", "check", write("sum.yaml", SUM)])
    bad = CliRunner().invoke(app, ["workflows", "check", write("broken.yaml", BROKEN), "--json"])
    assert good.exit_code == Exit.OK
    assert "the names of tools are not checked" in good.stderr
    assert bad.exit_code == Exit.USAGE
    assert any("transform" in p["hint"] for p in json.loads(bad.stdout)["problems"])


@pytest.mark.parametrize(
    ("settings", "flags", "words"),
    [
        ({"DATABASE_URL": "mysql://u:p4ss@localhost/x"}, (), "DATABASE_URL: mysql://u:***@"),
        ({"DATABASE_URL": "postgres://u:p4ss@localhost:a/x"}, (), "postgres://u:***@"),
        ({"STEPWELL_STORAGE__URL": "sqlite:////nowhere/x.db"}, (), "STEPWELL_STORAGE__URL: "),
        ({"STEPWELL_TOOLS__PATHS": "mine.py"}, (), "meant from the home"),
        ({}, ("--tools", "mine.py"), "--tools: there is no file"),
    ],
)
def test_a_daemon_is_not_started_with_settings_that_lead_nowhere(
    tmp_path: Path, settings: dict[str, str], flags: tuple[str, ...], words: str
) -> None:
    refused = subprocess.run(
        [sys.executable, "-m", "stepwell_server.cli.main", "up", "--home", "home", *flags],
        env={"PATH": os.environ["PATH"], **settings},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (refused.returncode, refused.stdout) == (Exit.USAGE, "")
    assert words in refused.stderr
    assert refused.stderr.endswith("\nINVALID_CONFIG\n")
    assert "Traceback" not in refused.stderr
    assert "p4ss" not in refused.stderr
    assert not (tmp_path / "home").exists()


def test_settings_are_printed_as_toml_with_who_has_set_them(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[providers.local]\nstructured_output = false\n")
    shown = CliRunner().invoke(app, ["config", "--home", str(tmp_path)]).stdout.splitlines()
    [line] = [line for line in shown if line.startswith("providers.local.structured_output")]
    assert line.split() == [
        "providers.local.structured_output",
        "false",
        str(tmp_path / "config.toml"),
    ]
    values = dict(line.split()[:2] for line in shown if len(line.split()) > 1)
    assert (values["server.drain"], values["tools.paths"]) == ('"10s"', "[]")


def test_settings_are_printed_as_they_hold(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[server]\ngrpc_port = 5\n")
    result = CliRunner().invoke(app, ["config", "--json", "--home", str(tmp_path)])
    assert json.loads(result.stdout)["settings"]["server.grpc_port"] == 5
    (tmp_path / "config.toml").write_text("[server]\nport = 5\n")
    result = CliRunner().invoke(app, ["config", "--home", str(tmp_path)])
    assert result.exit_code == Exit.USAGE
    assert "did you mean" in result.stderr


# --- how commands read and print ------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [("runs", "--status", "asleep"), ("events",), ("run", "x", "--bogus"), ("bogus",)],
    ids=" ".join,
)
def test_a_wrong_command_line_is_told_to_programs_in_json(arguments: tuple[str, ...]) -> None:
    result = CliRunner().invoke(app, [*arguments, "--json"])
    error = json.loads(result.stdout)["error"]
    assert (result.exit_code, error["code"], result.stderr) == (Exit.USAGE, "INVALID_CONFIG", "")
    assert len(error["message"]) > 20


def test_only_states_that_a_run_can_have_are_offered() -> None:
    told = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["runs", "-h"]).stdout
    assert "<running|waiting|paused|completed|failed|cancelled>" in told


@pytest.mark.parametrize("arguments", [("runs", "--help"), ("runs", "--bogus"), ("workflows",)])
def test_help_is_plain_and_a_flag_has_no_type(
    arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    result = CliRunner().invoke(app, arguments)
    assert "\x1b" not in result.output
    assert "<bool>" not in result.output


def test_no_color_means_no_escapes_of_any_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    coloured = CliRunner().invoke(app, ["runs", "--home", str(tmp_path)], color=True)
    monkeypatch.setenv("NO_COLOR", "1")
    plain = CliRunner().invoke(app, ["runs", "--home", str(tmp_path)], color=True)
    assert "\x1b" in coloured.stderr
    assert "\x1b" not in plain.stderr


def test_on_a_narrow_terminal_descriptions_end_where_it_does(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    whole = command("tools", "list").stdout.splitlines()
    monkeypatch.setenv("FORCE_COLOR", "1")  # which rich takes for a terminal
    monkeypatch.setenv("NO_COLOR", "1")
    cut = command("tools", "list").stdout.splitlines()
    run = command("run", write("sum.yaml", SUM), "--input", '{"a": 1, "b": 2}', "--wait", "--json")
    log = command("events", json.loads(run.stdout)["id"]).stdout.splitlines()
    assert max(map(len, log)) <= 60
    assert max(map(len, whole)) > 60
    assert max(map(len, cut)) == 60
    assert [line.rstrip("…") for line in cut] == [
        line[: len(mine.rstrip("…"))] for line, mine in zip(whole, cut, strict=True)
    ]


def test_stopping_what_does_not_run_is_no_error(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["down", "--home", str(tmp_path)])
    assert result.exit_code == Exit.OK
    assert "no daemon runs" in result.stderr
