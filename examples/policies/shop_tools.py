"""The tools that the policies of this folder are about."""

from stepwell import tool

REFUNDED: dict[str, int] = {}


@tool(read_only=True)
async def order_look(order: str) -> dict[str, object]:
    """Looks an order up."""
    return {"order": order, "refunded": REFUNDED.get(order, 0)}


@tool(idempotent=True)
async def order_refund(order: str, cents: int, reason: str = "") -> dict[str, object]:
    """Gives money back."""
    REFUNDED[order] = cents
    return {"order": order, "cents": cents, "reason": reason}


@tool
async def mail_send(to: str, text: str) -> str:
    """Sends a mail."""
    return f"sent {len(text)} characters to {to}"
