"""Stepwell: durable workflows of agents and tools, governed, behind MCP and gRPC."""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stepwell.definitions.builder import Workflow as Workflow
    from stepwell.definitions.do import Do as Do
    from stepwell.definitions.do import Retry as Retry
    from stepwell.tools.port import CallContext as CallContext
    from stepwell.tools.port import ToolFailed as ToolFailed
    from stepwell.tools.python import tool as tool

_PUBLIC = {
    "CallContext": "stepwell.tools.port",
    "Do": "stepwell.definitions.do",
    "Retry": "stepwell.definitions.do",
    "ToolFailed": "stepwell.tools.port",
    "Workflow": "stepwell.definitions.builder",
    "tool": "stepwell.tools.python",
}
__all__ = ["CallContext", "Do", "Retry", "ToolFailed", "Workflow", "tool"]


def __getattr__(name: str) -> object:
    """Imports a public name when it is asked for: importing a part must not load the whole."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'stepwell' has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)
