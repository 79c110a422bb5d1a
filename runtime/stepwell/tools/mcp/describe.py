"""The tools of a server as our own: what it says of each, bounded and cleaned."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import mcp_types
from msgspec import Struct

from stepwell.engine.wording import bounded
from stepwell.tools.icons import Icon
from stepwell.tools.mcp.dialects import current
from stepwell.tools.port import ToolSpec

MOST_WORDS: Final = 16_384
"""Characters of a description."""
MOST_NAME: Final = 128
MOST_ICONS: Final = 8
MOST_ICON: Final = 16_384
"""Characters of the URI of an icon."""

_UNSEEN = re.compile(
    # Controls, and what is not shown or turns what is shown around: nobody approves that.
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff"
    "\U000e0000-\U000e007f]"
)
_PLAIN = re.compile(r"[^A-Za-z0-9_-]")


class Offered(Struct, frozen=True):
    """A tool of a server: what it is to us, and its name there."""

    spec: ToolSpec
    name: str


def offered(tool: mcp_types.Tool, *, prefix: str, timeout: int, labels: frozenset[str]) -> Offered:
    """What a server's definition of a tool is to us. Hints that it does not give stay unknown."""
    hints = tool.annotations or mcp_types.ToolAnnotations()
    is_read_only = bool(hints.read_only_hint)
    spec = ToolSpec(
        name=prefix + tool.name,
        title=seen(tool.title or hints.title or ""),
        description=seen(tool.description or ""),
        input_schema=current(tool.input_schema),
        output_schema=current(tool.output_schema),
        read_only=is_read_only,
        destructive=False if is_read_only else hints.destructive_hint,
        idempotent=is_read_only or bool(hints.idempotent_hint),
        open_world=hints.open_world_hint,
        timeout=timeout,
        kind="mcp",
        labels=labels,
        icons=shown_icons(tool.icons or ()),
    )
    return Offered(spec, tool.name)


def prefix_of(server: str) -> str:
    """What the names of a server's tools begin with, where they are not kept."""
    return _PLAIN.sub("_", server) + "_"


def seen(text: str) -> str:
    """A text with nothing in it that a person would not see, and not without end."""
    return bounded(_UNSEEN.sub("", text), MOST_WORDS)


def shown_icons(icons: Iterable[mcp_types.Icon]) -> tuple[Icon, ...]:
    """The icons that a client may load without asking a host in the clear, or that are here already."""
    fit = [
        Icon(
            one.src,
            bounded(seen(one.mime_type or ""), MOST_NAME),
            tuple(bounded(seen(size), MOST_NAME) for size in (one.sizes or ())[:MOST_ICONS]),
        )
        for one in icons
        if one.src.startswith(("https://", "data:image/"))
        and len(one.src) <= MOST_ICON
        and one.src.isprintable()
    ]
    return tuple(fit[:MOST_ICONS])


def recalled(
    described: Mapping[str, Any], *, upstream: str, timeout: int, labels: frozenset[str]
) -> Offered:
    """A tool as it was pinned."""
    hints = described["annotations"]
    spec = ToolSpec(
        name=described["name"],
        title=described["title"],
        description=described["description"],
        input_schema=described["input_schema"],
        output_schema=described["output_schema"],
        read_only=hints["read_only"],
        destructive=hints["destructive"],
        idempotent=hints["idempotent"],
        open_world=hints["open_world"],
        timeout=timeout,
        kind="mcp",
        labels=labels,
    )
    return Offered(spec, upstream)
