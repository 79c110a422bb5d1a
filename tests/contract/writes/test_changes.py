"""A change of a database is shown row by row, made once, and taken back, whatever the engine."""

import msgspec
import pytest
from tests.contract.writes.shelves import Desk, all_may_be_written, tenant_one

from stepwell.nldb.model import Access, Catalog, TableAccess
from stepwell.tools.port import ToolFailed

pytestmark = pytest.mark.anyio


async def test_a_preview_shows_old_and_new_rows_and_changes_nothing(desk: Desk) -> None:
    before = desk.dump()
    shown = await desk.preview("UPDATE goods SET stock = stock + 1 WHERE shelf = 1")
    assert desk.dump() == before
    assert shown["rows"] == 2
    assert [(one["key"], one["old"]["stock"], one["new"]["stock"]) for one in shown["changes"]] == [
        ({"id": 1}, 4, 5),
        ({"id": 2}, 0, 1),
    ]
    assert '."goods" AS "goods" SET "stock" = "goods"."stock" + 1 WHERE' in shown["sql"]
    assert shown["undo"] == {"possible": True, "why": ""}
    assert shown["preview"].startswith("run1/call#")


async def test_what_is_applied_is_what_was_shown_and_once(desk: Desk) -> None:
    shown = await desk.preview("UPDATE goods SET stock = stock + 1 WHERE shelf = 1")
    made = await desk.apply(shown)
    again = await desk.apply(shown)
    assert desk.rows("SELECT id, stock FROM goods WHERE shelf = 1") == [(1, 5), (2, 1)]
    assert (made["rows"], made["keys"], made["repeated"]) == (2, [{"id": 1}, {"id": 2}], False)
    assert again == {**made, "repeated": True}


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE goods SET stock = stock + 1, name = name || '!', price = NULL WHERE id < 4",
        "INSERT INTO goods (name, price, shelf) VALUES ('Vase', 3.5, 2), ('Cup', 1.25, NULL)",
        "INSERT INTO marks (good, word, n) VALUES (3, 'old', 9)",
        "DELETE FROM goods WHERE id IN (1, 4)",
        "DELETE FROM marks WHERE word = 'new'",
        "UPDATE marks SET n = n * 10 WHERE good = 1",
    ],
)
async def test_a_change_and_its_undo_leave_the_database_as_it_was(desk: Desk, sql: str) -> None:
    before = desk.dump()
    made = await desk.apply(await desk.preview(sql))
    assert desk.dump() != before
    back = await desk.undo(made)
    assert desk.dump() != before
    await desk.apply(back)
    assert desk.dump() == before


async def test_an_undo_is_refused_when_a_row_has_changed_since(desk: Desk) -> None:
    made = await desk.apply(await desk.preview("UPDATE goods SET stock = 0 WHERE shelf = 1"))
    desk.run("UPDATE goods SET name = 'Lampe' WHERE id = 1")
    with pytest.raises(ToolFailed, match="the rows have changed since") as refusal:
        await desk.undo(made)
    assert refusal.value.code == "PREVIEW_STALE"


@pytest.mark.parametrize(
    ("meanwhile", "why"),
    [
        ("UPDATE goods SET stock = 5 WHERE id = 1", "have changed"),
        ("UPDATE goods SET picture = NULL WHERE id = 1", "have changed"),
        ("DELETE FROM goods WHERE id = 2", "have changed"),
        ("INSERT INTO goods (id, name, shelf) VALUES (9, 'New', 1)", "have changed"),
        ("ALTER TABLE goods ADD COLUMN label TEXT", "schema"),
    ],
)
async def test_what_has_changed_since_the_preview_is_not_written_over(
    desk: Desk, meanwhile: str, why: str
) -> None:
    shown = await desk.preview("UPDATE goods SET stock = stock + 1 WHERE shelf = 1")
    desk.run(meanwhile)
    before = desk.dump()
    with pytest.raises(ToolFailed, match=why) as refusal:
        await desk.apply(shown)
    assert refusal.value.code == "PREVIEW_STALE"
    assert desk.dump() == before


async def test_a_trigger_that_was_replaced_makes_a_preview_stale(desk: Desk) -> None:
    desk.trigger("t", "AFTER UPDATE", "INSERT INTO journal (what) VALUES (new.name);")
    shown = await desk.preview("UPDATE goods SET stock = 1 WHERE id = 1")
    desk.trigger("t", "AFTER UPDATE", "DELETE FROM marks;")
    with pytest.raises(ToolFailed, match="by itself, have changed"):
        await desk.apply(shown)
    assert len(desk.rows("SELECT * FROM marks")) == 3


