"""Stores over SQL: tables, statements, group commit, migrations."""
