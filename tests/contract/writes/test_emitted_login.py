"""The login that `stepwell datasource emit-sql --writes` makes: it changes what was named, once."""

from collections.abc import AsyncIterator

import pytest
from tests.contract.writes.postgres_shelves import PostgresDesk

from stepwell.errors import InvalidRequest
from stepwell.tools.port import ToolFailed

pytestmark = pytest.mark.anyio


@pytest.fixture
async def emitted(postgres_desk: PostgresDesk) -> AsyncIterator[PostgresDesk]:
    made = (await postgres_desk.database.inspect(["goods"])).hardening
    run = "\n".join(line for line in made.splitlines() if not line.startswith(("--", "\\")))
    postgres_desk.run(run)
    desk = PostgresDesk(postgres_desk.url.replace("postgres@", "stepwell_writer@"))
    yield desk
    await desk.close()
    postgres_desk.run("DROP OWNED BY stepwell_writer; DROP ROLE stepwell_writer")


async def test_it_changes_rows_and_takes_the_changes_back(emitted: PostgresDesk) -> None:
    before = emitted.rows("SELECT id, name FROM goods ORDER BY id")
    for sql in (
        "UPDATE goods SET stock = 9 WHERE id = 1",
        "INSERT INTO goods (name) VALUES ('Bowl')",
        "DELETE FROM goods WHERE id = 4",
    ):
        applied = await emitted.apply(await emitted.preview(sql))
        assert (applied["rows"], applied["repeated"]) == (1, False)
        back = await emitted.apply(await emitted.undo(applied))
        assert back["rows"] == 1
    assert emitted.rows("SELECT id, name FROM goods ORDER BY id") == before


async def test_it_changes_no_other_table(emitted: PostgresDesk) -> None:
    with pytest.raises(ToolFailed, match="login may not do that"):
        await emitted.preview("UPDATE shelves SET room = 'C' WHERE id = 1")


async def test_a_table_that_cannot_be_changed_is_named_with_the_nearest(
    postgres_desk: PostgresDesk,
) -> None:
    with pytest.raises(InvalidRequest, match=r"no table good of which .* did you mean goods"):
        await postgres_desk.database.inspect(["good"])
