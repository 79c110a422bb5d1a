"""Passkeys (WebAuthn): what the browser is asked, and whether its answer is right.

webauthn is loaded at first use: it takes a fifth of a second that most daemons never need.
"""

from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct, field

from stepwell.engine.values import Json

MAX_ANSWER: Final = 64 * 1024
"""Bytes of what a browser sends."""


class WrongPasskey(Exception):
    """The answer is none, or not to this question."""


class Passkey(Struct, frozen=True):
    """What is kept of a passkey; the key that signs never leaves its device."""

    credential: bytes
    public_key: bytes


class Site(Struct, frozen=True):
    """The page that passkeys are for: they answer nobody else. `origin` is like `https://a.example`."""

    origin: str

    @property
    def relying_party(self) -> str:
        """The host that passkeys are bound to."""
        return urlsplit(self.origin).hostname or ""


class _ClientData(Struct):
    challenge: str


class _Response(Struct):
    client_data: str = field(name="clientDataJSON")


class _Answer(Struct):
    id: str
    response: _Response


def new_passkey(
    site: Site, *, account: str, user: bytes, challenge: bytes, known: Sequence[Passkey]
) -> dict[str, Json]:
    """What `navigator.credentials.create` is asked."""
    import webauthn
    from webauthn.helpers import structs

    options = webauthn.generate_registration_options(
        rp_id=site.relying_party,
        rp_name="Stepwell",
        user_name=account,
        user_id=user,
        challenge=challenge,
        authenticator_selection=structs.AuthenticatorSelectionCriteria(
            resident_key=structs.ResidentKeyRequirement.PREFERRED,
            user_verification=structs.UserVerificationRequirement.REQUIRED,
        ),
        exclude_credentials=_described(known),
    )
    return _json(webauthn.options_to_json(options))


def question(site: Site, *, challenge: bytes, known: Sequence[Passkey]) -> dict[str, Json]:
    """What `navigator.credentials.get` is asked."""
    import webauthn
    from webauthn.helpers import structs

    options = webauthn.generate_authentication_options(
        rp_id=site.relying_party,
        challenge=challenge,
        allow_credentials=_described(known),
        user_verification=structs.UserVerificationRequirement.REQUIRED,
    )
    return _json(webauthn.options_to_json(options))


def challenge_of(answer: str) -> bytes:
    """The challenge that an answer says it is to; it proves nothing yet.

    Raises:
        WrongPasskey: it is no answer.
    """
    from webauthn.helpers import base64url_to_bytes

    try:
        data = base64url_to_bytes(_read(answer).response.client_data)
        return base64url_to_bytes(msgspec.json.decode(data, type=_ClientData).challenge)
    except (ValueError, msgspec.DecodeError) as error:
        raise WrongPasskey(f"what the browser sent is no answer: {error}") from error


def credential_of(answer: str) -> bytes:
    """Which passkey an answer says it is by.

    Raises:
        WrongPasskey: it is no answer.
    """
    from webauthn.helpers import base64url_to_bytes

    try:
        return base64url_to_bytes(_read(answer).id)
    except ValueError as error:
        raise WrongPasskey(f"what the browser sent is no answer: {error}") from error


def registered(site: Site, answer: str, *, challenge: bytes) -> tuple[Passkey, int]:
    """The new passkey, and what it counts from.

    Raises:
        WrongPasskey: it was not made for this site and this challenge, with the user verified.
    """
    import webauthn
    from webauthn.helpers.exceptions import WebAuthnException

    _read(answer)
    try:
        made = webauthn.verify_registration_response(
            credential=answer,
            expected_challenge=challenge,
            expected_rp_id=site.relying_party,
            expected_origin=site.origin,
            require_user_verification=True,
        )
    except (WebAuthnException, ValueError, KeyError, TypeError) as error:
        raise WrongPasskey(str(error)) from error
    return Passkey(made.credential_id, made.credential_public_key), made.sign_count


def counted(site: Site, answer: str, passkey: Passkey, *, challenge: bytes, counter: int) -> int:
    """What a passkey counts after its answer.

    Raises:
        WrongPasskey: it was not signed by this passkey for this site and this challenge, with the
            user verified; or it counts no further, as a copy would.
    """
    import webauthn
    from webauthn.helpers.exceptions import WebAuthnException

    try:
        verified = webauthn.verify_authentication_response(
            credential=answer,
            expected_challenge=challenge,
            expected_rp_id=site.relying_party,
            expected_origin=site.origin,
            credential_public_key=passkey.public_key,
            credential_current_sign_count=counter,
            require_user_verification=True,
        )
    except (WebAuthnException, ValueError, KeyError, TypeError) as error:
        raise WrongPasskey(str(error)) from error
    return verified.new_sign_count


def _read(answer: str) -> _Answer:
    if len(answer) > MAX_ANSWER:
        raise WrongPasskey("what the browser sent is too long to be an answer")
    try:
        return msgspec.json.decode(answer, type=_Answer)
    except (msgspec.DecodeError, RecursionError) as error:
        raise WrongPasskey(f"what the browser sent is no answer: {error}") from error


def _described(known: Sequence[Passkey]) -> list[Any]:
    from webauthn.helpers.structs import PublicKeyCredentialDescriptor

    return [PublicKeyCredentialDescriptor(id=one.credential) for one in known]


def _json(text: str) -> dict[str, Json]:
    return msgspec.json.decode(text, type=dict[str, Any])
