"""What a type of an engine is to a question: a number, a text, a time."""

from typing import Any, Final

from sqlalchemy import types
from sqlalchemy.dialects import postgresql

from stepwell.nldb.model import Kind

_KINDS: Final[tuple[tuple[type[Any], Kind], ...]] = (
    (types.Boolean, "boolean"),
    (types.Integer, "integer"),
    (types.Float, "float"),
    (types.Numeric, "decimal"),
    (types.DateTime, "timestamp"),
    (types.Date, "date"),
    (types.Time, "time"),
    (types.JSON, "json"),
    (types.Uuid, "uuid"),
    (types.Enum, "other"),  # it looks like a text, but no function of texts takes it
    (types.String, "text"),
    (types.LargeBinary, "bytes"),
)
"""The first that fits: some types of SQLAlchemy are also of a kind further down."""


def kind_of(type: types.TypeEngine[Any]) -> Kind:
    """The kind of a column of this type."""
    if isinstance(type, postgresql.DOMAIN):
        return kind_of(type.data_type)
    for known, kind in _KINDS:
        if isinstance(type, known):
            return kind
    return "other"
