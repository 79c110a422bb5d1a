"""Who looks at a page: a session in a cookie, made by signing in, and nothing else.

A cookie is a box that only this process opens: restarting ends all sessions, and whoever can read the
home makes none. A form carries a token that belongs to its session, so that no other site sends one.
"""

import hashlib
import hmac
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import timedelta
from typing import Final

import msgspec
from msgspec import Struct

from stepwell.clock import Clock
from stepwell.principals import Caller
from stepwell.vault.boxes import KEY_BYTES, Boxes, NotOpened

LIFE: Final = timedelta(hours=12)
COOKIE: Final = "stepwell"
SECURE_COOKIE: Final = "__Host-stepwell"
"""Over TLS; then no other host of the domain can set it."""

_LIFE_US: Final = LIFE // timedelta(microseconds=1)


class Session(Struct, frozen=True, kw_only=True):
    """`caller` is None until somebody signs in; `nonce` is another one for each session."""

    nonce: str
    until: int
    caller: Caller | None = None


class Sessions:
    """Makes sessions, and knows its own."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        key = secrets.token_bytes(KEY_BYTES)
        self._boxes = Boxes(key)
        self._form_key = hashlib.sha256(b"forms" + key).digest()

    def begin(self, caller: Caller | None = None) -> Session:
        """A session that nobody has had before."""
        return Session(
            nonce=secrets.token_urlsafe(16), until=self._clock.now() + _LIFE_US, caller=caller
        )

    def find(self, cookie: str) -> Session | None:
        """The session of a cookie, unless it is none of ours or is over."""
        try:
            box = urlsafe_b64decode(cookie + "=" * (-len(cookie) % 4))
            session = msgspec.json.decode(self._boxes.open(box, "session"), type=Session)
        except (ValueError, NotOpened, msgspec.DecodeError):
            return None
        return session if session.until > self._clock.now() else None

    def cookie(self, session: Session) -> str:
        """What the browser keeps."""
        box = self._boxes.lock(msgspec.json.encode(session), "session")
        return urlsafe_b64encode(box).decode().rstrip("=")

    def form_token(self, session: Session) -> str:
        """What a form of this session carries."""
        return hmac.new(self._form_key, session.nonce.encode(), hashlib.sha256).hexdigest()

    def is_form_token(self, session: Session, token: str) -> bool:
        """Whether a form was made for this session."""
        return hmac.compare_digest(
            token.encode(errors="replace"), self.form_token(session).encode()
        )
