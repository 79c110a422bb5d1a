"""A tool of your own: a function with type hints and a docstring."""

from pathlib import Path

from stepwell import CallContext, tool

CHANNEL = Path(__file__).with_name("channel.txt")


@tool(idempotent=True)
def post_message(text: str, context: CallContext) -> dict[str, str]:
    """Posts a message to the team's channel, which is a file here.

    Args:
        text: What to post.
        context: Given by Stepwell; the caller does not see it.
    """
    posted = CHANNEL.read_text() if CHANNEL.exists() else ""
    if context.key not in posted:  # a repeat after a crash comes with the same key
        with CHANNEL.open("a") as channel:
            channel.write(f"{context.key}\t{text}\n")
    return {"channel": CHANNEL.name}
