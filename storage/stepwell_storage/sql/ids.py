"""Run ids: canonical UUID text in the ports, 16 bytes in the tables."""


def packed(run: str) -> bytes:
    """The bytes of a run id that is known to be canonical, as those of an `Append` are."""
    return bytes.fromhex(run.replace("-", ""))


def unpacked(run: bytes) -> str:
    """The canonical text."""
    text = run.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
