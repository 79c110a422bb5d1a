"""`stepwell audit`: who changed or decided what, and whether that is still what was written."""

import re
import sys
from collections.abc import Iterable
from contextlib import aclosing
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from stepwell.client import AuditFinding, AuditHead, Verification
from stepwell.errors import Code, InvalidRequest
from stepwell_server.cli.audit_export import check_export, line_of, read_export
from stepwell_server.cli.audit_source import AuditSource, audit_source
from stepwell_server.cli.command import HomeOption, JsonOption, command, home_or_default
from stepwell_server.cli.exits import Exit
from stepwell_server.cli.output import Output
from stepwell_server.cli.times import day_and_time

_HEAD = re.compile("(?:([0-9]+):)?([0-9a-f]{64})")

SinceOption = Annotated[
    int, typer.Option("--since", metavar="N", min=0, help="Only entries after this one.")
]


def add_to(app: typer.Typer) -> None:
    """Adds the commands of this module."""
    group = typer.Typer(
        help="The audit log: who changed or decided what, in a chain of hashes.",
        no_args_is_help=True,
    )
    command(group, "list")(list_entries)
    command(group)(head)
    command(group)(export)
    command(group)(verify)
    app.add_typer(group, name="audit")


async def list_entries(
    *,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = 50,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """List the newest entries, oldest first."""
    output = Output(json=json)
    async with audit_source(home_or_default(home)) as source:
        end = (await source.head()).sequence
        found = [it async for it in source.entries(after=max(end - limit, 0))]
    if json:
        output.document({"entries": found})
        return
    output.table(
        ("entry", "at", "who", "action", "resource", "detail"),
        (
            (str(it.sequence), day_and_time(it.at), it.principal, it.action, it.resource, it.detail)
            for it in found
        ),
        empty="the audit log is empty",
        is_cut=True,
    )


async def head(*, home: HomeOption = None, json: JsonOption = False) -> None:
    """Print the end of the chain; keep it elsewhere, and verify with --head."""
    async with audit_source(home_or_default(home)) as source:
        found = await source.head()
    if json:
        Output(json=json).document(found)
    else:
        sys.stdout.write(f"{found.sequence}:{found.hash}\n")


async def export(
    *,
    since: SinceOption = 0,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Print the chain, one JSON object a line; keep it elsewhere, and verify with --export."""
    async with audit_source(home_or_default(home)) as source:
        async for entry in source.entries(after=since):
            sys.stdout.write(line_of(entry) + "\n")


async def verify(
    *,
    kept_head: Annotated[
        str,
        typer.Option(
            "--head", metavar="HASH", help="A head that was kept elsewhere.", show_default=False
        ),
    ] = "",
    exported: Annotated[
        Path | None,
        typer.Option(
            "--export",
            metavar="FILE",
            help="An export that was kept elsewhere.",
            show_default=False,
        ),
    ] = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Check that nothing was changed, removed or put in since; else say what and where."""
    output = Output(json=json)
    known = [read_head(kept_head)] if kept_head else []
    findings: list[AuditFinding] = []
    if exported is not None:
        entries = read_export(exported)
        findings += check_export(entries)
        known += _samples([AuditHead(sequence=it.sequence, hash=it.hash) for it in entries])
    for finding in findings:
        _tell(output, finding)
    async with audit_source(home_or_default(home)) as source:
        last = await _check(source, known, findings, output)
    if json:
        about = msgspec.to_builtins(last) | {"findings": findings, "ok": not findings}
        output.document(about)
    else:
        _conclude(output, last, findings, is_compared=bool(known))
    if findings:
        raise typer.Exit(Exit.FAILED)


def read_head(text: str) -> AuditHead:
    """A head as `stepwell audit head` prints it, or its hash alone.

    Raises:
        InvalidRequest: it is neither.
    """
    found = _HEAD.fullmatch(text.strip().lower())
    if found is None:
        raise InvalidRequest(
            f"--head {text}: it is a hash of 64 hexadecimal digits, or what `stepwell audit head` "
            "has printed",
            code=Code.INVALID_CONFIG,
        )
    return AuditHead(sequence=int(found[1] or 0), hash=found[2])


async def _check(
    source: AuditSource,
    known: Iterable[AuditHead],
    findings: list[AuditFinding],
    output: Output,
) -> Verification:
    """Prints what is found when it is found."""
    last: Verification | None = None
    async with aclosing(source.verify(known)) as steps:
        async for last in steps:
            findings += last.findings
            for finding in last.findings:
                _tell(output, finding)
    assert last is not None, "a check ends with what it has found"
    return last


def _tell(output: Output, finding: AuditFinding) -> None:
    if not output.json:
        output.people.print(f"{finding.what}: {finding.where}", markup=False)


def _conclude(
    output: Output, last: Verification, findings: list[AuditFinding], *, is_compared: bool
) -> None:
    counts = f"{last.entries} entries, which vouch for {last.events} events"
    output.note(f"checked {counts}; retention has deleted {last.deleted_runs} runs")
    if last.unnoted_events:
        output.note(f"{last.unnoted_events} new events are not vouched for yet")
    if findings:
        output.note(f"{len(findings)} findings: the database is not what it was")
        return
    output.people.print(f"the chain holds up to {last.head.sequence}:{last.head.hash}")
    if not is_compared:
        output.note(
            "whoever can write the database could have written all of the chain anew: keep a head "
            "elsewhere, and verify with --head"
        )


def _samples(heads: list[AuditHead]) -> list[AuditHead]:
    """The last one, which covers all before it, and some others that tell where it went wrong."""
    step = max(len(heads) // 500, 1)
    return [*heads[::step], *heads[-1:]]
