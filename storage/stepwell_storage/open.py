"""From a URL to a store: the only place that knows which adapters there are."""

from datetime import timedelta
from pathlib import Path

from stepwell_storage.errors import BadUrl
from stepwell_storage.ports import CommitWatch, Storage

SQLITE = "sqlite:///"
POSTGRES = ("postgresql://", "postgres://", "postgresql+psycopg://")
INSTALL_POSTGRES = "pip install 'stepwell[postgres]'"


def open_storage(
    url: str,
    *,
    max_page_count: int | None = None,
    on_commit: CommitWatch | None = None,
    direct_url: str = "",
    notify: bool = False,
    poll_interval: timedelta = timedelta(milliseconds=100),
) -> Storage:
    """A store that is not open yet.

    `sqlite:///relative.db`, `sqlite:////absolute.db`, `postgresql://...`, or `memory:`.
    `max_page_count` bounds a SQLite file, in pages of 4 KiB. `on_commit` is called on the event
    loop after each transaction; memory has none. The rest concerns PostgreSQL alone: see
    `PostgresStorage`.

    Raises:
        BadUrl: it is none of these, or what it needs is not installed.
    """
    if url == "memory:":
        from stepwell_storage.memory import MemoryStorage

        return MemoryStorage()
    if url.startswith(SQLITE) and len(url) > len(SQLITE):
        # Imported only now: whoever keeps nothing in SQL need not load it.
        from stepwell_storage.sql.sqlite import SqliteStorage

        path = Path(url.removeprefix(SQLITE))
        return SqliteStorage(path, max_page_count=max_page_count, on_commit=on_commit)
    if url.startswith(POSTGRES):
        return _postgres(url, on_commit, direct_url, notify=notify, poll_interval=poll_interval)
    raise BadUrl(
        "give sqlite:///FILE, with four slashes for an absolute path, "
        "postgresql://USER:PASSWORD@HOST/DATABASE, or memory:"
    )


def _postgres(
    url: str,
    on_commit: CommitWatch | None,
    direct_url: str,
    *,
    notify: bool,
    poll_interval: timedelta,
) -> Storage:
    try:
        from stepwell_storage.sql.postgres.storage import PostgresStorage
    except ImportError as error:
        raise BadUrl(
            f"the driver for PostgreSQL is not installed; {INSTALL_POSTGRES} adds it"
        ) from error
    return PostgresStorage(
        url,
        on_commit=on_commit,
        direct_url=direct_url,
        notify=notify,
        poll_interval=poll_interval,
    )


def reach(url: str) -> None:
    """Connects to the server of a URL, where there is one, and leaves again.

    Raises:
        BadUrl: the URL cannot be used.
        Unavailable: the server does not let us in, or does not answer.
    """
    if url.startswith(POSTGRES):
        from stepwell_storage.sql.postgres.connection import reach_server

        reach_server(url)
