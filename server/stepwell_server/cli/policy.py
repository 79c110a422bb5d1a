"""`stepwell policy`: what may be done, in rules of Cedar."""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from stepwell.client import (
    ChangedCall,
    DecisionExplained,
    Policy,
    PolicyDecision,
    PolicyFile,
    PolicyProblem,
    Simulation,
)
from stepwell.clock import SystemClock
from stepwell.errors import Code, InvalidRequest
from stepwell_server.cli.attributes import AttributeOption, read_attributes
from stepwell_server.cli.code import CodeOption, proven
from stepwell_server.cli.command import HomeOption, JsonOption, command, home_or_default
from stepwell_server.cli.data_access import print_access
from stepwell_server.cli.durations import read_duration
from stepwell_server.cli.exits import Exit
from stepwell_server.cli.json_values import METAVAR, read_json
from stepwell_server.cli.output import Output
from stepwell_server.cli.session import connected
from stepwell_server.cli.times import day_and_time

SUFFIX = ".cedar"

FilesArgument = Annotated[
    list[Path],
    typer.Argument(metavar="FILE...", help="Rules in Cedar; of a directory, each *.cedar in it."),
]
CandidateOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--policy",
        metavar="FILE",
        help="Rules to ask instead of those in force; can be repeated.",
        show_default=False,
    ),
]


def add_to(app: typer.Typer) -> None:
    """Adds the commands of this module."""
    group = typer.Typer(help="Rules that decide what may be done.", no_args_is_help=True)
    command(group)(check)
    command(group)(apply)
    command(group)(show)
    command(group, "list")(list_policies)
    command(group)(withdraw)
    command(group)(schema)
    command(group)(explain)
    command(group, "test")(try_cases)
    command(group)(simulate)
    app.add_typer(group, name="policy")


async def check(files: FilesArgument, *, home: HomeOption = None, json: JsonOption = False) -> None:
    """Print every problem of a policy, with its place."""
    output = Output(json=json)
    given = read_files(files)
    async with connected(home_or_default(home)) as client:
        problems = await client.policies.check(given)
    if json:
        output.document({"files": [file.name for file in given], "problems": problems})
    elif problems:
        _print_problems(problems)
    else:
        output.note(f"{_counted(given)} valid")
    if problems:
        raise typer.Exit(Exit.USAGE)


async def apply(
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="FILE...", help="Rules in Cedar.", show_default=False),
    ] = None,
    *,
    version: Annotated[
        str,
        typer.Option(metavar="DIGEST", help="An earlier version instead.", show_default=False),
    ] = "",
    code: CodeOption = "",
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Put rules into force, in place of those that are."""
    if bool(files) == bool(version):
        raise InvalidRequest("give either files or --version", code=Code.INVALID_CONFIG)
    output = Output(json=json)
    given = read_files(files or [])
    async with connected(home_or_default(home)) as client:
        problems = await client.policies.check(given) if given else ()
        if problems:
            if not json:
                _print_problems(problems)
            count = "a problem" if len(problems) == 1 else f"{len(problems)} problems"
            raise InvalidRequest(
                f"the policy has {count} and was not applied",
                code=Code.INVALID_POLICY,
                detail={f"{p.file}:{p.line}:{p.column}": p.message for p in problems}
                if json
                else {},
            )
        applied = await proven(
            code, lambda shown: client.policies.apply(given, version=version, code=shown)
        )
    if json:
        output.document(_document(applied) | {"created": applied.created})
        return
    output.people.print(applied.version, markup=False)
    output.note("in force, here at once and in other processes within seconds")


async def withdraw(
    *, code: CodeOption = "", home: HomeOption = None, json: JsonOption = False
) -> None:
    """Leave no rules in force; then reading is allowed, and a person is asked about the rest."""
    output = Output(json=json)
    async with connected(home_or_default(home)) as client:
        was_there = await proven(code, lambda shown: client.policies.withdraw(code=shown))
    if json:
        output.document({"withdrawn": was_there})
    else:
        output.note("the defaults are in force" if was_there else "no policy was in force")


async def show(
    version: Annotated[
        str, typer.Argument(metavar="DIGEST", help="Not the one in force.", show_default=False)
    ] = "",
    *,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Print a policy as it was applied; where none is in force, the defaults."""
    output = Output(json=json)
    async with connected(home_or_default(home)) as client:
        found = await client.policies.get(version)
    if json:
        output.document(_document(found) | {"files": found.files})
        return
    output.note(_about(found))
    for file in found.files:
        sys.stdout.write(f"// --- {file.name}\n{file.text.rstrip()}\n")


