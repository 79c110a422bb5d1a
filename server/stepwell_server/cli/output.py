"""What a command prints: its answer on standard output, everything else on standard error.

With `--json` the answer is one JSON document, or one document a line where it follows
something; an error is a document as well. Colours go by rich: NO_COLOR and pipes turn them off.
"""

import sys
from collections.abc import Iterable

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from stepwell.errors import StepwellError


class Output:
    """Prints for people, or for programs when `json` is set."""

    def __init__(self, *, json: bool = False) -> None:
        self.json = json
        self.people = Console(soft_wrap=True, highlight=False)
        self._notes = Console(stderr=True, soft_wrap=True, highlight=False)

    def document(self, value: object) -> None:
        """One JSON document, indented; for programs only."""
        text = msgspec.json.format(msgspec.json.encode(value), indent=2)
        sys.stdout.write(text.decode() + "\n")

    def line(self, value: object) -> None:
        """One JSON document on a line of its own, at once; for programs only."""
        sys.stdout.write(msgspec.json.encode(value).decode() + "\n")
        sys.stdout.flush()

    def table(self, headings: Iterable[str], rows: Iterable[Iterable[str]], *, empty: str) -> None:
        """A table without lines; `empty` is said instead of a table without rows."""
        table = Table(*headings, box=None, pad_edge=False, header_style="bold")
        for row in rows:
            table.add_row(*(escape(cell) for cell in row))
        if table.row_count:
            self.people.print(table, crop=False, no_wrap=False)
        else:
            self.note(empty)

    def note(self, text: str) -> None:
        """Progress, on standard error; nothing where a program reads."""
        if not self.json:
            self._notes.print(escape(text))

    def error(self, error: StepwellError) -> None:
        """What went wrong and what to do, without a stack trace."""
        if self.json:
            about = {"code": error.code, "message": error.message, "detail": error.detail}
            self.document({"error": about})
            return
        self._notes.print(f"[bold red]error[/] {escape(error.message)}")
        for field, problem in error.detail.items():
            if problem and problem not in error.message:
                self._notes.print(f"  {escape(field)}: {escape(problem)}")
        self._notes.print(f"[dim]{error.code}[/]")
