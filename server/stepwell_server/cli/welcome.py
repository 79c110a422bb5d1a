"""What a daemon that a person has started at a terminal asks him first: to enrol a second factor."""

import asyncio
import os
import sys
from contextlib import suppress
from typing import Final

from stepwell.errors import Code, StepwellError
from stepwell.orchestrator.service import Service
from stepwell.principals import LOCAL_USER

STDIN: Final = 0
TRIES: Final = 3
HINT: Final = (
    "nobody has enrolled a second factor yet, so nobody can approve a call that is held: "
    "stepwell factor enroll\n"
)


async def welcome(service: Service) -> None:
    """Offers an enrolment while nobody has a factor. Where nobody can be asked, it is only told."""
    with suppress(StepwellError):  # the daemon serves all the same
        if await service.factors.is_anybody_enrolled(LOCAL_USER.namespace):
            return
        if not (os.isatty(STDIN) and sys.stderr.isatty()):
            _say(HINT)
            return
        _say(
            "\nCalls that a rule holds are approved with a second factor, which your agents do not "
            "have.\nNobody has enrolled one yet, and the first needs no proof. Enrol an "
            "authenticator app now? [y/N] "
        )
        if (await _line()).strip().lower() in ("y", "yes"):
            await _enrol(service)
        else:
            _say(f"later: {HINT}")


async def _enrol(service: Service) -> None:
    import segno

    offer = await service.factors.offer_totp(LOCAL_USER)
    segno.make(offer.uri, error="l").terminal(out=sys.stderr, compact=True)
    _say(f"Scan this with the app, or type in: {offer.secret}\n")
    for _ in range(TRIES):
        _say("code that the app shows: ")
        code = (await _line()).strip()
        if not code:
            break
        try:
            await service.factors.enrol_totp(LOCAL_USER, offer.ticket, code)
        except StepwellError as error:
            _say(f"{error.message}\n")
            if error.code is not Code.FACTOR_WRONG:
                return
        else:
            _say(
                "enrolled. A second factor keeps you able to answer without this one: stepwell page\n"
            )
            return
    _say("nothing is enrolled; do it later with: stepwell factor enroll\n")


def _say(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()


async def _line() -> str:
    """What is typed, up to the end of the line; "" at the end of the input.

    No thread waits for it: one that still did when the daemon stops would be in its way.
    """
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(STDIN, ready.set)
    try:
        await ready.wait()
        return os.read(STDIN, 4096).decode(errors="replace")
    finally:
        loop.remove_reader(STDIN)
