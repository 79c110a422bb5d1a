"""A run as the JSON of commands."""

from typing import Any

import msgspec

from stepwell.client import Run


def run_document(run: Run, *, created: bool | None = None) -> dict[str, Any]:
    """A run; `created`, for who starts one, tells whether this request did."""
    document: dict[str, Any] = msgspec.to_builtins(run)
    del document["created"]
    return document if created is None else document | {"created": created}


def listed_run(run: Run) -> dict[str, Any]:
    """A run as lists have it, which is without its output."""
    document = run_document(run)
    del document["output"], document["output_ref"], document["questions"]
    return document
