"""Loads a user's tools: files (`my_tools.py`) and modules (`shop.tools`)."""

import importlib
import traceback
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

from stepwell.errors import Code, SetupError
from stepwell.tools.modules import Source, file_source, import_source
from stepwell.tools.outcomes import described
from stepwell.tools.port import Tool
from stepwell.tools.process import ProcessPool
from stepwell.tools.python import declaration_of, function_tool
from stepwell.tools.shelf import Shelf


def load_tools(
    places: Iterable[str], *, processes: ProcessPool, shelf: Shelf | None = None
) -> tuple[Tool, ...]:
    """The tools of these files and modules, in the order in which they are written.

    A module's tools are the functions with `@tool` that it holds, imported ones too; and those with
    `@resource` and `@prompt`, which are put on the `shelf`.

    Raises:
        SetupError: a place is not there, cannot be imported, or has no tool; or two different
            functions have the same name.
        AlreadyExists: two resources have the same URI.
    """
    found: dict[str, tuple[object, str]] = {}
    tools: list[Tool] = []
    for place in places:
        for function in _functions(place):
            declared = declaration_of(function)
            assert declared is not None
            name, where = declared.spec.name, _where(function)
            known = found.get(name)
            if known is not None and known[0] is function:
                continue
            if known is not None:
                raise SetupError(
                    f"two tools are named {name}: {known[1]} and {where}; "
                    "give one of them another name with @tool(name=...)",
                    code=Code.ALREADY_EXISTS,
                )
            found[name] = (function, where)
            tools.append(_tool(function, place, processes))
            if shelf is not None and declared.offer is not None:
                shelf.add(declared.offer)
    return tuple(tools)


def _functions(place: str) -> list[object]:
    module = _module(place)
    functions = [value for value in vars(module).values() if declaration_of(value)]
    if not functions:
        raise SetupError(
            f"{place} has no tool: decorate a function with @tool, @resource or @prompt "
            "(from stepwell import tool)"
        )
    return functions


def _module(place: str) -> ModuleType:
    source = _source(place)
    importlib.invalidate_caches()
    try:
        return import_source(source)
    except ModuleNotFoundError as error:
        if not source.file and f"{source.module}.".startswith(f"{error.name}."):
            raise SetupError(
                f"there is no module {place}; install it, or name a file: ./{place}.py"
            ) from error
        raise _broken(place, source, error) from error
    except (Exception, SystemExit) as error:
        raise _broken(place, source, error) from error


def _source(place: str) -> Source:
    path = Path(place).expanduser()
    if path.suffix != ".py" and not path.exists():
        return Source(place)
    if path.is_dir():
        raise SetupError(f"{place} is a folder; name the Python files in it, one by one")
    if not path.is_file():
        raise SetupError(f"there is no file {place} (looked at {path.resolve()})")
    return file_source(path)


def _tool(function: object, place: str, processes: ProcessPool) -> Tool:
    assert callable(function)
    try:
        return function_tool(function, processes=processes)
    except TypeError as error:
        raise SetupError(f"{_where(function)} in {place}: {error}") from error


def _where(function: object) -> str:
    code = getattr(function, "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code else repr(function)


def _broken(place: str, source: Source, error: BaseException) -> SetupError:
    """What went wrong, with the innermost line that is in the user's file."""
    if isinstance(error, SyntaxError):
        return SetupError(f"{error.filename}, line {error.lineno}: {described(error)}")
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if frame.filename == source.file]
    where = f"{own[-1].filename}, line {own[-1].lineno}" if own else place
    return SetupError(f"{where}: {described(error)}; the tools of {place} were not loaded")
