"""What is known of a principal besides its name: attributes, which rules of data look at.

Whoever makes an API key says them, or an authorization server vouches for them in its access tokens.
Nobody says them of himself.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from stepwell.errors import InvalidRequest, SetupError
from stepwell.principals import Attributes

MOST_NAMES: Final = 32
MOST_TEXTS: Final = 100
LONGEST: Final = 256
"""Characters of a text."""

GROUPS: Final = "groups"
"""The attribute whose texts are the groups of a principal."""

NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")


def read_attributes(given: Iterable[tuple[str, Iterable[str]]]) -> Attributes:
    """Attributes as somebody has said them; a name that is there again adds to its texts.

    Raises:
        InvalidRequest: INVALID_REQUEST, a name or a text cannot be one, or there are too many.
    """
    found: dict[str, tuple[str, ...]] = {}
    for name, texts in given:
        if not NAME.fullmatch(name):
            raise _invalid(
                f"{name[:64]!r} is no name of an attribute: 1 to 64 of a-z 0-9 _, beginning with a "
                "letter"
            )
        found[name] = tuple(dict.fromkeys((*found.get(name, ()), *texts)))
        if not found[name] or len(found[name]) > MOST_TEXTS:
            raise _invalid(f"an attribute has 1 to {MOST_TEXTS} texts, {name} has another number")
        if not all(map(_may_be, found[name])):
            raise _invalid(
                f"a text of an attribute has 1 to {LONGEST} characters, and none that cannot be "
                f"printed; {name} has another one"
            )
    if len(found) > MOST_NAMES:
        raise _invalid(f"there are {len(found)} attributes, the limit is {MOST_NAMES}")
    return found


def check_names(setting: str, names: Iterable[str]) -> None:
    """Whether names in a setting are names of attributes.

    Raises:
        SetupError: one is not.
    """
    for name in names:
        if not NAME.fullmatch(name):
            raise SetupError(
                f"{setting}: {name!r} is no name of an attribute: 1 to 64 of a-z 0-9 _, beginning "
                "with a letter"
            )


def claimed(claims: Mapping[str, Any], names: Mapping[str, str]) -> Attributes:
    """What a token says of its bearer, by the claim that each attribute is in.

    A claim that is not there, or is no text, whole number, truth or list of those, gives nothing: a rule
    that needs it shows nothing.
    """
    found: dict[str, tuple[str, ...]] = {}
    for name, claim in names.items():
        value = claims.get(claim)
        parts = value if isinstance(value, list) else [value]
        texts = tuple(dict.fromkeys(map(_text, parts)))
        if texts and len(texts) <= MOST_TEXTS and all(map(_may_be, texts)):
            found[name] = texts
    return found


def encoded(attributes: Attributes) -> str:
    """As they are kept."""
    return msgspec.json.encode(attributes, order="sorted").decode()


def decoded(text: str) -> Attributes:
    """From how they are kept."""
    return _DECODER.decode(text)


_DECODER: Final = msgspec.json.Decoder(dict[str, tuple[str, ...]])


def groups_of(attributes: Attributes) -> frozenset[str]:
    """The groups of a principal."""
    return frozenset(attributes.get(GROUPS, ()))


def _text(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case str():
            return value
    return ""


def _may_be(text: str) -> bool:
    return 0 < len(text) <= LONGEST and text.isprintable()


def _invalid(problem: str) -> InvalidRequest:
    return InvalidRequest(problem, detail={"attributes": problem})
