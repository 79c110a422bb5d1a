"""AES-256-GCM as everything here uses it: a random nonce in front, and bound to what it is about.

A box is one byte for the format, 12 of nonce, the encrypted content and 16 of tag. What it is bound
to is a list of texts, encoded as JSON so that no two lists look the same.
"""

import os
from typing import Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES: Final = 32
OVERHEAD: Final = 1 + 12 + 16
"""Bytes that a box has more than its content."""

_FORMAT: Final = b"\x01"
_NONCE_BYTES: Final = 12


class NotOpened(Exception):
    """It was locked with another key or for another purpose, or it was changed since."""


class Boxes:
    """Locks and opens boxes with one key."""

    __slots__ = ("_cipher",)

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ValueError(f"a key has {KEY_BYTES} bytes, this one {len(key)}")
        self._cipher = AESGCM(key)

    def lock(self, content: bytes, *bound_to: str) -> bytes:
        """A box that only the same key opens, and only for the same purpose."""
        nonce = os.urandom(_NONCE_BYTES)
        return _FORMAT + nonce + self._cipher.encrypt(nonce, content, _purpose(bound_to))

    def open(self, box: bytes, *bound_to: str) -> bytes:
        """What was locked.

        Raises:
            NotOpened: it was not locked with this key, or not for this purpose.
        """
        if len(box) < OVERHEAD or box[:1] != _FORMAT:
            raise NotOpened
        nonce, locked = box[1 : 1 + _NONCE_BYTES], box[1 + _NONCE_BYTES :]
        try:
            return self._cipher.decrypt(nonce, locked, _purpose(bound_to))
        except InvalidTag as error:
            raise NotOpened from error


def _purpose(bound_to: tuple[str, ...]) -> bytes:
    return _FORMAT + msgspec.json.encode(bound_to)
