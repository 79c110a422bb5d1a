"""How a version is named: by what a document says, not by how it is written."""

import hashlib

import msgspec

from stepwell.engine.values import Json


def canonical(document: Json) -> bytes:
    """The one JSON text of a document: keys sorted, no spaces, UTF-8."""
    return msgspec.json.encode(document, order="deterministic")


def version_of(document: Json) -> str:
    """The name of a version. Comments, layout and the order of keys do not change it."""
    return "sha256:" + hashlib.sha256(canonical(document)).hexdigest()
