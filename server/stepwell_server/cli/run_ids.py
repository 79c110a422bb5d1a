"""How commands name a run: by its id, or by the beginning of it."""

import re
from typing import Annotated, Final, TypeAlias

import typer

from stepwell.client import Client
from stepwell.errors import InvalidRequest, NotFound

RunArgument: TypeAlias = Annotated[
    str, typer.Argument(metavar="RUN", help="The id of a run, or the beginning of it.")
]

PAGE: Final = 1000
NAMED: Final = 5
"""How many of the runs that could be meant an error names."""
_BEGINNING: Final = re.compile(r"[0-9a-f-]{1,35}")


async def full_id(client: Client, given: str) -> str:
    """The id that is meant; what cannot be the beginning of one is left for the server to judge.

    Raises:
        NotFound: RUN_NOT_FOUND, no id begins like this.
        InvalidRequest: several ids do; the newest of them are named.
    """
    if not _BEGINNING.fullmatch(given):
        return given
    fitting = [run for run in await _every_id(client) if run.startswith(given)]
    if not fitting:
        raise NotFound(f"no run has an id that begins with {given}; `stepwell runs` lists them")
    if len(fitting) > 1:
        more = f" and {len(fitting) - NAMED} more" if len(fitting) > NAMED else ""
        raise InvalidRequest(
            f"{len(fitting)} runs have an id that begins with {given}: "
            f"{', '.join(fitting[:NAMED])}{more}; write more of the one that you mean"
        )
    return fitting[0]


async def _every_id(client: Client) -> list[str]:
    """All of them, newest first."""
    found: list[str] = []
    token = ""
    while True:
        page = await client.list(page_size=PAGE, page_token=token)
        found += (run.id for run in page.runs)
        token = page.next_page_token
        if not token:
            return found
