"""Templates: everything that goes into one is escaped, and nothing of it is hidden."""

import hashlib
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse, PlainTextResponse, Response

from stepwell_server.visible import visible, visible_line
from stepwell_server.web import moments

FOLDER: Final = Path(__file__).parent
TYPES: Final = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


class Assets:
    """The files that pages use. An address names the content, so it may be kept for ever."""

    def __init__(self) -> None:
        self._files = {path.name: path.read_bytes() for path in (FOLDER / "static").iterdir()}

    def address(self, name: str) -> str:
        """Where a page finds a file."""
        return f"/static/{name}?v={hashlib.sha256(self._files[name]).hexdigest()[:12]}"

    def response(self, name: str) -> Response:
        """The file."""
        content = self._files.get(name)
        if content is None:
            return PlainTextResponse("There is no such file.\n", 404)
        headers = {"cache-control": "public, max-age=31536000, immutable"}
        return Response(content, media_type=TYPES[Path(name).suffix], headers=headers)


class Renderer:
    """Makes pages of templates."""

    def __init__(self, assets: Assets) -> None:
        self._environment = Environment(
            loader=FileSystemLoader(FOLDER / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters |= {
            "text": visible,
            "line": visible_line,
            "clock": moments.clock,
            "iso": moments.iso,
        }
        self._environment.globals["asset"] = assets.address

    def page(self, name: str, *, status_code: int = 200, **given: Any) -> HTMLResponse:
        """A page, with what its template needs."""
        text = self._environment.get_template(f"{name}.html").render(**given)
        return HTMLResponse(text, status_code)
