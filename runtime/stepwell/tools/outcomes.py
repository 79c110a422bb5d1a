"""How what a function returns or raises is told to others, in this process and in a child."""

import traceback
from typing import Any

import msgspec

from stepwell.engine.values import Json
from stepwell.engine.wording import bounded
from stepwell.errors import Code
from stepwell.tools.port import ToolFailed

_PLAIN = (str, int, bool, type(None))
_encode = msgspec.json.Encoder().encode
_decode: Any = msgspec.json.Decoder().decode


def as_json(result: object) -> Json:
    """The JSON of a result, exactly as the log will hold it.

    Dataclasses, msgspec structs, enums, sets, datetimes, decimals and UUIDs become what JSON
    has for them, bytes become base64; NaN and infinities become null.

    Raises:
        ToolFailed: INVALID_RESULT, the result cannot be JSON.
    """
    if type(result) in _PLAIN and not isinstance(result, str):
        return result
    try:
        return _decode(_encode(result))
    except (TypeError, ValueError, RecursionError) as error:
        raise ToolFailed(
            not_json(result, error), code=Code.INVALID_RESULT, retryable=False
        ) from error


def not_json(result: object, error: Exception) -> str:
    """Why a result cannot be JSON, and what to return instead."""
    return (
        f"the tool returned a value of type {type(result).__name__} that cannot be JSON ({error}); "
        "return dicts, lists, strings, numbers, dataclasses or msgspec structs"
    )


def described(error: BaseException) -> str:
    """An exception in one line: its type and its own text, no stack trace.

    Its text is code of whoever raised it: where that breaks, the type alone is told.
    """
    name = type(error).__name__
    try:
        text = str(error).strip()
    except BaseException:  # noqa: BLE001 - not even an exit may come out of a description
        text = ""
    return bounded(f"{name}: {text}" if text else name)


def stack(error: BaseException) -> str:
    """Where an exception came from, for the log.

    Its words are left out: they may quote what the tool was given, which can be rows of a
    database. The event of the call has them.
    """
    return "".join(traceback.format_tb(error.__traceback__)) + type(error).__name__
