"""PostgreSQL as a datasource."""
