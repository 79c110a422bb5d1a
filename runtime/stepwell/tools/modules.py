"""Where a function lives, so that a child process can import the very same one."""

import importlib
import importlib.util
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from msgspec import Struct


class Source(Struct, frozen=True):
    """A module by its import name, and by its file where the name alone may not find it."""

    module: str
    file: str = ""


def file_source(path: Path) -> Source:
    """The source of a file that belongs to no package; the name is the same in every process."""
    resolved = path.resolve()
    digest = zlib.crc32(str(resolved).encode())
    return Source(f"stepwell_tools_{resolved.stem}_{digest:08x}", str(resolved))


def source_of(function: Callable[..., Any]) -> Source:
    """Where a function was defined.

    Raises:
        TypeError: another process could not import it: it is not at the top level of a
            module, or its module has no file (an interactive session).
    """
    name = function.__qualname__
    if "." in name:
        raise TypeError(
            f"{name} runs in a worker process, which has to import it: "
            "move it to the top level of its module, or make it async"
        )
    module = sys.modules.get(function.__module__)
    file = getattr(module, "__file__", None)
    if file is None:
        raise TypeError(
            f"{name} runs in a worker process, which has to import it: "
            "put it into a file, or make it async"
        )
    if function.__module__ == "__main__":
        return file_source(Path(file))
    return Source(function.__module__, file)


def import_source(source: Source) -> ModuleType:
    """Imports a module by its name, or from its file when nothing has that name.

    The folder of such a file is put at the end of the import path, so that it may import its
    neighbours but never stand in for an installed package.

    Raises:
        ImportError: there is no such module or file.
        Exception: whatever the module raises while it is executed.
    """
    try:
        return importlib.import_module(source.module)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if not source.file or not f"{source.module}.".startswith(f"{missing}."):
            raise
    spec = importlib.util.spec_from_file_location(source.module, source.file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{source.file} is not a Python file")
    folder = str(Path(source.file).parent)
    if folder not in sys.path:
        sys.path.append(folder)
    module = importlib.util.module_from_spec(spec)
    sys.modules[source.module] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[source.module]
        raise
    return module
