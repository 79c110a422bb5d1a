"""Keys, factors and the page on the command line; and what an agent with a shell cannot do with it."""

import asyncio
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pyotp
import pytest
from tests.e2e.conftest import Command, Stepwell, clean_environment
from tests.e2e.terminal import at_terminal

from stepwell.client import Client
from stepwell.clock import SystemClock
from stepwell_server.cli.child_daemon import ChildDaemon
from stepwell_server.home import Home


def environ(home: Home) -> dict[str, str]:
    return clean_environment() | {"STEPWELL_HOME": str(home.path), "COLUMNS": "200"}


def test_whoever_starts_a_daemon_at_a_terminal_is_asked_to_enrol_a_factor(home: Home) -> None:
    ports = ("--grpc-port", "0", "--http-port", "0")
    with at_terminal("up", *ports, environ=environ(home)) as terminal:
        terminal.until("Enrol an authenticator app now")
        terminal.type("y")
        secret = terminal.until(r"type in: ([A-Z2-7]{32})")[1]
        terminal.until("code that the app shows: ")
        terminal.type("000000")
        terminal.until("not the code")
        terminal.type(pyotp.TOTP(secret).now())
        terminal.until("enrolled")
        with at_terminal("factor", "list", environ=environ(home)) as listed:
            listed.until("authenticator app")
            listed.process.wait(30)
    assert terminal.process.returncode == 0

    with at_terminal("up", *ports, environ=environ(home)) as again:
        again.until("stop it with Ctrl-C")
    assert again.process.returncode == 0


def test_the_question_is_no_reason_to_wait(home: Home) -> None:
    ports = ("--grpc-port", "0", "--http-port", "0")
    with at_terminal("up", *ports, environ=environ(home)) as terminal:
        terminal.until("Enrol an authenticator app now")
        with at_terminal("runs", environ=environ(home)) as runs:
            runs.until("no runs")
            runs.process.wait(30)
    assert terminal.process.returncode == 0


def test_a_key_is_made_shown_once_and_revoked(command: Command) -> None:
    made = json.loads(command("key", "create", "agent:bot", "--expires", "90d", "--json").stdout)
    token, id = made["token"], made["key"]["id"]
    assert token.startswith(f"sw_{id}_")

    listed = command("key", "list")
    assert "agent:bot" in listed.stdout
    assert token.split("_", 2)[2] not in listed.stdout
    assert command("key", "revoke", id).exit_code == 0
    assert "revoked" in command("key", "list").stdout

    refused = command("key", "create", "bot", "--json")
    assert json.loads(refused.stdout)["error"]["code"] == "INVALID_REQUEST"
    assert json.loads(command("key", "revoke", "none", "--json").stdout)["error"]["code"] == (
        "API_KEY_NOT_FOUND"
    )


def test_nothing_waits_and_nothing_is_enrolled_at_first(command: Command) -> None:
    for arguments in (("approvals",), ("approvals", "list")):
        assert "nothing waits for you" in command(*arguments).stderr
        assert json.loads(command(*arguments, "--json").stdout) == {"approvals": [], "more": False}
    missing = json.loads(command("approvals", "show", "abc", "--json").stdout)
    assert missing["error"]["code"] == "APPROVAL_NOT_FOUND"
    assert "no factors yet" in command("factor", "list").stderr
    checks = json.loads(command("doctor", "--json").stdout)["checks"]
    [factor] = [one for one in checks if one["name"] == "factor"]
    assert (factor["status"], factor["fix"]) == ("warn", "stepwell factor enroll")
    assert command("factor", "enroll").exit_code != 0  # nobody is there


def test_the_page_is_opened_by_its_owner_with_a_link_that_counts_once(command: Command) -> None:
    link = command("page", "--print", "--to", "/factor").stdout.strip()
    parts = urlsplit(link)
    assert (parts.hostname, parts.path) == ("localhost", "/sign-in")
    page = httpx2.get(link)
    assert page.is_success
    assert "Sign in as user:local" in page.text
    probe = httpx2.get(f"http://127.0.0.1:{parts.port}/livez")
    assert probe.text == "ok\n"


