"""Icons as MCP clients are offered them."""

from collections.abc import Iterable

from mcp_types import Icon

from stepwell.tools import icons


def offered_icons(given: Iterable[icons.Icon]) -> list[Icon] | None:
    """The icons; None when there are none."""
    return [
        Icon(src=icon.src, mime_type=icon.mime or None, sizes=[*icon.sizes] or None)
        for icon in given
    ] or None
