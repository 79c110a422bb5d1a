"""Names of tables and columns, as rules spell them."""

from collections.abc import Mapping


def named(names: Mapping[str, object] | tuple[str, ...], name: str) -> str | None:
    """The one that a rule means: spelt the same, or the only one but for capital letters."""
    if name in names:
        return name
    near = [one for one in names if one.casefold() == name.casefold()]
    return near[0] if len(near) == 1 else None
