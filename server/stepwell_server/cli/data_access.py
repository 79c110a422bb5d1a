"""What somebody would see of a datasource, for a terminal."""

from collections.abc import Iterator

from stepwell.client import AccessExplained
from stepwell.client.policies import TableExplained
from stepwell_server.cli.output import Output


def print_access(datasource: str, found: AccessExplained, output: Output) -> None:
    """Every table, with what is there of it and why."""
    if output.json:
        output.document(found)
        return
    if found.open:
        output.note(f"no rule in force names {datasource}: it is open for reading")
    for table in found.tables:
        output.pairs([("table", table.name), *_told(table)])


def _told(table: TableExplained) -> Iterator[tuple[str, str]]:
    if table.readable:
        yield "columns", "all" if table.columns is None else ", ".join(table.columns)
        if table.masks:
            yield "masked", ", ".join(f"{name}: {mask}" for name, mask in table.masks.items())
        yield "rows", table.rows or "all"
        if table.most_rows:
            yield "at most", f"{table.most_rows} rows an answer"
        for reach in table.changes:
            columns = f"{', '.join(reach.columns)} " if reach.columns else ""
            yield (
                reach.change,
                f"{columns}where {reach.rows}" if reach.rows else columns or "any row",
            )
    else:
        yield "columns", "none: it is not there"
    if table.rules:
        yield "by", ", ".join(table.rules)
    for note in table.notes:
        yield "note", note
    if table.on_trial:
        yield "on trial", table.on_trial
