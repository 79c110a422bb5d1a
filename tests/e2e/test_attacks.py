"""An agent with a shell, as the account that runs the daemon, and everything that the account may read.

It has the owner's token, the command line, a terminal, curl and the database; it has no factor.
"""

import asyncio
import json
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path

import httpx2
import pyotp
import pytest
from tests.e2e.conftest import clean_environment
from tests.e2e.daemon import BOUND, TOOLS, Daemon
from tests.e2e.ledger import Ledger
from tests.e2e.ledger_tools import FEE
from tests.e2e.terminal import at_terminal
from tests.interaction.mcp.test_http import modern

from stepwell.client import Approval, Client, Run, RunStatus
from stepwell.clock import SystemClock
from stepwell.errors import Code, StepwellError

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("one_loop")]

GOVERNING = Path(__file__).with_name("governing.py")
CHARGE = """\
workflow: charge
input: { type: object }
nodes: [{ id: charge, tool: charge, with: { number: "=input.number" } }]
"""
ALL = '@id("all") permit(principal, action, resource);'
WRONG = "000000"
ACCEPT = {"accept": "application/json, text/event-stream"}


class Owner:
    """A person with an app, whose codes count once; the agent sees none of them."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self._secret = ""
        self._step = SystemClock().now() // 30_000_000 - 1

    async def enrol(self) -> "Owner":
        offer = await self.client.factors.offer_totp()
        self._secret = offer.secret
        await self.client.factors.enrol_totp(offer.ticket, self.code())
        return self

    def code(self) -> str:
        """The next one: the last of the codes that count now comes first."""
        code = pyotp.HOTP(self._secret).at(self._step)
        self._step += 1
        return code


@pytest.fixture
async def daemon(tmp_path: Path, one_loop: None) -> AsyncIterator[Daemon]:
    """It decides by the defaults."""
    daemon = Daemon(tmp_path)
    try:
        await daemon.start()
        yield daemon
    finally:
        daemon.stop()


def environ(daemon: Daemon) -> dict[str, str]:
    return clean_environment() | {"STEPWELL_HOME": str(daemon.home.path), "COLUMNS": "200"}


async def shell(daemon: Daemon, *arguments: str) -> str:
    """The code with which a command fails; "" where it does not."""
    process = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "stepwell_server.cli.main", *arguments, "--json"],
        env=environ(daemon),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=BOUND,
        check=False,
    )
    if process.returncode == 0:
        return ""
    code: str = json.loads(process.stdout)["error"]["code"]
    return code


async def held(client: Client, run: str) -> Approval:
    """What a person is asked about a run."""
    async with asyncio.timeout(BOUND):
        while True:
            for approval in (await client.approvals.list()).approvals:
                if approval.run == run:
                    return await client.approvals.get(approval.id)
            await asyncio.sleep(0.01)


async def refused(ask: object) -> Code:
    with pytest.raises(StepwellError) as caught:
        await ask  # type: ignore[misc]
    return caught.value.code


async def test_no_command_lets_a_held_call_pass_without_the_factor(
    daemon: Daemon, tmp_path: Path
) -> None:
    policy, workflow = tmp_path / "all.cedar", tmp_path / "charge.yaml"
    policy.write_text(ALL)
    workflow.write_text(CHARGE)
    async with daemon.client() as client, Client(daemon.target) as agent:
        owner = await Owner(client).enrol()
        [factor] = await client.factors.list()
        run = await agent.call("charge", {"number": 1})
        approval = await held(client, run.id)
        attempts = {
            "approve": ("approvals", "approve", approval.id),
            "apply": ("policy", "apply", str(policy)),
            "withdraw": ("policy", "withdraw"),
            "budget": ("budget", "set", "namespace/day", "--calls", "1000"),
            "key": ("key", "create", "user:mallory"),
            "remove": ("factor", "remove", factor.id),
            "put": ("workflows", "put", str(workflow)),
            "run": ("run", str(workflow)),
            "fork": ("fork", run.id, "call"),
        }
        answers = {name: await shell(daemon, *given) for name, given in attempts.items()}
        assert answers == dict.fromkeys(attempts, "FACTOR_REQUIRED")
        guessed = await shell(daemon, "approvals", "approve", approval.id, "--code", WRONG)
        assert guessed == "FACTOR_WRONG"
        assert await shell(daemon, "resolve", run.id, "call", "approve") == "FACTOR_REQUIRED"
        assert daemon.size() == 0

        await client.approvals.decide(approval.id, "approve", code=owner.code())
        ended = await client.wait(run.id, timedelta(seconds=BOUND))
        assert ended.output == 1 + FEE
        assert await refused(
            client.approvals.decide(approval.id, "approve", code=owner.code())
        ) is (Code.NOT_APPLICABLE)
        again = await held(client, (await agent.call("charge", {"number": 1})).id)
        assert again.subject != approval.subject
        assert daemon.size() == 1


async def test_a_terminal_of_its_own_asks_for_a_code_that_it_has_not(daemon: Daemon) -> None:
    async with daemon.client() as client, Client(daemon.target) as agent:
        await Owner(client).enrol()
        approval = await held(client, (await agent.call("charge", {"number": 1})).id)

        def at_a_terminal() -> None:
            with at_terminal("approvals", "approve", approval.id, environ=environ(daemon)) as shown:
                shown.until("code of your authenticator app")
                shown.until_unseen()
                shown.type(WRONG)
                shown.until("the code is wrong")
                assert shown.process.wait(BOUND) != 0

        await asyncio.to_thread(at_a_terminal)
        assert (await client.approvals.get(approval.id)).status == "waiting"
        assert daemon.size() == 0


async def test_nothing_that_listens_lets_it_approve(daemon: Daemon) -> None:
    async with daemon.client() as client, Client(daemon.target) as agent:
        await Owner(client).enrol()
        approval = await held(client, (await agent.call("charge", {"number": 1})).id)
        endpoints = daemon.home.endpoints()
        assert endpoints is not None
        page = f"http://localhost:{endpoints.http.rpartition(':')[2]}"

        for asked in (
            agent.approvals.decide(approval.id, "approve", code=WRONG),
            agent.approvals.decide(approval.id, "deny"),
            agent.resolve(approval.run, approval.step, "approve"),
            agent.policies.withdraw(),
            agent.factors.offer_totp(),
            agent.api_keys.create("user:mallory"),
        ):
            assert await refused(asked) is Code.POLICY_DENIED
        form = {"verdict": "approve", "subject": approval.subject, "code": WRONG}
        tokens: tuple[dict[str, str], ...] = (
            {},
            {"authorization": f"Bearer {daemon.home.owner_token()}"},
        )
        for headers in tokens:
            async with httpx2.AsyncClient(base_url=page, headers=headers) as curl:
                for path in (f"/approvals/{approval.id}", f"/approvals/{approval.id}/decide"):
                    assert not (await curl.post(path, data=form)).is_success
                    sent = await curl.post(path, data=form, headers={"origin": page})
                    assert not sent.is_success
                for tool in ("approvals_approve", "approve", "run_resolve"):
                    request = modern("tools/call", name=tool, arguments={"id": approval.id})
                    request["headers"] |= ACCEPT
                    answer = await curl.post("/mcp", **request)
                    assert "TOOL_NOT_FOUND" in answer.text, answer.text
        assert (await client.approvals.get(approval.id)).status == "waiting"
        assert daemon.size() == 0


async def test_what_json_has_no_number_for_is_refused_on_the_wire(daemon: Daemon) -> None:
    endpoints = daemon.home.endpoints()
    assert endpoints is not None
    async with httpx2.AsyncClient(headers=ACCEPT) as curl, daemon.client() as client:
        for number in ("1e400", "-1e400", "NaN", "Infinity"):
            request = modern("tools/call", name="charge", arguments={"number": 1, "more": "ODD"})
            body = json.dumps(request["json"]).replace('"ODD"', f"[{number}]")
            headers = {"content-type": "application/json", **request["headers"]}
            answer = await curl.post(endpoints.mcp, content=body, headers=headers)
            assert "cannot be JSON" in answer.text, answer.text
        assert (await client.approvals.list()).approvals == ()
    assert daemon.size() == 0


# --- two daemons on one database -----------------------------------------------------------


@asynccontextmanager
async def two(folder: Path, url: str) -> AsyncIterator[tuple[list[Daemon], list[Client]]]:
    """Two daemons that hold what charges, and believe every factor; and a client of each."""
    ledger = Ledger(folder / "ledger.txt")
    daemons = []
    for name in ("one", "two"):
        (folder / name).mkdir()
        given = f'storage.url = "{url}"\nworker.lease = "2s"\n'
        tools = (GOVERNING, TOOLS)
        daemons.append(Daemon(folder / name, given, name=name, ledger=ledger, tools=tools))
    try:
        async with AsyncExitStack() as stack:
            clients = []
            for daemon in daemons:
                await daemon.start()
                clients.append(await stack.enter_async_context(daemon.client()))
            yield daemons, clients
    finally:
        for daemon in daemons:
            daemon.stop()


async def test_of_approvals_that_race_at_two_daemons_one_counts(
    tmp_path: Path, postgres_url: str
) -> None:
    async with two(tmp_path, postgres_url) as (daemons, clients):
        _, key = await clients[0].api_keys.create("user:ann", code=WRONG)
        runs = [await clients[n % 2].call("charge", {"number": n}) for n in range(6)]
        async with Client(daemons[1].target, token=key) as ann:
            for run in runs:
                approval = await held(clients[0], run.id)
                race = [
                    it.approvals.decide(approval.id, "approve", code=WRONG)
                    for it in (ann, clients[0])
                ]
                answers = await asyncio.gather(*race, return_exceptions=True)
                (lost,) = [it for it in answers if isinstance(it, StepwellError)]
                assert lost.code in (Code.NOT_APPLICABLE, Code.RUN_ENDED)
                (won,) = [it for it in answers if isinstance(it, Approval)]
                assert won.status == "approved"
        ended = [await clients[1].wait(run.id, timedelta(seconds=BOUND)) for run in runs]
        assert [run.output for run in ended] == [n + FEE for n in range(6)]
        assert Counter(line.key for line in daemons[0].lines()) == Counter(
            f"{run.id}/call" for run in runs
        )


async def test_an_approved_call_of_a_daemon_that_is_killed_is_made_at_most_once_by_the_other(
    tmp_path: Path, postgres_url: str
) -> None:
    async with two(tmp_path, postgres_url) as (daemons, clients):
        runs = [await clients[0].call("charge", {"number": n}) for n in range(4)]
        asked = [await held(clients[1], run.id) for run in runs]
        answers = [clients[1].approvals.decide(it.id, "approve", code=WRONG) for it in asked]
        deciding = asyncio.gather(*answers, return_exceptions=True)
        await asyncio.sleep(0)
        daemons[0].kill()
        await deciding

        ended = [await _to_the_end(clients[1], daemons[1], run.id) for run in runs]
        made = Counter(line.key for line in daemons[1].lines())
    assert set(made.values()) <= {1}
    assert [run.output for run in ended] == [n + FEE for n in range(4)]
    assert made == Counter(f"{run.id}/call" for run in runs)


async def _to_the_end(client: Client, daemon: Daemon, run: str) -> Run:
    """Approves what was not, and tells of an unknown outcome what the ledger says."""
    async with asyncio.timeout(2 * BOUND):
        while True:
            found = await client.wait(run, timedelta(seconds=0.2))
            if found.status not in (RunStatus.RUNNING, RunStatus.WAITING):
                return found
            for asked in found.waiting_for:
                line = daemon.ledger.line_of(f"{run}/{asked.step}")
                try:
                    if asked.about == "call":
                        await client.approvals.decide(asked.approval, "approve", code=WRONG)
                    elif line is not None:
                        await client.resolve(run, asked.step, "done", value=line.result, code=WRONG)
                    else:
                        await client.resolve(run, asked.step, "retry", code=WRONG)
                except StepwellError:
                    continue  # it is as it was answered meanwhile


async def test_ten_calls_at_two_daemons_do_not_exceed_a_budget_of_five(
    tmp_path: Path, postgres_url: str
) -> None:
    async with two(tmp_path, postgres_url) as (daemons, clients):
        await clients[0].budgets.set("namespace/day", {"calls": 5}, code=WRONG)
        await daemons[1].leave()
        await daemons[1].start()  # others know of a new limit within a poll, this one at once
        calls = [clients[n % 2].call("double", {"number": n}) for n in range(10)]
        runs = await asyncio.gather(*calls)
        async with asyncio.timeout(BOUND):
            while True:
                views = [await clients[0].get(run.id) for run in runs]
                counted = Counter(view.status for view in views)
                if counted[RunStatus.COMPLETED] + counted[RunStatus.PAUSED] == len(runs):
                    break
                await asyncio.sleep(0.02)
        assert counted == {RunStatus.COMPLETED: 5, RunStatus.PAUSED: 5}
        assert len(daemons[0].lines()) == 5
