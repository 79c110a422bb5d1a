"""A change of a database, all the way: previewed, held, shown with its rows, approved, made, undone."""

import asyncio
import shutil
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.interaction.web.conftest import Codes

from stepwell.bootstrap import open_runtime
from stepwell.config import load_settings
from stepwell.errors import Code
from stepwell.orchestrator.approvals import Proof
from stepwell.orchestrator.service import Service
from stepwell.orchestrator.views import Approval, Run
from stepwell.policy import defaults
from stepwell.policy.source import PolicyFile
from stepwell.principals import LOCAL_AGENT, LOCAL_USER, Caller
from stepwell_server.web.shown import shown

pytestmark = pytest.mark.anyio


POLICY = [
    PolicyFile("defaults.cedar", defaults.TEXT),
    PolicyFile(
        "shop.cedar",
        '@id("shop") permit(principal, action in [Action::"db_read", Action::"db_insert", '
        'Action::"db_update", Action::"db_delete"], resource in Datasource::"shop");',
    ),
]


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "shop.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            "CREATE TABLE goods (id INTEGER PRIMARY KEY, name TEXT, stock INTEGER);"
            "INSERT INTO goods VALUES (1, 'Lamp', 4), (2, 'Chair', 0);"
        )
    return path


@pytest.fixture
async def service(tmp_path: Path, database: Path) -> AsyncIterator[Service]:
    settings = load_settings(tmp_path / "home", {}, {"storage.url": "memory:"})
    async with open_runtime(settings, environ={}) as runtime:
        await runtime.service.datasources.add(LOCAL_USER, "shop", f"sqlite:///{database}")
        await runtime.service.policies.apply(LOCAL_USER, POLICY)
        yield runtime.service


async def ended(service: Service, run: Run) -> Any:
    found = await service.wait_run(LOCAL_USER, run.id, timedelta(seconds=10))
    assert found.output is not None, found.failure
    return found.output.value


async def asked(service: Service, run: Run) -> Approval:
    async with asyncio.timeout(10):
        while True:
            page = await service.approvals.list(LOCAL_USER, is_told=True)
            for one in page.approvals:
                if one.run == run.id:
                    return one
            await asyncio.sleep(0.01)


def stock(database: Path) -> list[tuple[int]]:
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute("SELECT stock FROM goods ORDER BY id").fetchall()


async def apply(service: Service, codes: Codes, preview: str) -> tuple[Approval, Any]:
    run = await service.call_tool(LOCAL_AGENT, "db_apply", {"preview": preview})
    one = await asked(service, run)
    proof = Proof(kind="totp", value=codes.next())
    await service.approvals.decide(
        LOCAL_USER, one.id, verdict="approve", subject=one.subject, proof=proof
    )
    return one, await ended(service, run)


async def test_nobody_is_asked_about_what_cannot_be_applied(
    service: Service, database: Path
) -> None:
    run = await service.call_tool(LOCAL_AGENT, "db_apply", {"preview": "nothing"})
    failed = await service.wait_run(LOCAL_USER, run.id, timedelta(seconds=10))
    assert failed.failure is not None
    assert failed.failure.reason == Code.PREVIEW_NOT_FOUND

    sql = "DELETE FROM goods WHERE id = 1"
    run = await service.call_tool(
        LOCAL_AGENT, "db_preview_write", {"datasource": "shop", "sql": sql}
    )
    preview = await ended(service, run)
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("ALTER TABLE goods ADD COLUMN colour TEXT")
    run = await service.call_tool(LOCAL_AGENT, "db_apply", {"preview": preview["preview"]})
    stale = await service.wait_run(LOCAL_USER, run.id, timedelta(seconds=10))
    assert stale.failure is not None
    assert stale.failure.reason == Code.PREVIEW_STALE
    assert (await service.approvals.list(LOCAL_USER)).approvals == ()