async def test_a_change_of_policy_makes_a_preview_stale(desk: Desk) -> None:
    shown = await desk.preview("UPDATE goods SET stock = 1 WHERE id = 1")
    desk.access = tenant_one
    with pytest.raises(ToolFailed, match="what you may do") as refusal:
        await desk.apply(shown)
    assert refusal.value.code == "PREVIEW_STALE"


async def test_the_preview_of_somebody_else_is_not_there(desk: Desk) -> None:
    shown = await desk.preview("UPDATE goods SET stock = 1 WHERE id = 1")
    desk.principal = "agent:other"
    for call in (desk.apply(shown), desk.undo(shown)):
        with pytest.raises(ToolFailed) as refusal:
            await call
        assert refusal.value.code == "PREVIEW_NOT_FOUND"


async def test_a_name_with_another_digest_names_nothing(desk: Desk) -> None:
    shown = await desk.preview("UPDATE goods SET stock = 1 WHERE id = 1")
    with pytest.raises(ToolFailed) as refusal:
        await desk.apply({"preview": shown["preview"][:-1] + "~"})
    assert refusal.value.code == "PREVIEW_NOT_FOUND"


async def test_hidden_and_masked_columns_are_not_shown_and_cannot_be_put_back(desk: Desk) -> None:
    desk.access = tenant_one
    shown = await desk.preview("DELETE FROM goods WHERE id > 2")
    assert [one["key"] for one in shown["changes"]] == [{"id": 3}, {"id": 4}]
    assert set(shown["columns"]) == {"id", "name", "stock", "shelf", "tenant"}
    assert shown["undo"]["possible"] is False
    assert "columns of the deleted rows are not yours to read" in shown["undo"]["why"]


async def test_a_hidden_column_that_changes_makes_a_preview_stale_all_the_same(desk: Desk) -> None:
    desk.access = tenant_one
    shown = await desk.preview("UPDATE goods SET stock = 0 WHERE id = 1")
    desk.run("UPDATE goods SET price = 99 WHERE id = 1")
    with pytest.raises(ToolFailed, match="have changed"):
        await desk.apply(shown)


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE goods SET tenant = 2 WHERE id = 1",
        "INSERT INTO goods (name, tenant) VALUES ('x', 2)",
    ],
)
async def test_a_row_may_not_leave_the_rows_that_one_may_see(desk: Desk, sql: str) -> None:
    desk.access = tenant_one
    with pytest.raises(ToolFailed, match=r"write\.row_check"):
        await desk.preview(sql)


async def test_the_row_check_sees_what_triggers_have_made(desk: Desk) -> None:
    desk.trigger("t", "AFTER UPDATE OF stock", "UPDATE goods SET tenant = 2 WHERE id = new.id;")
    desk.access = tenant_one
    with pytest.raises(ToolFailed, match=r"write\.row_check"):
        await desk.preview("UPDATE goods SET stock = 0 WHERE id = 1")


async def test_triggers_are_named_and_what_they_leave_is_shown(desk: Desk) -> None:
    both = (
        "UPDATE goods SET name = upper(name) WHERE id = new.id; "
        "INSERT INTO journal (what) VALUES (new.name);"
    )
    desk.trigger("upper_name", "AFTER UPDATE OF stock", both)
    desk.trigger("not_this", "AFTER DELETE", "DELETE FROM journal;")
    shown = await desk.preview("UPDATE goods SET stock = 0 WHERE id = 1")
    assert [(one["kind"], one["name"]) for one in shown["effects"]] == [("trigger", "upper_name")]
    assert shown["changes"][0]["new"]["name"] == "LAMP"
    assert "name" in shown["filled"]
    await desk.apply(shown)
    assert desk.rows("SELECT name, stock FROM goods WHERE id = 1") == [("LAMP", 0)]
    assert desk.rows("SELECT what FROM journal") == [("Lamp",)]


async def test_cascades_are_named_with_the_rows_they_meet(desk: Desk) -> None:
    shown = await desk.preview("DELETE FROM shelves WHERE room = 'A'")
    assert shown["effects"] == [
        {
            "kind": "cascade",
            "name": shown["effects"][0]["name"],
            "table": "goods",
            "what": "deletes rows that refer to it",
            "rows": 4,
        }
    ]
    assert "goods" in shown["undo"]["why"]
    await desk.apply(shown)
    assert desk.rows("SELECT id FROM goods") == [(5,)]


