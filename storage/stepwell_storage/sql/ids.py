"""Run ids: canonical UUID text in the ports, 16 bytes in the tables."""

from functools import lru_cache

from stepwell_storage.records import is_run_id


@lru_cache(maxsize=4096)
def packed(run: str) -> bytes:
    """The bytes of a run id that is known to be canonical, as that of an `Append` is."""
    return bytes.fromhex(run.replace("-", ""))


def packed_or_none(run: str) -> bytes | None:
    """The bytes of what somebody gave as a run id; None, which equals no column, if it is none."""
    return packed(run) if is_run_id(run) else None


def unpacked(run: bytes) -> str:
    """The canonical text."""
    text = run.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
