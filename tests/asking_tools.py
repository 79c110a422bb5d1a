"""Tools that ask: what the tests of questions load."""

from stepwell import Question, ask, ask_all, ask_url, tool

WHO = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}


@tool(idempotent=True)
async def greet() -> str:
    """Greets whoever is there."""
    reply = await ask("What is your name?", schema=WHO, key="who")
    return f"Hello, {reply.content['name']}" if reply.is_accepted else f"Hello, {reply.action}"


@tool
async def erase(what: str) -> str:
    """Erases something, if that is really wanted."""
    reply = await ask(f"Really erase {what}?", key="sure")
    return f"{what} is gone" if reply.is_accepted else f"{what} is still there"


@tool(idempotent=True)
async def pay() -> str:
    """Lets the user pay on a page."""
    return (await ask_url("Pay here", "https://pay.example/7", key="pay")).action


@tool(idempotent=True)
async def two_rounds() -> str:
    """Asks one thing after the other."""
    first = await ask("First?", schema=WHO, key="first")
    second = await ask("Second?", schema=WHO, key="second")
    return f"{first.content['name']} and {second.content['name']}"


@tool(idempotent=True)
async def both_names() -> list[str]:
    """Asks two forms at once."""
    replies = await ask_all({key: Question(f"{key}?", schema=WHO) for key in ("first", "second")})
    return [reply.content["name"] for reply in replies.values()]


@tool(idempotent=True)
async def everything() -> list[str]:
    """Asks the user, and what is behind him, all at once."""
    message = {"role": "user", "content": {"type": "text", "text": "Say hello"}}
    replies = await ask_all(
        {
            "who": Question("Who?", schema=WHO),
            "words": Question(kind="sampling", params={"messages": [message], "maxTokens": 20}),
            "where": Question(kind="roots"),
        }
    )
    return [reply.action for reply in replies.values()]


@tool(idempotent=True)
async def thinks() -> str:
    """Lets the client's model think."""
    message = {"role": "user", "content": {"type": "text", "text": "Say hello"}}
    question = Question(kind="sampling", params={"messages": [message], "maxTokens": 20})
    reply = (await ask_all({"words": question}))["words"]
    return reply.content["content"]["text"] if reply.is_accepted else reply.action