async def test_a_change_is_held_shown_with_its_rows_made_and_taken_back(
    service: Service, database: Path
) -> None:
    codes = await Codes(service, LOCAL_USER).enrol()
    sql = "UPDATE goods SET stock = stock + 1 WHERE name = 'Lamp'"
    run = await service.call_tool(
        LOCAL_AGENT, "db_preview_write", {"datasource": "shop", "sql": sql}
    )
    preview = await ended(service, run)
    assert preview["preview"] == f"{run.id}/call#{preview['digest'][:32]}"
    assert stock(database) == [(4,), (0,)]

    one, made = await apply(service, codes, preview["preview"])
    assert (made["rows"], made["repeated"]) == (1, False)
    assert stock(database) == [(5,), (0,)]

    seen = shown(one.arguments, one.preview)
    assert [part.heading for part in seen.parts] == [
        "UPDATE of 1 row of goods in shop",
        "rows, before and after",
        "besides",
    ]
    assert [(row.kind, row.left, row.right) for row in seen.parts[1].rows] == [
        ("same", "— id 1", "— id 1"),
        ("same", "id: 1", "id: 1"),
        ("same", "name: Lamp", "name: Lamp"),
        ("changed", "stock: 4", "stock: 5"),
    ]
    assert preview["preview"] in seen.exact

    run = await service.call_tool(LOCAL_AGENT, "db_undo", {"apply": preview["preview"]})
    back = await ended(service, run)
    one, _ = await apply(service, codes, back["preview"])
    assert shown(one.arguments, one.preview).parts[0].heading == (
        "Undo: UPDATE of 1 row of goods in shop"
    )
    assert stock(database) == [(4,), (0,)]


async def test_a_change_of_a_datasource_that_is_another_database_now_is_not_made(
    service: Service, database: Path
) -> None:
    """The same schema and the same rows: what a person has seen was another place."""
    codes = await Codes(service, LOCAL_USER).enrol()
    sql = "UPDATE goods SET stock = stock + 1 WHERE name = 'Lamp'"
    run = await service.call_tool(
        LOCAL_AGENT, "db_preview_write", {"datasource": "shop", "sql": sql}
    )
    preview = await ended(service, run)
    run = await service.call_tool(LOCAL_AGENT, "db_apply", {"preview": preview["preview"]})
    one = await asked(service, run)
    other = database.with_name("other.db")
    shutil.copy(database, other)
    await service.datasources.remove(LOCAL_USER, "shop")
    await service.datasources.add(LOCAL_USER, "shop", f"sqlite:///{other}")
    proof = Proof(kind="totp", value=codes.next())
    await service.approvals.decide(
        LOCAL_USER, one.id, verdict="approve", subject=one.subject, proof=proof
    )
    found = await service.wait_run(LOCAL_USER, run.id, timedelta(seconds=10))

    assert found.failure is not None
    assert (found.failure.reason, stock(other)) == ("PREVIEW_STALE", [(4,), (0,)])


async def test_a_preview_is_known_by_its_whole_name(service: Service) -> None:
    """The approval is bound to the name, and the name to what was shown by its digits."""
    sql = "DELETE FROM goods WHERE id = 1"
    run = await service.call_tool(
        LOCAL_AGENT, "db_preview_write", {"datasource": "shop", "sql": sql}
    )
    name = (await ended(service, run))["preview"]
    key, _, digits = name.partition("#")
    for other in (key, f"{key}#", f"{key}#{digits[:1]}", f"{run.id}", f"{name}0"):
        run = await service.call_tool(LOCAL_AGENT, "db_undo", {"apply": other})
        found = await service.wait_run(LOCAL_USER, run.id, timedelta(seconds=10))
        assert found.failure is not None
        assert found.failure.reason == "PREVIEW_NOT_FOUND"


async def test_a_change_is_made_once_whoever_calls_at_the_same_time(
    service: Service, database: Path
) -> None:
    codes = await Codes(service, LOCAL_USER).enrol()
    sql = "UPDATE goods SET stock = stock + 1 WHERE name = 'Lamp'"
    run = await service.call_tool(
        LOCAL_AGENT, "db_preview_write", {"datasource": "shop", "sql": sql}
    )
    preview = (await ended(service, run))["preview"]
    runs = [
        await service.call_tool(LOCAL_AGENT, "db_apply", {"preview": preview}) for _ in range(2)
    ]
    held = [await asked(service, one) for one in runs]
    for one in held:
        proof = Proof(kind="totp", value=codes.next())
        await service.approvals.decide(
            LOCAL_USER, one.id, verdict="approve", subject=one.subject, proof=proof
        )
    undo = await service.call_tool(LOCAL_AGENT, "db_undo", {"apply": preview})
    made = [await ended(service, one) for one in runs]
    await service.wait_run(LOCAL_USER, undo.id, timedelta(seconds=10))

    assert sorted(one["repeated"] for one in made) == [False, True]
    assert stock(database) == [(5,), (0,)]


