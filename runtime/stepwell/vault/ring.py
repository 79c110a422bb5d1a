"""The key ring: the operator's own keys, which wrap data keys and nothing else.

They come from the environment or from files and never go to the store, so a copy of the database
is worth nothing without them. A data key says which key of the ring wraps it; one of them is
active, which means that it wraps what is new.
"""

import base64
import binascii
import os
from collections.abc import Collection, Mapping
from pathlib import Path

from stepwell.config import EncryptionSettings
from stepwell.errors import Code, KeyDestroyed, SetupError
from stepwell.vault.boxes import KEY_BYTES, Boxes, NotOpened

HOW_TO_MAKE = "`openssl rand -base64 32` makes one"
_URL_SAFE = str.maketrans("-_", "+/")


class WrongRing(SetupError):
    """The key ring lacks a key, or has another one under its name; put the right one back."""


class KeyRing:
    """The operator's keys by name. Without an active one nothing new is encrypted."""

    def __init__(
        self, keys: Mapping[str, bytes], *, active: str = "", lost: Collection[str] = ()
    ) -> None:
        """What a key named in `lost` has wrapped is taken as destroyed."""
        self._boxes = {name: Boxes(key) for name, key in keys.items()}
        self.lost = frozenset(lost)
        self.active = active

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its keys."""
        return tuple(self._boxes)

    def has(self, name: str) -> bool:
        """Whether a key of this name can be used, or is known to be lost."""
        return name in self._boxes or name in self.lost

    def wrap(self, key: bytes, *, namespace: str, id: str, subject: str) -> bytes:
        """A data key as the store may have it, wrapped with the active key."""
        assert self.active, "nothing is encrypted without an active key"
        return self._boxes[self.active].lock(key, "key", namespace, id, subject, self.active)

    def unwrap(self, wrapped: bytes, *, ring: str, namespace: str, id: str, subject: str) -> bytes:
        """The data key.

        Raises:
            WrongRing: the ring has no key of the name `ring`, or another one.
            KeyDestroyed: that key is lost.
        """
        if ring in self.lost:
            raise KeyDestroyed(
                f"this was encrypted under the ring key {ring!r}, which is lost; it cannot be read "
                "any more"
            )
        if ring not in self._boxes:
            raise WrongRing(missing(ring))
        try:
            return self._boxes[ring].open(wrapped, "key", namespace, id, subject, ring)
        except NotOpened as error:
            raise WrongRing(
                f"encryption.keys.{ring} is not the key that wrapped the data key of {subject}, or "
                "its row in the database was changed; put the right key back under this name"
            ) from error


def open_ring(settings: EncryptionSettings, environ: Mapping[str, str], *, home: Path) -> KeyRing:
    """The ring that the settings describe; files are relative to the home.

    Raises:
        SetupError: INVALID_CONFIG, a key is not there or is none, or none is active.
    """
    keys = {
        name: read_key(f"encryption.keys.{name}", reference, environ, home)
        for name, reference in settings.keys.items()
    }
    if keys and settings.active not in keys:
        raise _invalid(
            "encryption.active must name the key of encryption.keys that wraps new data keys: "
            f"{', '.join(sorted(keys))}"
        )
    if settings.active and not keys:
        raise _invalid(f"encryption.active is {settings.active!r}, but encryption.keys is empty")
    if both := keys.keys() & set(settings.lost):
        raise _invalid(f"encryption.lost names {min(both)!r}, which encryption.keys has")
    return KeyRing(keys, active=settings.active, lost=settings.lost)


def missing(ring: str) -> str:
    """What is said where a key of the ring is not there."""
    return (
        f"data keys in the database are wrapped with the ring key {ring!r}, and encryption.keys has "
        "none of this name; put it back. If it is gone for good, name it in encryption.lost: what "
        "it protects is then as good as erased"
    )


def key_file(reference: str, home: Path) -> Path | None:
    """The file that a reference to a key names, if it names one."""
    kind, _, place = reference.partition(":")
    return home / Path(place).expanduser() if kind == "file" and place else None


def read_key(setting: str, reference: str, environ: Mapping[str, str], home: Path) -> bytes:
    """The key that a reference, the value of `setting`, names.

    Raises:
        SetupError: INVALID_CONFIG, it is not there or is none.
    """
    kind, _, place = reference.partition(":")
    file = key_file(reference, home)
    if file is not None:
        try:
            text = file.read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError) as error:
            raise _invalid(f"{setting}: {file} cannot be read: {_reason(error)}") from error
        return _decode(setting, f"the file {file}", text)
    if kind == "env" and place:
        if place not in environ:
            raise _invalid(f"{setting}: the variable {place} is not set")
        return _decode(setting, f"the variable {place}", environ[place])
    # The value is not shown: somebody may have written the key itself here.
    raise _invalid(f"{setting} must be env:NAME or file:PATH, the place of the key")


def _decode(setting: str, place: str, text: str) -> bytes:
    try:
        key = base64.b64decode("".join(text.split()).translate(_URL_SAFE), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise _invalid(
            f"{setting}: {place} must hold {KEY_BYTES} bytes in base64; {HOW_TO_MAKE}"
        ) from None
    return key


def _reason(error: OSError | UnicodeDecodeError) -> str:
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    return "it is not text"


def _invalid(message: str) -> SetupError:
    return SetupError(message, code=Code.INVALID_CONFIG)
