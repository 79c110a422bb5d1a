"""Datasources whose databases nobody looks into."""

from collections.abc import Sequence

from stepwell.nldb.inspection import Inspection
from stepwell.principals import Caller


class Unread:
    """Implements `DatasourceReader`: every URL names a database, and none can be looked into."""

    async def check(self, url: str, accept_risks: bool) -> None:
        """Is content."""

    async def inspect(self, namespace: str, name: str, writes: Sequence[str]) -> Inspection:
        """Cannot."""
        raise AssertionError(f"nobody looks into {name}")

    async def lesson(self, caller: Caller, name: str, source: bytes) -> bytes:
        """Takes everything."""
        return source
