"""What comes of a question or of SQL, as a person reads it: the rows first, then how they came about."""

import shlex
from collections.abc import Iterator

from stepwell.engine.values import Json
from stepwell_server.cli.output import Output
from stepwell_server.visible import visible, visible_line


def print_outcome(outcome: Json, output: Output, flag: str) -> None:
    """The answer on standard output; why there is none, or what is asked back, beside it."""
    match outcome["outcome"]:
        case "answer":
            _print_rows(outcome, output)
            output.people.print()
            output.pairs(_about(outcome))
        case "change":
            preview = outcome.get("preview")
            if preview is not None:
                _print_changes(preview, output)
                output.people.print()
            output.pairs([*_about(outcome), *_applying(preview, flag)])
        case "clarify":
            output.note(visible_line(outcome["question"]))
            for option in outcome["options"]:
                output.note(
                    f"  --reading {shlex.quote(visible_line(option['reading']))}  {visible_line(option['meaning'])}"
                )
        case _:
            output.note(f"no answer: {visible_line(outcome['reason'])}")


def print_result(result: Json, output: Output) -> None:
    """The rows of a query on standard output, and what there is to know of them."""
    _print_rows(result, output)
    output.people.print()
    output.pairs([("rows", _counted(result)), *_notes(result)])


def print_preview(preview: Json, output: Output, flag: str) -> None:
    """What a change would do, and the command that makes it."""
    _print_changes(preview, output)
    output.people.print()
    about = [("sql", visible(preview["sql"])), *_notes(preview)]
    output.pairs([*about, *_applying(preview, flag)])


def print_made(made: Json, output: Output, flag: str) -> None:
    """That a change is made, and the command that shows how to take it back."""
    was = "was made before" if made["repeated"] else "is made"
    output.note(visible_line(f"the {_named(made)} {was}"))
    undo = made["undo"]
    if undo["possible"]:
        output.note(f"take it back: stepwell datasource undo {shlex.quote(made['preview'])}{flag}")
    else:
        output.note(visible_line(f"it cannot be taken back: {undo['why']}"))


def _named(change: Json) -> str:
    count = change["rows"]
    rows = "row" if count == 1 else "rows"
    return f"{change['kind']} of {count} {rows} of {change['table']}"


def _print_rows(outcome: Json, output: Output) -> None:
    headings = tuple(visible_line(name) for name in outcome["columns"])
    rows = [tuple(map(_cell, row)) for row in outcome["rows"]]
    output.table(headings, rows, empty="no rows")


def _print_changes(preview: Json, output: Output) -> None:
    """Each row before and after."""
    count = preview["rows"]
    output.people.print(visible_line(_named(preview)), style="bold", markup=False)
    for change in preview["changes"]:
        for sign, row, style in (("-", change["old"], "red"), ("+", change["new"], "green")):
            if row is not None:
                cells = ", ".join(f"{name} = {_cell(value)}" for name, value in row.items())
                output.row(f"{sign} {visible_line(cells)}", style=style)
    if count > len(preview["changes"]):
        output.people.print(f"and {count - len(preview['changes'])} more", markup=False)


def _applying(preview: Json, flag: str) -> Iterator[tuple[str, str]]:
    """What else the change does, and how it is made."""
    if preview is None:
        return
    for effect in preview["effects"]:
        yield "besides", visible_line(f"{effect['kind']} {effect['name']}: {effect['what']}")
    undo = preview["undo"]
    yield "undo", "possible" if undo["possible"] else visible_line(f"not possible: {undo['why']}")
    if preview["changes"]:
        yield "make it", f"stepwell datasource apply {shlex.quote(preview['preview'])}{flag}"


def _about(outcome: Json) -> Iterator[tuple[str, str]]:
    """How the answer came about, each with a heading."""
    if "returned" in outcome:
        yield "rows", _counted(outcome)
    yield "meaning", visible_line(outcome["explanation"]["summary"])
    yield from (("assumed", visible_line(one)) for one in outcome["assumptions"])
    yield from _notes(outcome)
    if outcome.get("masked"):
        yield "masked", visible_line(", ".join(outcome["masked"]))
    if outcome.get("row_filtered"):
        yield "filtered", visible_line(", ".join(outcome["row_filtered"]))
    sql = outcome["sql"]
    yield "sql", visible(sql["written"])
    if sql["parameters"]:
        yield "with", ", ".join(f":{name} = {_cell(v)}" for name, v in sql["parameters"].items())
    yield "by", f"a {outcome['by']}"


def _counted(outcome: Json) -> str:
    returned, total = outcome["returned"], outcome["total"]
    if total is None:
        return f"{returned}, and there are more"
    return str(total) if total == returned else f"{returned} of {total}"


def _notes(outcome: Json) -> Iterator[tuple[str, str]]:
    yield from (("note", visible_line(one)) for one in outcome.get("notes", ()))


def _cell(value: Json) -> str:
    if isinstance(value, float):  # as SQLite and its shell write it: the digits that are certain
        value = float(f"{value:.15g}")
    return "NULL" if value is None else visible_line(str(value))
