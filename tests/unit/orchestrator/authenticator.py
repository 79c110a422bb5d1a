"""A device with a passkey, as far as a server can tell (WebAuthn level 2, sections 6.1 and 6.5)."""

import hashlib
import json
import os
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from webauthn.helpers import encode_cbor

PRESENT, VERIFIED, WITH_CREDENTIAL = 1, 4, 64


def encoded(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")


def decoded(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Authenticator:
    """Makes one passkey, and signs with it. What it claims can be set to what is not so."""

    def __init__(self, origin: str, *, counts: bool = True) -> None:
        self.origin = origin
        self.relying_party = "localhost"
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.credential = os.urandom(16)
        self.counts = counts
        self.counter = 0
        self.verifies = True

    def create(self, options: Mapping[str, Any]) -> str:
        """What a browser sends after `navigator.credentials.create`."""
        numbers = self.key.public_key().public_numbers()
        cose = {1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32), -3: numbers.y.to_bytes(32)}
        attested = bytes(16) + struct.pack(">H", len(self.credential)) + self.credential
        data = self._data(WITH_CREDENTIAL) + attested + encode_cbor(cose)
        response = {
            "clientDataJSON": encoded(self._client_data("webauthn.create", options)),
            "attestationObject": encoded(
                encode_cbor({"fmt": "none", "attStmt": {}, "authData": data})
            ),
        }
        return self._answer(response)

    def get(self, options: Mapping[str, Any]) -> str:
        """What a browser sends after `navigator.credentials.get`."""
        client_data = self._client_data("webauthn.get", options)
        data = self._data(0)
        signed = data + hashlib.sha256(client_data).digest()
        response = {
            "clientDataJSON": encoded(client_data),
            "authenticatorData": encoded(data),
            "signature": encoded(self.key.sign(signed, ec.ECDSA(hashes.SHA256()))),
            "userHandle": None,
        }
        return self._answer(response)

    def _answer(self, response: Mapping[str, Any]) -> str:
        id = encoded(self.credential)
        return json.dumps({"id": id, "rawId": id, "type": "public-key", "response": response})

    def _client_data(self, kind: str, options: Mapping[str, Any]) -> bytes:
        told = {"type": kind, "challenge": options["challenge"], "origin": self.origin}
        return json.dumps(told | {"crossOrigin": False}).encode()

    def _data(self, flags: int) -> bytes:
        self.counter += self.counts
        flags |= PRESENT | (VERIFIED if self.verifies else 0)
        party = hashlib.sha256(self.relying_party.encode()).digest()
        return party + struct.pack(">BI", flags, self.counter)
