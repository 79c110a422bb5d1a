"""Who is shown what came from a datasource: whoever has begun the run, and people.

What a run has read, it was shown to its principal, with the attributes that he had then. Everybody else
in the namespace is told that there is something, and not what: a rule of data that hides a row from
somebody hides it in the runs of others too. People answer for what agents do, and see it.
"""

from collections.abc import Mapping

from msgspec import UNSET
from msgspec.structs import replace

from stepwell.engine.events import RunForked, RunStarted
from stepwell.engine.values import Data
from stepwell.orchestrator.journal import Journal
from stepwell.orchestrator.views import Run
from stepwell.principals import Attributes, Caller


def is_sealed(data: Data) -> bool:
    """Whether it came from a datasource, whether or not its value is here."""
    return bool(data.sealed or (data.blob is not None and data.blob.label))


def is_beholder(caller: Caller, principal: str, attributes: Attributes) -> bool:
    """Whether somebody may see what a run of this principal has read, begun with these attributes."""
    if caller.is_user:
        return True
    return caller.principal == principal and _plain(caller.attributes) == _plain(attributes)


def withheld(run: Run) -> Run:
    """The run as everybody else is shown it: of what is sealed its reference is left."""
    if run.output is None or not is_sealed(run.output):
        return run
    return replace(run, output=replace(run.output, value=UNSET))


class Beholders:
    """Looks into the log of a run for who has begun it."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    async def has(self, caller: Caller, run: str, principal: str) -> bool:
        """Whether the caller may see what the run of this principal has read."""
        if caller.is_user or caller.principal != principal:
            return caller.is_user
        first = await self._journal.first(caller.namespace, run)
        known = first.attributes if isinstance(first, RunStarted | RunForked) else {}
        return is_beholder(caller, principal, known)


def _plain(attributes: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    return {name: tuple(texts) for name, texts in attributes.items()}
