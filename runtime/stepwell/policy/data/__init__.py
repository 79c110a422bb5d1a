"""Data policies: which tables, columns and rows of a datasource are there for whom."""
