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
    from stepwell.tools.content import Audio as Audio
    from stepwell.tools.content import Content as Content
    from stepwell.tools.content import EmbeddedResource as EmbeddedResource
    from stepwell.tools.content import Image as Image
    from stepwell.tools.content import Message as Message
    from stepwell.tools.content import ResourceLink as ResourceLink
    from stepwell.tools.content import Text as Text
    from stepwell.tools.icons import Icon as Icon
    from stepwell.tools.port import CallContext as CallContext
    from stepwell.tools.port import ToolFailed as ToolFailed
    from stepwell.tools.prompts import prompt as prompt
    from stepwell.tools.python import tool as tool
    from stepwell.tools.questions import Question as Question
    from stepwell.tools.questions import Reply as Reply
    from stepwell.tools.resources import resource as resource
    from stepwell.tools.shelf import resource_changed as resource_changed

_PUBLIC = {
    "Audio": "stepwell.tools.content",
    "CallContext": "stepwell.tools.port",
    "Content": "stepwell.tools.content",
    "Do": "stepwell.definitions.do",
    "EmbeddedResource": "stepwell.tools.content",
    "Icon": "stepwell.tools.icons",
    "Image": "stepwell.tools.content",
    "Message": "stepwell.tools.content",
    "Question": "stepwell.tools.questions",
    "Reply": "stepwell.tools.questions",
    "ResourceLink": "stepwell.tools.content",
    "Retry": "stepwell.definitions.do",
    "Text": "stepwell.tools.content",
    "ToolFailed": "stepwell.tools.port",
    "Workflow": "stepwell.definitions.builder",
    "ask": "stepwell.tools.asking",
    "ask_all": "stepwell.tools.asking",
    "ask_url": "stepwell.tools.asking",
    "log": "stepwell.tools.asking",
    "prompt": "stepwell.tools.prompts",
    "report": "stepwell.tools.asking",
    "resource": "stepwell.tools.resources",
    "resource_changed": "stepwell.tools.shelf",
    "tool": "stepwell.tools.python",
}
__all__ = [
    "Audio",
    "CallContext",
    "Content",
    "Do",
    "EmbeddedResource",
    "Icon",
    "Image",
    "Message",
    "Question",
    "Reply",
    "ResourceLink",
    "Retry",
    "Text",
    "ToolFailed",
    "Workflow",
    "ask",
    "ask_all",
    "ask_url",
    "log",
    "prompt",
    "report",
    "resource",
    "resource_changed",
    "tool",
]


def __getattr__(name: str) -> object:
    """Imports a public name when it is asked for: importing a part must not load the whole."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'stepwell' has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)
