"""Writes `docs/reference/`: pages made from the tables that the program itself reads.

    python -m stepwell_server.cli.reference docs/reference

A test compares them with what is committed.
"""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import msgspec
import typer

from stepwell import config
from stepwell.engine.events import KINDS, NAMES
from stepwell.engine.transitions import RUN, STEP
from stepwell.telemetry.instruments import MOST_NAMES, OTHER
from stepwell.telemetry.metrics import Metrics
from stepwell_mcp.errors import JSONRPC_CODES
from stepwell_server.cli.app import app
from stepwell_server.cli.codes import CODES
from stepwell_server.cli.exits import Exit, exit_for
from stepwell_server.status import STATUS

_PACKAGES: Final = tuple(f"stepwell.engine.{name}." for name in ("values", "messages", "events"))
_NOTE: Final = "<!-- Made by `make reference`; do not edit. -->\n"


def configuration() -> str:
    """Every setting."""
    rows = (
        (f"`{row.key}`", row.kind, _code(_default(row.default)), row.description)
        for row in config.reference()
    )
    return (
        "# Configuration\n\n"
        "The stronger comes later: defaults, `config.toml` in the home, environment, flags.\n"
        "The variable of `section.name` is `STEPWELL_SECTION__NAME`; a `*` is a name of yours.\n"
        "Durations are written `500ms`, `30s`, `1h30m`; lists in variables with commas.\n"
        "Unknown keys are errors. `stepwell config` prints what holds.\n\n"
        "```toml\n"
        "[server]\ngrpc_port = 0\n\n"
        '[models]\nsmall = "openai:gpt-5.4-mini"\n\n'
        "[providers.local]\n"
        'kind = "openai-compatible"\nbase_url = "http://127.0.0.1:11434/v1"\n'
        "```\n\n" + _table(("key", "type", "default", "what it is"), rows)
    )


def error_codes() -> str:
    """Every error code."""
    rows = (
        (
            f"`{code}`",
            meaning,
            advice,
            STATUS[code].name,
            str(JSONRPC_CODES[code]),
            str(exit_for(code).value),
        )
        for code, (meaning, advice) in CODES.items()
    )
    return (
        "# Error codes\n\n"
        "One code everywhere: `ErrorInfo.reason` in gRPC, `code` in MCP, `reason` of a failed step\n"
        "in the log, and in the command line's `--json`. Codes are stable, messages are not.\n\n"
        + _table(("code", "what happened", "what to do", "gRPC", "MCP", "exit"), rows)
    )


def events() -> str:
    """Every kind of event with its fields."""
    intro = (
        "# Events\n\n"
        "A run's log holds these facts, numbered from 1 without a gap. Every event has `at`, UTC\n"
        "microseconds. Fields of type `Data` hold JSON, inline or by reference to a blob. A `Parent` is\n"
        "the `run`, `step` and `attempt` that a run is, and its `depth`, the number of runs above it.\n"
        "A `node` or a `key` that is the id of the step is not written; who reads an event gets it.\n"
    )
    parts = [intro]
    for kind, event in KINDS.items():
        parts.append(f"\n## `{kind}`\n\n{_prose(event.__doc__)}\n")
        if fields := _fields(event):
            parts.append(f"\n{fields}")
    return "".join(parts)


def command_line() -> str:
    """Every command with its options, and the exit codes."""
    codes = _table(("code", "meaning"), ((str(code.value), code.meaning) for code in Exit))
    intro = (
        "# Command line\n\n"
        "Answers go to standard output, progress and errors to standard error. With `--json` the\n"
        "answer is one JSON document, or one a line where something is followed.\n\n"
        f"## Exit codes\n\n{codes}"
    )
    parts = [intro]
    for name, command in _commands(typer.main.get_command(app), "stepwell"):
        rows = ((_signature(parameter), parameter.help or "") for parameter in _own(command))
        parts.append(f"\n## `{name}`\n\n{_prose(command.help)}\n")
        if table := _table(("argument or option", "meaning"), rows):
            parts.append(f"\n{table}")
    return "".join(parts)


def transitions() -> str:
    """The life of a run and of a step, as pictures."""
    return (
        "# Life of a run and of a step\n\n"
        "An arrow is an event; what has no arrow does not happen. Names of phases are those of\n"
        "`stepwell runs` and of the engine.\n\n"
        f"## A run\n\n{_picture(RUN)}\n## A step\n\n{_picture(STEP)}"
    )


def metrics() -> str:
    """Everything that Prometheus reads."""
    rows = (
        (
            f"`{one.name}`",
            type(one).__name__.lower(),
            ", ".join(f"`{label}`" for label in one.labels),
            one.about,
        )
        for one in Metrics()
    )
    return (
        "# Metrics\n\n"
        "What `GET /metrics` of the HTTP port tells, in Prometheus' text format or OpenMetrics. Times\n"
        f"are in seconds. A label whose values are names of yours has at most {MOST_NAMES}; what comes\n"
        f"later is `{OTHER}`. Beside these are `process_*`, what the system knows of the process. [How to\n"
        "use them](../operations.md#measure).\n\n"
        + _table(("metric", "kind", "labels", "what it tells"), rows)
    )


PAGES: Final[Mapping[str, Callable[[], str]]] = MappingProxyType(
    {
        "configuration.md": configuration,
        "errors.md": error_codes,
        "events.md": events,
        "command-line.md": command_line,
        "transitions.md": transitions,
        "metrics.md": metrics,
    }
)


def _picture(table: Mapping[tuple[Any, type], Any]) -> str:
    arrows = (
        f"    {'[*]' if before == 'new' else before} --> {after} : {NAMES[event]}\n"
        for (before, event), after in table.items()
    )
    return f"```mermaid\nstateDiagram-v2\n{''.join(arrows)}```\n"


def _commands(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    children = getattr(command, "commands", None)
    if children is None:
        yield name, command
        return
    for child in children:
        if not children[child].hidden:
            yield from _commands(children[child], f"{name} {child}")


def _own(command: Any) -> list[Any]:
    return [parameter for parameter in command.params if parameter.name != "help"]


def _signature(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return f"`{parameter.metavar}`"
    value = "" if parameter.is_flag else f" {parameter.metavar or parameter.name.upper()}"
    return f"`{'`, `'.join(parameter.opts)}{value}`"


def _fields(event: type) -> str:
    rows = (
        (f"`{field.name}`", f"`{_type(field.type)}`", "" if field.required else "yes")
        for field in msgspec.structs.fields(event)
        if field.name != "at"
    )
    return _table(("field", "type", "optional"), rows)


def _type(hint: Any) -> str:
    text = hint.__name__ if isinstance(hint, type) and not hasattr(hint, "__args__") else str(hint)
    for package in (*_PACKAGES, "typing."):
        text = text.replace(package, "")
    return text


def _default(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ", ".join(value)
    return "" if value is None else str(value)


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def _prose(docstring: str | None) -> str:
    return "\n".join(line.strip() for line in (docstring or "").strip().splitlines())


def _table(headings: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [_row(row) for row in rows]
    if not lines:
        return ""
    heads = list(headings)
    return "".join([_row(heads), _row(["---"] * len(heads)), *lines])


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"


def render(name: str) -> str:
    """The whole text of one page."""
    return _NOTE + PAGES[name]()


def main(arguments: list[str]) -> None:
    """Writes the pages into a folder."""
    folder = Path(arguments[0])
    folder.mkdir(parents=True, exist_ok=True)
    for name in PAGES:
        (folder / name).write_text(render(name), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
