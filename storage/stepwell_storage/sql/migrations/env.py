"""What Alembic runs: our revisions, on the connection that `migrate.upgrade` hands over."""

from alembic import context

from stepwell_storage.sql.migrate import VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    version_table=VERSION_TABLE,
    # SQLite can do it, and Alembic does not assume so: a schema is changed whole or not at all.
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
