"""JSON that a command is given: as it stands, from a file, or on standard input."""

import sys
from pathlib import Path

import msgspec

from stepwell.engine.values import Json
from stepwell.errors import Code, InvalidRequest

METAVAR = "JSON|@FILE|-"


def read_json(given: str, name: str) -> Json:
    """The JSON that an option or argument, `name`, stands for.

    Raises:
        InvalidRequest: it cannot be read, or is not JSON.
    """
    try:
        match given[:1], given[1:]:
            case "-", "":
                source = sys.stdin.buffer.read()
            case "@", path:
                source = Path(path).read_bytes()
            case _:
                source = given.encode()
        return msgspec.json.decode(source)
    except OSError as error:
        raise InvalidRequest(
            f"{name} {given}: {error.strerror}", code=Code.INVALID_CONFIG
        ) from error
    except msgspec.DecodeError as error:
        raise InvalidRequest(
            f'{name} is not JSON: {error}. Write it like \'{{"question": "..."}}\' or \'"text"\', '
            "or @FILE, or - for standard input",
            code=Code.INVALID_CONFIG,
        ) from error
