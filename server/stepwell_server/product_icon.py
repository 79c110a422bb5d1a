"""The picture of Stepwell, as MCP clients are given it: with everything that it needs inside."""

import base64
from pathlib import Path

from stepwell.tools.icons import Icon


def product_icon() -> Icon:
    """The icon of the pages."""
    svg = (Path(__file__).parent / "web" / "static" / "icon.svg").read_bytes()
    return Icon(
        f"data:image/svg+xml;base64,{base64.b64encode(svg).decode()}", "image/svg+xml", ("any",)
    )
