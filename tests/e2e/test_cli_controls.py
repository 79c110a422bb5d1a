"""The commands that steer a run, against a real daemon."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from stepwell_server.cli.exits import Exit
from stepwell_server.home import Home

Command = Callable[..., Result]

RELEASE = """\
workflow: release
input: { type: object, properties: { what: { type: string } } }
nodes:
  - { id: paid, signal: paid }
  - { id: ok, approval: "='Ship ' + input.what + '?'" }
output: { by: "=ok.output.by", paid: "=paid.output" }
"""
FAILING = """\
workflow: failing
nodes:
  - { id: first, transform: 1 }
  - { id: ask, tool: db_query, with: { datasource: nowhere, sql: select 1 }, needs: [first] }
"""
NAP = "workflow: nap\nnodes: [{ id: nap, wait: 1h }]\n"


def begun(command: Command, source: str, *flags: str) -> str:
    """The id of a run that was just started."""
    Path("workflow.yaml").write_text(source)
    result = command("run", "workflow.yaml", *flags)
    assert result.exit_code == Exit.OK, result.stderr
    return result.stdout.strip()


def released(command: Command, *flags: str) -> str:
    """The id of a run that waits for a message and a person."""
    return begun(command, RELEASE, "--input", '{"what": "tea"}', *flags)


def shown(command: Command, run: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(command("show", run, "--json").stdout)
    return document


def test_show_says_what_a_run_waits_for_and_the_commands_that_answer_it(command: Command) -> None:
    run = released(command)
    text = command("show", run).stdout

    assert re.findall(r"^(?:waits)? +(.*)$", text, re.MULTILINE) == [
        "paid waits for the message paid",
        f'stepwell signal {run} paid \'{{"any": "JSON"}}\'',
        "ok asks a person: Ship tea?",
        f"stepwell resolve {run} ok approve",
        f"stepwell resolve {run} ok deny",
    ]
    for line in text.splitlines():
        if "stepwell signal" in line or "approve" in line:
            assert command(*shlex.split(line)[1:]).exit_code == Exit.OK
    ended = json.loads(command("wait", run, "--json").stdout)
    assert ended["output"] == {"by": "user:local", "paid": {"any": "JSON"}}


def test_a_run_that_is_waited_for_tells_what_it_asks(command: Command) -> None:
    run = released(command)
    waited = command("wait", run, "--timeout", "100ms")

    assert (waited.exit_code, waited.stdout) == (Exit.NOT_YET, "")
    assert "ok asks a person: Ship tea?" in waited.stderr
    assert f"run {run} is waiting, and has not ended within 100ms" in waited.stderr
    document = json.loads(command("wait", run, "--timeout", "100ms", "--json").stdout)
    assert [one["step"] for one in document["waiting_for"]] == ["ok", "paid"]


@pytest.mark.parametrize("flag", ["--wait", "--watch"])
def test_who_starts_a_run_and_waits_is_told_what_it_asks(
    command: Command, served: Home, flag: str
) -> None:
    Path("ask.yaml").write_text("workflow: ask\nnodes: [{ id: ok, approval: Go on? }]\n")
    with subprocess.Popen(
        [sys.executable, "-m", "stepwell_server.cli.main", "run", "ask.yaml", flag],
        env=os.environ | {"STEPWELL_HOME": str(served.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as waits:
        assert waits.stderr is not None
        asked = next(line for line in waits.stderr if "asks a person" in line)
        answer = next(line for line in waits.stderr if "approve" in line)
        answered = command(*shlex.split(answer)[1:])
        output, _ = waits.communicate(timeout=30)

    assert asked == "ok asks a person: Go on?\n"
    assert answered.exit_code == Exit.OK
    assert waits.returncode == Exit.OK
    assert json.loads(output)["ok"]["by"] == "user:local"


def test_a_run_that_has_ended_is_waited_for_no_longer(command: Command) -> None:
    run = begun(command, FAILING)
    waited = command("wait", run)

    assert (waited.exit_code, waited.stdout) == (Exit.FAILED, "")
    assert "DATASOURCE_NOT_FOUND" in waited.stderr
    assert "Traceback" not in waited.stderr


def test_a_run_that_waits_for_a_time_says_until_when(command: Command) -> None:
    run = begun(command, NAP)
    assert re.search(r"^waits +nap waits until \d{4}-\d\d-\d\d ", command("show", run).stdout, re.M)
    command("cancel", run)


def test_a_run_is_paused_and_resumed_by_the_beginning_of_its_id(command: Command) -> None:
    run = released(command)
    paused = command("pause", run, "--reason", "lunch")
    again = json.loads(command("pause", run, "--json").stdout)
    held = command("signal", run, "paid", "[1, 2]")
    text = command("show", run).stdout
    resumed = json.loads(command("resume", run[:-1], "--json").stdout)
    log = command("events", run).stdout

    assert paused.exit_code == Exit.OK
    assert f"it goes on with: stepwell resume {run}" in paused.stderr
    assert again["error"]["code"] == "NOT_APPLICABLE"
    assert f"run {run} is paused" in held.stderr
    assert f"paused    it goes on with: stepwell resume {run}" in text
    assert (resumed["id"], resumed["status"]) == (run, "waiting")
    assert re.search(r"run_paused +lunch$", log, re.MULTILINE)
    assert re.search(r"signal_received +paid \[1,2\]$", log, re.MULTILINE)


def test_a_person_says_no(command: Command) -> None:
    run = released(command)
    told = command("resolve", run, "ok", "deny", "--reason", "too much")
    log = command("events", run).stdout

    assert told.exit_code == Exit.OK
    assert f"run {run} is failed" in told.stderr
    assert "ok: deny by user:local: too much" in log
    assert "APPROVAL_DENIED" in command("wait", run).stderr


def test_a_message_comes_from_a_file_and_once_under_its_id(command: Command) -> None:
    run = released(command)
    Path("message.json").write_text('{"cents": 5}')
    for _ in range(2):
        command("signal", run, "paid", "@message.json", "--id", "m-1")
    log = command("events", run).stdout

    assert log.count("signal_received") == 1
    assert shown(command, run)["steps"][0]["output"] == {"cents": 5}


def test_a_failed_run_is_taken_up_again(command: Command) -> None:
    run = begun(command, FAILING)
    command("wait", run)
    again = command("retry", run)
    command("wait", run)
    other = json.loads(command("retry", run, "first", "--json").stdout)

    assert again.exit_code == Exit.OK
    assert f"stepwell events {run} --follow" in again.stderr
    assert [step["attempt"] for step in shown(command, run)["steps"]] == [1, 2]
    assert other["error"]["code"] == "NOT_APPLICABLE"
    assert "failed over the step 'ask', not over 'first'" in other["error"]["message"]


def test_a_run_is_forked_with_another_input(command: Command) -> None:
    run = begun(command, FAILING)
    command("wait", run)
    given = '{"datasource": "elsewhere", "sql": "select 1"}'
    forked = command("fork", run, "ask", "--input", given, "--label", "try=2")
    fork = forked.stdout.strip()
    command("wait", fork)
    document = shown(command, fork)

    assert forked.exit_code == Exit.OK
    assert (document["forked_from"], document["labels"]) == (run, {"try": "2"})
    assert document["input"] == {}
    assert "elsewhere" in document["failure"]["message"]
    assert f"fork of   {run}" in command("show", fork).stdout
    assert f"run_forked           failing from {run} at ask" in command("events", fork).stdout
    never = json.loads(command("fork", run, "third", "--json").stdout)
    assert never["error"]["code"] == "STEP_NOT_FOUND"


def test_a_key_is_for_one_run_at_a_time(command: Command) -> None:
    run = released(command, "--key", "order-7")
    start = ("run", "release", "--input", '{"what": "tea"}', "--key", "order-7")
    refused = json.loads(command(*start, "--json").stdout)
    same = command(*start, "--on-conflict", "use_existing")
    other = command(*start, "--on-conflict", "cancel_existing").stdout.strip()

    assert refused["error"]["code"] == "RUN_KEY_TAKEN"
    assert refused["error"]["detail"] == {"run": run}
    assert same.stdout.strip() == run
    assert "this is that run" in same.stderr
    assert shown(command, run)["status"] == "cancelled"
    assert "key       order-7" in command("show", other).stdout


def test_runs_are_listed_by_label_age_status_and_filter(command: Command) -> None:
    mine = released(command, "--label", 'team=the "shop"', "--label", "size=1")
    released(command, "--label", "team=ops")

    def found(*flags: str) -> list[str]:
        document = json.loads(command("runs", *flags, "--json").stdout)
        return [run["id"] for run in document["runs"]]

    assert found("--label", 'team=the "shop"', "--label", "size=1") == [mine]
    assert found("--filter", "labels:size", "--status", "waiting", "--since", "1h") == [mine]
    assert found("--filter", "labels:size", "--status", "completed") == []
    assert found("--since", "1ms") == []
    assert "no runs like these" in command("runs", "--since", "1ms").stderr


@pytest.mark.parametrize(
    ("arguments", "code", "exit_code", "says"),
    [
        (("runs", "--filter", "team = shop"), "INVALID_REQUEST", Exit.FAILED, "no field 'team'"),
        (("runs", "--since", "yesterday"), "INVALID_CONFIG", Exit.USAGE, "write it like"),
        (("runs", "--label", "team"), "INVALID_CONFIG", Exit.USAGE, "team=shop"),
        (("wait", "RUN", "--timeout", "soon"), "INVALID_CONFIG", Exit.USAGE, "write it like"),
        (("signal", "RUN", "paid", "yes"), "INVALID_CONFIG", Exit.USAGE, "is not JSON"),
        (("signal", "RUN", "Paid"), "INVALID_REQUEST", Exit.FAILED, "signal"),
        (("resume", "RUN"), "NOT_APPLICABLE", Exit.FAILED, "is not paused"),
        (("retry", "RUN"), "NOT_APPLICABLE", Exit.FAILED, "when its run has failed"),
        (("resolve", "RUN", "ok", "done"), "INVALID_REQUEST", Exit.FAILED, "approve or deny"),
        (("resolve", "RUN", "ok", "maybe"), "INVALID_CONFIG", Exit.USAGE, "approve"),
        (("resolve", "RUN", "paid", "approve"), "NOT_APPLICABLE", Exit.FAILED, "steps of the run"),
        (("fork", "RUN", "ok", "--input", "{"), "INVALID_CONFIG", Exit.USAGE, "--input is not"),
        (("pause", "01900000-0000-7000-8000-000000000000"), "RUN_NOT_FOUND", Exit.FAILED, "runs"),
    ],
)
def test_a_refused_control_has_a_code_a_sentence_and_an_exit_code(
    command: Command, arguments: tuple[str, ...], code: str, exit_code: Exit, says: str
) -> None:
    run = released(command)
    result = command(*(run if word == "RUN" else word for word in arguments), "--json")
    error = json.loads(result.stdout)["error"]

    assert (error["code"], result.exit_code) == (code, exit_code), error
    assert says in error["message"]
