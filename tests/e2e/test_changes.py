"""Changes of databases by daemons that are killed anywhere between a preview and the end of its undo.

Every change is previewed, applied by several calls at once that a person approves, and taken back the
same way. Daemons are killed at any moment, while a change waits for its first lock, just after it has got
it, while it waits to say that it is made, and just after that, which is about its commit.
"""

import asyncio
import base64
import os
import random
from collections import Counter
from contextlib import suppress
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from dev.postgres import PostgresServer
from tests.e2e.cluster import BREATH, Cluster, running
from tests.e2e.daemon import BOUND, TOOLS, until
from tests.e2e.shops import APPLIED, KINDS, TABLES, PostgresShop, Shop, SqliteShop

from stepwell.client import Client, Run, RunStatus
from stepwell.client.policies import PolicyFile
from stepwell.errors import StepwellError
from stepwell.policy import defaults

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.crash,
    pytest.mark.timeout(1800),
    pytest.mark.usefixtures("one_loop"),
]

KILLS = int(os.environ.get("STEPWELL_CRASH_KILLS", "2"))
AT_LENGTH = KILLS > 2
CHANGES = 3
"""That begin before each kill, one of each kind."""

AT_ONCE = 3
"""Calls that apply the same preview."""

SEED = 6
SOON = 0.1
"""Seconds in which a transaction that has got its lock comes to its end, more or less."""

BELIEVING = Path(__file__).with_name("believing.py")
SETTINGS = """\
worker.lease = "2s"
nldb.mask_key = "file:{folder}/mask.key"
"""
POLICY = [
    PolicyFile("defaults.cedar", defaults.TEXT),
    PolicyFile(
        "shop.cedar",
        '@id("shop") permit(principal, action in [Action::"db_read", Action::"db_insert", '
        'Action::"db_update", Action::"db_delete"], resource in Datasource::"shop");',
    ),
]
PASSING = ("QUERY_FAILED", "TOOL_TIMEOUT")
"""What a call may fail of that is made again."""


class Agent:
    """Changes a database and takes it back, and is a person who says yes."""

    def __init__(self, cluster: Cluster, shop: Shop) -> None:
        self._cluster = cluster
        self._shop = shop
        self.previewed = 0
        self.made = 0
        """Changes that were made, their undoing counted."""
        self.calls = 0
        """Of `db_apply`, that ended well."""
        self.repeated = 0
        """Of these, that found it made."""
        self.passing: Counter[str] = Counter()
        """Why calls were made again."""

    async def prepare(self, url: str) -> None:
        """Names the datasource, and opens it."""
        await self._cluster.ask(lambda it: it.datasources.create("shop", url, accept_risks=True))
        await self._cluster.ask(lambda it: it.policies.apply(POLICY, code="000000"))
        given = {"datasource": "shop", **_statement(0)}
        for daemon in self._cluster.daemons:
            async with asyncio.timeout(BOUND), daemon.client() as client:
                while True:  # a daemon hears of a policy that another has applied a little later
                    run = await client.call("db_preview_write", given)
                    if (await client.wait(run.id)).status is RunStatus.COMPLETED:
                        break

    def has_made(self, count: int) -> bool:
        """Whether as many changes are made."""
        return self.made >= count

    async def change(self, number: int) -> None:
        """Makes one change, looks at it, and takes it back."""
        given = {"datasource": "shop", **_statement(number)}
        shown = await self._call("db_preview_write", given, f"preview-{number}")
        self.previewed += 1
        assert shown["undo"]["possible"], shown["undo"]
        await self._apply(shown, f"apply-{number}")
        await asyncio.to_thread(_check_made, self._shop, number, shown)  # the file may be held
        back = await self._call("db_undo", {"apply": shown["preview"]}, f"undo-{number}")
        await self._apply(back, f"back-{number}")

    async def _apply(self, shown: Any, request: str) -> None:
        """Applies a preview, by some calls at once."""
        given = {"preview": shown["preview"]}
        made = await asyncio.gather(
            *(self._call("db_apply", given, f"{request}-{n}") for n in range(AT_ONCE))
        )
        assert sum(not one["repeated"] for one in made) <= 1, made
        first, *others = ({**one, "repeated": None} for one in made)
        assert all(one == first for one in others), made
        assert (first["preview"], first["rows"]) == (shown["preview"], shown["rows"])
        self.made += 1
        self.calls += len(made)
        self.repeated += sum(one["repeated"] for one in made)

    async def _call(self, tool: str, given: Any, request: str) -> Any:
        """What a call answers; it is made again when it fails of what passes."""
        async with asyncio.timeout(6 * BOUND):
            attempt = 0
            while True:
                ended = await self._ended(tool, given, f"{request}-{attempt}")
                if ended.status is RunStatus.COMPLETED:
                    return ended.output
                assert ended.failure is not None, ended
                assert ended.failure.reason in PASSING, (request, ended.failure)
                self.passing[f"{tool}: {ended.failure.message}"] += 1
                attempt += 1

    async def _ended(self, tool: str, given: Any, request: str) -> Run:
        ask = self._cluster.ask
        run = (await ask(lambda it: it.call(tool, given, request_id=request))).id
        while True:
            found = await ask(lambda it: it.wait(run, timedelta(seconds=0.2)))
            if found.status.ended:
                return found
            for asked in found.waiting_for:
                with suppress(StepwellError):  # it was answered meanwhile
                    await ask(partial(_yes, asked.approval))
            await asyncio.sleep(BREATH)


