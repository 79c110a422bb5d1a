"""Reads the files of statements beside it.

A class begins with `== name`. A statement begins with `-- ENGINE` or `-- ENGINE: EXPECTED` and
ends at an empty line; ENGINE is `sqlite`, `postgres` or `both`, and `change` after it for
one that writes. EXPECTED is rules with ` or `
between them, or `harmless`, with the rows as JSON after it where they matter. `escaped` before the
engine means that `\\u....` stands for a character.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).parent


class Statement(NamedTuple):
    """A statement of a file."""

    kind: str
    engine: str
    sql: str
    rules: tuple[str, ...] = ()
    rows: Any = None
    is_change: bool = False

    @property
    def title(self) -> str:
        """What a failing test calls it."""
        return f"{self.kind}: {' '.join(self.sql.split())[:70]}"


def read(name: str, engine: str) -> list[Statement]:
    """The statements of a file for one engine."""
    kind = ""
    found: list[Statement] = []
    for block in (HERE / name).read_text().split("\n\n"):
        lines = [line for line in block.splitlines() if line]
        while lines and lines[0].startswith("== "):
            kind = lines.pop(0)[3:]
        if lines and lines[0].startswith("--"):
            statement = _statement(kind, lines[0].removeprefix("--").strip(), lines[1:])
            if statement.engine in (engine, "both"):
                found.append(statement)
    return found


def _statement(kind: str, head: str, lines: list[str]) -> Statement:
    engine, _, expected = head.partition(":")
    sql = "\n".join(lines)
    is_change = engine.endswith(" change")
    engine = engine.removesuffix(" change")
    if engine.startswith("escaped "):
        engine = engine.removeprefix("escaped ")
        sql = json.loads(f'"{sql}"') if '"' not in sql else sql.encode().decode("unicode_escape")
    expected = expected.strip()
    if not expected.startswith("harmless"):
        rules = tuple(expected.split(" or ")) if expected else ()
        return Statement(kind, engine, sql, rules, is_change=is_change)
    rows = expected.removeprefix("harmless").strip()
    return Statement(kind, engine, sql, ("harmless",), json.loads(rows) if rows else None)