async def list_policies(*, home: HomeOption = None, json: JsonOption = False) -> None:
    """List the versions of the policy, newest first; times are local."""
    output = Output(json=json)
    async with connected(home_or_default(home)) as client:
        found = await client.policies.list()
    if json:
        output.document({"policies": [_document(policy) for policy in found]})
        return
    output.table(
        ("version", "made", "by", "in force"),
        (
            (
                policy.version,
                day_and_time(policy.created_at) if policy.created_at else "",
                policy.principal,
                day_and_time(policy.applied_at) if policy.applied_at else "",
            )
            for policy in found
        ),
        empty="no policies yet, the defaults are in force; put one into force with: stepwell policy "
        "apply FILE",
    )


async def schema(*, home: HomeOption = None) -> None:
    """Print what rules may speak of, as a schema of Cedar: an action for every tool."""
    async with connected(home_or_default(home)) as client:
        sys.stdout.write(await client.policies.schema())


async def explain(
    tool: Annotated[
        str, typer.Argument(metavar="TOOL", help="The tool that would be called.")
    ] = "",
    arguments: Annotated[
        str, typer.Argument(metavar=METAVAR, help="What it would be given.")
    ] = "{}",
    *,
    data: Annotated[
        str,
        typer.Option(
            metavar="DATASOURCE",
            help="Instead of a call: what would be seen of this datasource.",
            show_default=False,
        ),
    ] = "",
    policy: CandidateOption = None,
    principal: Annotated[
        str, typer.Option("--principal", "--as", metavar="PRINCIPAL", help="Who would ask.")
    ] = "agent:local",
    attribute: AttributeOption = None,
    group: Annotated[
        list[str] | None,
        typer.Option(metavar="GROUP", help="One of the principal's.", show_default=False),
    ] = None,
    workflow: Annotated[
        str,
        typer.Option(metavar="NAME", help="Whose run; else a direct call.", show_default=False),
    ] = "",
    granted: Annotated[
        bool, typer.Option("--listed/--unlisted", help="Whether the workflow lists the tool.")
    ] = True,
    approved: Annotated[
        bool, typer.Option("--approved", help="As if a person had said yes.")
    ] = False,
    label: Annotated[
        list[str] | None,
        typer.Option(metavar="LABEL", help="Something the run has read.", show_default=False),
    ] = None,
    usage: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=COUNT", help="Like calls_run=5.", show_default=False),
    ] = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Tell what would be decided of a call, or seen of a datasource, and by which rules."""
    output = Output(json=json)
    if bool(tool) == bool(data):
        raise InvalidRequest(
            "name either a tool or a datasource: stepwell policy explain TOOL, or "
            "stepwell policy explain --data DATASOURCE"
        )
    if data:
        async with connected(home_or_default(home)) as client:
            seen = await client.policies.explain_access(
                data,
                files=read_files(policy or []),
                principal=principal,
                groups=group or (),
                attributes=read_attributes(attribute),
            )
        print_access(data, seen, output)
        return
    given = read_json(arguments, "the arguments")
    async with connected(home_or_default(home)) as client:
        found = await client.policies.explain(
            tool,
            given,
            files=read_files(policy or []),
            principal=principal,
            groups=group or (),
            workflow=workflow,
            granted=granted,
            approved=approved,
            labels=label or (),
            usage=_usage(usage or []),
        )
    if json:
        output.document(found)
    else:
        _print_explained(found, output)


async def try_cases(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The cases, YAML or JSON.")],
    *,
    policy: CandidateOption = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Try the cases of a file, and tell which do not end as they say."""
    output = Output(json=json)
    cases = _read(file).encode()
    async with connected(home_or_default(home)) as client:
        results = await client.policies.test(cases, read_files(policy or []))
    wrong = [result for result in results if result.problem]
    if json:
        output.document({"cases": results, "failed": len(wrong)})
    else:
        for result in results:
            told = f"FAIL  {result.name}: {result.problem}" if result.problem else ""
            output.people.print(told or f"ok    {result.name}", markup=False)
        output.note(f"{len(results) - len(wrong)} of {len(results)} cases end as they say")
    if wrong:
        raise typer.Exit(Exit.FAILED)


