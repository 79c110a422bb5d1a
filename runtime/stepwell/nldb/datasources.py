"""Databases as datasources: opened by the URL that names them, once they are what it says."""

from datetime import timedelta
from pathlib import Path

import msgspec
from msgspec import Struct

from stepwell.errors import Code, StepwellError
from stepwell.nldb.database import Database
from stepwell.nldb.databases import Opener
from stepwell.nldb.limits import Limits
from stepwell.nldb.postgres.place import Place, is_postgres, place_of
from stepwell.nldb.sqlite.database import SqliteDatabase
from stepwell.nldb.urls import invalid_url, sqlite_path
from stepwell.tools.modules import Source
from stepwell.tools.port import ToolFailed
from stepwell.tools.process import ProcessPool
from stepwell.tools.secrets import Secrets

_MAGIC = b"SQLite format 3\x00"


class OwnFiles(Struct, frozen=True, kw_only=True):
    """What the daemon itself lives on. A query over it would read every sealed value.

    `home` is its folder; its subfolders, such as the demo's, are the owner's. `database` is
    the file of its store, wherever it is; None when there is none.
    """

    home: Path
    database: Path | None = None

    def refuse(self, path: Path) -> None:
        """Refuses a file of ours, under whatever name or link it is reached.

        Raises:
            InvalidRequest: it is one of ours.
        """
        if path.resolve().parent == self.home.resolve() or self._is_database(path):
            raise invalid_url(
                f"{path} belongs to Stepwell itself, which keeps its own data there; "
                "name a database of yours that lies outside of its home"
            )

    def _is_database(self, path: Path) -> bool:
        try:
            return self.database is not None and path.samefile(self.database)
        except OSError:  # one of them is not there, or may not be looked at: not the same
            return False


def opener(*, processes: ProcessPool, secrets: Secrets, own: OwnFiles) -> Opener:
    """Opens what a URL names. `processes` serve SQL alone: their memory is capped for it.

    What it gives raises InvalidRequest for a URL that names none, or one of `own`, and
    StepwellError: MISSING_EXTRA.
    """

    def open_database(url: str) -> Database:
        if is_postgres(url):
            return _postgres(place_of(url), secrets)
        path = sqlite_path(url)
        own.refuse(path)  # again: a link may point elsewhere since it was added
        return SqliteDatabase(path, processes)

    return open_database


def _postgres(place: Place, secrets: Secrets) -> Database:
    try:
        from stepwell.nldb.postgres.database import PostgresDatabase
    except ImportError as error:
        raise StepwellError(
            "PostgreSQL needs a package that is not installed: run "
            "pip install 'stepwell[postgres]', and start the daemon again",
            code=Code.MISSING_EXTRA,
        ) from error
    return PostgresDatabase(place, secrets)


async def check_datasource(
    url: str,
    accept_risks: bool = False,
    *,
    processes: ProcessPool,
    own: OwnFiles,
    secrets: Secrets,
) -> None:
    """Opens the database once, read-only, to see that it is there and what its login may do.

    With `accept_risks` a login is taken that may do whatever it likes.

    Raises:
        InvalidRequest: the URL is none, there is no readable database behind it, its login may do
            too much, or it is one of `own`; `detail["url"]` says why.
    """
    if is_postgres(url):
        await _check_postgres(url, secrets, accept_risks=accept_risks)
        return
    path = sqlite_path(url)
    own.refuse(path)
    _check_file(path)
    limits = Limits(timeout=timedelta(seconds=5))
    try:
        await processes.call(
            Source("stepwell.nldb.sqlite.probe"),
            "probe",
            {"path": str(path), "limits": msgspec.to_builtins(limits)},
            timeout=limits.timeout,
        )
    except ToolFailed as error:
        raise invalid_url(
            f"{path} cannot be read as a SQLite database: {error.message}. A database in WAL mode "
            "needs a folder that can be written, for the files that SQLite keeps beside it"
        ) from error


async def _check_postgres(url: str, secrets: Secrets, *, accept_risks: bool) -> None:
    database = _postgres(place_of(url), secrets)
    try:
        found = await database.inspect()
    except ToolFailed as error:
        raise invalid_url(error.message) from error
    finally:
        await database.close()
    if found.refusals and not accept_risks:
        reasons = "; ".join(f"{one.what}: {one.advice}" for one in found.refusals)
        raise invalid_url(
            f"{reasons}. To use it all the same, be it only until `emit-sql` has printed another "
            "login, add it with --accept-risks"
        )


def _check_file(path: Path) -> None:
    try:
        if not path.exists():
            raise invalid_url(f"there is no file {path}")
        if not path.is_file():
            raise invalid_url(f"{path} is not a file")
        with path.open("rb") as file:
            magic = file.read(len(_MAGIC))
    except OSError as error:
        raise invalid_url(f"{path} cannot be read: {error.strerror}") from error
    if not magic:
        raise invalid_url(f"{path} is empty; make its tables first")
    if magic != _MAGIC:
        raise invalid_url(f"{path} is not a SQLite database (or it is encrypted)")
