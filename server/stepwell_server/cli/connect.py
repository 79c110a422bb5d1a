"""`stepwell connect`: puts Stepwell into an MCP client, and the servers that it has behind Stepwell."""

import difflib
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from stepwell.config import load_settings
from stepwell.errors import Code, FailedPrecondition, InvalidRequest
from stepwell.files import replace_file, write_private
from stepwell.tools.secrets import Redactor
from stepwell_mcp.choice import flags_of
from stepwell_server.cli.choosing import (
    ReadOnlyOption,
    SurfaceOption,
    ToolsetOption,
    ToolsOption,
    chosen_by,
    demand_choice,
)
from stepwell_server.cli.command import (
    HomeOption,
    JsonOption,
    YesOption,
    command,
    home_flag,
    home_or_default,
)
from stepwell_server.cli.output import Output
from stepwell_server.cli.secret_commands import store_of
from stepwell_server.connecting.clients import (
    NAMES,
    ClientName,
    McpClient,
    client_named,
    client_of_file,
)
from stepwell_server.connecting.jsonc import Document
from stepwell_server.connecting.plan import Plan, plan
from stepwell_server.connecting.records import Record, Records, digest
from stepwell_server.connecting.settings_text import without_servers
from stepwell_server.home import Home

ClientArgument = Annotated[
    str | None,
    typer.Argument(metavar="CLIENT", help=f"One of {', '.join(NAMES)}.", show_default=False),
]
ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="The configuration of any other client, or of a project.",
        show_default=False,
    ),
]


def add_to(app: typer.Typer) -> None:
    """Adds the command of this module."""
    command(app)(connect)


