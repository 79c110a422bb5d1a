"""What comes of a question, as a person reads it: the rows first, then how they came about."""

from collections.abc import Iterator

from stepwell.engine.values import Json
from stepwell_server.cli.output import Output
from stepwell_server.visible import pretty, visible, visible_line


def print_outcome(outcome: Json, output: Output) -> None:
    """The answer on standard output; why there is none, or what is asked back, beside it."""
    match outcome["outcome"]:
        case "answer":
            _print_rows(outcome, output)
            output.people.print()
            output.pairs(_about(outcome))
        case "change":
            if "preview" in outcome:
                output.people.print(pretty(outcome["preview"]), markup=False)
            output.pairs([*_about(outcome), ("next", visible_line(outcome["next"]))])
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
