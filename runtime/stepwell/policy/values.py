"""Arguments as rules see them, in the JSON that Cedar reads.

Nothing is rounded, cut or guessed: a value that Cedar cannot hold exactly is `Unreadable`, and
the call is denied if a rule would have looked at it. Otherwise a number with one digit too many
would slip past the rule that limits it.
"""

from collections.abc import Callable, Collection, Mapping
from decimal import Decimal
from typing import Any, Final

from stepwell.engine.values import Json
from stepwell.policy.shapes import Record, Scalar, SetOf, Shape

_LONG: Final = 2**63
_DECIMAL_PLACES: Final = 4
_DECIMAL: Final = Decimal(_LONG).scaleb(-_DECIMAL_PLACES)


class _Misfit(Exception):
    """A value does not fit its type; the text says which one is expected."""


class Unreadable(Exception):
    """Rules cannot see this value as it is; the text names it and says why."""


def seen(shape: Record, arguments: Json, names: Collection[str] | None = None) -> dict[str, Any]:
    """What rules see of the arguments; of `names` alone, where they look at nothing else.

    Raises:
        Unreadable: a value does not fit its type, or Cedar cannot hold it.
    """
    return _record(shape, arguments, "", names)


def _record(
    shape: Record, value: Json, path: str, names: Collection[str] | None = None
) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise Unreadable(f"{path or 'the arguments'}: an object is expected")
    found: dict[str, Any] = {}
    for name, attribute in shape.attributes.items():
        if names is not None and name not in names:
            continue
        part = value.get(name)
        if part is None:
            part = attribute.default
        if part is not None:
            found[name] = _seen(attribute.shape, part, f"{path}.{name}" if path else name)
        elif attribute.required:
            raise Unreadable(f"{path}.{name}: it is missing" if path else f"{name}: it is missing")
    return found


def _seen(shape: Shape, value: Json, path: str) -> Any:
    if type(shape) is Scalar:
        try:
            return _SCALARS[shape.type](value)
        except _Misfit as error:
            raise Unreadable(f"{path}: {error}") from None
    if type(shape) is SetOf:
        if not isinstance(value, list | tuple):
            raise Unreadable(f"{path}: an array is expected")
        return [_seen(shape.item, part, path) for part in value]
    assert type(shape) is Record
    return _record(shape, value, path)


def _text(value: Json) -> str:
    if not isinstance(value, str):
        raise _Misfit("text is expected")
    return value


def _whole(value: Json) -> int:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise _Misfit("a whole number is expected")
    if not -_LONG <= value < _LONG:
        raise _Misfit("rules can weigh whole numbers of 64 bits, this one is larger")
    return value


def _decimal(value: Json) -> dict[str, Any]:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise _Misfit("a number is expected")
    number = Decimal(repr(value))
    if not number.is_finite() or not -_DECIMAL <= number < _DECIMAL:
        raise _Misfit("rules can weigh numbers up to 922337203685477.5807, this one is larger")
    exponent = number.normalize().as_tuple().exponent
    assert isinstance(exponent, int), "it is finite"
    if exponent < -_DECIMAL_PLACES:
        raise _Misfit("rules can weigh numbers of at most 4 decimals, this one has more")
    return {"__extn": {"fn": "decimal", "arg": f"{number:.4f}"}}


def _truth(value: Json) -> bool:
    if not isinstance(value, bool):
        raise _Misfit("true or false is expected")
    return value


_SCALARS: Final[Mapping[str, Callable[[Json], Any]]] = {
    "String": _text,
    "Long": _whole,
    "Decimal": _decimal,
    "Boolean": _truth,
}
