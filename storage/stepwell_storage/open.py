"""From a URL to a store: the only place that knows which adapters there are."""

from pathlib import Path

from stepwell_storage.errors import BadUrl
from stepwell_storage.ports import Storage

SQLITE = "sqlite:///"


def open_storage(url: str, *, max_page_count: int | None = None) -> Storage:
    """A store that is not open yet: `sqlite:///relative.db`, `sqlite:////absolute.db`, `memory:`.

    `max_page_count` bounds a SQLite file, in pages of 4 KiB.

    Raises:
        BadUrl: it is none of these.
    """
    if url == "memory:":
        from stepwell_storage.memory import MemoryStorage

        return MemoryStorage()
    if url.startswith(SQLITE) and len(url) > len(SQLITE):
        # Imported only now: whoever keeps nothing in SQL need not load it.
        from stepwell_storage.sql.sqlite import SqliteStorage

        return SqliteStorage(Path(url.removeprefix(SQLITE)), max_page_count=max_page_count)
    raise BadUrl(
        f"{url!r} names no database that this version can use. "
        "Give sqlite:///FILE, with four slashes for an absolute path, or memory:."
    )