async def _yes(approval: str, client: Client) -> None:
    await client.approvals.decide(approval, "approve", code="000000")


async def _killed(cluster: Cluster, shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    """Kills daemons while changes are made, and sees what is left."""
    chance = random.Random(SEED)
    agent = Agent(cluster, shop)
    await agent.prepare(shop.url)
    before = shop.digest()
    async with asyncio.TaskGroup() as tasks:
        await agent.change(0)  # the table of what is applied is there from now on
        for kill in range(KILLS):
            point = shop.points[-1 - kill % len(shop.points)]
            ended = 2 * (1 + max(kill - 1, 0) * CHANGES)  # all but the last ones: nobody starves
            await until(partial(agent.has_made, ended), "earlier changes to end", bound=6 * BOUND)
            for number in range(1 + kill * CHANGES, 1 + (kill + 1) * CHANGES):
                tasks.create_task(agent.change(number))
            await _strike(point, cluster, shop, agent, chance, kill)

    count = 1 + KILLS * CHANGES
    assert (agent.made, shop.digest() == before) == (2 * count, True)
    wanted = Counter[str]()
    for number in range(count):
        wanted += _journal_of(number)
    doubled = sum((shop.journal() - wanted).values())
    lost = sum((wanted - shop.journal()).values())
    assert set(shop.applied().values()) == {1}
    with capsys.disabled():
        print(
            f"\n{type(shop).__name__}, {len(cluster.daemons)} daemons: {KILLS} kills, {agent.made} "
            f"changes by {agent.calls} calls, of which {agent.repeated} found it made; "
            f"{len(cluster.refusals)} refusals, {dict(agent.passing)} made again; {doubled} rows "
            f"written twice, {lost} not written, {2 * count - agent.made} undo plans lost"
        )
    assert (doubled, lost, len(shop.applied())) == (0, 0, agent.made)


async def _strike(
    point: str, cluster: Cluster, shop: Shop, agent: Agent, chance: random.Random, kill: int
) -> None:
    victim = cluster.daemons[kill % len(cluster.daemons)]
    made = agent.previewed
    if point == "anywhere":
        await asyncio.sleep(chance.uniform(0, 1))
    else:
        is_late = point in ("keeping", "kept") or chance.random() < 0.5
        if is_late:  # else it is the preview that is stopped
            await until(lambda: agent.previewed > made, "a preview")
        is_kept = point in ("keeping", "kept")
        async with shop.held(*([APPLIED] if is_kept else TABLES)):
            await asyncio.sleep(chance.uniform(0, SOON))
            if point in ("held", "keeping"):
                victim.kill()
        if point in ("released", "kept"):
            await asyncio.sleep(chance.uniform(0, SOON))
    victim.kill()
    await victim.start()


def _statement(number: int) -> dict[str, Any]:
    match KINDS[number % 3]:
        case "update":
            sql = "UPDATE counters SET n = n + 1, note = upper(note) WHERE id = :number"
            return {"sql": sql, "parameters": {"number": number}}
        case "insert":
            sql = "INSERT INTO things (tag) VALUES (:first), (:second)"
            return {"sql": sql, "parameters": {"first": f"{number}a", "second": f"{number}b"}}
        case _:
            return {
                "sql": "DELETE FROM marks WHERE change = :number",
                "parameters": {"number": number},
            }


def _check_made(shop: Shop, number: int, shown: Any) -> None:
    """What was done is what was shown."""
    match KINDS[number % 3]:
        case "update":
            found = shop.rows(f"SELECT id, n, note FROM counters WHERE id = {number}")
            assert found == [tuple(one["new"].values()) for one in shown["changes"]]
        case "insert":
            found = shop.rows(f"SELECT tag FROM things WHERE tag LIKE '{number}_' ORDER BY tag")
            assert found == [(one["new"]["tag"],) for one in shown["changes"]]
        case _:
            assert shop.rows(f"SELECT id FROM marks WHERE change = {number}") == []
            assert [one["key"]["id"] for one in shown["changes"]] == [2 * number, 2 * number + 1]


def _journal_of(number: int) -> Counter[str]:
    """What stands in the journal when the change was made once, and taken back once."""
    match KINDS[number % 3]:
        case "update":
            return Counter({f"update {number}": 2})
        case "insert":
            names = [f"{number}a", f"{number}b"]
        case _:
            names = [f"{2 * number}", f"{2 * number + 1}"]
    return Counter(f"{verb} {name}" for verb in ("insert", "delete") for name in names)


def _settings(folder: Path) -> str:
    """Daemons over one store share the key of their digests."""
    key = folder / "mask.key"
    key.write_text(base64.b64encode(bytes(range(32))).decode())
    key.chmod(0o600)
    return SETTINGS.format(folder=folder)


async def test_changes_of_sqlite_are_made_once_wherever_the_daemon_dies(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shop = SqliteShop(tmp_path / "shop.db")
    tools = (BELIEVING, TOOLS)
    async with running(tmp_path, _settings(tmp_path), tools=tools) as cluster:
        await _killed(cluster, shop, capsys)


async def test_changes_of_postgres_are_made_once_wherever_one_of_two_daemons_dies(
    tmp_path: Path,
    postgres: PostgresServer,
    postgres_url: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shop = PostgresShop(postgres.create_database(f"shop_{tmp_path.name}"))
    tools = (BELIEVING, TOOLS)
    settings = _settings(tmp_path)
    async with running(tmp_path, settings, url=postgres_url, size=2, tools=tools) as cluster:
        await _killed(cluster, shop, capsys)
