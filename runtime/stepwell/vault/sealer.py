"""What one run writes, encrypted with one data key.

Two keys are derived from the data key for each run: one encrypts, one names. The name of a blob is
a keyed digest of its content, because the log names blobs too, and a plain digest of a short text is
as good as the text. Inside a run the same content has the same name; elsewhere it has another.
"""

import hmac
import sys
from functools import cache
from typing import Final

import msgspec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from msgspec.structs import replace

from stepwell.engine import codec
from stepwell.engine.events import Event
from stepwell.engine.values import BlobRef, Data
from stepwell.errors import DataDamaged
from stepwell.vault.boxes import KEY_BYTES, Boxes, NotOpened
from stepwell_storage.records import Blob

_encode = msgspec.json.Encoder().encode
_NULL: Final = b"null"


class Sealer:
    """Encrypts and decrypts with the data key `key_id`, for one run.

    With `everything` no value stays in an event; otherwise what is small and not sealed does.
    """

    __slots__ = ("_boxes", "_everything", "_namer", "_namespace", "_run", "key_id")

    def __init__(
        self, key_id: str, key: bytes, *, namespace: str, run: str, everything: bool = False
    ) -> None:
        self.key_id = key_id
        self._namespace = namespace
        self._run = run
        self._everything = everything
        self._boxes = Boxes(derived(key, "encrypt", namespace, run))
        self._namer = hmac.new(derived(key, "name", namespace, run), digestmod="sha256")

    def encode(self, event: Event, inline_limit: int) -> tuple[bytes, tuple[Blob, ...]]:
        """As `codec.encode`; the blobs are encrypted, and the body gives away none of them."""
        values = {name: getattr(event, name) for name in _data_fields(type(event))}
        if not self._everything:
            body = codec.written(event)
            is_plain = all(not (data.sealed or data.blob) for data in values.values())
            if is_plain and len(body) <= inline_limit:
                return body, ()
        limit = 0 if self._everything else inline_limit
        changed: dict[str, Data] = {}
        blobs: list[Blob] = []
        for name, data in values.items():
            content = _encode(data.value)
            if data.sealed or (len(content) > limit and content != _NULL):
                blob = self.lock(content, label=data.sealed)
                blobs.append(blob)
                changed[name] = Data(blob=BlobRef(blob.digest, blob.size, blob.label))
            elif data.blob is not None:  # where it was read, which may be another run
                changed[name] = Data(value=data.value)
        if changed:
            event = replace(event, **changed)
        body, _ = codec.encode(event, sys.maxsize)
        return body, tuple(blobs)

    def lock(self, content: bytes, *, label: str = "") -> Blob:
        """The blob that keeps this content. Its size is that of the content."""
        name = self._name(content)
        data = self._boxes.lock(content, "blob", self._namespace, self._run, name, label)
        return Blob(name, len(content), data, label, self.key_id)

    def open(self, blob: Blob) -> Blob:
        """The same blob as if it had never been encrypted.

        Raises:
            DataDamaged: it was changed since, or belongs to another run.
        """
        try:
            content = self._boxes.open(
                blob.data, "blob", self._namespace, self._run, blob.digest, blob.label
            )
        except NotOpened as error:
            raise DataDamaged(
                f"the blob {blob.digest} of the run {self._run} is not what was written there: it "
                "was changed, or moved; restore the database from a backup"
            ) from error
        return Blob(blob.digest, len(content), content, blob.label)

    def lock_letter(self, id: str, body: bytes) -> bytes:
        """The body of a letter to the run, as the store may have it."""
        return self._boxes.lock(body, "letter", self._namespace, self._run, id)

    def open_letter(self, id: str, body: bytes) -> bytes:
        """What a letter to the run says.

        Raises:
            DataDamaged: it was changed since, or was for another run.
        """
        try:
            return self._boxes.open(body, "letter", self._namespace, self._run, id)
        except NotOpened as error:
            raise DataDamaged(f"the letter {id} to the run {self._run} was changed") from error

    def _name(self, content: bytes) -> str:
        namer = self._namer.copy()
        namer.update(content)
        return f"hmac-sha256:{namer.hexdigest()}"


def derived(key: bytes, use: str, *what: str) -> bytes:
    """The key for one use of a data key, about something."""
    info = _encode(["stepwell", use, *what])
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=info).derive(key)


@cache
def _data_fields(event: type[Event]) -> tuple[str, ...]:
    return tuple(field.name for field in msgspec.structs.fields(event) if field.type is Data)
