"""Whether what settings name is there: asked before a daemon starts, and by `stepwell doctor`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from stepwell.config import Settings, redact_url
from stepwell.errors import Code, SetupError
from stepwell.stores import store_of

SQLITE: Final = "sqlite:///"
TOOLS_FLAG: Final = "--tools"
"""What it names is meant from where the command was typed."""


def check_places(settings: Settings, set_by: Mapping[str, str]) -> None:
    """Refuses settings that name what is not there; `set_by` tells who has set a key.

    Raises:
        SetupError: INVALID_CONFIG, naming the file, variable or flag to correct.
    """
    problems = [*missing_tools(settings, set_by), unusable_database(settings, set_by)]
    for problem in filter(None, problems):
        raise SetupError(problem, code=Code.INVALID_CONFIG)


def missing_tools(settings: Settings, set_by: Mapping[str, str]) -> list[str]:
    """A sentence for each file of tools that is not there."""
    origin = set_by.get("tools.paths", "")
    hint = f"; a relative path in `tools.paths` is meant from the home, {settings.home}"
    return [
        f"{origin}: there is no file {place}{'' if origin == TOOLS_FLAG else hint}"
        for place in settings.tools.paths
        if is_file_name(place) and not Path(place).exists()
    ]


def unusable_database(settings: Settings, set_by: Mapping[str, str]) -> str:
    """A sentence when the URL of the database leads nowhere, without its password; else ""."""
    origin = set_by.get("storage.url", "")
    try:
        store_of(settings)
    except SetupError as error:
        return f"{origin}: {error.message}"
    path = sqlite_file(settings)
    if origin and path and not path.parent.is_dir():
        return (
            f"{origin}: {redact_url(settings.database_url)} is in the folder {path.parent.absolute()}, which is "
            "not there; make it, or correct the URL"
        )
    return ""


def sqlite_file(settings: Settings) -> Path | None:
    """The file of the database, where it is one."""
    url = settings.database_url
    return Path(url.removeprefix(SQLITE)) if url.startswith(SQLITE) else None


def is_file_name(place: str) -> bool:
    """Whether a place of tools is a file, and no module."""
    return place.endswith(".py") or "/" in place
