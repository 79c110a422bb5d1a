"""What a change has done row by row goes back row by row, whatever ties the rows to each other."""

import pytest
from tests.contract.writes.postgres_shelves import PostgresDesk
from tests.contract.writes.shelves import Desk, SqliteDesk

from stepwell.tools.port import ToolFailed

pytestmark = pytest.mark.anyio

STAFF = """
CREATE TABLE staff (id INTEGER PRIMARY KEY, boss INTEGER REFERENCES staff (id), place INTEGER UNIQUE);
INSERT INTO staff VALUES (4, NULL, 4), (3, 4, 3), (2, 3, 2), (1, 3, 1);
"""


async def goes_back(desk: Desk, sql: str) -> None:
    before = desk.dump()
    shown = await desk.preview(sql)
    assert shown["undo"] == {"possible": True, "why": ""}
    made = await desk.apply(shown)
    assert desk.dump() != before
    await desk.apply(await desk.undo(made))
    assert desk.dump() == before


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM staff WHERE id < 9",
        "INSERT INTO staff (id, boss) VALUES (7, 8), (8, 9), (9, 9)",
        "INSERT INTO staff (id, boss) VALUES (5, 4), (6, 5)",
    ],
)
async def test_rows_that_refer_to_rows_of_their_own_table_go_back(desk: Desk, sql: str) -> None:
    desk.run(STAFF)
    await goes_back(desk, sql)


@pytest.mark.parametrize("way", ["-", "+"])
async def test_values_that_move_up_go_back_although_no_two_may_be_equal(
    desk: Desk, way: str
) -> None:
    rows = [(1, 11), (2, 12), (3, 13)] if way == "-" else [(1, 13), (2, 12), (3, 11)]
    values = ", ".join(f"({id}, {place})" for id, place in rows)
    desk.run(f"CREATE TABLE line (id INTEGER PRIMARY KEY, place INTEGER UNIQUE);"
             f"INSERT INTO line VALUES {values}")  # fmt: skip
    await goes_back(desk, f"UPDATE line SET place = place {way} 1 WHERE id < 9")


async def test_values_that_change_places_go_back_where_the_end_of_it_is_checked(
    postgres_desk: PostgresDesk,
) -> None:
    desk = postgres_desk
    desk.run(
        "CREATE TABLE line (id integer PRIMARY KEY, place integer UNIQUE DEFERRABLE);"
        "INSERT INTO line VALUES (1, 1), (2, 2)"
    )
    await goes_back(desk, "UPDATE line SET place = 3 - place WHERE id < 9")


async def test_rows_that_refer_to_each_other_in_a_circle_are_told_to_stay_away(desk: Desk) -> None:
    desk.run(STAFF + "UPDATE staff SET boss = 1 WHERE id = 4")
    shown = await desk.preview("DELETE FROM staff WHERE id IN (1, 3, 4, 2)")
    assert shown["undo"]["possible"] is False
    assert "in a circle" in shown["undo"]["why"]
    made = await desk.apply(shown)
    with pytest.raises(ToolFailed, match="in a circle"):
        await desk.undo(made)


async def test_a_delete_that_its_own_cascade_overtakes_is_made(desk: Desk) -> None:
    desk.run(
        "CREATE TABLE tree (id INTEGER PRIMARY KEY, "
        "up INTEGER REFERENCES tree (id) ON DELETE CASCADE);"
        "INSERT INTO tree VALUES (1, NULL), (2, 1), (3, 2), (4, 3)"
    )
    before = desk.dump()
    shown = await desk.preview("DELETE FROM tree WHERE id < 9")
    assert shown["rows"] == 4
    made = await desk.apply(shown)
    assert desk.rows("SELECT * FROM tree") == []
    await desk.apply(await desk.undo(made))
    assert desk.dump() == before


async def test_a_trigger_that_keeps_a_row_is_found_out_beside_a_cascade_too(
    sqlite_desk: SqliteDesk,
) -> None:
    sqlite_desk.run(
        "CREATE TABLE tree (id INTEGER PRIMARY KEY, "
        "up INTEGER REFERENCES tree (id) ON DELETE CASCADE);"
        "INSERT INTO tree VALUES (1, NULL), (2, 1);"
        "CREATE TRIGGER stays BEFORE DELETE ON tree WHEN old.up IS NULL BEGIN "
        "SELECT raise(IGNORE); END;"
    )
    with pytest.raises(ToolFailed, match=r"write\.trigger"):
        await sqlite_desk.preview("DELETE FROM tree WHERE id < 9")
