"""Questions in plain words about a datasource: `db_ask`, with a model or without one."""
