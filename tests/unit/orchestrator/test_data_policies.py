"""The access of whoever calls, by the policy in force."""

from pathlib import Path

import pytest
from tests.unit.policy.data.shop import rules, shop

from stepwell.orchestrator.data_policies import access_by
from stepwell.policy.book import PolicyBook
from stepwell.tools.port import CallContext
from stepwell.vault.mask_key import open_mask_key

pytestmark = pytest.mark.anyio

TEXT = """@id("a") @mask("email: hash")
permit(principal in Group::"g", action == Action::"db_read", resource == Table::"shop.customers");
@id("b")
permit(principal, action == Action::"db_read", resource == Table::"shop.orders");"""


def calling(*groups: str) -> CallContext:
    return CallContext(
        namespace="default",
        principal="agent:a",
        run="r",
        step="s",
        attempt=1,
        key="k",
        attributes={"groups": groups} if groups else {},
    )


async def test_the_key_of_masks_is_read_once_and_where_a_rule_hashes() -> None:
    book, read = PolicyBook(), list[str]()
    book.put("default", rules(TEXT))

    def key() -> bytes:
        read.append("key")
        return b"k" * 32

    access_of = access_by(book, mask_key=key)
    plain = await access_of(calling(), "shop", shop())
    assert (set(plain.tables), plain.salt, read) == ({"orders"}, "", [])
    hashed = await access_of(calling("g"), "shop", shop())
    assert set(hashed.tables) == {"customers", "orders"}
    assert len(hashed.salt) == 64
    assert await access_of(calling("g"), "shop", shop()) is hashed
    assert read == ["key"]
    other = await access_by(book, mask_key=lambda: b"x" * 32)(calling("g"), "shop", shop())
    assert other.salt != hashed.salt


def test_a_home_has_one_key_of_masks(tmp_path: Path) -> None:
    key = open_mask_key("", tmp_path, {})
    assert (len(key), open_mask_key("", tmp_path, {})) == (32, key)