async def test_a_cascade_into_a_table_that_may_not_be_changed_is_refused(desk: Desk) -> None:

    def no_goods(found: Catalog) -> Access:
        given = all_may_be_written(found)
        return msgspec.structs.replace(given, tables={**given.tables, "goods": TableAccess()})

    desk.access = no_goods
    with pytest.raises(ToolFailed, match=r"write\.cascade") as refusal:
        await desk.preview("DELETE FROM shelves WHERE id = 1")
    assert "goods" not in refusal.value.message
    desk.run("DELETE FROM goods WHERE shelf = 3")
    assert (await desk.preview("DELETE FROM shelves WHERE id = 3"))["effects"] == []


async def test_a_cascade_meets_no_rows_that_whoever_asks_may_not_see(desk: Desk) -> None:
    def one_tenant(found: Catalog) -> Access:
        given = all_may_be_written(found)
        goods = msgspec.structs.replace(given.tables["goods"], rows="tenant = 1")
        return msgspec.structs.replace(given, tables={**given.tables, "goods": goods})

    desk.access = one_tenant
    before = desk.dump()
    with pytest.raises(ToolFailed, match=r"write\.cascade"):
        await desk.preview("DELETE FROM shelves WHERE id = 3")
    assert desk.dump() == before
    shown = await desk.preview("DELETE FROM shelves WHERE id = 2")
    assert [one["rows"] for one in shown["effects"]] == [2]
    await desk.apply(shown)
    assert desk.rows("SELECT id FROM goods ORDER BY id") == [(1,), (2,), (5,)]


async def test_a_cascade_to_a_column_that_the_asker_may_not_set_is_refused(desk: Desk) -> None:
    desk.run(
        "CREATE TABLE labels (id INTEGER PRIMARY KEY, text TEXT, "
        "shelf INTEGER REFERENCES shelves (id) ON DELETE SET NULL);"
        "INSERT INTO labels VALUES (1, 'a', 3); DELETE FROM goods WHERE shelf = 3"
    )

    def texts_only(found: Catalog) -> Access:
        given = all_may_be_written(found)
        labels = TableAccess(update=True, writable=("text",))
        return msgspec.structs.replace(given, tables={**given.tables, "labels": labels})

    desk.access = texts_only
    with pytest.raises(ToolFailed, match=r"write\.cascade"):
        await desk.preview("DELETE FROM shelves WHERE id = 3")
    desk.access = all_may_be_written
    assert (await desk.preview("DELETE FROM shelves WHERE id = 3"))["effects"][0]["rows"] == 1


@pytest.mark.parametrize(
    ("sql", "rule"),
    [
        ("UPDATE goods SET stock = 1", "sql.where"),
        ("UPDATE loose SET a = 'x' WHERE b = 'y'", "write.no_key"),
        ("UPDATE goods SET id = 7 WHERE id = 1", "write.key"),
        ("SELECT * FROM goods", "sql.statement"),
        ("UPDATE _stepwell_applied SET key = 'x' WHERE key = 'y'", "sql.table"),
        ("", "sql.one_statement"),
    ],
)
async def test_what_cannot_be_shown_is_refused_by_a_rule(desk: Desk, sql: str, rule: str) -> None:
    with pytest.raises(ToolFailed) as refusal:
        await desk.preview(sql)
    assert (refusal.value.code, refusal.value.detail) == ("QUERY_REFUSED", {"rule": rule})


async def test_more_rows_than_a_person_looks_at_are_refused(desk: Desk) -> None:
    rows = ", ".join(f"({n}, 'w{n}', 1)" for n in range(600))
    desk.run(f"INSERT INTO marks VALUES {rows}")
    with pytest.raises(ToolFailed, match="more than 500 rows"):
        await desk.preview("DELETE FROM marks WHERE n = 1")


async def test_values_are_parameters(desk: Desk) -> None:
    shown = await desk.preview(
        "UPDATE goods SET name = :name WHERE id = :id AND stock = :stock",
        parameters={"name": "O'Neil; $1 ?1", "id": 1, "stock": 4},
    )
    assert shown["changes"][0]["new"]["name"] == "O'Neil; $1 ?1"
    await desk.apply(shown)
    assert desk.rows("SELECT name FROM goods WHERE id = 1") == [("O'Neil; $1 ?1",)]


async def test_a_change_that_meets_no_row_says_so(desk: Desk) -> None:
    shown = await desk.preview("UPDATE goods SET stock = 1 WHERE id = 99")
    assert (shown["rows"], shown["notes"]) == (0, ["no row matches, so nothing would change"])
    made = await desk.apply(shown)
    assert (made["rows"], made["keys"]) == (0, [])
