"""What a command prints: its answer on standard output, everything else on standard error.

With `--json` the answer is one JSON document, or one document a line where it follows
something; an error is a document as well. Colours go by rich: NO_COLOR and pipes turn them off.
"""

import sys
from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING

import msgspec

from stepwell.errors import StepwellError

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

    def document(self, value: object) -> None:
        """One JSON document, indented; for programs only."""
        text = msgspec.json.format(msgspec.json.encode(value), indent=2)
        sys.stdout.write(text.decode() + "\n")

    def line(self, value: object) -> None:
        """One JSON document on a line of its own, at once; for programs only."""
        sys.stdout.write(msgspec.json.encode(value).decode() + "\n")
        sys.stdout.flush()

    def table(self, headings: Iterable[str], rows: Iterable[Iterable[str]], *, empty: str) -> None:
        """Aligned columns, never cut: ids are there to be copied. `empty` stands for no rows."""
        lines = [tuple(headings), *(tuple(row) for row in rows)]
        if len(lines) == 1:
            self.note(empty)
            return
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        for number, line in enumerate(lines):
            text = "  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True))
            self.people.print(text.rstrip(), style=None if number else "bold", markup=False)

    def note(self, text: str) -> None:
        """Progress, on standard error; nothing where a program reads."""
        if not self.json:
            self._notes.print(text, markup=False)

    def error(self, error: StepwellError) -> None:
        """What went wrong and what to do, without a stack trace."""
        if self.json:
            about = {"code": error.code, "message": error.message, "detail": error.detail}
            self.document({"error": about})
            return
        self._notes.print("error", style="bold red", end=" ")
        self._notes.print(error.message, markup=False)
        for field, problem in error.detail.items():
            if problem and problem not in error.message:
                self._notes.print(f"  {field}: {problem}", markup=False)
        self._notes.print(error.code, style="dim")


def _console(*, stderr: bool) -> "Console":
    # Imported here: the daemon prints plainly, and does without its three megabytes.
    from rich.console import Console

    return Console(stderr=stderr, soft_wrap=True, highlight=False)
