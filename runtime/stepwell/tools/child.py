"""The child process that runs what must be killable: `python -m stepwell.tools.child`.

It serves one call at a time until its standard input ends, which is when the daemon is gone
or does not want it any more. Descriptors 0 and 1 belong to the protocol, so they are moved
away before any code of a user runs; what that code prints goes to standard error. A copy that
this code makes of the process (`os.fork`) has no part in the protocol.
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
    served_by = os.getpid()
    while os.getpid() == served_by:
        _serve(frames.decode_call(calls.get()), outgoing)
    os._exit(0)  # a copy that the function made of its process, and let return as well


def _take_pipes() -> tuple[BinaryIO, BinaryIO]:
    incoming = os.fdopen(os.dup(0), "rb")
    outgoing = os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    if hasattr(os, "register_at_fork"):
        pipes = incoming.fileno(), outgoing.fileno()
        os.register_at_fork(after_in_child=lambda: _silence(*pipes))
    # A child is killed when it is not wanted any more: what it printed must be out by then.
    sys.stdout = os.fdopen(1, "w", buffering=1, closefd=False)
    return incoming, outgoing


def _silence(*descriptors: int) -> None:
    """Nothing is read from these any more, and what is written to them is lost.

    They are not closed: their numbers could be given away, and the objects that hold them close
    them once more.
    """
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in descriptors:
        os.dup2(nothing, descriptor, inheritable=False)
    os.close(nothing)


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
        frames.write(outgoing, frames.encode(frames.Begun(call.number)))
        result = function(**keywords)
        body = _encoded(call.number, declaration.value(result) if declaration else result)
    except BaseException as error:  # noqa: BLE001 - even SystemExit is the function's answer
        body = frames.encode(_raised(call.number, error))
    frames.write(outgoing, body)


def _encoded(number: int, result: object) -> bytes:
    try:
        body = frames.encode(frames.Returned(number, result))
    except (TypeError, ValueError, RecursionError) as error:
        return frames.encode(frames.Raised(number, Code.INVALID_RESULT, not_json(result, error)))
    if len(body) > frames.MAX_FRAME:
        message = f"the result has {len(body)} bytes, the limit is {frames.MAX_FRAME}"
        return frames.encode(frames.Raised(number, Code.LIMIT_EXCEEDED, message))
    return body


def _raised(number: int, error: BaseException) -> frames.Raised:
    if isinstance(error, StepwellError):
        return frames.Raised(number, error.code, error.message, error.retryable, error.detail)
    return frames.Raised(
        number, Code.TOOL_ERROR, described(error), retryable=True, trace=stack(error)
    )


if __name__ == "__main__":
    main()
