"""What a client's configuration and ours become when its servers go behind Stepwell."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from stepwell_server.connecting.clients import McpClient
from stepwell_server.connecting.entries import Left, Moved, is_stepwell, moved
from stepwell_server.connecting.jsonc import Document
from stepwell_server.connecting.settings_text import servers_in, with_servers

OURS: Final = "stepwell"


class Plan(Struct, frozen=True, kw_only=True):
    """What is written where; `is_change` tells whether anything is."""

    client_text: str
    settings_text: str
    moved: tuple[Moved, ...] = ()
    left: tuple[Left, ...] = ()
    notes: tuple[str, ...] = ()
    is_change: bool = True
    had_ours: bool = False

    @property
    def secrets(self) -> dict[str, str]:
        """What goes into the store of secrets, by name."""
        return {name: secret for one in self.moved for name, secret in one.secrets.items()}


def plan(
    client: McpClient,
    text: str,
    settings: str,
    *,
    ours: Mapping[str, Any],
    mark: str,
    user: Path,
    wrap: bool,
) -> Plan:
    """Puts Stepwell into a client's configuration, and with `wrap` its servers behind it.

    `ours` is the entry of Stepwell, as this client writes it.

    Raises:
        InvalidRequest: one of the two texts cannot be read.
    """
    document = Document(text, str(client.path))
    there = document.value.get(client.key) or {}
    servers: Mapping[str, Any] = there if isinstance(there, Mapping) else {}
    others = {
        name: entry for name, entry in servers.items() if not is_stepwell(entry, ours.get("url"))
    }
    has_ours = len(others) < len(servers)
    found = (
        [moved(name, entry, client=client.title, user=user) for name, entry in others.items()]
        if wrap
        else []
    )
    left = tuple(one for one in found if isinstance(one, Left))
    taken = servers_in(settings)
    placed = _placed([one for one in found if isinstance(one, Moved)], taken)
    if has_ours and not placed:
        return Plan(
            client_text=text, settings_text=settings, left=left, is_change=False, had_ours=True
        )
    gone = {name for name in others if wrap} - {one.name for one in left}
    kept = {name: entry for name, entry in servers.items() if name not in gone}
    if not has_ours:
        kept = {OURS: ours, **kept}
    notes = [note for one in placed for note in one.notes]
    if others_too := _of_projects(document.value):
        notes.append(
            f"servers of single projects stay where they are: {', '.join(others_too)}; move those of "
            "a project with --config .mcp.json"
        )
    if gone and document.comments_in(client.key):
        notes.append("comments among the servers that are moved are kept in the backup only")
    names = "prefix" if len(placed) + len(taken) > 1 else "keep"
    return Plan(
        client_text=document.with_member(client.key, kept),
        settings_text=with_servers(settings, placed, mark, names=names),
        moved=tuple(placed),
        left=left,
        notes=tuple(notes),
        had_ours=has_ours,
    )


def _of_projects(tree: Mapping[str, Any]) -> list[str]:
    """The projects that have servers of their own in the file of Claude Code."""
    projects = tree.get("projects")
    if not isinstance(projects, Mapping):
        return []
    return [
        path
        for path, project in projects.items()
        if isinstance(project, Mapping) and project.get("mcpServers")
    ]


def _placed(servers: list[Moved], taken: Mapping[str, Any]) -> list[Moved]:
    """The servers under names that are free, with their secrets under them too."""
    placed, used = [], set(taken)
    for server in servers:
        name, count = server.name, 1
        while name in used:
            count += 1
            name = f"{server.name}-{count}"
        used.add(name)
        placed.append(server if name == server.name else _renamed(server, name))
    return placed


def _renamed(server: Moved, name: str) -> Moved:
    old, new = f"secret://store/{server.name}-", f"secret://store/{name}-"

    def mended(value: Any) -> Any:
        if isinstance(value, list):
            return [mended(one) for one in value]
        return value.replace(old, new) if isinstance(value, str) else value

    return Moved(
        name=name,
        settings={key: mended(value) for key, value in server.settings.items()},
        secrets={name + key[len(server.name) :]: text for key, text in server.secrets.items()},
        notes=server.notes,
    )
