"""Links that sign the owner of a home in, once: `stepwell page` makes them, the page takes them."""

import hashlib
import hmac
import secrets
from datetime import timedelta
from typing import Final

from stepwell.clock import Clock

LIFE: Final = timedelta(minutes=10)

_LIFE_US: Final = LIFE // timedelta(microseconds=1)


def new_ticket(owner_token: str, clock: Clock) -> str:
    """What to send instead of the token: it counts once, and not for long."""
    until = clock.now() + _LIFE_US
    nonce = secrets.token_hex(16)
    return f"{until}.{nonce}.{_mark(owner_token, until, nonce)}"


class Tickets:
    """Takes tickets of one home."""

    def __init__(self, owner_token: str, clock: Clock) -> None:
        self._owner_token = owner_token
        self._clock = clock
        self._taken: dict[str, int] = {}

    def is_good(self, ticket: str) -> bool:
        """Whether it would be taken."""
        until, _, rest = ticket.partition(".")
        nonce, _, mark = rest.partition(".")
        if not (until.isascii() and until.isdigit() and len(until) < 20):
            return False
        expected = _mark(self._owner_token, int(until), nonce)
        if not hmac.compare_digest(mark.encode(errors="replace"), expected.encode()):
            return False
        return int(until) > self._clock.now() and nonce not in self._taken

    def take(self, ticket: str) -> bool:
        """Whether it counts; it does not again."""
        if not self.is_good(ticket):
            return False
        now = self._clock.now()
        self._taken = {nonce: until for nonce, until in self._taken.items() if until > now}
        until, nonce, _ = ticket.split(".")
        self._taken[nonce] = int(until)
        return True


def _mark(owner_token: str, until: int, nonce: str) -> str:
    text = f"stepwell page {until} {nonce}".encode()
    return hmac.new(owner_token.encode(), text, hashlib.sha256).hexdigest()
