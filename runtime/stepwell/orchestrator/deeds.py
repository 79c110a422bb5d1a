"""What a person proves to be present for: a proof for one thing is none for another."""

import hashlib

import msgspec


def deed(name: str, *about: str) -> str:
    """What a proof is bound to when something is done that is no approval: 64 hexadecimal digits."""
    return hashlib.sha256(msgspec.json.encode(["deed", name, *about])).hexdigest()