async def simulate(
    *,
    policy: CandidateOption = None,
    events: Annotated[
        int, typer.Option(min=1, max=1_000_000, help="Read so many of the last events.")
    ] = 100_000,
    since: Annotated[
        str,
        typer.Option(
            metavar="TIME", help="Calls of the last 7d, for instance.", show_default=False
        ),
    ] = "",
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Decide again on the calls of the log, and tell which would not have been made at once."""
    output = Output(json=json)
    length = read_duration(since, "--since")
    last: Simulation | None = None
    async with connected(home_or_default(home)) as client:
        async for last in client.policies.simulate(
            read_files(policy or []),
            events=events,
            since=None if length is None else _before(length),
        ):
            if not last.done:
                text = f"{last.events} of {last.of_events} events, {last.calls} calls"
                if not json:
                    output.row(text, is_progress=True)
    assert last is not None, "there is always one that is done"
    if json:
        output.document(last)
    else:
        _print_simulation(last, output)


def read_files(paths: list[Path]) -> list[PolicyFile]:
    """The files of a policy; of a directory, every one in it that ends with .cedar, by name.

    Raises:
        InvalidRequest: INVALID_CONFIG, one cannot be read.
    """
    found: list[PolicyFile] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(path.glob(f"*{SUFFIX}"))
            if not inside:
                raise InvalidRequest(
                    f"{path} has no file that ends with {SUFFIX}", code=Code.INVALID_CONFIG
                )
            found += [PolicyFile(str(file), _read(file)) for file in inside]
        else:
            found.append(PolicyFile(str(path), _read(path)))
    return found


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except OSError as error:
        problem = f"{file} cannot be read: {error.strerror}"
        raise InvalidRequest(problem, code=Code.INVALID_CONFIG) from error
    except UnicodeDecodeError as error:
        problem = f"{file} is not UTF-8"
        raise InvalidRequest(problem, code=Code.INVALID_CONFIG) from error


def _before(length: timedelta) -> datetime:
    return datetime.fromtimestamp(SystemClock().now() / 1_000_000, UTC) - length


def _usage(given: list[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for part in given:
        name, _, count = part.partition("=")
        if not count.isdecimal():
            problem = f"--usage is a name and a number, like calls_run=5, it is {part!r}"
            raise InvalidRequest(problem, code=Code.INVALID_CONFIG)
        counts[name] = int(count)
    return counts


def _print_problems(problems: tuple[PolicyProblem, ...]) -> None:
    from stepwell.policy.problems import PolicyProblem as Finding  # kept out of other commands
    from stepwell.policy.problems import render

    findings = [msgspec.convert(msgspec.structs.asdict(one), Finding) for one in problems]
    sys.stderr.write(render(findings) + "\n")


def _counted(files: list[PolicyFile]) -> str:
    return f"{files[0].name} is" if len(files) == 1 else f"{len(files)} files are"


def _about(policy: Policy) -> str:
    if not policy.version:
        return "the defaults: nobody has applied a policy"
    told = f"{policy.version}, made by {policy.principal}"
    if policy.applied_at is None:
        return f"{told}, not in force"
    return f"{told}, in force since {day_and_time(policy.applied_at)} by {policy.applied_by}"


def _print_explained(found: DecisionExplained, output: Output) -> None:
    pairs = list(_decided(found.decision))
    for number, one in enumerate(found.passes, 1):
        heading = "as if approved" if one.approved else "as it is"
        told = (
            f"{'allowed' if one.allowed else 'not allowed'} by {', '.join(one.rules) or 'no rule'}"
        )
        if one.broken:
            told += f"; cannot be applied: {', '.join(one.broken)}"
        pairs.append((f"pass {number}", f"{heading}: {told}"))
    pairs.append(("rules", f"{', '.join(found.naming) or 'none'} can apply to this tool"))
    output.pairs(pairs)


def _decided(decision: PolicyDecision) -> Any:
    yield "decision", decision.effect
    if decision.rules:
        yield "by", ", ".join(decision.rules)
    if decision.reason:
        yield "because", decision.reason
    if decision.remedy:
        yield "needs", decision.remedy
    if decision.retry_at:
        yield "again", day_and_time(decision.retry_at)
    if decision.approver:
        who = "whoever asked, or another user" if decision.approver == "caller" else "another user"
        groups = f" in {', '.join(decision.groups)}" if decision.groups else ""
        yield "approver", f"{who}{groups}"
    if decision.log_only:
        yield "on trial", decision.log_only


def _print_simulation(found: Simulation, output: Output) -> None:
    stopped = sum(found.rules.values()) if found.rules else 0
    blocked = found.calls - found.effects.get("allow", 0)
    output.people.print(
        f"{blocked} of {found.calls} calls would not have been made at once", markup=False
    )
    if stopped:
        output.table(
            ("rule", "calls"),
            ((rule, str(count)) for rule, count in sorted(found.rules.items())),
            empty="",
        )
        output.table(
            ("run", "step", "tool", "would be", "by"), map(_changed, found.changed), empty=""
        )
    if found.unknown:
        output.note(f"{found.unknown} more calls could not be decided on: what they need is gone")


def _changed(one: ChangedCall) -> tuple[str, ...]:
    return one.run, one.step, one.tool, one.decision.effect, ", ".join(one.decision.rules)


def _document(policy: Policy) -> dict[str, Any]:
    document: dict[str, Any] = msgspec.to_builtins(policy)
    for of_another_call in ("files", "created"):
        del document[of_another_call]
    return document
