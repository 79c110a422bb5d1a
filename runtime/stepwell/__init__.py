"""Stepwell: durable workflows of agents and tools, governed, behind MCP and gRPC."""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stepwell.definitions.builder import Workflow as Workflow
    from stepwell.definitions.do import Do as Do
    from stepwell.definitions.do import Retry as Retry
    from stepwell.tools.asking import ask as ask
    from stepwell.tools.asking import ask_all as ask_all
    from stepwell.tools.asking import ask_url as ask_url
    from stepwell.tools.asking import log as log
    from stepwell.tools.asking import report as report
    from stepwell.tools.port import CallContext as CallContext
    from stepwell.tools.port import ToolFailed as ToolFailed
    from stepwell.tools.python import tool as tool
    from stepwell.tools.questions import Question as Question
    from stepwell.tools.questions import Reply as Reply

_PUBLIC = {
    "CallContext": "stepwell.tools.port",
    "Do": "stepwell.definitions.do",
    "Question": "stepwell.tools.questions",
    "Reply": "stepwell.tools.questions",
    "Retry": "stepwell.definitions.do",
    "ToolFailed": "stepwell.tools.port",
    "Workflow": "stepwell.definitions.builder",
    "ask": "stepwell.tools.asking",
    "ask_all": "stepwell.tools.asking",
    "ask_url": "stepwell.tools.asking",
    "log": "stepwell.tools.asking",
    "report": "stepwell.tools.asking",
    "tool": "stepwell.tools.python",
}
__all__ = [
    "CallContext",
    "Do",
    "Question",
    "Reply",
    "Retry",
    "ToolFailed",
    "Workflow",
    "ask",
    "ask_all",
    "ask_url",
    "log",
    "report",
    "tool",
]


def __getattr__(name: str) -> object:
    """Imports a public name when it is asked for: importing a part must not load the whole."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'stepwell' has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)
