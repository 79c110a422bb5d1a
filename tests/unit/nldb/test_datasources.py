"""Which URLs can be datasources."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from stepwell.errors import Code, InvalidRequest
from stepwell.nldb.datasources import OwnFiles, check_datasource
from stepwell.nldb.postgres.place import place_of
from stepwell.nldb.urls import absolute_url, sqlite_path
from stepwell.tools.port import ToolFailed
from stepwell.tools.process import ProcessPool
from stepwell.tools.secrets import Redactor, Secrets

OWN = OwnFiles(home=Path("/nowhere/home"))
NONE = Secrets({}, home=Path("/nowhere/home"))


def test_a_relative_path_is_seen_from_the_folder_of_who_typed_it(tmp_path: Path) -> None:
    assert absolute_url("sqlite:///shop.db", tmp_path) == f"sqlite:///{tmp_path}/shop.db"
    assert absolute_url("sqlite:///../shop.db", tmp_path) == f"sqlite:///{tmp_path.parent}/shop.db"
    assert absolute_url("sqlite:////data/shop.db", tmp_path) == "sqlite:////data/shop.db"


def test_a_stored_url_gives_its_file() -> None:
    assert sqlite_path("sqlite:////data/a b%20#1.db") == Path("/data/a b%20#1.db")


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("sqlite:///shop.db", "is relative; write the full path"),
        ("mysql://localhost/shop", "only SQLite and PostgreSQL databases can be datasources"),
        ("shop.db", "shop.db is no URL; of a SQLite file it is sqlite:///shop.db"),
        ("", "only SQLite and PostgreSQL databases can be datasources"),
        ("sqlite://", "names no file"),
        ("sqlite:///", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        ("sqlite://host/shop.db", "names no file"),
        ("sqlite:////data/shop.db?mode=rwc", "options are not possible"),
    ],
)
def test_another_url_is_refused_with_what_to_write(url: str, reason: str) -> None:
    with pytest.raises(InvalidRequest, match=reason) as refused:
        sqlite_path(url)
    assert refused.value.code is Code.INVALID_REQUEST
    assert refused.value.detail["url"] == refused.value.message


@pytest.mark.anyio
async def test_a_database_is_accepted_whatever_its_path_looks_like(
    tmp_path: Path, database: Callable[[Path, str], Path]
) -> None:
    path = database(tmp_path / "a b%20#1?.db", "CREATE TABLE t (a)")
    other = path.rename(tmp_path / "ünïcode #1%20.db")
    async with ProcessPool(size=1) as processes:
        await check_datasource(f"sqlite:///{other}", processes=processes, own=OWN, secrets=NONE)


@pytest.mark.anyio
async def test_what_is_no_readable_database_is_refused(tmp_path: Path, shop: Path) -> None:
    (tmp_path / "empty.db").touch()
    (tmp_path / "text.db").write_text("hello, this is not a database")
    (tmp_path / "broken.db").write_bytes(shop.read_bytes()[:100] + b"\xff" * 5000)
    refusals: dict[str, str] = {}
    async with ProcessPool(size=1) as processes:
        for name in ("absent.db", "empty.db", "text.db", "broken.db", "."):
            with pytest.raises(InvalidRequest) as refused:
                await check_datasource(
                    f"sqlite:///{tmp_path / name}", processes=processes, own=OWN, secrets=NONE
                )
            refusals[name] = refused.value.message.replace(str(tmp_path), "…")
    assert refusals["absent.db"] == "there is no file …/absent.db"
    assert refusals["empty.db"] == "…/empty.db is empty; make its tables first"
    assert refusals["text.db"] == "…/text.db is not a SQLite database (or it is encrypted)"
    assert "cannot be read as a SQLite database" in refusals["broken.db"]
    assert refusals["."] == "… is not a file"


@pytest.mark.anyio
async def test_a_database_in_wal_mode_with_an_open_writer_can_be_read(
    shop: Path,
) -> None:
    with closing(sqlite3.connect(shop, isolation_level=None)) as writer:
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute("INSERT INTO categories VALUES (9, 'new')")
        async with ProcessPool(size=1) as processes:
            await check_datasource(f"sqlite:///{shop}", processes=processes, own=OWN, secrets=NONE)


@pytest.mark.parametrize(
    "name", ["store.db", "symbolic.db", "hard.db", "home/copy.db", "in/copy.db"]
)
def test_what_the_daemon_lives_on_is_no_datasource(tmp_path: Path, shop: Path, name: str) -> None:
    store = shop.rename(tmp_path / "store.db")
    (tmp_path / "home").mkdir()
    (tmp_path / "in").symlink_to("home")
    (tmp_path / "symbolic.db").symlink_to(store)
    (tmp_path / "hard.db").hardlink_to(store)
    own = OwnFiles(home=tmp_path / "home", database=store)
    with pytest.raises(InvalidRequest, match="belongs to Stepwell itself"):
        own.refuse(tmp_path / name)


@pytest.mark.anyio
async def test_a_link_that_is_put_in_the_place_of_a_datasource_leads_to_nothing_of_ours(
    tmp_path: Path, shop: Path, database: Callable[[Path, str], Path], asker: Callable[..., Any]
) -> None:
    """Whoever may write to its folder, and not to our home, would read our store by it."""
    ours = database(
        tmp_path / "stepwell.db",
        "CREATE TABLE stepwell_schema (version TEXT); CREATE TABLE orders (id);"
        "INSERT INTO orders VALUES ('CANARY')",
    )
    async with ProcessPool(size=1) as processes:
        ask = asker(processes, shop)
        await ask("db_query", sql="SELECT count(*) FROM orders")
        shop.unlink()
        shop.symlink_to(ours)
        for tool, sql in (("db_query", {"sql": "SELECT id FROM orders"}), ("db_schema", {})):
            with pytest.raises(ToolFailed, match="Stepwell itself keeps its data"):
                await ask(tool, **sql)
        with pytest.raises(InvalidRequest, match="Stepwell itself keeps its data"):
            await check_datasource(f"sqlite:///{shop}", processes=processes, own=OWN, secrets=NONE)


@pytest.mark.anyio
async def test_what_is_wrong_with_a_file_is_told_without_the_names_in_it(
    shop: Path, asker: Callable[..., Any]
) -> None:
    with closing(sqlite3.connect(shop)) as connection:
        connection.execute("CREATE TABLE hidden_wages (id)")
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute(
            "UPDATE sqlite_master SET sql = 'CREATE TABLE broken' WHERE name = 'hidden_wages'"
        )
        connection.commit()
    async with ProcessPool(size=1) as processes:
        with pytest.raises(ToolFailed, match="malformed database schema") as failed:
            await asker(processes, shop)("db_schema")
    assert "wages" not in failed.value.message


def test_a_database_in_a_folder_of_the_home_is_the_owners(tmp_path: Path) -> None:
    OwnFiles(home=tmp_path, database=tmp_path / "absent.db").refuse(tmp_path / "demo" / "shop.db")


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("postgresql://reader:hunter22@host/shop", "a password does not belong into the URL"),
        ("postgresql://reader@host/shop?password=hunter22", "the URL has the option"),
        ("postgresql://reader@host/shop?options=-c%20x=1", "the URL has the option"),
        ("postgresql://reader@host/shop?passfile=/etc/passwd", "the URL has the option"),
        ("postgresql://reader:secret://file/pw@host/shop", "the kind env or store"),
        ("postgresql://secret://env/USER@host/shop", "can only be the password"),
        ("postgresql://host/shop", "must name a user, a host and a database"),
        ("postgresql://reader@host", "must name a user, a host and a database"),
        ("postgresql://reader@one,two/shop", "must name one host"),
        ("postgresql://reader@host:port/shop", "cannot be read"),
    ],
)
def test_a_postgres_url_is_refused_without_being_repeated(url: str, reason: str) -> None:
    with pytest.raises(InvalidRequest, match=reason) as refused:
        place_of(url)
    assert "hunter22" not in refused.value.message


def test_a_password_is_looked_up_when_it_is_needed_and_blotted_out() -> None:
    secrets, redactor = Secrets({"PG": "p@ss/word?"}, home=Path("/nowhere")), Redactor()
    place = place_of("postgresql://reader:secret://env/PG@db.example:6432/shop?sslmode=require")
    assert (place.user, place.host, place.port, place.database) == (
        "reader",
        "db.example",
        6432,
        "shop",
    )
    parameters = place.parameters(secrets, redactor)
    assert (parameters["password"], parameters["sslmode"]) == ("p@ss/word?", "require")
    assert redactor.text("failed with p@ss/word?") == "failed with [secret]"