@pytest.mark.parametrize("path", ["owner.token", "factor.key", "stepwell.db"])
def test_what_is_secret_is_its_owners_alone(served: Home, command: Command, path: str) -> None:
    command("factor", "list")
    file = served.path / path
    if file.exists():
        assert file.stat().st_mode & 0o077 == 0


def test_the_wheel_has_the_pages(tmp_path: Path) -> None:
    """A package without its pages would be found out by whoever installs it."""
    repository = Path(__file__).parents[2]
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=repository,
        check=True,
        capture_output=True,
        env=os.environ,
    )
    [wheel] = tmp_path.glob("*.whl")
    folder = repository / "server" / "stepwell_server" / "web"
    wanted = {
        f"stepwell_server/web/{path.relative_to(folder)}"
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {"stepwell_server/web/static/style.css", "stepwell_server/web/app.py"} <= wanted
    with zipfile.ZipFile(wheel) as opened:
        assert wanted <= set(opened.namelist())
        for name in wanted:
            assert opened.read(name) == (folder.parents[1] / name).read_bytes()


ASK = b"""
workflow: ask
nodes:
  - { id: ok, approval: "Pay 100 to Ann?" }
"""


ALLOW_ALL = """
@id("all")
permit(principal, action, resource);
"""


def test_an_agent_with_a_shell_changes_no_policy_once_its_user_has_a_factor(
    home: Home, daemon: ChildDaemon, stepwell: Stepwell, tmp_path: Path
) -> None:
    async def enrolled() -> str:
        endpoints = await daemon.start()
        async with Client(endpoints.grpc, token=home.owner_token()) as client:
            offer = await client.factors.offer_totp()
            before = pyotp.HOTP(offer.secret).at(SystemClock().now() // 30_000_000 - 1)
            await client.factors.enrol_totp(offer.ticket, before)
            return offer.secret

    secret = asyncio.run(enrolled())
    file = tmp_path / "all.cedar"
    file.write_text(ALLOW_ALL)
    for arguments in (("apply", str(file)), ("withdraw",)):
        refused = stepwell("policy", *arguments, "--json")
        assert json.loads(refused.stdout)["error"]["code"] == "FACTOR_REQUIRED"
    code = pyotp.HOTP(secret).at(SystemClock().now() // 30_000_000)
    assert stepwell("policy", "apply", str(file), "--code", code).returncode == 0
    assert "policy.apply" in stepwell("audit", "list").stdout


def test_a_person_at_a_terminal_is_asked_for_the_code_and_a_program_is_not(
    home: Home, daemon: ChildDaemon
) -> None:
    async def asked() -> tuple[str, str]:
        endpoints = await daemon.start()
        async with Client(endpoints.grpc, token=home.owner_token()) as client:
            offer = await client.factors.offer_totp()
            before = pyotp.HOTP(offer.secret).at(SystemClock().now() // 30_000_000 - 1)
            await client.factors.enrol_totp(offer.ticket, before)
            await client.workflows.put(ASK)
            run = await client.run("ask")
            async with asyncio.timeout(10):
                while not (page := await client.approvals.list()).approvals:
                    await asyncio.sleep(0.02)
            assert page.approvals[0].run == run.id
            return offer.secret, page.approvals[0].id

    secret, id = asyncio.run(asked())
    with at_terminal("approvals", environ=environ(home)) as listed:
        listed.until("ok: Pay 100 to Ann")
        listed.process.wait(30)
    with at_terminal("approvals", "show", id[:6], environ=environ(home)) as shown:
        shown.until("Pay 100 to Ann")
        shown.until(rf"/approvals/{id}")
        shown.process.wait(30)

    answer = [sys.executable, "-m", "stepwell_server.cli.main", "approvals", "approve", id]
    refused = subprocess.run(
        [*answer, "--json"], env=environ(home), stdin=subprocess.DEVNULL, capture_output=True
    )
    assert json.loads(refused.stdout)["error"]["code"] == "FACTOR_REQUIRED"

    with at_terminal("approvals", "approve", id, "--reason", "fine", environ=environ(home)) as ask:
        ask.until("code of your authenticator app")
        ask.until_unseen()
        code = pyotp.HOTP(secret).at(SystemClock().now() // 30_000_000)
        ask.type(code)
        ask.until(f"approval {id} is approved")
        ask.process.wait(30)