async def test_pages_of_a_result_are_shown_as_long_as_its_rows_may_be_seen(
    service: Service,
) -> None:
    sql = "SELECT name FROM goods"
    asked = await service.call_tool(LOCAL_AGENT, "db_query", {"datasource": "shop", "sql": sql})
    page = {"result_id": (await ended(service, asked))["result_id"]}

    async def shown() -> bool:
        run = await service.call_tool(LOCAL_AGENT, "db_result", page)
        found = await service.wait_run(LOCAL_USER, run.id, timedelta(seconds=10))
        return found.output is not None

    assert await shown()
    same, fewer = POLICY[1].text, '@columns("id, stock") '
    for text, expected in (
        (f"// another version\n{same}", True),
        (same.replace("permit", f"{fewer}permit").replace(', Action::"db_delete"', ""), False),
        (same, True),
    ):
        await service.policies.apply(LOCAL_USER, [POLICY[0], PolicyFile("shop.cedar", text)])
        assert await shown() is expected


async def test_another_agent_is_not_shown_the_rows_of_a_held_change(service: Service) -> None:
    sql = "DELETE FROM goods WHERE id = 1"
    run = await service.call_tool(
        LOCAL_AGENT, "db_preview_write", {"datasource": "shop", "sql": sql}
    )
    preview = await ended(service, run)
    held = await service.call_tool(LOCAL_AGENT, "db_apply", {"preview": preview["preview"]})
    one = await asked(service, held)

    other = await service.approvals.get(Caller("default", "agent:other"), one.id)
    assert one.preview is not None
    assert (other.preview, other.is_withheld) == (None, True)


async def test_a_policy_that_has_changed_since_the_preview_leaves_all_as_it_is(
    service: Service, database: Path
) -> None:
    codes = await Codes(service, LOCAL_USER).enrol()
    sql = "UPDATE goods SET stock = stock + 1 WHERE name = 'Lamp'"
    run = await service.call_tool(
        LOCAL_AGENT, "db_preview_write", {"datasource": "shop", "sql": sql}
    )
    preview = (await ended(service, run))["preview"]
    run = await service.call_tool(LOCAL_AGENT, "db_apply", {"preview": preview})
    one = await asked(service, run)
    narrower = PolicyFile("shop.cedar", POLICY[1].text.replace(', Action::"db_update"', ""))
    await service.policies.apply(
        LOCAL_USER, [POLICY[0], narrower], proof=Proof(kind="totp", value=codes.next())
    )
    proof = Proof(kind="totp", value=codes.next())
    await service.approvals.decide(
        LOCAL_USER, one.id, verdict="approve", subject=one.subject, proof=proof
    )
    found = await service.wait_run(LOCAL_USER, run.id, timedelta(seconds=10))
    assert found.failure is not None
    assert found.failure.reason == "PREVIEW_STALE"
    assert stock(database) == [(4,), (0,)]


async def test_no_row_of_a_change_stands_in_an_event(service: Service) -> None:
    sql = "UPDATE goods SET name = 'CANARY' || name WHERE stock > 3"
    run = await service.call_tool(
        LOCAL_AGENT, "db_preview_write", {"datasource": "shop", "sql": sql}
    )
    await ended(service, run)
    batch = await service.list_events(LOCAL_USER, run=run.id)
    assert "tool_call" in repr(batch.events)
    assert "CANARYLamp" not in repr(batch.events)


async def test_a_preview_of_somebody_else_is_not_there(service: Service) -> None:
    sql = "DELETE FROM goods WHERE id = 1"
    run = await service.call_tool(
        LOCAL_USER, "db_preview_write", {"datasource": "shop", "sql": sql}
    )
    preview = await ended(service, run)
    run = await service.call_tool(LOCAL_AGENT, "db_undo", {"apply": preview["preview"]})
    found = await service.wait_run(LOCAL_USER, run.id, timedelta(seconds=10))
    assert found.failure is not None
    assert found.failure.reason == "PREVIEW_NOT_FOUND"
