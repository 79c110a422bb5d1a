"""Resources and prompts that the MCP conformance suite reads and gets."""

import json

from dev.conformance.samples import PNG

from stepwell import EmbeddedResource, Image, Message, ask, prompt, resource


@resource("test://static-text", name="static-text", mime="text/plain")
async def static_text() -> str:
    """A text that stays as it is."""
    return "This is the content of the static text resource."


@resource("test://static-binary", name="static-binary", mime="image/png")
async def static_binary() -> bytes:
    """A picture that stays as it is."""
    return PNG


@resource("test://watched-resource", name="watched-resource", mime="text/plain")
async def watched_resource() -> str:
    """A text that clients watch."""
    return "This is the content of the watched resource."


@resource("test://template/{id}/data", name="template-data", mime="application/json")
async def template_data(id: str) -> str:
    """What there is of an id."""
    return json.dumps({"id": id, "templateTest": True, "data": f"Data for ID: {id}"})


@prompt
async def test_simple_prompt() -> str:
    """A prompt without arguments."""
    return "This is a simple prompt for testing."


@prompt(complete={"arg1": ["paris", "park", "party", "testing"]})
async def test_prompt_with_arguments(arg1: str, arg2: str) -> str:
    """A prompt with two arguments.

    Args:
        arg1: First test argument
        arg2: Second test argument
    """
    return f"Prompt with arguments: arg1='{arg1}', arg2='{arg2}'"


@prompt(name="test_prompt_with_embedded_resource")
async def embedding(resourceUri: str) -> list[Message]:  # noqa: N803 - the suite names it so
    """A prompt with a resource in it.

    Args:
        resourceUri: URI of the resource to embed
    """
    text = "Embedded resource content for testing."
    return [
        Message(EmbeddedResource(resourceUri, text, "text/plain")),
        Message("Please process the embedded resource above."),
    ]


@prompt
async def test_prompt_with_image() -> list[Message]:
    """A prompt with a picture in it."""
    return [Message(Image(PNG)), Message("Please analyze the image above.")]


@prompt
async def test_input_required_result_prompt() -> str:
    """A prompt that asks the user first."""
    schema = {
        "type": "object",
        "properties": {"context": {"type": "string"}},
        "required": ["context"],
    }
    reply = await ask("What context should the prompt use?", schema=schema, key="user_context")
    return f"Use this context: {(reply.content or {}).get('context', '')}"
