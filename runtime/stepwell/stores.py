"""From settings to the store that they name."""

from stepwell.config import Settings, redact_url
from stepwell.errors import SetupError
from stepwell_storage.errors import BadUrl
from stepwell_storage.open import open_storage
from stepwell_storage.ports import CommitWatch, Storage


def store_of(settings: Settings, *, on_commit: CommitWatch | None = None) -> Storage:
    """The store of these settings, which is not open yet; `on_commit` hears of each transaction.

    Raises:
        SetupError: they name none that this version can use; no password is shown.
    """
    url, chosen = settings.database_url, settings.storage
    try:
        return open_storage(
            url,
            max_page_count=chosen.max_page_count,
            on_commit=on_commit,
            direct_url=chosen.direct_url,
            notify=chosen.notify == "on",
            poll_interval=chosen.poll_interval,
        )
    except BadUrl as error:
        raise SetupError(f"{redact_url(url)} cannot be used: {error}") from None