def connect(
    client: ClientArgument = None,
    *,
    config: ConfigOption = None,
    wrap: Annotated[
        bool,
        typer.Option(
            "--wrap",
            help="Move its MCP servers behind Stepwell, which then stands before every call.",
            show_default=False,
        ),
    ] = False,
    http: Annotated[
        bool,
        typer.Option(
            "--http",
            help="Add it by its URL, for a daemon that runs already, and not as a program.",
            show_default=False,
        ),
    ] = False,
    url: Annotated[
        str | None,
        typer.Option(
            "--url",
            metavar="URL",
            help="The URL for --http, where it is not that of this home's daemon.",
            show_default=False,
        ),
    ] = None,
    undo: Annotated[
        bool,
        typer.Option("--undo", help="Restore what was there before.", show_default=False),
    ] = False,
    print_only: Annotated[
        bool,
        typer.Option("--print", help="Show the change, and write nothing.", show_default=False),
    ] = False,
    toolset: ToolsetOption = "",
    tools: ToolsOption = "",
    read_only: ReadOnlyOption = False,
    surface: SurfaceOption = "",
    yes: YesOption = False,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Put Stepwell into an MCP client; with --wrap in front of the servers that it has."""
    place, output = home_or_default(home), Output(json=json)
    target = _target(client, config)
    if undo:
        _undo(target, place, output, yes=yes, print_only=print_only)
        return
    chosen = chosen_by(toolset, tools, surface, read_only=read_only)
    if not url:  # else another home says which there are
        demand_choice(place, chosen)
    is_remote = http or url
    ours = _remote(target, place, url, chosen) if is_remote else _program(target, home, chosen)
    before = _read(target, must_exist=wrap)
    settings = _text(place.config_file)
    records = Records(place.path, target.name)
    made = plan(
        target,
        before,
        settings,
        ours=ours,
        mark=_mark(target, records),
        user=Path.home(),
        wrap=wrap,
    )
    if chosen and made.had_ours:
        raise FailedPrecondition(
            f"{target.title} has Stepwell already, and its flags stay as they are; change them in "
            f"{target.path}, or take Stepwell out first with --undo",
            code=Code.NOT_APPLICABLE,
        )
    _tell(made, output)
    if not made.is_change:
        output.note(f"{target.title} has Stepwell already; there is nothing to do")
        _document(output, target, made, written=False)
        return
    redactor = _redactor(made.secrets)
    _show(output, target.path, before, made.client_text, redactor)
    _show(output, place.config_file, settings, made.settings_text, redactor)
    if count := len(made.secrets):
        secrets = "1 secret goes" if count == 1 else f"{count} secrets go"
        output.note(f"{secrets} into the store of {place.path}")
    if print_only:
        _document(output, target, made, written=False)
        return
    if not yes:
        typer.confirm("Write this?", abort=True, err=True)
    _write(target, place, records, before=before, settings=settings, made=made)
    _document(output, target, made, written=True)
    output.note(f"{target.title}: {target.restart}")
    if http or url:
        output.note("the daemon has to run for that, and does not end by itself with: stepwell up")
    if made.moved and place.endpoints():
        output.note(f"the daemon reads this at its next start: stepwell down{home_flag(home)}")
    if made.moved:
        _tell_of_held_calls(output, home_flag(home))
    flag = f" --config {target.path}" if config else ""
    output.note(
        f"take it back with: stepwell connect {client or ''}{flag} --undo".replace("  ", " ")
    )


def _tell_of_held_calls(output: Output, flag: str) -> None:
    output.note(
        "from then on calls that only read go through, and every other waits for you. To approve one you "
        f"need a second factor: stepwell factor enroll{flag}, once the program is started"
    )
    output.note(f"what waits is on the page: stepwell page{flag}")


def _target(client: str | None, config: Path | None) -> McpClient:
    if (client is None) == (config is None):
        raise typer.BadParameter(f"name a client ({', '.join(NAMES)}), or a file with --config")
    if config is not None:
        path = config.expanduser().absolute()
        return client_of_file(path, Document(_text(path), str(path)).value)
    if client not in get_args(ClientName):
        raise typer.BadParameter(f"{client} is not one of {', '.join(NAMES)}; use --config FILE")
    name: ClientName = client  # type: ignore[assignment]
    return client_named(name, user=Path.home(), environ=os.environ)


def _read(target: McpClient, *, must_exist: bool) -> str:
    if must_exist and not target.path.exists():
        raise InvalidRequest(
            f"there is no {target.path}: is the program installed, and has it a server? Name "
            "another file with --config, or leave --wrap out to add Stepwell alone",
            code=Code.INVALID_CONFIG,
        )
    return _text(target.path)


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode()
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"{path} cannot be read: {error}", code=Code.INVALID_CONFIG) from error


def _program(target: McpClient, home: Home | None, chosen: Mapping[str, str]) -> dict[str, Any]:
    command = (*_relay(home), *flags_of(chosen))
    return target.entry(command[0], command[1:])


def _remote(
    target: McpClient, place: Home, url: str | None, chosen: Mapping[str, str]
) -> dict[str, Any]:
    if not target.takes_urls:
        raise typer.BadParameter(
            f"{target.title} takes no URL in its file: leave --http out, or add the URL among its "
            "connectors, in its own settings"
        )
    return target.remote(url or _own_url(place), chosen)


def _own_url(place: Home) -> str:
    """Where clients reach the daemon of this home, running or not.

    Raises:
        InvalidRequest: nobody knows before it runs.
    """
    settings = load_settings(place.path, os.environ)
    is_known = settings.mcp.oauth.resource or settings.approvals.page_url
    if not is_known and (endpoints := place.endpoints()):
        return endpoints.mcp
    if not is_known and not settings.server.http_port:
        raise InvalidRequest(
            "the port of the daemon is any free one (server.http_port = 0): start it first, or say "
            "its URL with --url",
            code=Code.INVALID_CONFIG,
        )
    return settings.mcp_url()


def _relay(home: Home | None) -> tuple[str, ...]:
    """What starts `stepwell mcp`, wherever it is started from."""
    flags = ("--home", str(home.path)) if home else ()
    if os.environ.get("STEPWELL_HOME") and not home:
        flags = ("--home", str(home_or_default(None).path))
    if "archive-v0" in sys.prefix:  # uvx keeps it in a cache, which comes and goes
        return (shutil.which("uvx") or "uvx", "stepwell", "mcp", *flags)
    beside = Path(sys.executable).with_name(
        "stepwell.exe" if sys.platform == "win32" else "stepwell"
    )
    if beside.exists():
        return (str(beside), "mcp", *flags)
    return (sys.executable, "-m", "stepwell_server.cli.main", "mcp", *flags)


def _mark(target: McpClient, records: Records) -> str:
    return f"stepwell connect {target.name} {len(records.all()) + 1}"


def _redactor(secrets: Mapping[str, str]) -> Redactor:
    redactor = Redactor()
    for secret in secrets.values():
        redactor.add(secret)
    return redactor


def _tell(made: Plan, output: Output) -> None:
    for one in made.left:
        output.note(f"{one.name} stays where it is: {one.why}")
    for note in made.notes:
        output.note(note)


def _show(output: Output, path: Path, before: str, after: str, redactor: Redactor) -> None:
    if output.json:
        return
    lines = difflib.unified_diff(
        redactor.text(before).splitlines(),
        redactor.text(after).splitlines(),
        str(path),
        str(path),
        lineterm="",
    )
    for line in lines:
        style = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1], "")
        output.people.print(line, style=style, markup=False)


def _write(
    target: McpClient, place: Home, records: Records, *, before: str, settings: str, made: Plan
) -> None:
    """Writes all of it, the client's own file last: until then nothing has changed for anybody."""
    place.create()
    had_settings = place.config_file.exists()
    for name, secret in made.secrets.items():
        store_of(place).set(name, secret)
    if made.settings_text != settings:
        write_private(place.config_file, made.settings_text.encode())
        try:
            load_settings(place.path, {})
        except Exception:
            write_private(place.config_file, settings.encode())
            raise
    content = made.client_text.encode()
    record = Record(
        path=str(target.path),
        backup=records.next_backup(),
        existed=target.path.exists(),
        wrote=digest(content),
        mark=_mark(target, records),
        settings=settings if had_settings else None,
        settings_wrote=digest(made.settings_text.encode()),
        servers=tuple(one.name for one in made.moved),
        secrets=tuple(made.secrets),
    )
    if _text(target.path) != before:
        raise FailedPrecondition(
            f"{target.path} was changed while you looked; try again", code=Code.NOT_APPLICABLE
        )
    records.add(record, before.encode())
    target.path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(target.path, content)


def _undo(target: McpClient, place: Home, output: Output, *, yes: bool, print_only: bool) -> None:
    records = Records(place.path, target.name)
    if not (done := records.all()):
        raise FailedPrecondition(
            f"nothing was done to {target.title} from the home {place.path}, so there is nothing to "
            "undo",
            code=Code.NOT_APPLICABLE,
        )
    last = done[-1]
    path, content = Path(last.path), records.content(last)
    now, store = _text(path), store_of(place)
    secrets = {name: store.get(name) or "" for name in last.secrets}
    redactor = _redactor(secrets)
    if digest(now.encode()) != last.wrote:
        output.note(f"{path} was changed since; what was added to it is lost:")
    _show(output, path, now, content.decode(), redactor)
    settings = _text(place.config_file)
    is_same = digest(settings.encode()) == last.settings_wrote
    without = (last.settings or "") if is_same else without_servers(settings, last.mark)
    _show(output, place.config_file, settings, without, redactor)
    if print_only:
        return
    if not yes:
        typer.confirm("Write this?", abort=True, err=True)
    if last.existed:
        replace_file(path, content)
    else:
        path.unlink(missing_ok=True)
    if is_same and last.settings is None:
        place.config_file.unlink(missing_ok=True)
    else:
        write_private(place.config_file, without.encode())
    for name in last.secrets:
        if name in store.names():
            store.remove(name)
    records.drop_last()
    if output.json:
        output.document({"restored": str(path), "servers": last.servers})
    output.note(f"{path} is as it was; {target.restart}")


def _document(output: Output, target: McpClient, made: Plan, *, written: bool) -> None:
    if output.json:
        output.document(
            {
                "client": target.name,
                "path": str(target.path),
                "written": written,
                "moved": [one.name for one in made.moved],
                "left": {one.name: one.why for one in made.left},
                "secrets": sorted(made.secrets),
                "notes": made.notes,
            }
        )
