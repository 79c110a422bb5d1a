"""Storage over SQL: tables, statements, and what differs between databases."""
