"""Definitions of tools that others make: taken for good at first sight, and held to that.

A server may describe a tool differently tomorrow than when somebody looked at it. So what it says is
pinned when it is first seen; a tool that says anything else later is suspended until a person has
seen the difference and approved it.
"""

import difflib
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from stepwell.clock import Clock
from stepwell.errors import Code, FailedPrecondition, InvalidRequest, NotFound
from stepwell.orchestrator.audit import Audit
from stepwell.orchestrator.refusals import refusals
from stepwell.principals import DEFAULT_NAMESPACE, Caller
from stepwell.tools.mcp.describe import Offered
from stepwell_storage.errors import Conflict
from stepwell_storage.ports import Storage
from stepwell_storage.records import PinRow

FIRST_SIGHT: Final = "service:stepwell"
"""Who has pinned what nobody has approved: it was simply the first that was seen."""


class Difference(Struct, frozen=True, kw_only=True):
    """What a tool said when it was pinned, and what it says now. `diff` is empty for the same."""

    tool: str
    server: str
    pinned: str
    offered: str
    pinned_by: str
    pinned_at: int
    diff: str


class _Body(Struct, frozen=True):
    """What is kept of a definition."""

    upstream: str
    described: dict[str, Any]


class Pinning:
    """The pins of a runtime. They belong to whoever owns the settings, and so to one namespace."""

    def __init__(self, storage: Storage, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock
        self._audit = Audit(storage, clock)
        self._offered: dict[str, tuple[str, Offered]] = {}
        """What each server says now, by the name of the tool: the server, and what."""

    async def admit(self, server: str, tools: Sequence[Offered]) -> Mapping[str, str]:
        """Pins definitions at their first sight; the names of suspended tools, and why."""
        with refusals():
            known = {row.tool: row for row in await self._storage.pins.list(DEFAULT_NAMESPACE)}
            new = [_row(server, tool, FIRST_SIGHT, self._clock.now()) for tool in tools]
            first = [row for row in new if row.tool not in known]
            await self._storage.pins.add(DEFAULT_NAMESPACE, first)
        if first:
            seen = {"tools": str(len(first)), "definitions": _digest(first)}
            await self._audit.record(
                DEFAULT_NAMESPACE, FIRST_SIGHT, "tool.pin", f"server/{server}", seen
            )
        self._offered |= {tool.spec.name: (server, tool) for tool in tools}
        return {
            row.tool: _suspended(row.tool, server, known[row.tool])
            for row in new
            if row.tool in known and known[row.tool].definition != row.definition
        }

    async def known(self, server: str) -> list[dict[str, Any]]:
        """What is pinned of a server: the `described` of each tool, with its `upstream` name."""
        with refusals():
            rows = await self._storage.pins.list(DEFAULT_NAMESPACE)
        return [
            msgspec.to_builtins(msgspec.json.decode(row.body, type=_Body))
            for row in rows
            if row.source == server
        ]

    async def difference(self, tool: str) -> Difference:
        """How what a tool says now differs from its pin.

        Raises:
            NotFound: TOOL_NOT_FOUND, it has no pin, or no server offers it now.
        """
        if tool not in self._offered:
            raise NotFound(
                f"no MCP server offers a tool {tool!r} now; `stepwell tools list` shows all, and "
                "`stepwell tools servers` which servers are there",
                code=Code.TOOL_NOT_FOUND,
            )
        server, offered = self._offered[tool]
        with refusals(f"the tool {tool!r} has no pin", Code.TOOL_NOT_FOUND):
            row = await self._storage.pins.get(DEFAULT_NAMESPACE, tool)
        before = msgspec.json.decode(row.body, type=_Body).described
        return Difference(
            tool=tool,
            server=server,
            pinned=row.definition,
            offered=offered.spec.definition,
            pinned_by=row.principal,
            pinned_at=row.pinned_at,
            diff=_diff(before, offered.spec.described, tool),
        )

    async def approve(self, caller: Caller, tool: str, definition: str) -> Difference:
        """Pins what a tool says now, which must be `definition`: what the person has seen.

        Raises:
            NotFound: TOOL_NOT_FOUND.
            InvalidRequest: INVALID_REQUEST, it says something else by now.
            FailedPrecondition: NOT_APPLICABLE, it was not suspended, or somebody was faster.
        """
        change = await self.difference(tool)
        if change.offered != definition:
            raise InvalidRequest(
                f"{tool} has changed again since you looked; see `stepwell tools diff {tool}`",
                detail={"definition": "is not what the tool says now"},
            )
        if change.pinned == definition:
            raise FailedPrecondition(
                f"{tool} is as it was pinned; there is nothing to approve",
                code=Code.NOT_APPLICABLE,
            )
        server, offered = self._offered[tool]
        row = _row(server, offered, caller.principal, self._clock.now())
        try:
            with refusals():
                await self._storage.pins.replace(DEFAULT_NAMESPACE, row, was=change.pinned)
        except FailedPrecondition as error:
            if not isinstance(error.__cause__, Conflict):
                raise
            raise FailedPrecondition(
                f"somebody else has approved a definition of {tool} meanwhile; see "
                f"`stepwell tools diff {tool}`",
                code=Code.NOT_APPLICABLE,
            ) from error
        await self._audit.record(
            DEFAULT_NAMESPACE,
            caller.principal,
            "tool.approve",
            f"tool/{tool}",
            {"was": change.pinned, "definition": definition},
        )
        return change


def _row(server: str, tool: Offered, principal: str, now: int) -> PinRow:
    body = msgspec.json.encode(_Body(tool.name, tool.spec.described), order="sorted")
    return PinRow(tool.spec.name, server, tool.spec.definition, body, principal, now)


def _digest(rows: Sequence[PinRow]) -> str:
    """Names what all of these say."""
    return hashlib.sha256("".join(sorted(row.definition for row in rows)).encode()).hexdigest()


def _suspended(tool: str, server: str, pin: PinRow) -> str:
    return (
        f"the MCP server {server!r} describes {tool} differently than when it was pinned "
        f"(as {pin.definition[:12]}); it is not called until a person has looked: "
        f"`stepwell tools diff {tool}`, then `stepwell tools approve {tool}`"
    )


def _diff(before: Mapping[str, Any], after: Mapping[str, Any], tool: str) -> str:
    lines = difflib.unified_diff(
        _lines(before), _lines(after), f"{tool} as pinned", f"{tool} as offered", lineterm="", n=2
    )
    return "\n".join(lines)


def _lines(described: Mapping[str, Any]) -> list[str]:
    """A definition as text; a long description by its own lines."""
    said = {name: part for name, part in described.items() if name != "description"}
    text = msgspec.json.format(msgspec.json.encode(said, order="sorted"), indent=2).decode()
    words = str(described["description"]).splitlines()
    return ["description:", *(f"  {line}" for line in words), *text.splitlines()]
