"""The child process that runs what must be killable: `python -m stepwell.tools.child`.

It serves one call at a time until its standard input ends, which is when the daemon is gone
or does not want it any more. Descriptors 0 and 1 belong to the protocol, so they are moved
away before any code of a user runs; what that code prints goes to standard error.
"""

import os
import queue
import signal
import sys
import threading
from typing import BinaryIO

from stepwell.errors import Code, StepwellError
from stepwell.tools import frames
from stepwell.tools.modules import import_source
from stepwell.tools.outcomes import described, not_json, stack


def main() -> None:
    """Serves calls until standard input ends."""
    incoming, outgoing = _take_pipes()
    calls: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    opening = frames.read(incoming)
    if opening is None:
        return
    sys.path[:] = frames.decode_opening(opening).path
    # A function that is running when the daemon dies would not notice; this thread does.
    threading.Thread(target=_receive, args=(incoming, calls), daemon=True).start()
    while True:
        _serve(frames.decode_call(calls.get()), outgoing)


def _take_pipes() -> tuple[BinaryIO, BinaryIO]:
    incoming = os.fdopen(os.dup(0), "rb")
    outgoing = os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    # A child is killed when it is not wanted any more: what it printed must be out by then.
    sys.stdout = os.fdopen(1, "w", buffering=1, closefd=False)
    return incoming, outgoing


def _receive(incoming: BinaryIO, calls: queue.SimpleQueue[bytes]) -> None:
    while (body := frames.read(incoming)) is not None:
        calls.put(body)
    if hasattr(os, "killpg") and os.getpgid(0) == os.getpid():
        os.killpg(0, signal.SIGKILL)  # whatever the function started goes with it
    os._exit(0)


def _serve(call: frames.Call, outgoing: BinaryIO) -> None:
    try:
        function = getattr(import_source(call.source), call.name)
        declaration = getattr(function, frames.DECLARATION, None)
        keywords = (
            call.arguments
            if declaration is None
            else declaration.bind(call.arguments, call.context)
        )
        frames.write(outgoing, frames.encode(frames.Begun()))
        body = _encoded(function(**keywords))
    except BaseException as error:  # noqa: BLE001 - even SystemExit is the function's answer
        body = frames.encode(_raised(error))
    frames.write(outgoing, body)


def _encoded(result: object) -> bytes:
    try:
        body = frames.encode(frames.Returned(result))
    except (TypeError, ValueError, RecursionError) as error:
        return frames.encode(frames.Raised(Code.INVALID_RESULT, not_json(result, error)))
    if len(body) > frames.MAX_FRAME:
        message = f"the result has {len(body)} bytes, the limit is {frames.MAX_FRAME}"
        return frames.encode(frames.Raised(Code.LIMIT_EXCEEDED, message))
    return body


def _raised(error: BaseException) -> frames.Raised:
    if isinstance(error, StepwellError):
        return frames.Raised(error.code, error.message, error.retryable, error.detail)
    return frames.Raised(Code.TOOL_ERROR, described(error), retryable=True, trace=stack(error))


if __name__ == "__main__":
    main()
