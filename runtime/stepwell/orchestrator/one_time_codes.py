"""One-time codes of an app on a phone (TOTP, RFC 6238), and how often one may guess."""

import hmac
import re
from datetime import timedelta
from typing import Final

from pyotp import random_base32
from pyotp.hotp import HOTP
from pyotp.totp import TOTP

from stepwell_storage.records import Attempts

ISSUER: Final = "Stepwell"
PERIOD: Final = 30
"""Seconds that a code is for."""
WINDOW: Final = 1
"""Codes before and after the present one that are taken, for clocks that differ."""

FREE_ATTEMPTS: Final = 5
FIRST_LOCK: Final = timedelta(seconds=30)
LONGEST_LOCK: Final = timedelta(hours=1)

_CODE: Final = re.compile(r"[0-9]{6}")
_MICROSECONDS: Final = 1_000_000


def new_secret() -> str:
    """160 random bits, as apps take them."""
    return random_base32()


def enrolment_uri(secret: str, account: str) -> str:
    """What a QR code shows to an app."""
    return TOTP(secret).provisioning_uri(name=account, issuer_name=ISSUER)


def matching_step(secret: str, code: str, *, now: int) -> int | None:
    """The number of the period that a code is of, where that is near `now` (UTC microseconds)."""
    code = code.strip().replace(" ", "")
    if not _CODE.fullmatch(code):
        return None
    present = now // (PERIOD * _MICROSECONDS)
    totp = HOTP(secret)
    found: int | None = None
    for step in range(present - WINDOW, present + WINDOW + 1):
        if hmac.compare_digest(totp.at(step), code):
            found = step
    return found


def spent_until(step: int) -> int:
    """Until when a code that was used is remembered: it cannot be taken any more (UTC microseconds)."""
    return (step + WINDOW + 2) * PERIOD * _MICROSECONDS


def locked_until(attempts: Attempts) -> int:
    """Until when no code is looked at (UTC microseconds): twice as long after each wrong one."""
    if attempts.failed < FREE_ATTEMPTS:
        return 0
    times = min(attempts.failed - FREE_ATTEMPTS, 20)
    wait: timedelta = min(FIRST_LOCK * 2**times, LONGEST_LOCK)
    return attempts.at + wait // timedelta(microseconds=1)
