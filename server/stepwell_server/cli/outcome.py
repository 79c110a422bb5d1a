"""What comes of a question, as a person reads it: the rows first, then how they came about."""

import shlex
from collections.abc import Iterator

import msgspec

from stepwell.engine.values import Json
from stepwell_server.cli.output import Output
from stepwell_server.visible import visible, visible_line


def print_outcome(outcome: Json, output: Output) -> None:
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
            output.pairs([*_about(outcome), *_applying(preview)])
        case "clarify":
            output.note(visible_line(outcome["question"]))
            for option in outcome["options"]:
                output.note(f"  --reading {option['reading']}  {visible_line(option['meaning'])}")
        case _:
            output.note(f"no answer: {visible_line(outcome['reason'])}")


def _print_rows(outcome: Json, output: Output) -> None:
    headings = tuple(visible_line(name) for name in outcome["columns"])
    rows = [tuple(map(_cell, row)) for row in outcome["rows"]]
    output.table(headings, rows, empty="no rows")


def _print_changes(preview: Json, output: Output) -> None:
    """Each row before and after."""
    count = preview["rows"]
    what = f"{preview['kind']} of {count} {'row' if count == 1 else 'rows'} of {preview['table']}"
    output.people.print(visible_line(what), style="bold", markup=False)
    for change in preview["changes"]:
        for sign, row, style in (("-", change["old"], "red"), ("+", change["new"], "green")):
            if row is not None:
                cells = ", ".join(f"{name} = {_cell(value)}" for name, value in row.items())
                output.row(f"{sign} {visible_line(cells)}", style=style)
    if count > len(preview["changes"]):
        output.people.print(f"and {count - len(preview['changes'])} more", markup=False)


def _applying(preview: Json) -> Iterator[tuple[str, str]]:
    """What else the change does, and how it is made."""
    if preview is None:
        return
    for effect in preview["effects"]:
        yield "besides", visible_line(f"{effect['kind']} {effect['name']}: {effect['what']}")
    undo = preview["undo"]
    yield "undo", "possible" if undo["possible"] else visible_line(f"not possible: {undo['why']}")
    call = {"tool": "db_apply", "arguments": {"preview": preview["preview"]}}
    given = shlex.quote(msgspec.json.encode(call).decode())
    yield "make it", f"stepwell run call --input {given} --wait"


def _about(outcome: Json) -> Iterator[tuple[str, str]]:
    """How the answer came about, each with a heading."""
    if "returned" in outcome:
        yield "rows", _counted(outcome)
    yield "meaning", visible_line(outcome["explanation"]["summary"])
    yield from (("assumed", visible_line(one)) for one in outcome["assumptions"])
    yield from (("note", visible_line(one)) for one in outcome.get("notes", ()))
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


def _cell(value: Json) -> str:
    return "NULL" if value is None else visible_line(str(value))
