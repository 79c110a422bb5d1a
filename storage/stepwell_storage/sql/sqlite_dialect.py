"""SQLite's SQL, with its values by position, as both of its adapters hand it to the driver."""

from sqlalchemy.dialects import sqlite

DIALECT = sqlite.dialect(paramstyle="qmark")
