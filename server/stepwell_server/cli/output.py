"""What a command prints: its answer on standard output, everything else on standard error.

With `--json` the answer is one JSON document, or one document a line where it follows
something; an error is a document as well. NO_COLOR and pipes turn colours, bold and dim off.

Whatever is shown may have been written by others, down to the names of tables: what a terminal would obey
is written as its number.
"""

import os
import sys
from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import msgspec

from stepwell.errors import StepwellError
from stepwell_server.visible import visible, visible_line

if TYPE_CHECKING:
    from rich.console import Console


class Output:
    """Prints for people, or for programs when `json` is set."""

    def __init__(self, *, json: bool = False) -> None:
        self.json = json

    @cached_property
    def people(self) -> "Console":
        """Standard output, for people."""
        return _console(stderr=False)

    @cached_property
    def _notes(self) -> "Console":
        return _console(stderr=True)

    def text(self, text: str) -> None:
        """A text as it is; on a terminal without what that would obey."""
        self.people.print(visible(text) if self.people.is_terminal else text, markup=False)

    def document(self, value: object) -> None:
        """One JSON document, indented; for programs only."""
        text = msgspec.json.format(msgspec.json.encode(value), indent=2)
        sys.stdout.write(_harmless(text.decode()) + "\n")

    def line(self, value: object) -> None:
        """One JSON document on a line of its own, at once; for programs only."""
        sys.stdout.write(_harmless(msgspec.json.encode(value).decode()) + "\n")
        sys.stdout.flush()

    def row(self, text: str, *, is_progress: bool = False, style: str = "") -> None:
        """A line to be looked at: on a terminal it ends where the terminal does."""
        from rich.text import Text

        console = self._notes if is_progress else self.people
        line = Text(visible_line(text), style=style)
        if console.is_terminal:
            line.truncate(console.width, overflow="ellipsis")
        console.print(line)

    def table(
        self,
        headings: Iterable[str],
        rows: Iterable[Iterable[str]],
        *,
        empty: str,
        is_cut: bool = False,
    ) -> None:
        """Aligned columns; `empty` stands for no rows.

        Lines are whole, because names are there to be copied, unless `is_cut`: then they end
        where the terminal does.
        """
        lines = [tuple(map(visible_line, line)) for line in (headings, *rows)]
        if len(lines) == 1:
            self.note(empty)
            return
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        for number, line in enumerate(lines):
            text = "  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True))
            style = "" if number else "bold"
            if is_cut:
                self.row(text.rstrip(), style=style)
            else:
                self.people.print(text.rstrip(), style=style, markup=False)

    def pairs(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Headings with what they are about, one a line; never cut."""
        found = list(pairs)
        width = max(len(heading) for heading, _ in found)
        for heading, text in found:
            self.people.print(f"{heading:<{width}}", style="bold", end="  ")
            self.people.print(visible(text), markup=False)

    def note(self, text: str, *, is_urgent: bool = False) -> None:
        """Progress, on standard error; where a program reads only what is urgent."""
        if is_urgent or not self.json:
            self._notes.print(visible(text), markup=False)

    def error(self, error: StepwellError) -> None:
        """What went wrong and what to do, without a stack trace."""
        if self.json:
            about = {"code": error.code, "message": error.message, "detail": error.detail}
            self.document({"error": about})
            return
        self._notes.print("error", style="bold red", end=" ")
        self._notes.print(visible(error.message), markup=False)
        for field, problem in error.detail.items():
            # On the wire a long one is cut, and ends with the sign for that.
            if problem and problem.removesuffix("…") not in error.message:
                self._notes.print(visible(f"  {field}: {problem}"), markup=False)
        self._notes.print(error.code, style="dim")


def _harmless(json: str) -> str:
    """JSON as it is for programs; on a terminal without what that would obey."""
    return visible(json) if sys.stdout.isatty() else json


def _console(*, stderr: bool) -> "Console":
    # Imported here: the daemon prints plainly, and does without its three megabytes.
    from rich.console import Console

    # With NO_COLOR alone rich would still make text bold and dim.
    colours: Literal["auto"] | None = None if os.environ.get("NO_COLOR") else "auto"
    return Console(stderr=stderr, soft_wrap=True, highlight=False, color_system=colours)
