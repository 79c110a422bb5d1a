"""What a change of a datasource would do, as a person looks at it: rows side by side, and the rest."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from msgspec import Struct

from stepwell.engine.values import Json
from stepwell.nldb.writes.cells import shown
from stepwell.nldb.writes.preview import ByItself, Preview, RowChange


class Line(Struct, frozen=True, kw_only=True):
    """One column of a row, as it is (`left`) and as it would be (`right`); `number` is its place."""

    kind: Literal["same", "changed", "removed", "added"]
    left: str = ""
    right: str = ""
    number: int = 0


def headline(preview: Preview) -> str:
    """It in one line."""
    rows = "1 row" if preview.rows == 1 else f"{preview.rows} rows"
    undoing = "Undo: " if preview.undoes else ""
    return f"{undoing}{preview.kind.upper()} of {rows} of {preview.table} in {preview.datasource}"


def side_by_side(preview: Preview) -> tuple[Line, ...]:
    """Every row, a column a line: as it is, and as it would be."""
    return tuple(line for change in preview.changes for line in _lines(change, preview.columns))


def besides(preview: Preview) -> str:
    """What has to be known as well, a line each."""
    lines = [_effect(effect) for effect in preview.effects]
    lines += [_capital(note) for note in preview.notes]
    if preview.undo.possible:
        lines.append("It can be undone with db_undo, as long as nobody changes the rows again.")
    else:
        lines.append("It cannot be undone.")
    if preview.undo.why:
        lines.append(_capital(preview.undo.why))
    return "\n".join(lines)


def values(preview: Preview) -> str:
    """The parameters of the statement, a line for each time that it runs."""
    return "\n".join(
        ", ".join(f"{place}: {shown(value)}" for place, value in enumerate(run, 1))
        for run in preview.parameters
        if run
    )


def _lines(change: RowChange, columns: Sequence[str]) -> Iterator[Line]:
    title = ", ".join(f"{name} {shown(cell)}" for name, cell in change.key.items())
    yield Line(kind="same", left=f"— {title}", right=f"— {title}")
    for number, name in enumerate(columns, 1):
        yield _line(name, number, change.old, change.new)


def _line(
    name: str, number: int, old: Mapping[str, Json] | None, new: Mapping[str, Json] | None
) -> Line:
    left = "" if old is None else f"{name}: {shown(old[name])}"
    right = "" if new is None else f"{name}: {shown(new[name])}"
    if old is None:
        return Line(kind="added", right=right, number=number)
    if new is None:
        return Line(kind="removed", left=left, number=number)
    return Line(
        kind="same" if old[name] == new[name] else "changed",
        left=left,
        right=right,
        number=number,
    )


def _effect(effect: ByItself) -> str:
    rows = "" if effect.rows is None else f" ({effect.rows} at once)"
    name = f" {effect.name}" if effect.name else ""
    return (
        f"The database does by itself: {effect.kind}{name} of {effect.table} {effect.what}{rows}."
    )


def _capital(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
