"""What a datasource may be: `sqlite:////full/path.db`, or a `postgresql://` URL without a password.

Nothing here opens a database, so that a command may look at a URL without what reads SQL.
"""

from pathlib import Path
from typing import Final

from stepwell.errors import InvalidRequest
from stepwell.nldb.postgres.place import EXAMPLE, is_postgres, place_of

_PREFIX: Final = "sqlite:///"


def absolute_url(url: str, folder: Path) -> str:
    """The URL with its path made absolute, seen from the folder of whoever typed it.

    Raises:
        InvalidRequest: it is not the URL of a datasource.
    """
    if is_postgres(url):
        place_of(url)
        return url
    return f"{_PREFIX}{(folder / _path(url)).resolve()}"


def sqlite_path(url: str) -> Path:
    """The file that a stored URL names.

    Raises:
        InvalidRequest: it is not the absolute URL of a SQLite file.
    """
    path = _path(url)
    if not path.is_absolute():
        raise invalid_url(f"{url} is relative; write the full path: {_PREFIX}/full/path.db")
    return path


def invalid_url(reason: str) -> InvalidRequest:
    """The error that something is no datasource, or none that may be one."""
    return InvalidRequest(reason, detail={"url": reason})


def _path(url: str) -> Path:
    scheme, has_scheme, rest = url.partition("://")
    if url and not has_scheme:
        raise invalid_url(
            f"{url} is no URL; of a SQLite file it is {_PREFIX}{url}, of PostgreSQL {EXAMPLE}"
        )
    if scheme != "sqlite":
        raise invalid_url(
            f"{scheme or url}: only SQLite and PostgreSQL databases can be datasources; "
            f"write {_PREFIX}/full/path.db or {EXAMPLE}"
        )
    name = rest.removeprefix("/")
    if not rest.startswith("/") or not name or name == ":memory:":
        raise invalid_url(f"{url} names no file; write {_PREFIX}/full/path.db")
    if "?" in name or "\x00" in name:
        raise invalid_url(
            f"{url}: options are not possible, the database is always opened read-only"
        )
    return Path(name)
