"""`stepwell budget` and `run --budget`, against a real daemon."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from typer.testing import Result

from stepwell_server.cli.exits import Exit

Command = Callable[..., Result]

ASK = """\
workflow: priced
limits: { calls: 1 }
nodes:
  - { id: each, map: "=[1, 2, 3]", concurrency: 3, do: { tool: post_message, with: { text: "=string(item)" } } }
output: "=size(each.output)"
"""


def begun(command: Command, *flags: str) -> str:
    Path("priced.yaml").write_text(ASK)
    result = command("run", "priced.yaml", *flags)
    assert result.exit_code == Exit.OK, result.output
    return result.stdout.strip()


def paused(command: Command, run: str) -> dict[str, Any]:
    for _ in range(200):
        shown: dict[str, Any] = json.loads(command("show", run, "--json").stdout)
        if shown["status"] == "paused":
            return shown
        command("wait", run, "--timeout", "100ms")
    raise AssertionError(shown)


def settled(command: Command, *words: str) -> list[dict[str, Any]]:
    """The budgets, once nothing is reserved any more: a paused run may still have a call in flight."""
    for _ in range(200):
        told = command("budget", *(words or ("list",)), "--json").stdout
        listed: list[dict[str, Any]] = json.loads(told)["budgets"]
        if not any(it["reserved"] for it in listed):
            return listed
    raise AssertionError(listed)


def test_a_run_over_its_budget_says_so_and_goes_on_when_it_is_raised(command: Command) -> None:
    run = begun(command, "--budget", "0.50")
    assert paused(command, run)["waiting_for"][0]["on"] == "budget"
    shown = command("show", run).stdout
    assert f"budget: post_message may need 1 call, and of the 1 call of run:{run}" in shown
    [raising] = re.findall(r"it goes on with: stepwell (budget raise .*) --calls N", shown)

    settled(command, "show", run)
    budget = command("budget", "show", run).stdout
    assert re.search(rf"run:{run} +\$0.50 +\$0.00", budget)
    assert re.search(rf"run:{run} +1 call +1 call", budget)
    refused = command(*raising.split(), "--calls", "0")
    assert refused.exit_code == Exit.FAILED
    assert "only raised" in refused.stderr
    raised = command(*raising.split(), "--calls", "3")
    assert raised.exit_code == Exit.OK, raised.output
    assert json.loads(command("wait", run, "--json").stdout)["output"] == 3
    events = command("events", run).stdout
    assert "budget_exhausted" in events
    assert "budget_raised        3 calls by user:local" in events


def test_budgets_of_a_day_are_set_listed_and_removed(command: Command) -> None:
    made = command("budget", "set", "namespace/day", "--usd", "5", "--calls", "unlimited")
    assert made.exit_code == Exit.OK, made.output
    run = begun(command, "--budget", "0.50")
    paused(command, run)
    listed = settled(command)
    assert [(it["scope"], it["unit"], it["limit"]) for it in listed] == [
        ("namespace/day", "calls", None),
        ("namespace/day", "usd_micros", 5_000_000),
    ]
    assert listed[0]["used"] == 1
    removed = command("budget", "remove", "namespace/day", "--unit", "usd")
    assert removed.exit_code == Exit.OK
    assert "$5.00" not in command("budget", "list").stdout
    again = command("budget", "remove", "namespace/day", "--unit", "usd", "--json")
    assert json.loads(again.stdout)["error"]["code"] == "BUDGET_NOT_FOUND"
    told = command("audit", "list").stdout
    for action in ("budget.set", "budget.remove"):
        assert action in told


def test_what_is_no_amount_is_refused(command: Command) -> None:
    for flags in (("--usd", "much"), ("--calls", "1.5"), ("--tokens", "-1"), ()):
        assert command("budget", "set", "namespace/day", *flags).exit_code == Exit.USAGE
    assert command("budget", "set", "week", "--usd", "1").exit_code == Exit.FAILED
