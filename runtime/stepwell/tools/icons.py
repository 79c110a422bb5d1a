"""Pictures that clients may show beside a tool, a resource or a prompt."""

from collections.abc import Sequence

from msgspec import Struct


class Icon(Struct, frozen=True, omit_defaults=True):
    """A picture that clients may show; `src` is an `https:` or `data:` URI."""

    src: str
    mime: str = ""
    sizes: tuple[str, ...] = ()


def icons_of(icons: Sequence[Icon | str]) -> tuple[Icon, ...]:
    """The icons, where a string is the URI of one.

    Raises:
        TypeError: one is at another place, from which no client would load it.
    """
    found = tuple(Icon(one) if isinstance(one, str) else one for one in icons)
    for one in found:
        if not one.src.startswith(("https://", "data:")):
            raise TypeError(f"the icon {one.src!r} must be an https: or a data: URI")
    return found
